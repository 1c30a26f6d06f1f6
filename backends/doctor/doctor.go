// Package doctor examines a live backend for an operator: does it keep the
// contract of package backends, and what can it do besides? It works in a
// scratch folder of keys (doctor-…/) and leaves nothing.
package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"artifactstore/backends"
)

// Verdict is how a probe ended.
type Verdict string

// The verdicts. Only Fail says that the backend cannot keep the contract.
const (
	OK   Verdict = "ok"
	Warn Verdict = "warn" // works, with something an operator should know
	Fail Verdict = "fail"
)

// Row is the outcome of one probe.
type Row struct {
	Probe       string  `json:"probe"`
	Result      string  `json:"result"` // what was seen, in a few words
	Verdict     Verdict `json:"verdict"`
	Explanation string  `json:"explanation,omitempty"` // what it means and what to do
}

// Probe looks at one thing.
type Probe struct {
	Name string
	Run  func(ctx context.Context) (result string, v Verdict, explanation string)
}

// Prober is a backend with probes of its own kind. They clean up after themselves.
type Prober interface {
	Probes() []Probe
}

// Examine runs the contract's probes and those of the backend's kind, each with
// a time limit. It goes on after a failure, but for the first probe's: a backend
// that is not healthy is not examined further. Where ctx ends it, it cleans up all
// the same, for as long as one probe may take.
func Examine(ctx context.Context, b backends.Backend, limit time.Duration) (rows []Row) {
	v := &visit{b, "doctor-" + strings.ToLower(rand.Text()[:12]) + "/"}
	probes := v.contract()
	if p, ok := b.(Prober); ok {
		probes = append(probes, p.Probes()...)
	}
	for i, p := range probes {
		row := run(ctx, p, limit)
		rows = append(rows, row)
		if ctx.Err() != nil || i == 0 && row.Verdict == Fail {
			break
		}
	}
	if ctx.Err() != nil {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		if err := v.remove(cleaning); err != nil {
			rows = append(rows, Row{"cleans up after an interruption", "does not", Fail, "remove what is under " + v.folder + ": " + err.Error()})
		}
	}
	return rows
}

// Kept reports whether no row is a failure.
func Kept(rows []Row) bool {
	for _, r := range rows {
		if r.Verdict == Fail {
			return false
		}
	}
	return len(rows) > 0
}

func run(ctx context.Context, p Probe, limit time.Duration) Row {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result, verdict, explanation := p.Run(ctx)
	return Row{p.Name, result, verdict, explanation}
}

// visit is the work of the contract's probes on one backend.
type visit struct {
	b      backends.Backend
	folder string
}

func (v *visit) contract() []Probe {
	var probes []Probe
	add := func(name string, check func(ctx context.Context) error) {
		probes = append(probes, Probe{name, func(ctx context.Context) (string, Verdict, string) {
			start := time.Now()
			if err := check(ctx); err != nil {
				return "does not", Fail, err.Error()
			}
			return fmt.Sprintf("yes, in %v", time.Since(start).Round(time.Millisecond)), OK, ""
		}})
	}
	add("is healthy", v.b.Health)
	add("keeps a small object", func(ctx context.Context) error { return v.keeps(ctx, "small", 4096, true) })
	add("keeps an object of 24 MiB whose key is known", func(ctx context.Context) error { return v.keeps(ctx, "known", 24<<20, true) })
	add("keeps an object of 24 MiB whose key is not known", func(ctx context.Context) error { return v.keeps(ctx, "unknown", 24<<20, false) })
	add("replaces an object", v.replaces)
	add("reads ranges and tells what is short or absent", v.ranges)
	add("suspends and resumes", v.resumes)
	add("shows nothing before commit, leaves nothing after abort", v.aborts)
	add("lists in order", v.lists)
	add("deletes, also what is absent", v.deletes)
	return probes
}

func content(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i>>16) ^ byte(i>>8) ^ byte(i)*31 ^ seed
	}
	return p
}

func (v *visit) put(ctx context.Context, hint backends.Hint, key string, p []byte) error {
	u, err := v.b.Begin(ctx, hint)
	if err != nil {
		return err
	}
	defer u.Abort(ctx)
	if _, err := u.Write(p); err != nil {
		return err
	}
	return u.Commit(ctx, key)
}

// holds checks an object's bytes and size.
func (v *visit) holds(ctx context.Context, key string, p []byte) error {
	if err := v.reads(ctx, key, 0, -1, p); err != nil {
		return err
	}
	info, err := v.b.Stat(ctx, key)
	if err != nil {
		return err
	}
	if info.Size != int64(len(p)) || info.ModTime.IsZero() {
		return fmt.Errorf("stat says %d bytes of %v, %d were written", info.Size, info.ModTime, len(p))
	}
	return nil
}

func (v *visit) reads(ctx context.Context, key string, off, n int64, want []byte) error {
	r, err := v.b.Open(ctx, key, off, n)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("read %d bytes at %d which are not those written", len(got), off)
	}
	return nil
}

