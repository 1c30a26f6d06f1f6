package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func securityDoc(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(repository, "docs/security.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The example with which docs/security.md begins works word for word, but for the
// port, and says what its comments say.
func TestSecurityExample(t *testing.T) {
	example := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindStringSubmatch(securityDoc(t))
	if example == nil {
		t.Fatal("there is no example")
	}
	before, after, ok := strings.Cut(example[1], "artifactstore serve --config artifactstore.yaml &\n")
	if !ok || !strings.Contains(before, ":8443\n") || !strings.Contains(after, ":8443") {
		t.Fatal("the example does not serve as this test does")
	}
	w := &docWalk{dir: t.TempDir()}
	w.env = append(os.Environ(), "no_proxy=*", "ARTIFACTSTORE_CREDENTIALS="+filepath.Join(w.dir, "credentials.json"))
	w.do(t, "mkdir dist\necho hello > dist/hello\n"+strings.ReplaceAll(before, ":8443\n", ":0\n"))
	s := start(t, command(t), w.dir, "ARTIFACTSTORE_CONFIG=artifactstore.yaml")
	out := w.do(t, strings.ReplaceAll(after, ":8443", s.url[strings.LastIndex(s.url, ":"):]))
	var said []string
	for _, word := range regexp.MustCompile(`"digest":|"unauthorized"|"forbidden"|logged in|ci-7/app/1.0 sealed|token t[0-9a-f]+ is revoked`).FindAllString(out, -1) {
		said = append(said, strings.Trim(regexp.MustCompile(` t[0-9a-f]{12}`).ReplaceAllString(word, ""), `":`))
	}
	want := []string{"digest", "unauthorized", "forbidden", "logged in", "ci-7/app/1.0 sealed", "token is revoked", "unauthorized"}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("%s\n%s", diff, out)
	}
}

// The tests, files and commands that docs/security.md names exist.
func TestSecurityDocNames(t *testing.T) {
	text := securityDoc(t)
	named := regexp.MustCompile(`\x60(Test\w+)\x60`).FindAllStringSubmatch(text, -1)
	if len(named) < 20 {
		t.Errorf("it names %d tests", len(named))
	}
	out, err := exec.Command("grep", "-rhoE", "--include=*_test.go", `^func Test\w+\(`, repository).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range named {
		if !strings.Contains(string(out), "func "+name[1]+"(\n") {
			t.Errorf("there is no %s", name[1])
		}
	}
	for _, c := range regexp.MustCompile(`\x60artifactstore ([^\x60]+)\x60`).FindAllStringSubmatch(text, -1) {
		checkCommandLine(t, strings.Fields(c[1]))
	}
	for _, name := range regexp.MustCompile(`\x60((?:gateway|cmd|deploy|docs)/[^\x60]+)\x60`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(repository, name[1])); err != nil {
			t.Error(err)
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(repository, "docs", link[1])); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
}
