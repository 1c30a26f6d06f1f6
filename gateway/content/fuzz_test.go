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
		var sum int64
		for _, r := range ranges {
			if r.first < 0 || r.last < r.first || r.last >= size {
				t.Fatalf("%+v of %d bytes", r, size)
			}
			sum += r.last - r.first + 1
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
		case sum > size:
			if w.Code != 200 {
				t.Errorf("more than the whole: %d", w.Code)
			}
		case w.Code != 206:
			t.Errorf("%q: %d", normalRange(ranges), w.Code)
		case len(ranges) == 1 && !bytes.Equal(w.Body.Bytes(), content[ranges[0].first:ranges[0].last+1]):
			t.Errorf("%q: %v", normalRange(ranges), w.Body.Bytes())
		}
	})
}
