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

// maxValues is how many values a manifest's JSON may hold. The largest index that can
// be pushed at 4 MiB has some 150,000; as many as fit would cost thirty times the
// manifest in memory, to be told that it means nothing.
const maxValues = 1 << 18

// checkJSON refuses what readers could understand in different ways: bytes that
// are not UTF-8, a member given twice, anything after the value; and nesting that
// would cost more than it says.
func checkJSON(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("the manifest is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	c := checker{d, maxValues}
	if err := c.value(0); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the manifest's JSON")
	}
	return nil
}

// checker reads one value after the other.
type checker struct {
	*json.Decoder
	left int // values that may follow
}

func (d *checker) value(depth int) error {
	if d.left--; d.left < 0 {
		return fmt.Errorf("the manifest has more than %d values", maxValues)
	}
	t, err := d.Token()
	if err != nil {
		return fmt.Errorf("the manifest is not JSON: %w", noEOF(err))
	}
	if depth > maxDepth {
		return fmt.Errorf("the manifest nests more than %d deep", maxDepth)
	}
	switch t {
	case json.Delim('{'):
		return d.members(depth)
	case json.Delim('['):
		for d.More() {
			if err := d.value(depth + 1); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return noEOF(err)
	}
	return nil
}

func (d *checker) members(depth int) error {
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
		if err := d.value(depth + 1); err != nil {
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
