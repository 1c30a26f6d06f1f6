package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth is how deep a manifest's JSON may nest; the deepest that means
// something needs six.
const maxDepth = 64

// checkJSON refuses what readers could understand in different ways: bytes that
// are not UTF-8, a member given twice, anything after the value; and nesting that
// would cost more than it says.
func checkJSON(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("the manifest is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := checkValue(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the manifest's JSON")
	}
	return nil
}

func checkValue(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return fmt.Errorf("the manifest is not JSON: %w", noEOF(err))
	}
	if depth > maxDepth {
		return fmt.Errorf("the manifest nests more than %d deep", maxDepth)
	}
	switch t {
	case json.Delim('{'):
		return checkMembers(d, depth)
	case json.Delim('['):
		for d.More() {
			if err := checkValue(d, depth+1); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return noEOF(err)
	}
	return nil
}

func checkMembers(d *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("the manifest is not JSON: %w", noEOF(err))
		}
		name, _ := t.(string)
		if seen[name] {
			return fmt.Errorf("the member %.80q is given twice", name)
		}
		seen[name] = true
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return noEOF(err)
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
