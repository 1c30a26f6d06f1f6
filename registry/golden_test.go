package registry

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"artifactstore/cas/digest"
)

// The digests of the empty blob and of "abc", from the algorithms' own
// publications.
var (
	empty256 = mustParse("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	emptyB3  = mustParse("blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")
	abc256   = mustParse("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
	abcB3    = mustParse("blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85")
	abc512   = mustParse("sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
		"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f")
)

func mustParse(s string) digest.Digest {
	d, err := digest.Parse(s)
	if err != nil {
		panic(err)
	}
	return d
}

// golden are records whose bytes are committed in testdata/golden, in CBOR
// (hex) and in JSON. What stands there stands in databases and in followers'
// files: it never changes.
var golden = map[string]Record{
	"blob_stored":        at(1, "ci", BlobStored{SHA256: empty256, BLAKE3: emptyB3}),
	"blob_stored_sha512": at(23, "ci", BlobStored{SHA256: abc256, BLAKE3: abcB3, SHA512: abc512, Size: 3}),
	"location_recorded":  at(24, "ci", LocationRecorded{Blob: abc256, BackendID: "local"}),
	"location_failed":    at(256, "gateway", LocationFailed{Blob: abc256, BackendID: "rgw", Reason: Mismatch}),
	"location_failed_then": at(255, "gateway", LocationFailed{Blob: abc256, BackendID: "rgw", Reason: Truncated,
		RecordedAt: time.Date(2026, 11, 22, 9, 30, 0, 120000, time.UTC)}),
	"location_repaired": at(65536, "Ünïcode ☃", LocationRepaired{Blob: abc256, BackendID: "rgw", Source: "push"}),
	"blob_leased": at(1<<32, "ci", BlobLeased{Blob: abc256, Producer: "ci-main", RetentionClass: "standard",
		Until: time.Date(2027, 2, 21, 10, 0, 0, 500000000, time.UTC)}),
	"blob_leased_forever": at(1<<63-1, "ci", BlobLeased{Blob: abc256, Producer: "ci", RetentionClass: "release", Until: Forever}),
	"blob_leased_repository": at(3, "ci", BlobLeased{Blob: abc256, Repository: "team/app/web", Producer: "team", RetentionClass: "standard",
		Until: time.Date(2027, 2, 21, 10, 0, 0, 0, time.UTC)}),
	"blob_released_repository": at(4, "ci", BlobReleased{Blob: abc256, Repository: "team/app/web"}),
	"blob_released":            {2, time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), Event{"anonymous", BlobReleased{Blob: abc256}}},
}

func at(position uint64, actor string, d Data) Record {
	return Record{position, time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.UTC), Event{actor, d}}
}

func goldenFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/golden/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b)
}

func goldenCBOR(t testing.TB, name string) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(goldenFile(t, name+".hex")))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenCBOR(t *testing.T) {
	for name, r := range golden {
		got, err := Encode(r)
		if want := goldenCBOR(t, name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("Encode %s: %v\ngot  %x\nwant %x", name, err, got, want)
		}
		back, err := Decode(goldenCBOR(t, name))
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("Decode %s: %v\ngot  %+v\nwant %+v", name, err, back, r)
		}
	}
}

func TestGoldenJSON(t *testing.T) {
	for name, r := range golden {
		got, err := json.Marshal(r)
		if want := goldenFile(t, name+".json"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("JSON of %s: %v\ngot  %s\nwant %s", name, err, got, want)
		}
	}
}

// TestGoldenCoversAllTypes makes who adds an event commit its bytes.
func TestGoldenCoversAllTypes(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range golden {
		seen[r.Data.Type()] = true
	}
	if want, got := slices.Sorted(maps.Keys(kinds)), slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("golden records of %v, event types %v", got, want)
	}
	for typ, decode := range kinds {
		d, _ := decode(nil)
		if d == nil || d.Type() != typ {
			t.Errorf("the table decodes %s as %T", typ, d)
		}
	}
}

// TestDataColumn shows that a database which keeps the data column beside the
// others loses nothing.
func TestDataColumn(t *testing.T) {
	for name, r := range golden {
		data, err := EncodeData(r.Data)
		if err != nil || !bytes.Contains(goldenCBOR(t, name), data) {
			t.Errorf("%s: the data alone is not what stands in the record: %v", name, err)
		}
		back, err := DecodeData(r.Data.Type(), data)
		if err != nil || !reflect.DeepEqual(back, r.Data) {
			t.Errorf("%s: %+v, %v", name, back, err)
		}
	}
	data, err := EncodeData(golden["blob_released"].Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"", TypeBlobStored, TypeLocationRecorded, "v1.storage.blob_lost", strings.ToUpper(TypeBlobReleased)} {
		if d, err := DecodeData(typ, data); !errors.Is(err, ErrRecord) {
			t.Errorf("data of blob_released read as %q: %+v, %v", typ, d, err)
		}
	}
	for what, b := range map[string][]byte{
		"trailing byte":         append(bytes.Clone(data), 0),
		"length in two bytes":   append([]byte{0xb8, 1}, data[1:]...),
		"key in two bytes":      bytes.Replace(data, []byte("\x64blob"), []byte("\x78\x04blob"), 1),
		"digest in three bytes": bytes.Replace(data, []byte("\x78\x47"), []byte("\x79\x00\x47"), 1),
		"nothing":               nil,
	} {
		if _, err := DecodeData(TypeBlobReleased, b); !errors.Is(err, ErrRecord) || bytes.Equal(b, data) {
			t.Errorf("data with %s: %v", what, err)
		}
	}
}
