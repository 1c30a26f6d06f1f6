package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/blake3"

	"artifactstore/cas/digest"
	"artifactstore/cas/manifest"
)

func file(path, content string) manifest.File {
	a, b := sha256.Sum256([]byte(content)), blake3.Sum256([]byte(content))
	return manifest.File{Path: path, Size: int64(len(content)), SHA256: digest.New(digest.SHA256, a[:]), BLAKE3: digest.New(digest.BLAKE3, b[:])}
}

func example() manifest.Manifest {
	return manifest.Manifest{
		Producer: "ci-7", Name: "app", Version: "1.2.3", Class: "release",
		Labels: map[string]string{"branch": "main", "a": ""},
		Files:  []manifest.File{file("bin/app", "hello"), file("doc/ä", ""), file("doc/ö", "x")},
	}
}

var equal = cmp.Comparer(func(a, b digest.Digest) bool { return a == b })

// The example's encoding never changes: the digests of sealed packages depend on
// it.
func TestGolden(t *testing.T) {
	want, err := os.ReadFile("testdata/example.hex")
	if err != nil {
		t.Fatal(err)
	}
	b, err := manifest.Encode(example())
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(b); got != strings.TrimSpace(string(want)) {
		t.Errorf("encoded as\n%s, want\n%s", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, m := range []manifest.Manifest{example(), {Producer: "p", Name: "n", Version: "v", Class: "c", Files: []manifest.File{}}} {
		b, err := manifest.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := manifest.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got, equal); diff != "" {
			t.Error(diff)
		}
	}
}

// The bytes are those that an independent encoder writes for the same data read
// by a decoder that knows nothing of the form.
func TestCanonicalByAnotherEncoder(t *testing.T) {
	b, err := manifest.Encode(example())
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := cbor.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if again := encode(v); !bytes.Equal(b, again) {
		t.Errorf("another encoder writes\n%x, not\n%x", again, b)
	}
}

func TestOrderAndDigestsAreChecked(t *testing.T) {
	for name, files := range map[string][]manifest.File{
		"out of order":  {file("b", ""), file("a", "")},
		"twice":         {file("a", ""), file("a", "x")},
		"no path":       {file("", "")},
		"no digests":    {{Path: "a"}},
		"negative size": {{Path: "a", Size: -1, SHA256: file("a", "").SHA256, BLAKE3: file("a", "").BLAKE3}},
	} {
		if _, err := manifest.Encode(manifest.Manifest{Files: files}); !errors.Is(err, manifest.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeRefusesOtherForms(t *testing.T) {
	b, err := manifest.Encode(example())
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		if _, err := manifest.Decode(b[:i]); !errors.Is(err, manifest.ErrInvalid) {
			t.Fatalf("the first %d bytes: %v", i, err)
		}
	}
	for name, other := range map[string][]byte{
		"a byte behind":     append(bytes.Clone(b), 0),
		"longer length":     append([]byte{0xb8, 0x07}, b[1:]...),
		"indefinite length": append(append([]byte{0xbf}, b[1:]...), 0xff),
		"tagged":            append([]byte{0xd9, 0xd9, 0xf7}, b...),
		"unknown member":    append(append([]byte{b[0] + 1}, b[1:]...), 0x61, 'z', 0x00),
		"schema 2":          bytes.Replace(b, []byte("fschema\x01"), []byte("fschema\x02"), 1),
	} {
		if bytes.Equal(other, b) {
			t.Fatalf("%s: the edit changed nothing", name)
		}
		if _, err := manifest.Decode(other); !errors.Is(err, manifest.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, err := manifest.Encode(example())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := manifest.Decode(b)
		if err != nil {
			if !errors.Is(err, manifest.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		again, err := manifest.Encode(m)
		if err != nil || !bytes.Equal(b, again) {
			t.Fatalf("decoded what is not canonical: %v\n%s", err, hex.EncodeToString(b))
		}
	})
}
