package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zeebo/blake3"
)

// TestReadmeWalk does what README says, word for word, in a copy of the
// repository as a newcomer has it: `make run` in one shell and every other
// example in a second, once for each of several real files. Only the port is
// another, so that the test does not meet a gateway that runs already: curl is
// told to connect there instead, and the command line by its variable.
//
// sha256sum and a BLAKE3 implementation that the program does not use say
// whether what came back is what was sent.
func TestReadmeWalk(t *testing.T) {
	_, examples := readme(t)
	i := slices.Index(examples, "make run\n")
	if i < 0 {
		t.Fatal("README does not say make run")
	}
	w := &walk{t: t, dir: t.TempDir(), script: strings.Join(slices.Delete(examples, i, i+1), "")}
	copyRepository(t, w.dir)
	w.makeRun()
	for name, make := range inputs(t) {
		t.Run(name, func(t *testing.T) {
			make(t, w.file("app.tar.gz"))
			w.run(t)
		})
	}
}

// walk is a newcomer's folder.
type walk struct {
	t      *testing.T
	dir    string
	script string
	server *server
}

func (w *walk) file(name string) string { return filepath.Join(w.dir, name) }

// makeRun starts `make run`, in a process group of its own: make, its shell and
// the gateway end together.
func (w *walk) makeRun() {
	s := &server{cmd: exec.Command("make", "run"), serving: make(chan struct{}), ended: make(chan struct{})}
	s.cmd.Dir = w.dir
	s.cmd.Env = append(os.Environ(), "ARTIFACTSTORE_LISTEN=127.0.0.1:0")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.begin(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.ended
	})
	select { // the build may take minutes on a machine that never built it
	case <-s.serving:
	case <-s.ended:
		w.t.Fatalf("make run ended: %v\n%s", s.err, s.logged())
	case <-time.After(10 * time.Minute):
		w.t.Fatalf("make run does not serve:\n%s", s.logged())
	}
	w.server = s
	port := strings.TrimPrefix(s.url, "http://127.0.0.1:")
	if err := os.WriteFile(w.file(".curlrc"), []byte("connect-to = \"127.0.0.1:8080:127.0.0.1:"+port+"\"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// run does the examples with the file app.tar.gz as it is, and checks what they
// made.
func (w *walk) run(t *testing.T) {
	for _, name := range []string{"copy.tar.gz", "verified.tar.gz", "first-kibibyte", "artifactstore.yaml"} {
		os.Remove(w.file(name))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-eu", "-c", w.script)
	shell.Dir = w.dir
	shell.Env = append(os.Environ(), "CURL_HOME="+w.dir, "no_proxy=*", "ARTIFACTSTORE_SERVER="+w.server.url)
	var out, errOut bytes.Buffer
	shell.Stdout, shell.Stderr = &out, &errOut
	if err := shell.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), errOut.String())
	}
	sums := strings.Fields(output(t, w.dir, "sha256sum", "app.tar.gz", "copy.tar.gz", "verified.tar.gz"))
	if sums[0] != sums[2] || sums[0] != sums[4] {
		t.Errorf("what came back is not what was sent: %q", sums)
	}
	output(t, w.dir, "diff", "-r", "bin", "tools")
	w.checkRange(t)
	w.checkAnswers(t, out.String(), sums[0])
}

