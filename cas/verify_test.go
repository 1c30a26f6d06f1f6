package cas_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"artifactstore/backends"
	"artifactstore/backends/backendtest"
	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// verify verifies backend a, and fails the test where the run does not come to
// its end.
func (h *house) verify(o cas.VerifyOptions) cas.Verification {
	h.t.Helper()
	if o.Backend == "" {
		o.Backend = "a"
	}
	v, err := h.store.Verify(h.t.Context(), o)
	if err != nil || v.Status != cas.RunDone {
		h.t.Fatalf("verify: %v: %+v", err, v)
	}
	return v
}

// said returns the events after a position as "type blob-number reason", by the
// contents' numbers.
func (h *house) said(after uint64, contents [][]byte) (all []string) {
	h.t.Helper()
	number := map[digest.Digest]int{}
	for i, c := range contents {
		number[identity(c).SHA256] = i
	}
	for r, err := range h.reg.Since(h.t.Context(), after) {
		if err != nil {
			h.t.Fatal(err)
		}
		switch d := r.Data.(type) {
		case registry.LocationVerified:
			all = append(all, fmt.Sprintf("verified %d on %s", number[d.Blob], d.BackendID))
		case registry.LocationFailed:
			all = append(all, fmt.Sprintf("failed %d on %s: %s", number[d.Blob], d.BackendID, d.Reason))
		case registry.LocationRepaired:
			all = append(all, fmt.Sprintf("repaired %d on %s: %s", number[d.Blob], d.BackendID, d.Source))
		default:
			all = append(all, r.Data.Type())
		}
	}
	slices.Sort(all)
	return all
}

// contents are n contents of different sizes, the empty one among them.
func contents(n int) (all [][]byte) {
	for i := range n {
		all = append(all, random(uint64(i), i*i*37%9000))
	}
	return append(all, random(1000, 300_000), random(1001, 700_001))
}

func flipped(content []byte, at int) []byte {
	c := slices.Clone(content)
	c[at] ^= 1
	return c
}

// One pass finds exactly what was spoilt, with the right reason; a second finds
// the same and says nothing new; a push of the same content heals, and a third is clean.
func TestVerify(t *testing.T) { everyHouse(t, verifyFindsRot) }

