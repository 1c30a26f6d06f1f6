package digest

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"artifactstore/backends"
)

const (
	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	emptySHA512 = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
	emptyBLAKE3 = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
)

var good = []string{"sha256:" + emptySHA256, "sha512:" + emptySHA512, "blake3:" + emptyBLAKE3}

func TestParse(t *testing.T) {
	for _, s := range good {
		d, err := Parse(s)
		if err != nil || d.String() != s || d.IsZero() || d.Algorithm().String()+":"+d.Hex() != s {
			t.Errorf("Parse(%q): %v, %v", s, d, err)
		}
		if New(d.Algorithm(), d.Sum()) != d {
			t.Errorf("%s is not the digest of its sum", s)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{
		"", ":", "sha256", "sha256:", ":" + emptySHA256, emptySHA256,
		"sha256:" + strings.ToUpper(emptySHA256),
		"sha256:" + emptySHA256[:63] + "B",
		"SHA256:" + emptySHA256, "Sha256:" + emptySHA256, "sha-256:" + emptySHA256,
		"sha256:" + emptySHA256[:63], "sha256:" + emptySHA256 + "0", "sha256:" + emptySHA256[:62],
		"sha256:sha256:" + emptySHA256, "sha256::" + emptySHA256,
		"sha256:" + emptySHA256[:63] + "g", "sha256:" + emptySHA256[:63] + " ", "sha256:0x" + emptySHA256[:62],
		" sha256:" + emptySHA256, "sha256:" + emptySHA256 + "\n", "sha256: " + emptySHA256[:63],
		"sha256:" + emptySHA512, "sha512:" + emptySHA256, "blake3:" + emptySHA512,
		"md5:d41d8cd98f00b204e9800998ecf8427e", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"sha384:" + emptySHA256, "sha256+b64:" + emptySHA256, "ѕha256:" + emptySHA256,
		"sha256:" + strings.Repeat("é", 32), "sha256:\x00" + emptySHA256[1:],
		"sha256/" + emptySHA256, "sha256:" + emptySHA256[:60] + "/../",
		strings.Repeat("a", 1<<16),
	} {
		d, err := Parse(s)
		if !errors.Is(err, ErrInvalid) || !d.IsZero() {
			t.Errorf("Parse(%q): %v, %v", s, d, err)
		}
		if err != nil && len(err.Error()) > 600 {
			t.Errorf("the refusal of %d bytes has %d", len(s), len(err.Error()))
		}
	}
}

func TestZero(t *testing.T) {
	var d Digest
	if !d.IsZero() || d.String() != "" || d.Key() != "" || d.Hex() != "" || d.Algorithm() != 0 || len(d.Sum()) != 0 {
		t.Errorf("the zero digest says %q, %q", d, d.Key())
	}
	if a := Algorithm(0); a.String() != "" || a.Size() != 0 {
		t.Errorf("the zero algorithm says %q, %d", a, a.Size())
	}
}

func TestNewPanicsOnAnotherLength(t *testing.T) {
	for _, c := range []struct {
		alg Algorithm
		n   int
	}{{0, 0}, {SHA256, 0}, {SHA256, 64}, {SHA512, 32}, {BLAKE3, 31}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a sum of %d bytes for %q passed", c.n, c.alg)
				}
			}()
			New(c.alg, make([]byte, c.n))
		}()
	}
}

func TestJSON(t *testing.T) {
	for _, s := range append(good, "") {
		var d, back Digest
		if s != "" {
			d, _ = Parse(s)
		}
		text, err := json.Marshal(map[Digest]Digest{d: d})
		if want := fmt.Sprintf("{%q:%q}", s, s); err != nil || string(text) != want {
			t.Errorf("JSON of %q: %s, %v", s, text, err)
		}
		if err := json.Unmarshal(fmt.Appendf(nil, "%q", s), &back); err != nil || back != d {
			t.Errorf("%q from JSON: %v, %v", s, back, err)
		}
	}
	kept, _ := Parse(good[0])
	if err := json.Unmarshal([]byte(`"sha256:E3"`), &kept); !errors.Is(err, ErrInvalid) || kept.String() != good[0] {
		t.Errorf("malformed text: %v, %v", kept, err)
	}
}

