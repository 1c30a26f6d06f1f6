package registry

import (
	"errors"
	"testing"
	"time"
)

func TestValidateRetention(t *testing.T) {
	removing := func(cause Cause, grace int64) Data {
		return LocationRemoving{Blob: abc256, BackendID: "local", Cause: cause, GraceSeconds: grace}
	}
	collected := func(change func(*BlobCollected)) Data {
		d := golden["blob_collected"].Data.(BlobCollected)
		change(&d)
		return d
	}
	child := PackageKey{"team", "team/app/web", empty256.String()}
	for _, c := range []struct {
		name string
		good bool
		data Data
	}{
		{"hold", true, PackageHeld{ociKey, "a", nil}},
		{"hold without a name", false, PackageHeld{ociKey, "", nil}},
		{"hold that covers", true, PackageHeld{ociKey, "a", []PackageKey{filesKey, child}}},
		{"hold that covers in another order", false, PackageHeld{ociKey, "a", []PackageKey{child, filesKey}}},
		{"hold that covers one twice", false, PackageHeld{ociKey, "a", []PackageKey{child, child}}},
		{"hold that covers its root", false, PackageHeld{ociKey, "a", []PackageKey{ociKey}}},
		{"hold that covers what is no package", false, PackageHeld{ociKey, "a", []PackageKey{{}}}},
		{"too much covered", false, PackageHeld{ociKey, "a", make([]PackageKey, maxCovers+1)}},
		{"release without a name", false, PackageReleased{ociKey, ""}},
		{"expired", true, PackageExpired{filesKey, 1, "standard"}},
		{"expired at no revision", false, PackageExpired{filesKey, 0, "standard"}},
		{"expired of no class", false, PackageExpired{filesKey, 1, ""}},
		{"verified at no write", false, LocationVerified{Blob: abc256, BackendID: "local"}},
		{"verified nowhere", false, LocationVerified{Blob: abc256, RecordedAt: Forever}},
		{"recorded, seen beyond int64", false, LocationRecorded{abc256, "local", 1 << 63}},
		{"repaired, seen beyond int64", false, LocationRepaired{abc256, "local", "push", 1 << 63}},
		{"removing", true, removing(Unneeded, 0)},
		{"removing after a grace", true, removing(Unneeded, maxGrace)},
		{"grace too long", false, removing(Unneeded, maxGrace+1)},
		{"grace negative", false, removing(Unneeded, -1)},
		{"grace of a move", false, removing(Moved, 1)},
		{"grace of an orphan", false, removing(Orphan, 1)},
		{"removing without a cause", false, removing("", 0)},
		{"unknown cause", false, removing("bored", 0)},
		{"removing by blake3", false, LocationRemoving{Blob: abcB3, BackendID: "local", Cause: Orphan}},
		{"removed nowhere", false, LocationRemoved{Blob: abc256}},
		{"collected", true, collected(func(*BlobCollected) {})},
		{"collected, negative size", false, collected(func(d *BlobCollected) { d.Size = -1 })},
		{"collected, never leased", true, collected(func(d *BlobCollected) { d.LeasedUntil = time.Time{} })},
		{"collected, leased in nanoseconds", false, collected(func(d *BlobCollected) { d.LeasedUntil = d.LeasedUntil.Add(1) })},
		{"collected, never idle", false, collected(func(d *BlobCollected) { d.IdleSince = time.Time{} })},
		{"collected, negative grace", false, collected(func(d *BlobCollected) { d.GraceSeconds = -1 })},
	} {
		if err := Validate(Event{"ci", c.data}); (err == nil) != c.good || err != nil && !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestPackageFilter(t *testing.T) {
	p := Package{PackageKey: filesKey, Format: FormatFiles, State: Open, RetentionClass: "standard", Labels: map[string]string{"a": "1", "b": ""}}
	for _, c := range []struct {
		name string
		want bool
		f    PackageFilter
	}{
		{"nothing asked", true, PackageFilter{}},
		{"everything", true, PackageFilter{filesKey.Producer, filesKey.Name, FormatFiles, Open, "standard", p.Labels}},
		{"a label", true, PackageFilter{Labels: map[string]string{"a": "1"}}},
		{"an empty value", true, PackageFilter{Labels: map[string]string{"b": ""}}},
		{"another value", false, PackageFilter{Labels: map[string]string{"a": "2"}}},
		{"a label that is not there", false, PackageFilter{Labels: map[string]string{"c": ""}}},
		{"one of two labels", false, PackageFilter{Labels: map[string]string{"a": "1", "c": ""}}},
		{"producer", false, PackageFilter{Producer: "ci"}},
		{"name", false, PackageFilter{Name: "too"}},
		{"format", false, PackageFilter{Format: FormatOCI}},
		{"state", false, PackageFilter{State: Sealed}},
		{"class", false, PackageFilter{RetentionClass: "release"}},
	} {
		if got := c.f.Matches(p); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
