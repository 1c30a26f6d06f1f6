// Package rot spoils what a store keeps behind the back of its gateway, as disks
// and people do, and looks whether verification finds it and repair mends it, by
// the built program as an operator runs it.
package rot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"artifactstore/backends"
	"artifactstore/backends/s3/s3test"
	"artifactstore/registry/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestRot runs on a directory and SQLite, and, unless -short, on RGW and PostgreSQL.
func TestRot(t *testing.T) {
	t.Run("sqlite+local", func(t *testing.T) {
		rots(t, newStore(t, "sqlite:./registry.db", nil))
	})
	if !testing.Short() {
		t.Run("postgres+rgw", func(t *testing.T) {
			server := s3test.RGW(t)
			rots(t, newStore(t, pgtest.New(t), &server))
		})
	}
}

// each is how many blobs are spoilt in each way: together no more than a report
// names.
const each = 20

// rots spoils some of 2,000 real files in four ways. One pass finds exactly those
// with the right reason; report, events, health, metrics and exit status agree; repair
// mends what has another copy and a push the rest; a second pass is clean. Readers
// that go on all the time never have a complete body with a wrong byte.
func rots(t *testing.T, s *store) {
	n := 2000
	if testing.Short() {
		n = 400
	}
	files := realFiles(t, n)
	s.pushAll(files)
	stop := s.readForEver(files)
	random := rand.New(rand.NewPCG(1, 2))
	order := random.Perm(n)
	want, copied := map[string]string{}, 0
	for i, at := range order[:4*each] {
		f := files[at]
		reason := s.spoil(i/each, f, files[order[4*each:][random.IntN(n-4*each)]], random)
		want[f.digest] = reason
		if f.copied {
			copied++
		}
	}

	found := s.verify(3, "--backend", "main")
	s.agrees(found, n, want)

	mended := s.verify(3, "--backend", "main", "--repair")
	if mended.Repaired != int64(copied) || copied == 0 || copied == len(want) {
		t.Errorf("%d repaired, want %d of %d", mended.Repaired, copied, len(want))
	}
	s.repairLists(files, want)
	for _, at := range order[:4*each] {
		if f := files[at]; !f.copied {
			s.push(f, "standard")
		}
	}
	for _, backend := range []string{"main", "copy"} {
		if clean := s.verify(0, "--backend", backend); clean.Results["ok"] != clean.Locations || clean.Seen != clean.Locations {
			t.Errorf("a pass over what was mended: %+v", clean)
		}
	}
	if health := s.health(); health.Status != "ok" || health.Backends[0].Locations.Failed != 0 {
		t.Errorf("health after all: %+v", health)
	}
	whole, broken := stop()
	t.Logf("%d bodies were whole and right, %d were refused or broke off", whole, broken)
	if whole == 0 {
		t.Error("nobody read anything")
	}
	for _, f := range files {
		if got, status := s.get(f); status != 200 || !bytes.Equal(got, f.content) {
			t.Errorf("%s is %d with %d bytes", f.digest, status, len(got))
		}
	}
}

// file is a real file, and what it is called in the store.
type file struct {
	content []byte
	digest  string
	copied  bool // to the other backend too
}

// realFiles are n different files of Go's own tree.
func realFiles(t *testing.T, n int) []*file {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []*file
	seen := map[string]bool{}
	err = filepath.WalkDir(filepath.Join(strings.TrimSpace(string(root)), "src"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(name)
		sum := sha256.Sum256(content)
		digest := "sha256:" + hex.EncodeToString(sum[:])
		if err == nil && len(content) > 1 && !seen[digest] {
			seen[digest] = true
			all = append(all, &file{content, digest, len(all)%2 == 0})
		}
		if len(all) == n {
			return fs.SkipAll
		}
		return err
	})
	if err != nil || len(all) < n {
		t.Fatalf("%d files: %v", len(all), err)
	}
	return all
}

func (s *store) pushAll(files []*file) {
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := w; i < len(files); i += 8 {
				s.push(files[i], "standard")
				if files[i].copied {
					s.push(files[i], "release")
				}
			}
		})
	}
	all.Wait()
}

