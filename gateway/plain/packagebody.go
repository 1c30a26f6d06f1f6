package plain

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/problem"
)

// Limits of what a request may say of a package, in bytes unless they say
// otherwise.
const (
	maxBody       = 64 << 10 // of a request that is no file
	maxLabels     = 64       // labels
	maxLabelName  = 128
	maxLabelValue = 255
	maxLabelText  = 8 << 10 // names and values of all labels together
)

// readBody reads a request that says something and is no file.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, &cas.SourceError{Err: err}
	}
	return text, nil
}

// parsePackage reads the body that creates or renews a package. What it leaves out
// is "" or nil. It is pure.
func parsePackage(text []byte) (class string, labels map[string]string, err error) {
	if len(text) == 0 {
		return "", nil, nil
	}
	err = parseObject(text, func(d *json.Decoder, name string) (err error) {
		switch name {
		case "retention_class":
			if class, err = oneText(d, name); err == nil && !segment.MatchString(class) {
				err = badBody("retention_class %.140q: want %s", class, segment)
			}
		case "labels":
			labels, err = parseLabels(d)
		default:
			err = badBody("no member %.80q is known here: want retention_class, labels", name)
		}
		return err
	})
	return class, labels, err
}

func parseLabels(d *json.Decoder) (map[string]string, error) {
	labels := map[string]string{}
	size := 0
	err := members(d, func(name string) error {
		value, err := oneText(d, name)
		if err != nil {
			return err
		}
		labels[name] = value
		size += len(name) + len(value)
		switch {
		case len(labels) > maxLabels:
			return badLabels("a package has %d labels at most", maxLabels)
		case size > maxLabelText:
			return badLabels("the labels of a package have %d bytes at most, names and values together", maxLabelText)
		case name == "" || len(name) > maxLabelName || strings.Contains(name, "=") || !printable(name):
			return badLabels("the label %.140q: want 1 to %d bytes, printable, without '='", name, maxLabelName)
		case len(value) > maxLabelValue || !printable(value):
			return badLabels("the value of the label %.140q: want at most %d bytes, printable", name, maxLabelValue)
		}
		return nil
	})
	return labels, err
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}

// referenceType is the media type of a body that names a blob.
const referenceType = "application/vnd.artifactstore.blob-reference+json"

// parseReference reads a body that names a blob. It is pure.
func parseReference(text []byte) (named digest.Digest, err error) {
	err = parseObject(text, func(d *json.Decoder, name string) error {
		if name != "digest" {
			return badBody("no member %.80q is known here: want digest", name)
		}
		s, err := oneText(d, name)
		if err == nil {
			named, err = parseDigest(s)
		}
		return err
	})
	if err == nil && named.IsZero() {
		err = badBody("the member digest is missing")
	}
	return named, err
}

// parseObject reads one JSON object and nothing behind it. What two readers could
// understand in two ways is refused: bytes that are not UTF-8, and a member given
// twice or spelled otherwise.
func parseObject(text []byte, member func(d *json.Decoder, name string) error) error {
	if !utf8.Valid(text) {
		return badBody("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := members(d, func(name string) error { return member(d, name) }); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return badBody("something follows the object")
	}
	return nil
}

// members reads an object whose next token begins it. It nests no deeper than
// what reads its members.
func members(d *json.Decoder, member func(name string) error) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return badBody("want an object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		switch {
		case err != nil || !ok:
			return badBody("it is not well formed")
		case seen[name]:
			return badBody("the member %.80q is given twice", name)
		}
		seen[name] = true
		if err := member(name); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return badBody("it is not well formed")
	}
	return nil
}

// oneText reads the value of a member that is one text.
func oneText(d *json.Decoder, name string) (string, error) {
	t, err := d.Token()
	s, ok := t.(string)
	if err != nil || !ok {
		return "", badBody("the member %.80q: want a string", name)
	}
	return s, nil
}

func badBody(format string, args ...any) error {
	p := problem.New(http.StatusBadRequest, "body_invalid", format, args...)
	p.Detail = "the body is not the JSON wanted here: " + p.Detail
	return p
}

func badLabels(format string, args ...any) error {
	return problem.New(http.StatusBadRequest, "labels_invalid", format, args...)
}
