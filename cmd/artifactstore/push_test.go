package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artifactstore/gateway/client"
	"artifactstore/gateway/client/tree"
	"artifactstore/registry"
	"artifactstore/registry/sqlite"
)

var pushed = client.PackageName{Producer: "ci", Name: "go", Version: "1"}

// TestPushKilled kills a push of files of the Go distribution (SIGKILL) several times
// in the middle. Each time the next one goes on, and the last brings only what is
// left: all that the gateway had acknowledged is counted as there already.
func TestPushKilled(t *testing.T) {
	g := start(t, command(t), t.TempDir())
	c := &client.Client{Server: g.url}
	from, each := filepath.Join("cmd", "compile"), 60
	if testing.Short() {
		from, each = "encoding", 15
	}
	dir := filepath.Join(strings.TrimSpace(output(t, ".", "go", "env", "GOROOT")), "src", from)
	there := 0
	for kills := range 3 {
		push := pushProcess(t, g, dir, "--jobs", "1") // slow enough to be killed in the middle
		if err := push.Start(); err != nil {
			t.Fatal(err)
		}
		there = awaitFiles(t, c, there+each)
		push.Process.Kill()
		if err := push.Wait(); err == nil {
			t.Fatalf("the push ended before it was killed for the time %d", kills+1)
		}
	}
	p, err := c.Package(t.Context(), pushed)
	if err != nil || p.Sealed() {
		t.Errorf("%+v, %v", p, err)
	}
	there = awaitFiles(t, c, there)
	push := pushProcess(t, g, dir, "--json")
	var out, errOut bytes.Buffer
	push.Stdout, push.Stderr = &out, &errOut
	if err := push.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errOut.String())
	}
	var done tree.Pushed
	if err := json.Unmarshal(out.Bytes(), &done); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if done.Kept.Files < there || done.Sent.Files+done.Attached.Files+done.Kept.Files != done.Files || done.State != "sealed" || done.Sent.Files == 0 {
		t.Errorf("%+v, of which %d were there", done, there)
	}
	t.Logf("killed three times with %d of %d files there; sent then: %d", there, done.Files, done.Sent.Files)

	back := t.TempDir()
	pull := exec.Command(command(t), "pull", pushed.String()+"@"+done.Manifest.String(), back, "--server", g.url)
	if text, err := pull.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if text, err := exec.Command("diff", "-r", dir, back).CombinedOutput(); err != nil {
		t.Errorf("what came back is not what was pushed: %s", text)
	}
}

func pushProcess(t *testing.T, g *server, dir string, args ...string) *exec.Cmd {
	return exec.Command(command(t), append([]string{"push", dir, "--package", pushed.String(), "--server", g.url}, args...)...)
}

// awaitFiles waits until the package has so many files, and returns how many.
func awaitFiles(t *testing.T, c *client.Client, n int) int {
	t.Helper()
	for end := time.Now().Add(startTime); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		have := 0
		for _, err := range c.Files(t.Context(), pushed) {
			if err != nil {
				break // it may not be there yet
			}
			have++
		}
		if have >= n {
			return have
		}
	}
	t.Fatalf("the package never has %d files", n)
	return 0
}

// TestHundredThousandFiles shows, seals and reads a package of 100,000 files. All but
// one are written by the log itself, which spares as many requests.
func TestHundredThousandFiles(t *testing.T) {
	files := 100_000
	if testing.Short() {
		files = 2_500
	}
	dir := t.TempDir()
	g := start(t, command(t), dir)
	c := &client.Client{Server: g.url}
	content := client.Bytes([]byte("x"))
	if _, err := c.PutFile(t.Context(), pushed, "once", content); err != nil {
		t.Fatal(err)
	}
	many := client.PackageName{Producer: "ci", Name: "many", Version: "1"}
	bornWith(t, dir, many, content.Identity.SHA256.String(), files-1)
	if _, err := c.PutFile(t.Context(), many, "z/last", content); err != nil {
		t.Fatal(err)
	}
	d, err := c.Seal(t.Context(), many)
	if err != nil {
		t.Fatal(err)
	}

	table := output(t, dir, command(t), "package", "show", many.String(), "--server", g.url)
	if n := strings.Count(table, "  sha256:"); n != files+1 || !strings.Contains(table, plural(int64(files), "file")+", ") { // and the manifest
		t.Errorf("the table has %d lines with a digest", n)
	}
	var shown struct {
		ManifestDigest string `json:"manifest_digest"`
		Files          []struct{ Path string }
	}
	if err := json.Unmarshal([]byte(output(t, dir, command(t), "package", "show", many.String(), "--json", "--server", g.url)), &shown); err != nil {
		t.Fatal(err)
	}
	if len(shown.Files) != files || shown.ManifestDigest != d.String() || shown.Files[files-1].Path != "z/last" {
		t.Fatalf("%d files, manifest %s, want %s", len(shown.Files), shown.ManifestDigest, d)
	}
	for i, f := range shown.Files[:files-1] {
		if want := fmt.Sprintf("d/%06d", i); f.Path != want {
			t.Fatalf("file %d is %s, want %s", i, f.Path, want)
		}
	}
	text, err := c.Manifest(t.Context(), many)
	if got := client.Bytes(text).SHA256; err != nil || got != d {
		t.Errorf("the manifest is %s, want %s, %v", got, d, err)
	}
}

// bornWith records a package with n files of one blob, in the registry of a gateway
// that runs in a directory.
func bornWith(t *testing.T, dir string, k client.PackageName, blob string, n int) {
	t.Helper()
	reg, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(dir, "artifactstore-data", "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	created := registry.PackageCreated{
		Package: registry.PackageKey(k), Format: registry.FormatFiles, RetentionClass: "standard", Files: make([]registry.File, n),
	}
	for i := range created.Files {
		created.Files[i].Path = fmt.Sprintf("d/%06d", i)
		if err := created.Files[i].Blob.UnmarshalText([]byte(blob)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := reg.Append(t.Context(), registry.Event{Actor: "ci", Data: created}); err != nil {
		t.Fatal(err)
	}
}

// TestTreeProgress shows a line now and then where there is no terminal.
func TestTreeProgress(t *testing.T) {
	var out bytes.Buffer
	p := newTreeProgress(&out, "push")
	now := time.Unix(0, 0)
	p.now = func() time.Time { return now }
	p.Start(1_200, 64<<20)
	for range 3 {
		p.Bytes(1 << 20)
		p.File()
		now = now.Add(6 * time.Second)
	}
	p.Bytes(-1 << 20)
	p.stop(true)
	if got, want := out.String(), "push: 2 of 1,200 files, 3.0 MiB of 64 MiB\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
