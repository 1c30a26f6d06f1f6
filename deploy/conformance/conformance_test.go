// Package conformance_test runs the OCI conformance program against a gateway
// and demands a clean score.
package conformance_test

import (
	"encoding/xml"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"artifactstore/deploy/house"
	"artifactstore/gateway"
	"artifactstore/registry/postgres/pgtest"
)

// program is the module of the conformance program.
const program = "github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111"

// score is what the program's report counts.
type score struct{ passed, failed, skipped int }

// What a clean report counts (release 1.1 skips two whose support the spec leaves open).
var clean = map[string]score{
	"1.1": {860, 0, 2},
	"dev": {986, 0, 0},
}

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("make test runs the conformance program")
	}
	tool := build(t)
	for _, h := range house.Ends() {
		for version, want := range clean {
			t.Run(h.Name+"/"+version, func(t *testing.T) {
				store := h.Fresh(t)(t, house.Options{}).Store
				srv := httptest.NewServer(gateway.New(gateway.Options{Store: store, Access: slog.New(slog.DiscardHandler)}))
				defer srv.Close()
				got, output := run(t, tool, strings.TrimPrefix(srv.URL, "http://"), version)
				t.Logf("%s: %d passed, %d failed, %d skipped", version, got.passed, got.failed, got.skipped)
				if got.failed != 0 || got.passed < want.passed || got.skipped > want.skipped {
					t.Errorf("got %+v, want %+v:\n%s", got, want, output)
				}
			})
		}
	}
}

var tools struct {
	sync.Mutex
	path string
}

// build compiles the program, once.
func build(t *testing.T) string {
	t.Helper()
	tools.Lock()
	defer tools.Unlock()
	dir, err := filepath.Abs("../../bin/tools")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "install", program)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod")
	cmd.Dir = t.TempDir() // outside this module, whose requirements are not the program's
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go install %s: %v\n%s", program, err, out)
	}
	return filepath.Join(dir, "conformance")
}

// run runs the program with fresh repositories and reads its report. The
// program's exit code says nothing where its configuration did not load, so the
// report is what counts.
func run(t *testing.T, tool, address, version string) (score, string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), tool)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"OCI_REGISTRY="+address, "OCI_TLS=disabled", "OCI_VERSION="+version,
		"OCI_REPO1=conformance/a", "OCI_REPO2=conformance/b", "OCI_RESULTS_DIR="+dir)
	output, _ := cmd.CombinedOutput()
	text, err := os.ReadFile(filepath.Join(dir, "junit.xml"))
	if err != nil {
		t.Fatalf("no report: %v\n%s", err, output)
	}
	var report struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
			Disabled int `xml:"disabled,attr"`
			Skipped  int `xml:"skipped,attr"`
			Cases    []struct {
				Name      string `xml:"name,attr"`
				Classname string `xml:"classname,attr"`
				Status    string `xml:"status,attr"`
				Out       string `xml:"system-out"`
				Err       string `xml:"system-err"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	var s score
	var failures strings.Builder
	for _, suite := range report.Suites {
		s.failed += suite.Failures + suite.Errors
		s.skipped += suite.Skipped
		s.passed += suite.Tests - suite.Failures - suite.Errors - suite.Skipped - suite.Disabled
		for _, c := range suite.Cases {
			if c.Status == "failure" || c.Status == "error" {
				fmt.Fprintf(&failures, "%s %s: %s\n%.2000s\n%.4000s\n", c.Status, c.Classname, c.Name, c.Err, c.Out)
			}
		}
	}
	return s, failures.String()
}