func verifyFindsRot(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	all := contents(20)
	for _, c := range all {
		h.mustPut(c)
	}
	h.replace("a", all[3], flipped(all[3], 0))
	h.replace("a", all[21], flipped(all[21], 700_000))
	h.replace("a", all[5], all[5][:len(all[5])-1])
	h.replace("a", all[6], nil)
	h.replace("a", all[7], append(slices.Clone(all[7]), 0))
	h.replace("a", all[8], random(2000, len(all[8])))
	h.remove("a", all[9])
	h.remove("a", all[20])
	before := h.position()
	shown := 0
	v := h.verify(cas.VerifyOptions{Concurrency: 3, Progress: func(cas.Verification) { shown++ }})
	var want []string
	wrong := map[int]string{3: "mismatch", 21: "mismatch", 5: "truncated", 6: "truncated", 7: "mismatch", 8: "mismatch", 9: "missing", 20: "missing"}
	for i := range all {
		if reason, is := wrong[i]; is {
			want = append(want, fmt.Sprintf("failed %d on a: %s", i, reason))
		} else {
			want = append(want, fmt.Sprintf("verified %d on a", i))
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, h.said(before, all)); diff != "" {
		t.Error(diff)
	}
	results := map[cas.Result]int64{cas.Intact: 14, cas.Mismatch: 4, cas.Truncated: 2, cas.Missing: 2}
	if diff := cmp.Diff(results, v.Results); diff != "" || v.Failed() != 8 || v.Seen != 22 || v.Locations != 22 || len(v.Failures) != 8 || !v.Compared {
		t.Errorf("%s: %+v", diff, v)
	}
	if shown == 0 {
		t.Error("no progress was shown")
	}

	before = h.position()
	v = h.verify(cas.VerifyOptions{})
	if said := h.said(before, all); len(said) != 14 || v.Failed() != 8 {
		t.Errorf("a second pass: %q, %+v", said, v)
	}
	for i := range wrong {
		h.mustPut(all[i])
	}
	if v = h.verify(cas.VerifyOptions{}); v.Failed() != 0 || v.Results[cas.Intact] != 22 {
		t.Errorf("after healing: %+v", v)
	}
	known, err := h.store.Verified(t.Context(), "a")
	if err != nil || known.Last.Run != v.Run || known.Whole.Run != v.Run || len(known.Runs()) != 3 || known.Totals[cas.Intact] != 14+14+22 || known.Totals[cas.Missing] != 4 {
		t.Errorf("%+v, %v", known, err)
	}
	h.audit()
}

// What had failed and is there again is repaired, and says so.
func TestVerifyRecovers(t *testing.T) { everyHouse(t, verifyRecovers) }

func verifyRecovers(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	all := contents(3)
	for _, c := range all {
		h.mustPut(c)
	}
	h.remove("a", all[1])
	h.verify(cas.VerifyOptions{})
	h.replace("a", all[1], all[1])
	before := h.position()
	v := h.verify(cas.VerifyOptions{})
	want := []string{"repaired 1 on a: verification", "verified 0 on a", "verified 2 on a", "verified 3 on a", "verified 4 on a"}
	if diff := cmp.Diff(want, h.said(before, all)); diff != "" || v.Recovered != 1 || v.Failed() != 0 {
		t.Errorf("%s: %+v", diff, v)
	}
	h.mustRead(all[1])
}

// faulty opens a house whose backend goes wrong on demand.
func faulty(t *testing.T) (*house, *backendtest.Faulty) {
	var f *backendtest.Faulty
	return open(t, options{sleep: func(time.Duration) {}, wrap: func(_ string, b backends.Backend) backends.Backend {
		f = backendtest.NewFaulty(b)
		return f
	}}), f
}

// A backend that is away for a moment, or breaks in the middle, or gives one
// wrong byte once, says nothing about the bytes.
func TestVerifyWeather(t *testing.T) {
	away := fmt.Errorf("on purpose: %w", backends.ErrUnavailable)
	for name, faults := range map[string][]backendtest.Fault{
		"refused": {{Op: backendtest.Open, Nth: 1, Err: away}, {Op: backendtest.Open, Nth: 2, Err: away}},
		"breaks":  {{Op: backendtest.Read, At: 500_000, Nth: 1}, {Op: backendtest.Read, At: 600_000, Nth: 1}},
		"corrupt": {{Op: backendtest.Read, At: 500_000, Nth: 1, Kind: backendtest.Corrupt}},
		"short":   {{Op: backendtest.Read, At: 500_000, Nth: 1, Kind: backendtest.Cut}},
		"absent":  {{Op: backendtest.Open, Nth: 1, Err: fmt.Errorf("lost: %w", fs.ErrNotExist)}},
	} {
		t.Run(name, func(t *testing.T) {
			h, f := faulty(t)
			all := contents(5)
			for _, c := range all {
				h.mustPut(c)
			}
			f.Set(faults...)
			before := h.position()
			v := h.verify(cas.VerifyOptions{})
			if f.Hits() != len(faults) {
				t.Errorf("%d faults struck", f.Hits())
			}
			if v.Failed() != 0 || len(h.said(before, all)) != len(all) || v.Results[cas.Intact] != int64(len(all)) {
				t.Errorf("%+v: %q", v, h.said(before, all))
			}
		})
	}
}

// An object that cannot be read on a backend that is well is unreadable; on one
// that says it is busy, undecided; and a backend that is not well pauses the run.
func TestVerifyUnreadable(t *testing.T) {
	h, f := faulty(t)
	all := contents(5)
	for _, c := range all {
		h.mustPut(c)
	}
	bad, busy := identity(all[2]).SHA256.Key(), identity(all[4]).SHA256.Key()
	f.Set(backendtest.Fault{Op: backendtest.Open, Key: bad}, backendtest.Fault{Op: backendtest.Open, Key: busy, Err: backends.ErrUnavailable})
	before := h.position()
	v := h.verify(cas.VerifyOptions{})
	want := map[cas.Result]int64{cas.Intact: 5, cas.Unreadable: 1, cas.Undecided: 1}
	if diff := cmp.Diff(want, v.Results); diff != "" || !slices.Contains(h.said(before, all), "failed 2 on a: unreadable") || len(h.said(before, all)) != 6 {
		t.Errorf("%s %q", diff, h.said(before, all))
	}
	if hits := f.Hits(); hits != 3*(cas.Patience+1) {
		t.Errorf("%d attempts", hits) // twice for what is to be believed
	}

	f.Set(backendtest.Fault{Op: backendtest.Open}, backendtest.Fault{Op: backendtest.Health})
	before = h.position()
	v, err := h.store.Verify(t.Context(), cas.VerifyOptions{Backend: "a"})
	if !errors.Is(err, cas.ErrBackendUnavailable) || v.Status != cas.RunPaused || v.Error == "" || h.position() != before {
		t.Errorf("%v: %+v", err, v)
	}
	f.Clear()
	if again := h.verify(cas.VerifyOptions{}); again.Run != v.Run || again.Results[cas.Intact] != 7 {
		t.Errorf("gone on with: %+v", again)
	}

	f.Set(backendtest.Fault{Op: backendtest.Open, Key: bad}, backendtest.Fault{Op: backendtest.Health, Err: backends.ErrFull})
	if full := h.verify(cas.VerifyOptions{}); full.Results[cas.Unreadable] != 1 || full.Results[cas.Intact] != 6 {
		t.Errorf("on a backend without room: %+v", full)
	}
}

// life is a process that dies at a moment: from then on nothing it does has an
// effect, and its claim stays.
type life struct {
	end      context.CancelFunc
	reads    *reads
	claiming func() // is told before each claim; may be nil
	released func() // after each release, and each claim in vain; may be nil

	mu    sync.Mutex
	left  int // reads until it dies; < 0: never
	dead  bool
	name  string // of its claim
	token uint64
}

// reads counts how often each object was read, over all lives.
type reads struct {
	before func(ctx context.Context, total int) // may be nil

	mu    sync.Mutex
	n     map[string]int
	last  string
	total int
}

func (r *reads) count(ctx context.Context, key string) {
	r.mu.Lock()
	r.n[key]++
	r.last = key
	r.total++
	total := r.total
	r.mu.Unlock()
	if r.before != nil {
		r.before(ctx, total)
	}
}

var errDead = errors.New("dead")

func (l *life) alive() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return errDead
	}
	return nil
}

