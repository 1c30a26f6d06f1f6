package registrytest

import (
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// patience is how long a test waits for what must happen soon. It is long so
// that a loaded machine does not fail a test; a passing test never waits it out.
const patience = time.Minute

// stored returns the n-th blob. Its digests are made of its number: nothing here
// has bytes.
func stored(n int) registry.BlobStored {
	name := fmt.Sprintf("blob %d", n)
	s256, b3 := sha256.Sum256([]byte(name)), sha256.Sum256([]byte("blake3 of "+name))
	return registry.BlobStored{
		SHA256: digest.New(digest.SHA256, s256[:]),
		BLAKE3: digest.New(digest.BLAKE3, b3[:]),
		Size:   int64(n) * 1000,
	}
}

// withSHA512 returns the same blob with its SHA-512.
func withSHA512(d registry.BlobStored) registry.BlobStored {
	sum := sha512.Sum512([]byte("sha512 of " + d.SHA256.String()))
	d.SHA512 = digest.New(digest.SHA512, sum[:])
	return d
}

func blob(n int) digest.Digest { return stored(n).SHA256 }

func recorded(n int, backend string) registry.LocationRecorded {
	return registry.LocationRecorded{Blob: blob(n), BackendID: backend}
}

func failed(n int, backend string) registry.LocationFailed {
	return registry.LocationFailed{Blob: blob(n), BackendID: backend, Reason: registry.Missing}
}

func repaired(n int, backend string) registry.LocationRepaired {
	return registry.LocationRepaired{Blob: blob(n), BackendID: backend, Source: "push"}
}

func leased(n int, until time.Time) registry.BlobLeased {
	return registry.BlobLeased{Blob: blob(n), Producer: "ci", RetentionClass: "standard", Until: until}
}

func released(n int) registry.BlobReleased { return registry.BlobReleased{Blob: blob(n)} }

// day returns a time n days into a year.
func day(n int) time.Time {
	return time.Date(2030, 1, n, 12, 30, 15, 123456000, time.UTC)
}

// by returns events of one actor.
func by(actor string, data ...registry.Data) []registry.Event {
	events := make([]registry.Event, len(data))
	for i, d := range data {
		events[i] = registry.Event{Actor: actor, Data: d}
	}
	return events
}

// put returns the events of a put of blobs on one backend: stored, recorded, leased.
func put(backend string, ns ...int) []registry.Event {
	var events []registry.Event
	for _, n := range ns {
		events = append(events, by("ci", stored(n), recorded(n, backend), leased(n, day(1)))...)
	}
	return events
}

func mustAppend(t *testing.T, r registry.Registry, events ...registry.Event) uint64 {
	t.Helper()
	last, err := r.Append(t.Context(), events...)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return last
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// records reads the log after a position.
func records(t *testing.T, r registry.Registry, after uint64) []registry.Record {
	t.Helper()
	var all []registry.Record
	for rec, err := range r.Since(t.Context(), after) {
		if err != nil {
			t.Fatalf("Since(%d): %v", after, err)
		}
		all = append(all, rec)
	}
	return all
}

func events(records []registry.Record) []registry.Event {
	all := make([]registry.Event, len(records))
	for i, r := range records {
		all[i] = r.Event
	}
	return all
}

// blobs reads the blobs after a digest.
func blobs(t *testing.T, r registry.Registry, after digest.Digest) []registry.Blob {
	t.Helper()
	var all []registry.Blob
	for b, err := range r.Blobs(t.Context(), after) {
		if err != nil {
			t.Fatalf("Blobs(%s): %v", after, err)
		}
		all = append(all, b)
	}
	return all
}

func totals(t *testing.T, r registry.Registry) registry.Totals {
	t.Helper()
	all, err := r.Totals(t.Context())
	if err != nil {
		t.Fatalf("Totals: %v", err)
	}
	return withoutZeros(all)
}

// withoutZeros leaves out counts of 0: a missing one says the same.
func withoutZeros(all registry.Totals) registry.Totals {
	counts := map[registry.LocationTotal]int64{}
	for k, n := range all.Locations {
		if n != 0 {
			counts[k] = n
		}
	}
	all.Locations = counts
	all.Packages = maps.Clone(all.Packages)
	maps.DeleteFunc(all.Packages, func(_ registry.PackageState, n int64) bool { return n == 0 })
	return all
}

// state is all that a registry says.
type state struct {
	Records []registry.Record
	Blobs   []registry.Blob
	Totals  registry.Totals
}

func whole(t *testing.T, r registry.Registry) state {
	t.Helper()
	return state{records(t, r, 0), blobs(t, r, digest.Digest{}), totals(t, r)}
}

// replay returns the model of a log. Positions must have no gap and times must
// not go backwards.
func replay(t *testing.T, log []registry.Record) *registry.Model {
	t.Helper()
	var m registry.Model
	var before time.Time
	for i, r := range log {
		if r.Position != uint64(i+1) {
			t.Fatalf("record %d has position %d", i+1, r.Position)
		}
		if r.Time.Before(before) {
			t.Fatalf("record %d is of %s, the one before of %s", r.Position, r.Time, before)
		}
		if err := m.Apply(r.Time, r.Event); err != nil {
			t.Fatalf("record %d does not fit: %v", r.Position, err)
		}
		before = r.Time
	}
	return &m
}

// agrees checks that the views are the replay of the log.
func agrees(t *testing.T, r registry.Registry) {
	t.Helper()
	got := whole(t, r)
	m := replay(t, got.Records)
	want := m.Totals()
	want.Uploads = got.Totals.Uploads
	diff(t, "Totals", got.Totals, withoutZeros(want))
	diff(t, "Blobs", got.Blobs, m.Blobs(digest.Digest{}))
	agreesPackages(t, r, got.Records, m)
	agreesTokens(t, r, got.Records, m)
	if keeping, ok := r.(Keeping); ok {
		agreesRetention(t, keeping, got.Records, m)
	}
}

// diff reports where two values differ. Times must be the same instant, and UTC.
func diff(t interface {
	Helper()
	Errorf(string, ...any)
}, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, exactly); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

var exactly = cmp.Options{
	cmp.Comparer(func(a, b digest.Digest) bool { return a == b }),
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) && a.Location() == b.Location() }),
	cmpopts.EquateEmpty(),
}
