package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"artifactstore/cmd/config"
)

// The example with which docs/verification.md begins works word for word, and says
// what its comments say; its configuration is one.
func TestVerificationExample(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(repository, "docs/verification.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	example := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindStringSubmatch(text)
	if example == nil {
		t.Fatal("there is no example")
	}
	dir := t.TempDir()
	s := start(t, command(t), dir)
	sh := exec.Command("sh", "-ec", example[1])
	sh.Dir = dir
	sh.Env = append(os.Environ(), "ARTIFACTSTORE_SERVER="+s.url)
	out, err := sh.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, want := range []string{
		"done: looked at 1 of 1 location on local", "mismatch", "exit status 3", "it is not served any more", "LEFT sha256:", "nobody else has it",
		"from file:precious.txt",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindStringSubmatch(text)
	name := filepath.Join(dir, "example.yaml")
	if err := os.WriteFile(name, []byte(block[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := config.Load(name, nil); err != nil || c.Backends[0].Verification.Every.Length() == 0 {
		t.Errorf("%v", err)
	}
	for _, c := range regexp.MustCompile(`\x60(?:artifactstore )?(storage [a-z]+[^\x60]*)\x60`).FindAllStringSubmatch(text, -1) {
		checkCommandLine(t, strings.Fields(c[1]))
	}
}
