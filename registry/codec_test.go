package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

// edit is a change of one place of a record's bytes.
type edit struct{ name, from, to string }

// nonCanonical turn the golden blob_stored into something that says the same or
// nearly the same, in another way.
var nonCanonical = []edit{
	{"member missing", "\xa6\x64data", "\xa5\x64data"},
	{"member too many announced", "\xa6\x64data", "\xa7\x64data"},
	{"indefinite length", "\xa6\x64data", "\xbf\x64data"},
	{"length in two bytes", "\xa6\x64data", "\xb8\x06\x64data"},
	{"self-described", "\xa6\x64data", "\xd9\xd9\xf7\xa6\x64data"},
	{"data in an array", "\xa6\x64data\xa3", "\xa6\x64data\x81\xa3"},
	{"data with a member more", "data\xa3", "data\xa4\x61x\x01"},
	{"data with a member twice", "data\xa3\x64size\x00", "data\xa4\x64size\x00\x64size\x00"},
	{"data with an empty member", "data\xa3\x64size\x00", "data\xa4\x64size\x00\x66sha512\x60"},
	{"data with a null member", "data\xa3\x64size\x00", "data\xa4\x64size\x00\x66sha512\xf6"},
	{"data without its size", "data\xa3\x64size\x00", "data\xa2"},
	{"size in two bytes", "size\x00", "size\x18\x00"},
	{"size as a float", "size\x00", "size\xf9\x00\x00"},
	{"size as a big number", "size\x00", "size\xc2\x40"},
	{"size negative", "size\x00", "size\x20"},
	{"size beyond int64", "size\x00", "size\x1b\xff\xff\xff\xff\xff\xff\xff\xff"},
	{"size null", "size\x00", "size\xf6"},
	{"size in capitals", "size\x00", "SIZE\x00"},
	{"key as bytes", "\x64size\x00", "\x44size\x00"},
	{"key with its length in two bytes", "\x64size\x00", "\x78\x04size\x00"},
	{"time without a tag", "time\xc0", "time"},
	{"time with another tag", "time\xc0\x78\x1b2026-11-23T10:00:00.123456Z", "time\xc1\x1a\x69\x22\x00\x00"},
	{"time with trailing zeros", "\x78\x1b2026-11-23T10:00:00.123456Z", "\x78\x1c2026-11-23T10:00:00.1234560Z"},
	{"time with nanoseconds", "\x78\x1b2026-11-23T10:00:00.123456Z", "\x78\x1e2026-11-23T10:00:00.123456789Z"},
	{"time with an offset", "\x78\x1b2026-11-23T10:00:00.123456Z", "\x78\x202026-11-23T10:00:00.123456+00:00"},
	{"time in small letters", "23T10", "23t10"},
	{"time that is none", "2026-11", "2026-13"},
	{"time before 1970", "2026-11", "1926-11"},
	{"position 0", "position\x01", "position\x00"},
	{"position negative", "position\x01", "position\x20"},
	{"position beyond int64", "position\x01", "position\x1b\x80\x00\x00\x00\x00\x00\x00\x00"},
	{"actor empty", "\x65actor\x62ci", "\x65actor\x60"},
	{"actor as bytes", "\x65actor\x62ci", "\x65actor\x42ci"},
	{"actor not UTF-8", "\x65actor\x62ci", "\x65actor\x62c\xff"},
	{"actor not printable", "\x65actor\x62ci", "\x65actor\x62c\x00"},
	{"another subject", "subject\x78\x47sha256:e3b0", "subject\x78\x47sha256:e3b1"},
	{"unknown type", "v1.storage.blob_stored", "v1.storage.blob_stores"},
	{"newer type", "v1.storage.blob_stored", "v2.storage.blob_stored"},
	{"hex in capitals", "sha256:e3b0", "sha256:E3B0"},
	{"wrong algorithm", "blake3\x78\x47blake3:", "blake3\x78\x47sha256:"},
	{"members in another order", "\x65actor\x62ci\x67subject", "\x67subject\x65actor\x62ci"},
}

func TestDecodeRefuses(t *testing.T) {
	whole := goldenCBOR(t, "blob_stored")
	if _, err := Decode(whole); err != nil {
		t.Fatal(err)
	}
	for _, e := range nonCanonical {
		if !bytes.Contains(whole, []byte(e.from)) {
			t.Errorf("%s: nothing to change in %q", e.name, whole)
		}
		refuses(t, e.name, bytes.ReplaceAll(whole, []byte(e.from), []byte(e.to)))
	}
	for n := range whole {
		refuses(t, "cut short", whole[:n])
	}
	refuses(t, "trailing byte", append(bytes.Clone(whole), 0))
	refuses(t, "twice", append(bytes.Clone(whole), whole...))
	refuses(t, "nested", bytes.Repeat([]byte{0x81}, 1000))
}

func refuses(t *testing.T, what string, b []byte) {
	t.Helper()
	if r, err := Decode(b); !errors.Is(err, ErrRecord) {
		t.Errorf("%s: got %+v, %v, want ErrRecord", what, r, err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	good := golden["blob_leased"]
	if _, err := Encode(good); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Record){
		"no position":          func(r *Record) { r.Position = 0 },
		"position too large":   func(r *Record) { r.Position = 1 << 63 },
		"nanoseconds":          func(r *Record) { r.Time = r.Time.Add(1) },
		"local time":           func(r *Record) { r.Time = r.Time.Local().In(zone) },
		"no data":              func(r *Record) { r.Data = nil },
		"a pointer to data":    func(r *Record) { r.Data = &BlobReleased{Blob: abc256} },
		"a nil pointer":        func(r *Record) { r.Data = (*BlobReleased)(nil) },
		"data of no type":      func(r *Record) { r.Data = stranger{} },
		"malformed data":       func(r *Record) { r.Data = BlobReleased{} },
		"an actor out of hand": func(r *Record) { r.Actor = "\u202egnp" },
	} {
		r := good
		change(&r)
		if b, err := Encode(r); !errors.Is(err, ErrRecord) {
			t.Errorf("Encode with %s: %x, %v, want ErrRecord", what, b, err)
		}
		if b, err := json.Marshal(r); err == nil {
			t.Errorf("JSON with %s: %s", what, b)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for name := range golden {
		f.Add(goldenCBOR(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again, err := Encode(r)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("read %x, wrote %x, %v", b, again, err)
		}
		twice, err := Decode(again)
		if err != nil || !reflect.DeepEqual(twice, r) {
			t.Fatalf("read again: %+v, %v, want %+v", twice, err, r)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatalf("JSON: %v", err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for b.Loop() {
		if _, err := Encode(golden["blob_stored_sha512"]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	whole := goldenCBOR(b, "blob_stored_sha512")
	for b.Loop() {
		if _, err := Decode(whole); err != nil {
			b.Fatal(err)
		}
	}
}
