package content

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"artifactstore/gateway/problem"
)

// maxRanges is how many ranges one request may ask for (RFC 9110, section
// 14.2, lets a server refuse many small ones).
const maxRanges = 64

// span is a range of bytes, both ends included.
type span struct{ first, last int64 }

// parseRanges reads a Range field for a blob of size bytes and returns the ranges
// that hold a byte of it, cut to what is there, of which no two overlap or touch. It returns none where the field
// is to be ignored: a unit that is not bytes, or, as there is no range of
// nothing, an empty blob. A field that is malformed or names only bytes that are
// not there is a 416 problem.
func parseRanges(field string, size int64) ([]span, error) {
	unit, set, ok := strings.Cut(field, "=")
	if !ok || !strings.EqualFold(unit, "bytes") || size == 0 {
		return nil, nil
	}
	if n := strings.Count(set, ",") + 1; n > maxRanges {
		return nil, rangeProblem("%d ranges: %d at most", n, maxRanges)
	}
	var within []span
	for spec := range strings.SplitSeq(set, ",") {
		spec = strings.Trim(spec, " \t")
		if spec == "" { // an empty list element, RFC 9110, section 5.6.1
			continue
		}
		s, ok := parseSpec(spec, size)
		if !ok {
			return nil, rangeProblem("malformed range %.80q", spec)
		}
		if s.first <= s.last {
			within = append(within, s)
		}
	}
	if len(within) == 0 {
		return nil, rangeProblem("no byte of %.80q is within the %d of the blob", set, size)
	}
	if len(within) > 1 {
		within = coalesce(within)
	}
	return within, nil
}

// coalesce makes one of ranges that overlap or touch (RFC 9110, section 15.3.7.2),
// so that no byte is read or sent twice. Ranges that do not stay in their order.
func coalesce(ranges []span) []span {
	sorted := slices.SortedFunc(slices.Values(ranges), func(a, b span) int { return cmp.Compare(a.first, b.first) })
	whole := sorted[:1]
	for _, r := range sorted[1:] {
		if last := &whole[len(whole)-1]; r.first <= last.last+1 {
			last.last = max(last.last, r.last)
		} else {
			whole = append(whole, r)
		}
	}
	if len(whole) == len(ranges) {
		return ranges
	}
	return whole
}

// normalRange returns ranges in the form http.ServeContent understands without
// doubt: no spaces, no empty elements, no number beyond the blob, none of the
// ranges that hold no byte.
func normalRange(ranges []span) string {
	b := []byte("bytes=")
	for i, r := range ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, r.first, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, r.last, 10)
	}
	return string(b)
}

// parseSpec reads "first-last", "first-" or "-length" and returns the bytes of it
// within the blob; first > last where there are none.
func parseSpec(spec string, size int64) (s span, ok bool) {
	a, b, ok := strings.Cut(spec, "-")
	x, okA := parseNumber(a)
	y, okB := parseNumber(b)
	switch {
	case !ok || !okA || !okB || (a == "" && b == ""):
		return span{}, false
	case a == "":
		return span{size - min(y, size), size - 1}, true
	case b == "":
		return span{x, size - 1}, true
	case x > y:
		return span{}, false
	}
	return span{x, min(y, size-1)}, true
}

// parseNumber reads digits and nothing else. A number too large for an int64
// becomes the largest one: no blob has so many bytes.
func parseNumber(s string) (int64, bool) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}

func rangeProblem(format string, args ...any) error {
	return problem.New(http.StatusRequestedRangeNotSatisfiable, "range_invalid", format, args...)
}
