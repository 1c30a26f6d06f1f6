package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestVerifyKilled kills a verification (SIGKILL) in the middle. The next one waits
// until the turn of the dead is over, goes on with the same run, and in the end each
// object has one event.
func TestVerifyKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("a killed process keeps its turn for half a minute")
	}
	t.Parallel()
	dir := t.TempDir()
	program := command(t)
	s := start(t, program, dir)
	const n = 60
	random := rand.NewChaCha8([32]byte{1})
	for range n {
		content := make([]byte, 100_000)
		random.Read(content)
		resp, err := http.Post(s.url+"/v1/blobs", "application/octet-stream", bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 201 {
			t.Fatal(resp.Status)
		}
	}
	first := exec.Command(program, "storage", "verify", "--rate", "500kB")
	first.Dir = dir
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer first.Process.Kill()
	run, verified := awaitVerified(t, s, 3)
	first.Process.Kill()
	first.Wait()
	if verified >= n {
		t.Fatalf("it had read all %d before it was killed", verified)
	}
	second := exec.Command(program, "storage", "verify", "--json")
	second.Dir = dir
	var stderr strings.Builder
	second.Stderr = &stderr
	out, err := second.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var v struct {
		Run, Status string
		Results     map[string]int64
	}
	if err := json.Unmarshal(out, &v); err != nil || v.Run != run || v.Status != "done" || v.Results["ok"] != n {
		t.Errorf("run %s: %v %s", run, err, out)
	}
	if !strings.Contains(stderr.String(), "waiting: verify/local") {
		t.Errorf("it does not say for whom it waits: %q", stderr.String())
	}
	if _, verified := awaitVerified(t, s, n); verified != n {
		t.Errorf("%d events of %d objects", verified, n)
	}
}

// awaitVerified waits until the log says of so many objects that they were
// verified, and returns the run that does it.
func awaitVerified(t *testing.T, s *server, least int) (run string, verified int) {
	t.Helper()
	for end := time.Now().Add(startTime); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var list struct{ Verifications []struct{ Run string } }
		getJSON(t, s.url+"/v1/backends/local/verifications", &list)
		verified = 0
		for after := uint64(0); ; {
			var page struct {
				Events []struct{ Type string }
				Next   uint64
			}
			getJSON(t, fmt.Sprintf("%s/v1/events?limit=1000&after=%d", s.url, after), &page)
			if after = page.Next; len(page.Events) == 0 {
				break
			}
			for _, e := range page.Events {
				if e.Type == "v1.storage.location_verified" {
					verified++
				}
			}
		}
		if verified >= least && len(list.Verifications) > 0 {
			return list.Verifications[0].Run, verified
		}
	}
	t.Fatalf("only %d objects are verified", verified)
	return "", 0
}

func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s %v: %s", url, resp.Status, err, text)
	}
}