type livingBackend struct {
	backends.Backend
	*life
}

func (b livingBackend) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := b.alive(); err != nil {
		return nil, err
	}
	b.reads.count(ctx, key)
	b.mu.Lock()
	if b.left--; b.left == 0 {
		b.dead = true
		b.end()
	}
	b.mu.Unlock()
	return b.Backend.Open(ctx, key, off, n)
}

type livingRegistry struct {
	registry.Registry
	*life
}

func (r livingRegistry) Append(ctx context.Context, e ...registry.Event) (uint64, error) {
	if err := r.alive(); err != nil {
		return 0, err
	}
	return r.Registry.Append(ctx, e...)
}

func (r livingRegistry) Claim(ctx context.Context, name, holder string, lasting time.Duration) (token uint64, ok bool, err error) {
	if r.claiming != nil {
		r.claiming()
	}
	token, ok, err = r.Registry.Claim(ctx, name, holder, lasting)
	switch {
	case ok:
		r.name, r.token = name, token
	case r.released != nil:
		r.released()
	}
	return token, ok, err
}

func (r livingRegistry) SetState(ctx context.Context, name string, token uint64, value []byte) error {
	if err := r.alive(); err != nil {
		return err
	}
	return r.Registry.SetState(ctx, name, token, value)
}