func (s *store) push(f *file, class string) {
	resp, err := http.Post(s.url+"/v1/blobs?retention_class="+class, "application/octet-stream", bytes.NewReader(f.content))
	if err != nil {
		s.t.Error(err)
		return
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 || err != nil {
		s.t.Errorf("push: %s %s %v", resp.Status, text, err)
	}
}

// get reads a blob; a status of 0 means that the answer broke off.
func (s *store) get(f *file) (content []byte, status int) {
	resp, err := http.Get(s.url + "/v1/blobs/" + f.digest)
	if err != nil {
		return nil, 0
	}
	defer resp.Body.Close()
	if content, err = io.ReadAll(resp.Body); err != nil {
		return content, 0
	}
	return content, resp.StatusCode
}

// readForEver reads files until it is stopped, and fails the test where a complete
// body is wrong.
func (s *store) readForEver(files []*file) (stop func() (whole, broken int64)) {
	var whole, broken atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for w := range 3 {
		random := rand.New(rand.NewPCG(7, uint64(w)))
		all.Go(func() {
			for ctx.Err() == nil {
				f := files[random.IntN(len(files))]
				switch got, status := s.get(f); {
				case status == 200 && bytes.Equal(got, f.content):
					whole.Add(1)
				case status == 200:
					s.t.Errorf("%s: a complete body with wrong bytes", f.digest)
				default:
					broken.Add(1)
				}
			}
		})
	}
	return func() (int64, int64) {
		cancel()
		all.Wait()
		return whole.Load(), broken.Load()
	}
}

// spoil does one of four things to a blob on main, behind the gateway's back, and
// returns the reason that is to be found.
func (s *store) spoil(way int, f, other *file, random *rand.Rand) string {
	s.t.Helper()
	content := bytes.Clone(f.content)
	reason := "mismatch"
	switch way {
	case 0: // a bit
		content[random.IntN(len(content))] ^= 1 << random.IntN(8)
	case 1:
		content, reason = content[:random.IntN(len(content))], "truncated"
	case 2:
		content, reason = nil, "missing"
	case 3: // another's bytes, as many at least
		content = bytes.Repeat(other.content, len(content)/len(other.content)+1)
	}
	key := "sha256/" + f.digest[7:9] + "/" + f.digest[9:11] + "/" + f.digest[7:]
	name := filepath.Join(s.root, filepath.FromSlash(key))
	var err error
	switch {
	case reason == "missing" && s.root != "":
		err = os.Remove(name)
	case reason == "missing":
		err = s.main.Delete(context.Background(), key)
	case s.root != "":
		err = overwrite(name, content)
	default:
		err = put(s.main, key, content)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return reason
}

// overwrite changes a file in place, as rot does: at no time is it shorter than what it
// becomes, which a reader would rightly find.
func overwrite(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Truncate(int64(len(content)))
	}
	return errors.Join(err, f.Close())
}

func put(b backends.Backend, key string, content []byte) error {
	ctx := context.Background()
	u, err := b.Begin(ctx, backends.Hint{Key: key, Size: int64(len(content))})
	if err != nil {
		return err
	}
	defer u.Abort(ctx)
	if _, err := u.Write(content); err != nil {
		return err
	}
	return u.Commit(ctx, key)
}

// agrees demands that report, events, health and metrics say the same.
func (s *store) agrees(r report, n int, want map[string]string) {
	s.t.Helper()
	inReport, results := map[string]string{}, map[string]int64{"ok": int64(n - len(want))}
	for _, f := range r.Failures {
		inReport[f.Blob] = f.Reason
	}
	for _, reason := range want {
		results[reason]++
	}
	if diff := cmp.Diff(want, inReport); diff != "" {
		s.t.Errorf("report: %s", diff)
	}
	if diff := cmp.Diff(results, r.Results); diff != "" || r.Orphans != 0 {
		s.t.Errorf("results: %s %+v", diff, r)
	}
	if diff := cmp.Diff(want, s.failedEvents()); diff != "" {
		s.t.Errorf("events: %s", diff)
	}
	h := s.health()
	if m := h.Backends[0]; h.Status != "degraded" || m.ID != "main" || m.Locations.Failed != int64(len(want)) || len(m.FailedBlobs) != 5 || m.LastVerification.Failed != int64(len(want)) {
		s.t.Errorf("health: %+v", h)
	}
	metrics := s.text("/metrics")
	lines := []string{fmt.Sprintf(`artifactstore_locations{backend="main",state="failed"} %d`, len(want))}
	for reason, count := range results {
		lines = append(lines, fmt.Sprintf(`artifactstore_verification_objects_total{backend="main",result=%q} %d`, reason, count))
	}
	for _, line := range lines {
		if !strings.Contains(metrics, line+"\n") {
			s.t.Errorf("metrics lack %s", line)
		}
	}
}

// failedEvents are the blobs whose location failed, with the reason, by the log.
func (s *store) failedEvents() map[string]string {
	failed := map[string]string{}
	for after := uint64(0); ; {
		var page struct {
			Events []struct {
				Type string
				Data struct{ Blob, Reason string }
			}
			Next uint64
		}
		if err := json.Unmarshal([]byte(s.text(fmt.Sprintf("/v1/events?limit=1000&after=%d", after))), &page); err != nil {
			s.t.Fatal(err)
		}
		if len(page.Events) == 0 {
			return failed
		}
		for _, e := range page.Events {
			if e.Type == "v1.storage.location_failed" {
				failed[e.Data.Blob] = e.Data.Reason
			}
		}
		after = page.Next
	}
}

type health struct {
	Status   string
	Backends []struct {
		ID               string
		Locations        struct{ Failed int64 }
		FailedBlobs      []string               `json:"failed_blobs"`
		LastVerification struct{ Failed int64 } `json:"last_verification"`
	}
}

func (s *store) health() (h health) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.text("/health")), &h); err != nil {
		s.t.Fatal(err)
	}
	return h
}

func (s *store) text(path string) string {
	s.t.Helper()
	resp, err := http.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		s.t.Fatalf("%s: %s %s %v", path, resp.Status, text, err)
	}
	return string(text)
}

// repairLists demands that repair names exactly what it cannot mend.
func (s *store) repairLists(files []*file, want map[string]string) {
	s.t.Helper()
	left := map[string]string{}
	for _, f := range files {
		if reason, spoilt := want[f.digest]; spoilt && !f.copied {
			left[f.digest] = reason
		}
	}
	out, err := s.command("storage", "repair", "--json").Output()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 3 {
		s.t.Errorf("repair: %v", err)
	}
	var r struct {
		Left      int
		Locations []struct{ Blob, Reason string }
	}
	if err := json.Unmarshal(out, &r); err != nil {
		s.t.Fatal(err)
	}
	listed := map[string]string{}
	for _, l := range r.Locations {
		listed[l.Blob] = l.Reason
	}
	if diff := cmp.Diff(left, listed); diff != "" || r.Left != len(left) {
		s.t.Errorf("repair: %d left: %s", r.Left, diff)
	}
}
