package plain

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"

	"artifactstore/cas/digest"
	"artifactstore/gateway/problem"
)

// upload is what a request says about the bytes it brings, besides the bytes.
type upload struct {
	producer string
	class    string
	size     int64           // bytes, -1 where the body has no announced length
	want     []digest.Digest // the digests they must have
	trailer  bool            // a digest field was announced for the trailer
}

// segment is the form of producers, names and versions.
var segment = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)

// parseUpload reads an upload's head. It is pure.
func parseUpload(head http.Header, query string, length int64, trailer http.Header) (upload, error) {
	u := upload{size: length}
	if head.Get("Content-Range") != "" {
		return u, problem.New(http.StatusBadRequest, "range_invalid", "an upload is a whole blob: Content-Range is not taken here")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return u, problem.New(http.StatusBadRequest, "parameter_invalid", "the query is not well formed: %v", err)
	}
	for name, v := range values {
		switch {
		case name != "producer" && name != "retention_class":
			return u, problem.New(http.StatusBadRequest, "parameter_unknown", "no query parameter %.80q is known here: want producer, retention_class", name)
		case len(v) != 1:
			return u, problem.New(http.StatusBadRequest, "parameter_invalid", "the query parameter %s is given %d times", name, len(v))
		case !segment.MatchString(v[0]):
			return u, problem.New(http.StatusBadRequest, "parameter_invalid", "%s %.140q: want %s", name, v[0], segment)
		}
	}
	u.producer, u.class = values.Get("producer"), values.Get("retention_class")
	u.want, err = parseDigestFields(head)
	_, repr := trailer["Repr-Digest"]
	_, content := trailer["Content-Digest"]
	u.trailer = repr || content
	return u, err
}

// expects adds a digest that the path names.
func (u *upload) expects(d digest.Digest) { u.want = append(slices.Clip(u.want), d) }
