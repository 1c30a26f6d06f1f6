package plain

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"artifactstore/cas/digest"
	"artifactstore/gateway/problem"
)

// refusedWith fails the test unless err is a problem with one of the codes, whose
// words are short enough for an answer and a log.
func refusedWith(t *testing.T, err error, status int, codes ...string) {
	t.Helper()
	var p *problem.Problem
	if !errors.As(err, &p) || p.Status != status || !slices.Contains(codes, p.Code) {
		t.Fatalf("%v: want %d %v", err, status, codes)
	}
	if p.Detail == "" || len(p.Detail) > 1000 {
		t.Errorf("a detail of %d bytes", len(p.Detail))
	}
}

// What parseDigestFields takes is a digest that can be checked, and that the
// gateway would write the same way.
func FuzzDigestFields(f *testing.F) {
	f.Add("sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", "")
	f.Fuzz(func(t *testing.T, repr, content string) {
		h := http.Header{}
		if repr != "" {
			h["Repr-Digest"] = []string{repr}
		}
		if content != "" {
			h["Content-Digest"] = strings.Split(content, "\n")
		}
		all, err := parseDigestFields(h)
		if err != nil {
			refusedWith(t, err, 400, "digest_invalid")
			return
		}
		for _, d := range all {
			switch d.Algorithm() {
			case digest.SHA256:
				again, err := parseDigestFields(http.Header{"Repr-Digest": {reprDigest(d)}})
				if err != nil || !slices.Equal(again, []digest.Digest{d}) {
					t.Errorf("%s read again: %v, %v", d, again, err)
				}
			case digest.SHA512:
			default:
				t.Errorf("%s is none of RFC 9530", d)
			}
		}
	})
}

// What parseUpload takes names a producer and a class that can stand in an event,
// and nothing else was asked for.
func FuzzUpload(f *testing.F) {
	f.Add("producer=ci-7&retention_class=release", "", "", int64(5))
	f.Fuzz(func(t *testing.T, query, repr, contentRange string, length int64) {
		h := http.Header{}
		if repr != "" {
			h["Repr-Digest"] = []string{repr}
		}
		if contentRange != "" {
			h["Content-Range"] = []string{contentRange}
		}
		u, err := parseUpload(h, query, length, nil)
		if err != nil {
			refusedWith(t, err, 400, "range_invalid", "parameter_invalid", "parameter_unknown", "digest_invalid")
			return
		}
		for _, name := range []string{u.producer, u.class} {
			if name != "" && (!segment.MatchString(name) || strings.ContainsAny(name, "/\x00\r\n ")) {
				t.Errorf("%q", name)
			}
		}
		values, err := url.ParseQuery(query)
		if err != nil || len(values) > 2 || u.size != length || contentRange != "" || u.trailer {
			t.Errorf("%+v of %q: %v", u, query, err)
		}
	})
}

// What parseDigest takes is written the same way.
func FuzzPathDigest(f *testing.F) {
	f.Add("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDigest(s)
		if err != nil {
			refusedWith(t, err, 400, "digest_invalid")
		} else if d.String() != s {
			t.Errorf("%q is taken for %q", s, d)
		}
	})
}
