package registry

import (
	"errors"
	"strings"
	"testing"
	"time"

	"artifactstore/cas/digest"
)

var zone = time.FixedZone("here", 3600)

// stranger has the methods of an event's data and is none.
type stranger struct{ BlobReleased }

func (stranger) Type() string { return "v1.storage.blob_forgotten" }

func TestValidate(t *testing.T) {
	lease := func(change func(*BlobLeased)) BlobLeased {
		d := golden["blob_leased"].Data.(BlobLeased)
		change(&d)
		return d
	}
	stored := func(change func(*BlobStored)) BlobStored {
		d := golden["blob_stored_sha512"].Data.(BlobStored)
		change(&d)
		return d
	}
	for _, c := range []struct {
		name string
		good bool
		data Data
	}{
		{"largest size", true, stored(func(d *BlobStored) { d.Size = 1<<63 - 1 })},
		{"negative size", false, stored(func(d *BlobStored) { d.Size = -1 })},
		{"no sha256", false, stored(func(d *BlobStored) { d.SHA256 = digest.Digest{} })},
		{"no blake3", false, stored(func(d *BlobStored) { d.BLAKE3 = digest.Digest{} })},
		{"no sha512", true, stored(func(d *BlobStored) { d.SHA512 = digest.Digest{} })},
		{"sha256 for sha512", false, stored(func(d *BlobStored) { d.SHA512 = abc256 })},
		{"blake3 for sha256", false, stored(func(d *BlobStored) { d.SHA256 = abcB3 })},
		{"no backend", false, LocationRecorded{Blob: abc256}},
		{"longest backend", true, LocationRecorded{Blob: abc256, BackendID: strings.Repeat("b", 64)}},
		{"backend too long", false, LocationRecorded{Blob: abc256, BackendID: strings.Repeat("b", 65)}},
		{"located by blake3", false, LocationRecorded{Blob: abcB3, BackendID: "local"}},
		{"no reason", false, LocationFailed{Blob: abc256, BackendID: "local"}},
		{"unknown reason", false, LocationFailed{Blob: abc256, BackendID: "local", Reason: "Missing"}},
		{"truncated", true, LocationFailed{Blob: abc256, BackendID: "local", Reason: Truncated}},
		{"failed as written", true, LocationFailed{Blob: abc256, BackendID: "local", Reason: Missing, RecordedAt: Forever}},
		{"failed as written, nanoseconds", false, LocationFailed{Blob: abc256, BackendID: "local", Reason: Missing, RecordedAt: time.Unix(1, 1).UTC()}},
		{"no source", false, LocationRepaired{Blob: abc256, BackendID: "local"}},
		{"repaired nowhere", false, LocationRepaired{Blob: abc256, Source: "push"}},
		{"no producer", false, lease(func(d *BlobLeased) { d.Producer = "" })},
		{"no class", false, lease(func(d *BlobLeased) { d.RetentionClass = "" })},
		{"no end", false, lease(func(d *BlobLeased) { d.Until = time.Time{} })},
		{"forever", true, lease(func(d *BlobLeased) { d.Until = Forever })},
		{"longer than forever", false, lease(func(d *BlobLeased) { d.Until = Forever.Add(time.Microsecond) })},
		{"ends in 1970", true, lease(func(d *BlobLeased) { d.Until = time.Unix(0, 0).UTC() })},
		{"ends before 1970", false, lease(func(d *BlobLeased) { d.Until = time.Unix(0, -1000).UTC() })},
		{"local time", false, lease(func(d *BlobLeased) { d.Until = d.Until.In(zone) })},
		{"nanoseconds", false, lease(func(d *BlobLeased) { d.Until = d.Until.Add(time.Nanosecond) })},
		{"longest repository", true, lease(func(d *BlobLeased) { d.Repository = strings.Repeat("r", 255) })},
		{"repository too long", false, lease(func(d *BlobLeased) { d.Repository = strings.Repeat("r", 256) })},
		{"repository with a line end", false, BlobReleased{Blob: abc256, Repository: "a\nb"}},
		{"release of nothing", false, BlobReleased{}},
		{"release", true, BlobReleased{Blob: abc256}},
	} {
		if err := Validate(Event{"ci", c.data}); (err == nil) != c.good || err != nil && !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestValidateActor(t *testing.T) {
	for actor, good := range map[string]bool{
		"ci": true, "Ann Lee <ann@example.org>": true, "雪": true, strings.Repeat("a", 128): true,
		"": false, strings.Repeat("a", 129): false, "a\tb": false, "a\x00b": false, "a\xff": false, "a\u200bb": false,
	} {
		if err := Validate(Event{actor, BlobReleased{Blob: abc256}}); (err == nil) != good || err != nil && !errors.Is(err, ErrRecord) {
			t.Errorf("actor %q: %v", actor, err)
		}
	}
}
