package registrytest

import (
	"context"
	"slices"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// keeper is what a registry answers about keeping beside what its model does.
type keeper struct {
	t     reporter
	ctx   context.Context
	reg   Keeping
	model *registry.Model
}

func (c keeper) holds(k registry.PackageKey) {
	c.t.Helper()
	got, err := c.reg.Holds(c.ctx, k)
	same(comparison{t: c.t}, "Holds on "+k.String(), got, err, c.model.Holds(k), nil)
}

// blob compares all that keeps a blob.
func (c keeper) blob(d digest.Digest) {
	c.t.Helper()
	references, err := c.reg.References(c.ctx, d, 1000)
	same(comparison{t: c.t}, "References of "+d.String(), references, err, c.model.References(d), nil)
	leases, err := c.reg.LeasesOf(c.ctx, d, 1000)
	same(comparison{t: c.t}, "LeasesOf "+d.String(), leases, err, c.model.LeasesOf(d, 1000), nil)
	b, err := c.model.Blob(d)
	if err != nil {
		b.Identity = digest.Identity{SHA256: d}
	}
	c.shown(b)
	since, err := c.reg.IdleSince(c.ctx, d)
	want, wantErr := c.model.IdleSince(d)
	same(comparison{t: c.t}, "IdleSince of "+d.String(), since, err, want, wantErr)
}

// shown compares what shows a blob, by all of its digests and in pages of several
// sizes, to one who has leases of it and to one who has none.
func (c keeper) shown(b registry.Blob) {
	c.t.Helper()
	for _, d := range []digest.Digest{b.SHA256, b.BLAKE3, b.SHA512} {
		for _, now := range []time.Time{day(1), day(5), registry.Forever} {
			for _, actor := range []string{"", "ci", "ann"} {
				if !d.IsZero() {
					want := c.model.Shown(d, actor, now)
					diff(c.t, "Shown "+d.String()+" to "+actor, shown(c.t, c, d, actor, now, 1+len(want.Resources)%3), want)
				}
			}
		}
	}
}

// shown walks what shows a blob to its end, limit rows at a time.
func shown(t reporter, c keeper, d digest.Digest, actor string, now time.Time, limit int) registry.Shown {
	t.Helper()
	var all registry.Shown
	for after := (registry.ShownAfter{}); ; {
		page, err := c.reg.Shown(c.ctx, d, actor, now, after, limit)
		if err != nil {
			t.Fatalf("Shown: %v", err)
		}
		if sorted := slices.Sorted(slices.Values(page.Resources)); len(sorted) != len(slices.Compact(slices.Clone(sorted))) {
			t.Fatalf("Shown: a page has %v", page.Resources)
		}
		all.Resources = append(all.Resources, page.Resources...)
		all.Leased = all.Leased || page.Leased
		if page.Next == (registry.ShownAfter{}) {
			break
		}
		if page.Next == after {
			t.Fatalf("Shown after %v goes on after the same", after)
		}
		after = page.Next
	}
	slices.Sort(all.Resources)
	all.Resources = slices.Compact(all.Resources)
	return all
}

// backend compares the removals of a backend, and those of one blob.
func (c keeper) backend(id string, blob digest.Digest) {
	c.t.Helper()
	removals, err := c.reg.RemovalsOf(c.ctx, blob)
	same(comparison{t: c.t}, "RemovalsOf "+blob.String(), removals, err, c.model.RemovalsOf(blob), nil)
	r, err := c.reg.Removal(c.ctx, blob, id)
	want, wantErr := c.model.Removal(blob, id)
	same(comparison{t: c.t}, "Removal of "+blob.String()+" from "+id, r, err, want, wantErr)
	for _, limit := range []int{0, 1, 100} {
		found, err := c.reg.Removals(c.ctx, id, digest.Digest{}, limit)
		same(comparison{t: c.t}, "Removals from "+id, found, err, c.model.Removals(id, digest.Digest{}, limit), nil)
	}
}

// collectable compares whether one blob is.
func (c keeper) collectable(blob digest.Digest, at time.Time, grace time.Duration) {
	c.t.Helper()
	var got, want []registry.Idle
	for after := before(blob); len(got) == 0; {
		page, next, err := c.reg.Collectable(c.ctx, at, grace, after, 1)
		if err != nil {
			c.t.Fatalf("Collectable: %v", err)
		}
		if len(page) > 0 && page[0].SHA256 == blob {
			got = page
		}
		if next.IsZero() || next.Hex() >= blob.Hex() {
			break
		}
		after = next
	}
	for _, idle := range c.model.Collectable(at, grace, digest.Digest{}) {
		if idle.SHA256 == blob {
			want = append(want, idle)
		}
	}
	diff(c.t, "Collectable "+blob.String(), got, want)
}

// before returns the digest that sorts right before another.
func before(d digest.Digest) digest.Digest {
	sum := d.Sum()
	for i := len(sum) - 1; i >= 0; i-- {
		sum[i]--
		if sum[i] != 255 {
			break
		}
	}
	return digest.New(d.Algorithm(), sum)
}

// agreesRetention checks that the views of keeping are the replay of the log.
func agreesRetention(t *testing.T, r Keeping, log []registry.Record, m *registry.Model) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	c := keeper{t, t.Context(), r, m}
	packages, places := map[registry.PackageKey]bool{}, map[registry.LocationRemoving]bool{}
	for _, rec := range log {
		switch d := rec.Data.(type) {
		case registry.PackageCreated:
			packages[d.Package] = true
		case registry.LocationRemoving:
			places[removingOnly(d)] = true
		}
	}
	for k := range packages {
		c.holds(k)
	}
	for d := range places {
		c.backend(d.BackendID, d.Blob)
	}
	for _, b := range m.Blobs(digest.Digest{}) {
		c.blob(b.SHA256)
	}
	for _, grace := range []time.Duration{0, time.Hour} {
		diff(t, "Collectable", collectable(t, c, now, grace, digest.Digest{}, 50), m.Collectable(now, grace, digest.Digest{}))
	}
	diff(t, "ListPackages", listPackages(t, c, registry.PackageFilter{}, registry.PackageKey{}, 50),
		m.ListPackages(registry.PackageFilter{}, registry.PackageKey{}))
}

// removingOnly leaves of a removal where it is.
func removingOnly(d registry.LocationRemoving) registry.LocationRemoving {
	return registry.LocationRemoving{Blob: d.Blob, BackendID: d.BackendID}
}