func (r livingRegistry) Release(ctx context.Context, name string, token uint64) error {
	if err := r.alive(); err != nil {
		return err
	}
	if r.released != nil {
		defer r.released()
	}
	return r.Registry.Release(ctx, name, token)
}

// fill puts n small contents, several at a time.
func (h *house) fill(n int) [][]byte {
	h.t.Helper()
	all := make([][]byte, n)
	var putters sync.WaitGroup
	for w := range 8 {
		putters.Go(func() {
			for i := w; i < n; i += 8 {
				all[i] = random(uint64(i), 100+i)
				if _, err := h.put(all[i]); err != nil {
					h.t.Error(err)
				}
			}
		})
	}
	putters.Wait()
	return all
}

// live verifies backend a in a process that dies after so many reads.
func (h *house) live(ctx context.Context, counted *reads, left int, o cas.VerifyOptions) (cas.Verification, error) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &life{end: cancel, left: left, reads: counted}
	store, err := cas.New(cas.Options{
		Registry: livingRegistry{h.reg, l},
		Backends: []cas.Backend{{ID: "a", Backend: livingBackend{h.disks["a"], l}}},
		Policy:   cas.Policy{Default: "a", DefaultClass: "standard", Classes: map[string]time.Duration{"standard": day}},
		Log:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	o.Backend = "a"
	v, err := store.Verify(ctx, o)
	if l.alive() != nil { // its claim has ended by the time somebody else comes
		if err := h.reg.Release(context.Background(), l.name, l.token); err != nil {
			h.t.Fatal(err)
		}
	}
	return v, err
}

// A pass that is killed ten times ends with the result of one that was not, and
// reads no object that is right more than twice.
//
// A process loses 64 findings and what it is reading at most; the next one is
// through those again before it dies too.
func TestVerifyKilled(t *testing.T) { inHouses(t, shapes.Ends(), verifyKilled) }

func verifyKilled(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	all := h.fill(1300)
	wrong := map[string]bool{}
	for i := 7; i < len(all); i += 100 {
		h.replace("a", all[i], flipped(all[i], i))
		wrong[identity(all[i]).SHA256.Key()] = true
	}
	before := h.position()
	counted := &reads{n: map[string]int{}}
	rng := rand.New(rand.NewPCG(1, 2))
	run := ""
	for range 10 {
		v, err := h.live(t.Context(), counted, 75+rng.IntN(30), cas.VerifyOptions{})
		if err == nil || v.Over() || (run != "" && v.Run != run) {
			t.Fatalf("%v: %+v", err, v)
		}
		run = v.Run
	}
	v, err := h.live(t.Context(), counted, -1, cas.VerifyOptions{})
	if err != nil || v.Run != run || v.Seen != 1300 || v.Results[cas.Intact] != 1287 || v.Results[cas.Mismatch] != 13 || len(v.Failures) != 13 {
		t.Errorf("%v: %+v", err, v)
	}
	events := h.said(before, all)
	if len(slices.Compact(slices.Clone(events))) != len(events) || len(events) != 1300 {
		t.Errorf("%d events, %d of them different", len(events), len(slices.Compact(slices.Clone(events))))
	}
	for key, n := range counted.n {
		if most := 2; n > most && !wrong[key] {
			t.Errorf("%s was read %d times", key, n)
		}
	}
}

// Two processes: the second is told that the first verifies; when the first is
// stopped the second goes on, and reads nothing again but what was just being read.
func TestVerifyHandover(t *testing.T) { everyHouse(t, verifyHandover) }

func verifyHandover(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	h.fill(200)
	ctx, stop := context.WithCancel(t.Context())
	counted := &reads{n: map[string]int{}}
	counted.before = func(_ context.Context, total int) {
		if total != 100 {
			return
		}
		if _, err := h.store.Verify(t.Context(), cas.VerifyOptions{Backend: "a"}); !errors.As(err, new(*cas.TakenError)) {
			t.Errorf("a second at the same time: %v", err)
		}
		stop()
	}
	first, err := h.live(ctx, counted, -1, cas.VerifyOptions{Concurrency: 1})
	if !errors.Is(err, context.Canceled) || first.Status != cas.RunPaused {
		t.Errorf("%v: %+v", err, first)
	}
	second, err := h.live(t.Context(), counted, -1, cas.VerifyOptions{})
	if err != nil || second.Run != first.Run || second.Results[cas.Intact] != 200 {
		t.Errorf("%v: %+v", err, second)
	}
	if counted.total != 201 || len(counted.n) != 200 {
		t.Errorf("%d reads of %d objects", counted.total, len(counted.n))
	}
}

// A stop that somebody else asks for ends the run, and it is not gone on with.
func TestVerifyStops(t *testing.T) { everyHouse(t, verifyStops) }

func verifyStops(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	h.fill(20)
	counted := &reads{n: map[string]int{}}
	counted.before = func(ctx context.Context, total int) {
		if total == 10 {
			<-ctx.Done()
		}
	}
	var once sync.Once
	v, err := h.live(t.Context(), counted, -1, cas.VerifyOptions{Concurrency: 1, Progress: func(v cas.Verification) {
		if v.Seen < 9 {
			return
		}
		once.Do(func() {
			if _, err := h.store.StopVerification(t.Context(), "a", "unknown"); !errors.Is(err, cas.ErrVerificationUnknown) {
				t.Errorf("an unknown run: %v", err)
			}
			if _, err := h.store.StopVerification(t.Context(), "a", v.Run); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}})
	if !errors.Is(err, cas.ErrVerificationStopped) || v.Status != cas.RunStopped || v.FinishedAt.IsZero() {
		t.Errorf("%v: %+v", err, v)
	}
	again := h.verify(cas.VerifyOptions{})
	if again.Run == v.Run || again.Results[cas.Intact] != 20 {
		t.Errorf("%+v", again)
	}
}

// Both digests count: the one that the registry has of an object under its right
// SHA-256 may be wrong too.
func TestVerifyComparesBLAKE3(t *testing.T) {
	h := open(t, options{})
	content, other := random(1, 1000), random(2, 1000)
	id := identity(content)
	h.strange("a", id.SHA256.Key(), content)
	h.append(registry.BlobStored{SHA256: id.SHA256, BLAKE3: identity(other).BLAKE3, Size: id.Size})
	h.append(registry.LocationRecorded{Blob: id.SHA256, BackendID: "a"})
	if v := h.verify(cas.VerifyOptions{}); v.Results[cas.Mismatch] != 1 {
		t.Errorf("%+v", v)
	}
}

// Where not one object is there, a run that nobody attends to pauses before it has
// declared all lost, and does not go on by itself; a person's run does, and what is there
// again is found by the next.
func TestVerifyNothingThere(t *testing.T) {
	h := open(t, options{})
	all := h.fill(400)
	for _, c := range all {
		h.remove("a", c)
	}
	v, err := h.store.Verify(t.Context(), cas.VerifyOptions{Backend: "a"})
	if !errors.Is(err, cas.ErrNothingThere) || v.Status != cas.RunPaused || v.Failed() > 300 {
		t.Errorf("%v: %+v", err, v)
	}
	before := h.position()
	if _, err := h.store.Verify(t.Context(), cas.VerifyOptions{Backend: "a"}); !errors.Is(err, cas.ErrNothingThere) || h.position() != before {
		t.Errorf("again: %v, %d events", err, h.position()-before)
	}
	if v := h.verify(cas.VerifyOptions{Attended: true}); v.Results[cas.Missing] != 400 {
		t.Errorf("a person's: %+v", v)
	}
	for _, c := range all {
		h.strange("a", identity(c).SHA256.Key(), c)
	}
	if v := h.verify(cas.VerifyOptions{}); v.Recovered != 400 || v.Results[cas.Intact] != 400 {
		t.Errorf("all is there again: %+v", v)
	}
}
