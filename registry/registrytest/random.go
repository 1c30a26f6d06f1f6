package registrytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// testRandomHistories appends random events over two handles and applies the
// same ones to the model: both must accept and refuse alike, and say the same
// after each call. All histories share a database, which is slow to make; each
// has blobs and backends of its own, so that none sees another's.
func testRandomHistories(t *testing.T, db *database) {
	testHistories(t, db, func(r *run) { tokenNames{r}.extend() })
}

// testHistories plays runs that have been extended.
func testHistories(t *testing.T, db *database, extend func(*run)) {
	handles := []registry.Registry{db.open(), db.open()}
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		r := newRun(rt, t.Context(), handles, n)
		extend(r)
		r.play()
	})
	agrees(t, handles[0])
	report, err := handles[1].Check(t.Context(), nil)
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("Check: %v, %v", report.Problems, err)
	}
}

// The size of a history: few blobs, so that events often meet.
const (
	runBlobs = 3
	runCalls = 16
)

// run is one history.
type run struct {
	*rapid.T
	ctx      context.Context
	handles  []registry.Registry
	number   int             // from 1
	first    int             // its blobs are first, first+1, …
	backends []string        // its own
	start    registry.Totals // before it
	model    registry.Model
	last     time.Time // of the last record

	event   func(*rapid.T) registry.Event
	compare func(registry.Registry)
}

func newRun(t *rapid.T, ctx context.Context, handles []registry.Registry, n int) *run {
	r := &run{
		T: t, ctx: ctx, handles: handles, number: n, first: n * runBlobs,
		backends: []string{fmt.Sprintf("a-%d", n), fmt.Sprintf("b-%d", n)},
	}
	r.event, r.compare = r.storageEvent, r.compareStorage
	r.start = r.totals(handles[0])
	r.model = registry.ModelAt(r.start.Position)
	return r
}

// play begins with some blobs stored, so that more than first puts fits.
func (r *run) play() {
	for n := range runBlobs {
		if rapid.SampledFrom([]bool{true, true, false}).Draw(r.T, "begins with it") {
			r.append(r.handles[0], put(r.backends[0], r.first+n))
		}
	}
	for range rapid.IntRange(runCalls/2, runCalls).Draw(r.T, "calls") {
		call := rapid.SliceOfN(rapid.Custom(r.event), 1, callSizes.Draw(r.T, "most")).Draw(r.T, "call")
		i := rapid.IntRange(0, 1).Draw(r.T, "handle")
		r.append(r.handles[i], call)
		r.compare(r.handles[1-i])
	}
}

// callSizes draws the most events of a call: of many, one seldom fits.
var callSizes = rapid.SampledFrom([]int{1, 1, 1, 4})

// repositories draws the holder of a lease: one is named as an actor is.
var repositories = rapid.SampledFrom([]string{"", "ann", "team/app"})

// storageEvent draws an event about a blob of the run.
func (r *run) storageEvent(t *rapid.T) registry.Event {
	n := r.first + rapid.IntRange(0, runBlobs-1).Draw(t, "blob")
	backend := rapid.SampledFrom(r.backends).Draw(t, "backend")
	return registry.Event{
		Actor: rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "actor"),
		// What comes first is drawn more often, and needs it most.
		Data: rapid.OneOf(
			rapid.Custom(func(t *rapid.T) registry.Data { return r.failed(t, n, backend) }),
			rapid.Custom(func(t *rapid.T) registry.Data { return repaired(r.aim(t, registry.Failed, n, backend)) }),
			rapid.Custom(func(t *rapid.T) registry.Data { return outOf(repositories.Draw(t, "repository"), released(n)) }),
			rapid.Custom(func(t *rapid.T) registry.Data {
				return of(repositories.Draw(t, "repository"), leased(n, day(rapid.IntRange(1, 5).Draw(t, "until"))))
			}),
			rapid.Just[registry.Data](recorded(n, backend)),
			rapid.Custom(func(t *rapid.T) registry.Data { return r.stored(t, n) }),
		).Draw(t, "data"),
	}
}

// stored draws a blob, sometimes with a SHA-512, with another size or with the
// BLAKE3 of another blob.
func (r *run) stored(t *rapid.T, n int) registry.BlobStored {
	d := stored(n)
	if rapid.Bool().Draw(t, "sha512") {
		d = withSHA512(d)
	}
	switch rapid.IntRange(0, 9).Draw(t, "twist") {
	case 0:
		d.Size++
	case 1:
		d.BLAKE3 = stored(r.first).BLAKE3
	}
	return d
}

