package oci

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"artifactstore/cas/digest"
)

// Page is the part of a list that is asked for.
type Page struct {
	N    int    // at most so many; negative: as many as a page holds
	Last string // those after this one, by byte order; "" from the start
}

// MaxPage is how many entries a page holds at the most, whatever was asked for.
const MaxPage = 1000

// limit is how many entries to answer with.
func (p Page) limit() int {
	if p.N < 0 || p.N > MaxPage {
		return MaxPage
	}
	return p.N
}

func parsePage(query url.Values) (Page, error) {
	p := Page{N: -1}
	text, err := one(query, "n")
	if err != nil {
		return p, err
	}
	if query.Has("n") {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != text {
			return p, refuse(http.StatusBadRequest, Unsupported, "n=%.40q is not a number of entries", text)
		}
		p.N = int(n)
	}
	if p.Last, err = one(query, "last"); err != nil {
		return p, err
	}
	if len(p.Last) > maxName {
		return p, refuse(http.StatusBadRequest, Unsupported, "last is longer than any name")
	}
	return p, nil
}

// one returns the value of a parameter, "" without one. A parameter given twice
// has no meaning.
func one(query url.Values, name string) (string, error) {
	if len(query[name]) > 1 {
		return "", refuse(http.StatusBadRequest, Unsupported, "%s is given %d times", name, len(query[name]))
	}
	return query.Get(name), nil
}

func digestOf(query url.Values, name string) (digest.Digest, error) {
	text, err := one(query, name)
	if err != nil || !query.Has(name) {
		return digest.Digest{}, err
	}
	return parseDigest(text)
}

func algorithmOf(query url.Values) (digest.Algorithm, error) {
	const name = "digest-algorithm"
	text, err := one(query, name)
	if err != nil || !query.Has(name) {
		return 0, err
	}
	a, err := digest.ParseAlgorithm(text)
	if err != nil {
		return 0, refuse(http.StatusBadRequest, DigestInvalid, "%v", err)
	}
	return a, nil
}

func parseDigest(s string) (digest.Digest, error) {
	d, err := digest.Parse(s)
	if err != nil {
		return d, refuse(http.StatusBadRequest, DigestInvalid, "%v", err)
	}
	return d, nil
}

// parseReference reads a digest or a tag. What has a colon is meant as a digest
// and never becomes a tag.
func parseReference(s string) (d digest.Digest, tag string, err error) {
	if strings.Contains(s, ":") {
		d, err = parseDigest(s)
		return d, "", err
	}
	return d, s, checkTag(s)
}

func parseTags(list []string) ([]string, error) {
	if len(list) > maxTags {
		return nil, refuse(http.StatusRequestURITooLong, Unsupported, "%d tags in one request: %d at most", len(list), maxTags)
	}
	var tags []string
	for _, t := range list {
		if err := checkTag(t); err != nil {
			return nil, err
		}
		if !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	return tags, nil
}

func checkTag(s string) error {
	if !tagForm.MatchString(s) {
		return refuse(http.StatusBadRequest, ManifestInvalid, "%.140q is neither a tag (1 to 128 letters, digits, '_', '.', '-', not beginning with '.' or '-') nor a digest", s)
	}
	return nil
}

func parseName(segments []string) (string, error) {
	for _, s := range segments {
		if strings.Contains(s, "/") {
			return "", refuse(http.StatusBadRequest, NameInvalid, "a repository's name has no escaped separator")
		}
	}
	name := strings.Join(segments, "/")
	return name, checkName(name)
}

func checkName(name string) error {
	switch {
	case len(name) > maxName:
		return refuse(http.StatusBadRequest, NameInvalid, "a repository's name of %d bytes: %d at most", len(name), maxName)
	case !nameForm.MatchString(name):
		return refuse(http.StatusBadRequest, NameInvalid, "%.80q is not a repository's name: lower-case letters and digits in segments parted by '/', within one also '.', '_', '__' or '-'", name)
	}
	return nil
}

// contentRange is the part of an upload that a request brings, inclusive.
type contentRange struct{ first, last int64 }

// size is the number of bytes in the range.
func (c contentRange) size() int64 { return c.last - c.first + 1 }

// parseContentRange reads the field of a chunk, "first-last" (the spec's own
// form, not that of RFC 9110). present is false where there is none.
func parseContentRange(head http.Header) (c contentRange, present bool, err error) {
	fields := head.Values("Content-Range")
	switch {
	case len(fields) == 0:
		return c, false, nil
	case len(fields) > 1:
		return c, true, refuse(http.StatusBadRequest, BlobUploadInvalid, "Content-Range is given %d times", len(fields))
	}
	a, b, ok := strings.Cut(fields[0], "-")
	c.first, c.last = parseOffset(a), parseOffset(b)
	switch {
	case !ok || c.first < 0 || c.last < 0:
		return c, true, refuse(http.StatusBadRequest, BlobUploadInvalid, "Content-Range %.60q is not first-last, such as 0-1023", fields[0])
	case c.last < c.first:
		return c, true, refuse(http.StatusRequestedRangeNotSatisfiable, BlobUploadInvalid, "Content-Range %.60q ends before it begins", fields[0])
	}
	return c, true, nil
}

// parseOffset reads digits and nothing else, -1 for anything else.
func parseOffset(s string) int64 {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return -1
	}
	n, err := strconv.ParseInt(s, 10, 63)
	if err != nil {
		return -1
	}
	return n
}