// checkRange compares the range with the file's beginning.
func (w *walk) checkRange(t *testing.T) {
	in, err := os.Open(w.file("app.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	want, err := io.ReadAll(io.LimitReader(in, 1024))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(w.file("first-kibibyte"))
	if err != nil && !(os.IsNotExist(err) && len(want) == 0) { // curl makes no file of no bytes
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the range has %d bytes, not the first %d of the file", len(got), len(want))
	}
}

// checkAnswers reads the two answers to uploads and looks for the rest in the
// output.
func (w *walk) checkAnswers(t *testing.T, out, sha string) {
	b3 := fileBLAKE3(t, w.file("app.tar.gz"))
	answers := json.NewDecoder(strings.NewReader(out))
	for i := range 2 {
		var stored struct {
			Digest  string
			Digests struct{ SHA256, BLAKE3 string }
			Existed bool
		}
		if err := answers.Decode(&stored); err != nil {
			t.Fatalf("answer %d: %v in\n%s", i, err, out)
		}
		if stored.Digest != "sha256:"+sha || stored.Digests.SHA256 != sha || stored.Digests.BLAKE3 != b3 || stored.Existed != (i == 1) {
			t.Errorf("answer %d: %+v, want sha256 %s, blake3 %s", i, stored, sha, b3)
		}
	}
	for _, want := range []string{
		"sha256:" + sha + "\n",         // put
		"ci-7/tools/1.0  sealed",       // ls
		"v1.storage.blob_stored",       // events
		`"events":[`,                   // the feed
		"the configuration is right\n", // config check
		"producer ci-7, retention class release: to backend local",
		`"status": "ok"`,      // health
		"artifactstore_blobs", // metrics
		"the registry is right",
	} {
		if !strings.Contains(strings.ReplaceAll(out, `"events": [`, `"events":[`), want) {
			t.Errorf("no %q in what the examples print", want)
		}
	}
}

// inputs are the files that are sent: real ones, and the borders of size.
func inputs(t *testing.T) map[string]func(*testing.T, string) {
	sized := func(size int64, content string) func(*testing.T, string) {
		return func(t *testing.T, name string) {
			if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(name, size); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := map[string]func(*testing.T, string){
		"empty":          sized(0, ""),
		"one byte":       sized(1, "a"),
		"Go":             copyOf(strings.TrimSpace(output(t, ".", "go", "env", "GOROOT")) + "/bin/go"),
		"Debian package": debianPackage,
	}
	if !testing.Short() {
		all["3 GiB"] = sized(3<<30, "the rest is a hole")
	}
	return all
}

func copyOf(from string) func(*testing.T, string) {
	return func(t *testing.T, to string) {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// debianPackage fetches a package from the machine's Debian archive, or, where
// none can be reached, packs the Go toolchain's licence into one.
func debianPackage(t *testing.T, to string) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	fetch := exec.CommandContext(ctx, "apt-get", "download", "-q", "hostname")
	fetch.Dir = dir
	out, err := fetch.CombinedOutput()
	if found, _ := filepath.Glob(dir + "/*.deb"); err == nil && len(found) == 1 {
		copyOf(found[0])(t, to)
		return
	}
	t.Logf("no package can be fetched, so one is built: %v: %s", err, out)
	if err := os.MkdirAll(dir+"/p/DEBIAN", 0o755); err != nil {
		t.Fatal(err)
	}
	control := "Package: walk\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: a file of the walk\n"
	if err := os.WriteFile(dir+"/p/DEBIAN/control", []byte(control), 0o644); err != nil {
		t.Fatal(err)
	}
	copyOf(strings.TrimSpace(output(t, ".", "go", "env", "GOROOT"))+"/LICENSE")(t, dir+"/p/LICENSE")
	output(t, dir, "dpkg-deb", "--build", "p", to)
}

// output runs a command in a directory and returns what it prints.
func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, errOut.String())
	}
	return string(out)
}

func fileBLAKE3(t *testing.T, name string) string {
	t.Helper()
	in, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	h := blake3.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, in, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// copyRepository copies what a fresh clone needs for its build: the Makefile,
// the module and its sources, without what was built or stored here.
func copyRepository(t *testing.T, to string) {
	t.Helper()
	err := filepath.WalkDir(repository, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(repository, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel != "." && strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"bin", "testdata", "artifactstore-data"}, d.Name()) {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		if !d.Type().IsRegular() || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("copy repository: %w", err)
		}
		return os.WriteFile(filepath.Join(to, rel), content, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}
