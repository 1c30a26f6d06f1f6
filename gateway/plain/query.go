package plain

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"artifactstore/gateway/problem"
)

// parseQuery reads parameters, each of which is known and given once.
func parseQuery(query string, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, badParameter("the query is not well formed: %v", err)
	}
	return values, checkParameters(values, known)
}

func checkParameters(values url.Values, known []string) error {
	for name, v := range values {
		switch {
		case !slices.Contains(known, name):
			want := "none"
			if len(known) > 0 {
				want = strings.Join(known, ", ")
			}
			return problem.New(http.StatusBadRequest, "parameter_unknown", "no query parameter %.80q is known here: want %s", name, want)
		case len(v) != 1:
			return badParameter("the query parameter %s is given %d times", name, len(v))
		}
	}
	return nil
}

// maxPage is how many files a page holds at the most.
const maxPage = 1000

// page is the part of a package's files that is asked for.
type page struct {
	after string // files whose paths sort after this one
	limit int
}

// parsePage reads a request for files. It is pure.
func parsePage(query string) (page, error) {
	p := page{limit: maxPage}
	values, err := parseQuery(query, "after", "limit")
	if err != nil {
		return p, err
	}
	p.after = values.Get("after")
	if len(p.after) > maxPath || !utf8.ValidString(p.after) {
		return p, badParameter("after is longer than any path, or not UTF-8")
	}
	if values.Has("limit") {
		n, err := strconv.ParseUint(values.Get("limit"), 10, 31)
		if err != nil || n < 1 || n > maxPage {
			return p, badParameter("limit=%.80q: want 1 to %d", values.Get("limit"), maxPage)
		}
		p.limit = int(n)
	}
	return p, nil
}

// parseForce reads a request that may insist on what is refused to most.
func parseForce(query string) (bool, error) {
	values, err := parseQuery(query, "force")
	if err != nil {
		return false, err
	}
	if values.Has("force") && values.Get("force") != "true" {
		return false, badParameter("force=%.80q: want true", values.Get("force"))
	}
	return values.Has("force"), nil
}

func badParameter(format string, args ...any) error {
	return problem.New(http.StatusBadRequest, "parameter_invalid", format, args...)
}
