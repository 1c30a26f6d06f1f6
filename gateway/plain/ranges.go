package plain

import (
	"net/http"
	"strconv"
	"strings"

	"artifactstore/gateway/problem"
)

// maxRanges is how many ranges one request may ask for (RFC 9110, section
// 14.2, lets a server refuse many small ones).
const maxRanges = 64

// normalRange reads a Range field for a blob of size bytes and returns it in
// the form http.ServeContent understands without doubt: no spaces, no empty
// elements, no number beyond the blob, none of the ranges that hold no byte.
// It is "" where the field is to be ignored: a unit that is not bytes, or, as
// there is no range of nothing, an empty blob. A field that is malformed or
// names only bytes that are not there is a 416 problem.
func normalRange(field string, size int64) (string, error) {
	unit, set, ok := strings.Cut(field, "=")
	if !ok || !strings.EqualFold(unit, "bytes") || size == 0 {
		return "", nil
	}
	specs := strings.Split(set, ",")
	if len(specs) > maxRanges {
		return "", rangeProblem("%d ranges: %d at most", len(specs), maxRanges)
	}
	var within []string
	for _, spec := range specs {
		spec = strings.Trim(spec, " \t")
		if spec == "" { // an empty list element, RFC 9110, section 5.6.1
			continue
		}
		first, last, ok := parseSpec(spec, size)
		if !ok {
			return "", rangeProblem("malformed range %.80q", spec)
		}
		if first <= last {
			within = append(within, strconv.FormatInt(first, 10)+"-"+strconv.FormatInt(last, 10))
		}
	}
	if len(within) == 0 {
		return "", rangeProblem("no byte of %.80q is within the %d of the blob", set, size)
	}
	return "bytes=" + strings.Join(within, ","), nil
}

// parseSpec reads "first-last", "first-" or "-length" and returns the first and
// last byte within the blob; first > last where there is none.
func parseSpec(spec string, size int64) (first, last int64, ok bool) {
	a, b, ok := strings.Cut(spec, "-")
	x, okA := parseNumber(a)
	y, okB := parseNumber(b)
	switch {
	case !ok || !okA || !okB || (a == "" && b == ""):
		return 0, 0, false
	case a == "":
		return size - min(y, size), size - 1, true
	case b == "":
		return x, size - 1, true
	case x > y:
		return 0, 0, false
	}
	return x, min(y, size-1), true
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
		return 1<<63 - 1, true
	}
	return n, true
}

func rangeProblem(format string, args ...any) error {
	return problem.New(http.StatusRequestedRangeNotSatisfiable, "range_invalid", format, args...)
}
