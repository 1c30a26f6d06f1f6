package content

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"artifactstore/gateway/problem"
)

// What parseRanges takes is within the blob, and its normal form means the same
// to itself and to http.ServeContent.
func FuzzRanges(f *testing.F) {
	f.Add("bytes=0-0,5-,-3", int64(10))
	content := make([]byte, 300)
	for i := range content {
		content[i] = byte(i)
	}
	f.Fuzz(func(t *testing.T, field string, size int64) {
		if size < 0 {
			return
		}
		ranges, err := parseRanges(field, size)
		if err != nil {
			var p *problem.Problem
			if !errors.As(err, &p) || p.Status != 416 || p.Code != "range_invalid" || len(p.Detail) > 1000 {
				t.Errorf("no answer to %q: %v", field, err)
			}
			return
		}
		for i, r := range ranges {
			if r.first < 0 || r.last < r.first || r.last >= size {
				t.Fatalf("%+v of %d bytes", r, size)
			}
			for _, other := range ranges[:i] {
				if r.first <= other.last+1 && other.first <= r.last+1 {
					t.Fatalf("%+v and %+v overlap or touch", other, r)
				}
			}
		}
		if len(ranges) == 0 || size > int64(len(content)) {
			return
		}
		if again, err := parseRanges(normalRange(ranges), size); err != nil || !slices.Equal(again, ranges) {
			t.Fatalf("%q read again: %v, %v, want %v", normalRange(ranges), again, err, ranges)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Range", normalRange(ranges))
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content[:size]))
		switch {
		case w.Code != 206:
			t.Errorf("%q: %d", normalRange(ranges), w.Code)
		case len(ranges) == 1 && !bytes.Equal(w.Body.Bytes(), content[ranges[0].first:ranges[0].last+1]):
			t.Errorf("%q: %v", normalRange(ranges), w.Body.Bytes())
		}
	})
}

// One range for bytes that are asked for twice; the order asked for where none are.
func TestCoalesce(t *testing.T) {
	for field, want := range map[string]string{
		"bytes=5-9":                "bytes=5-9",
		"bytes=50-59,5-9":          "bytes=50-59,5-9",
		"bytes=0-9,5-19":           "bytes=0-19",
		"bytes=10-19,0-9":          "bytes=0-19",
		"bytes=0-9,11-19":          "bytes=0-9,11-19",
		"bytes=0-99,5-6,7-":        "bytes=0-99",
		"bytes=50-59,5-9,-1,98-98": "bytes=5-9,50-59,98-99",
		"bytes=0-,0-,0-,-100":      "bytes=0-99",
		"bytes=1-1,3-3,2-2":        "bytes=1-3",
	} {
		ranges, err := parseRanges(field, 100)
		if got := normalRange(ranges); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", field, got, err, want)
		}
	}
}