func (v *visit) keeps(ctx context.Context, name string, n int, known bool) error {
	key, p := v.folder+name, content(n, 1)
	hint := backends.Hint{Size: -1}
	if known {
		hint = backends.Hint{Key: key, Size: int64(n)}
	}
	if err := v.put(ctx, hint, key, p); err != nil {
		return err
	}
	return v.holds(ctx, key, p)
}

func (v *visit) replaces(ctx context.Context) error {
	p := content(100, 2)
	if err := v.put(ctx, backends.Hint{Size: -1}, v.folder+"small", p); err != nil {
		return err
	}
	return v.holds(ctx, v.folder+"small", p)
}

func (v *visit) ranges(ctx context.Context) error {
	p := content(24<<20, 1)
	key := v.folder + "known"
	for _, c := range [][2]int64{{0, 1}, {1 << 20, 4096}, {24<<20 - 1, 1}, {24<<20 - 10, -1}, {24 << 20, -1}, {5, 0}} {
		end := c[0] + c[1]
		if c[1] < 0 {
			end = int64(len(p))
		}
		if err := v.reads(ctx, key, c[0], c[1], p[c[0]:end]); err != nil {
			return fmt.Errorf("range of %d at %d: %w", c[1], c[0], err)
		}
	}
	if err := v.reads(ctx, key, 24<<20-1, 2, nil); !errors.Is(err, backends.ErrShort) {
		return fmt.Errorf("a range beyond the end: got %v, want that it is short", err)
	}
	if err := v.reads(ctx, v.folder+"absent", 0, -1, nil); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("an absent object: got %v, want that it is absent", err)
	}
	if _, err := v.b.Stat(ctx, v.folder+"absent"); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("stat of an absent object: got %v, want that it is absent", err)
	}
	return nil
}

func (v *visit) resumes(ctx context.Context) error {
	p := content(18<<20, 3)
	for i, at := range []int{1000, 7 << 20} {
		u, err := v.b.Begin(ctx, backends.Hint{Size: -1})
		if err != nil {
			return err
		}
		key := fmt.Sprintf("%sresumed-%d", v.folder, i)
		if err := v.resume(ctx, u, key, p, at); err != nil {
			return errors.Join(err, u.Abort(ctx))
		}
		if err := v.holds(ctx, key, p); err != nil {
			return err
		}
	}
	return nil
}

func (v *visit) resume(ctx context.Context, u backends.Upload, key string, p []byte, at int) error {
	if _, err := u.Write(p[:at]); err != nil {
		return err
	}
	state, err := u.Suspend(ctx)
	if err != nil {
		return err
	}
	if err := u.Close(); err != nil {
		return err
	}
	next, err := v.b.Resume(ctx, state)
	if err != nil {
		return err
	}
	defer next.Abort(ctx)
	if _, err := next.Write(p[at:]); err != nil {
		return err
	}
	if err := next.Commit(ctx, key); err != nil {
		return err
	}
	if again, err := v.b.Resume(ctx, state); !errors.Is(err, backends.ErrUploadUnknown) {
		if err == nil {
			again.Close()
		}
		return fmt.Errorf("resuming a committed upload: got %v, want that it is unknown", err)
	}
	return nil
}

func (v *visit) aborts(ctx context.Context) error {
	key := v.folder + "aborted"
	u, err := v.b.Begin(ctx, backends.Hint{Key: key, Size: 18 << 20})
	if err != nil {
		return err
	}
	_, err = u.Write(content(17<<20, 4))
	_, stat := v.b.Stat(ctx, key)
	if err := errors.Join(err, u.Abort(ctx)); err != nil {
		return err
	}
	if !errors.Is(stat, fs.ErrNotExist) {
		return fmt.Errorf("an object that is not committed: got %v, want that it is absent", stat)
	}
	return nil
}

func (v *visit) lists(ctx context.Context) error {
	var got []string
	for info, err := range v.b.List(ctx, v.folder, "") {
		if err != nil {
			return err
		}
		got = append(got, strings.TrimPrefix(info.Key, v.folder))
	}
	if want := "known resumed-0 resumed-1 small unknown"; strings.Join(got, " ") != want {
		return fmt.Errorf("listed %q, want %q", got, want)
	}
	return nil
}

// deletes is the last of the contract's probes and the one that cleans up.
func (v *visit) deletes(ctx context.Context) error {
	if err := v.remove(ctx); err != nil {
		return err
	}
	for info, err := range v.b.List(ctx, v.folder, "") {
		if err != nil {
			return err
		}
		return fmt.Errorf("%s is still listed", info.Key)
	}
	return nil
}

// remove deletes all that the contract's probes may have written, and something absent.
func (v *visit) remove(ctx context.Context) (failed error) {
	for _, name := range []string{"known", "resumed-0", "resumed-1", "small", "unknown", "aborted", "absent"} {
		failed = errors.Join(failed, v.b.Delete(ctx, v.folder+name))
	}
	return failed
}