func TestColumn(t *testing.T) {
	var _ sql.Scanner = Column{}
	var _ driver.Valuer = Digest{}
	for _, s := range good {
		d, _ := Parse(s)
		v, err := d.Value()
		if err != nil {
			t.Fatal(err)
		}
		var back Digest
		if err := (Column{d.Algorithm(), &back}).Scan(v); err != nil || back != d {
			t.Errorf("%s from its column: %v, %v", s, back, err)
		}
		if v, err := (Digest{}).Value(); v != nil || err != nil {
			t.Errorf("value of the zero digest: %v, %v", v, err)
		}
		if err := (Column{d.Algorithm(), &back}).Scan(nil); err != nil || !back.IsZero() {
			t.Errorf("NULL: %v, %v", back, err)
		}
	}
	for _, src := range []any{[]byte{}, make([]byte, 31), make([]byte, 33), make([]byte, 64), emptySHA256, int64(0), true} {
		var d Digest
		if err := (Column{SHA256, &d}).Scan(src); !errors.Is(err, ErrInvalid) || !d.IsZero() {
			t.Errorf("%T column: %v, %v", src, d, err)
		}
	}
	if err := (Column{0, new(Digest)}).Scan([]byte{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("column without algorithm: %v", err)
	}
}

func TestKey(t *testing.T) {
	for s, want := range map[string]string{
		good[0]: "sha256/e3/b0/" + emptySHA256,
		good[1]: "sha512/cf/83/" + emptySHA512,
		good[2]: "blake3/af/13/" + emptyBLAKE3,
	} {
		d, _ := Parse(s)
		if d.Key() != want {
			t.Errorf("key of %s: %s", s, d.Key())
		}
		if err := backends.CheckKey(d.Key()); err != nil {
			t.Errorf("no backend takes the key of %s: %v", s, err)
		}
		if back, err := ParseKey(want); err != nil || back != d {
			t.Errorf("ParseKey(%q): %v, %v", want, back, err)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	key := "sha256/e3/b0/" + emptySHA256
	for _, s := range []string{
		"", "/", "sha256", "sha256/", "sha256/e3", "sha256/e3/b0", "sha256/e3/b0/",
		"/" + key, key + "/", key + "0", key[:len(key)-1], "prefix/" + key, "sha256/" + key,
		"sha256/e3/b1/" + emptySHA256, "sha256/e4/b0/" + emptySHA256, "sha256/b0/e3/" + emptySHA256,
		"sha256/e3b0/" + emptySHA256, "sha256//e3/b0/" + emptySHA256, "sha256/e3/b0//" + emptySHA256,
		"sha256/e3-b0/" + emptySHA256, "sha256/e3/b0-" + emptySHA256, "sha256-e3/b0/" + emptySHA256,
		"sha256/E3/B0/" + strings.ToUpper(emptySHA256), "sha256/E3/b0/" + emptySHA256,
		"md5/e3/b0/" + emptySHA256, "sha512/e3/b0/" + emptySHA256, good[0], emptySHA256,
	} {
		if d, err := ParseKey(s); !errors.Is(err, ErrInvalid) || !d.IsZero() {
			t.Errorf("ParseKey(%q): %v, %v", s, d, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range append(good, "", "sha256:", "sha256:sha256:"+emptySHA256, strings.ToUpper(good[0])) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Parse(s)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || !d.IsZero() {
				t.Fatalf("Parse(%q): %v, %v", s, d, err)
			}
			return
		}
		if d.String() != s || len(d.Sum()) != d.Algorithm().Size() {
			t.Fatalf("Parse(%q) is %q", s, d)
		}
		if back, err := ParseKey(d.Key()); err != nil || back != d {
			t.Fatalf("the key of %q is of %v: %v", s, back, err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, s := range good {
		d, _ := Parse(s)
		f.Add(d.Key())
	}
	f.Add("sha256/e4/b0/" + emptySHA256)
	f.Add("sha256/e3/b0")
	f.Fuzz(func(t *testing.T, key string) {
		d, err := ParseKey(key)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || !d.IsZero() {
				t.Fatalf("ParseKey(%q): %v, %v", key, d, err)
			}
			return
		}
		if d.Key() != key {
			t.Fatalf("ParseKey(%q) has key %q", key, d.Key())
		}
		if err := backends.CheckKey(key); err != nil {
			t.Fatal(err)
		}
	})
}