// failed draws a failure, sometimes one that names the write it speaks of, or an
// earlier one.
func (r *run) failed(t *rapid.T, n int, backend string) registry.LocationFailed {
	n, backend = r.aim(t, registry.Stored, n, backend)
	d := failed(n, backend)
	named := rapid.SampledFrom([]string{"the write", "no write", "an earlier write"}).Draw(t, "names")
	b, _ := r.model.Blob(d.Blob)
	i := slices.IndexFunc(b.Locations, func(l registry.Location) bool { return l.BackendID == backend })
	switch {
	case i >= 0 && named == "the write":
		d.RecordedAt = b.Locations[i].RecordedAt
	case i >= 0 && named == "an earlier write":
		d.RecordedAt = b.Locations[i].RecordedAt.Add(-time.Microsecond)
	}
	return d
}

// aim returns a location in a state, where the run has one, or else, and
// sometimes in spite of it, the one it was given.
func (r *run) aim(t *rapid.T, state registry.State, n int, backend string) (int, string) {
	if rapid.SampledFrom([]string{"aim", "aim", "do not"}).Draw(t, "aim") != "aim" {
		return n, backend
	}
	for i := range runBlobs {
		b, _ := r.model.Blob(blob(r.first + i))
		for _, l := range b.Locations {
			if l.State == state {
				return r.first + i, l.BackendID
			}
		}
	}
	return n, backend
}

// append appends to a registry and to the model.
func (r *run) append(reg registry.Registry, call []registry.Event) {
	last, err := reg.Append(r.ctx, call...)
	trial := r.model
	want := trial.Apply(r.now(), call...)
	if errors.Is(err, registry.ErrConflict) != errors.Is(want, registry.ErrConflict) || (err == nil) != (want == nil) {
		r.Fatalf("Append: %v; the model says: %v", err, want)
	}
	if err != nil {
		return
	}
	i := 0
	for rec, err := range reg.Since(r.ctx, last-uint64(len(call))) {
		if err != nil || i == len(call) {
			r.Fatalf("Since: more than appended, or %v", err)
		}
		diff(r, "appended", rec.Event, call[i])
		if err := r.model.Apply(rec.Time, rec.Event); err != nil {
			r.Fatalf("the model takes the events together, but not alone: %v", err)
		}
		r.last = rec.Time
		i++
	}
	if i != len(call) {
		r.Fatalf("%d events in the log, %d appended", i, len(call))
	}
}

// now is a time at which an event may be, whichever clock the registry has.
func (r *run) now() time.Time {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if now.Before(r.last) {
		return r.last
	}
	return now
}

// compareStorage checks what a registry says of the run's blobs against the model.
func (r *run) compareStorage(reg registry.Registry) {
	for n := range runBlobs {
		d := withSHA512(stored(r.first + n))
		for _, of := range []digest.Digest{d.SHA256, d.BLAKE3, d.SHA512} {
			got, err := reg.Blob(r.ctx, of)
			want, wantErr := r.model.Blob(of)
			if (err == nil) != (wantErr == nil) {
				r.Fatalf("Blob(%s): %v; the model says: %v", of, err, wantErr)
			}
			diff(r, "blob", got, want)
		}
	}
	for _, backend := range r.backends {
		for _, limit := range []int{1, runBlobs} {
			got, err := reg.Failed(r.ctx, backend, limit)
			if err != nil {
				r.Fatalf("Failed: %v", err)
			}
			diff(r, "failed", got, r.model.Failed(backend, limit))
		}
	}
	diff(r, "totals", r.totals(reg), withoutZeros(r.model.Totals()))
}

// totals returns what the run added.
func (r *run) totals(reg registry.Registry) registry.Totals {
	got, err := reg.Totals(r.ctx)
	if err != nil {
		r.Fatalf("Totals: %v", err)
	}
	got.Blobs -= r.start.Blobs
	got.BlobBytes -= r.start.BlobBytes
	for state, n := range r.start.Packages {
		got.Packages[state] -= n
	}
	for k := range got.Locations {
		if k.BackendID != r.backends[0] && k.BackendID != r.backends[1] {
			delete(got.Locations, k)
		}
	}
	return withoutZeros(got)
}
