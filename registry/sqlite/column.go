package sqlite

import (
	"database/sql/driver"
	"time"

	"artifactstore/cas/digest"
)

// A column's value comes from a STRICT table, so its type is known.

func micros(t time.Time) int64 { return t.UnixMicro() }

// microsUp rounds up: what is before a time is before it in whole microseconds.
func microsUp(t time.Time) int64 { return micros(t.Add(time.Microsecond - 1)) }

// written is a time of writing that an event may leave open: NULL then.
func written(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

func moment(v driver.Value) time.Time { return time.UnixMicro(v.(int64)).UTC() }

// momentOf is a time that may be NULL: zero then.
func momentOf(v driver.Value) time.Time {
	if v == nil {
		return time.Time{}
	}
	return moment(v)
}

// sum is a digest's column: NULL for the zero digest.
func sum(d digest.Digest) driver.Value {
	if d.IsZero() {
		return nil
	}
	return d.Sum()
}

func digestOf(alg digest.Algorithm, v driver.Value) digest.Digest {
	if v == nil {
		return digest.Digest{}
	}
	return digest.New(alg, v.([]byte))
}

// bytesOf is a column that may be NULL: nil then, and only then.
func bytesOf(v driver.Value) []byte {
	b, ok := v.([]byte)
	if ok && b == nil { // how the driver returns no bytes
		return []byte{}
	}
	return b
}

// text is a column that may be NULL.
func text(v driver.Value) string {
	s, _ := v.(string)
	return s
}
