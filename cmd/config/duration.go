package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// Duration is a length of time, never negative. It keeps the words in which it
// was written, so that a configuration is shown as its author wrote it; two are
// equal if they are written alike.
type Duration struct {
	text   string
	length time.Duration
}

// ParseDuration reads whole weeks (w), whole days (d) and a duration of
// [time.ParseDuration], in this order, each at most once: 90d, 1w2d, 36h, 1d12h.
// A day is 24 hours.
func ParseDuration(text string) (Duration, error) {
	length, err := parseLength(text)
	if err != nil {
		return Duration{}, fmt.Errorf("%s is not a duration; want one such as 60s, 36h, 90d or 2w", quote(text))
	}
	return Duration{text, length}, nil
}

// Length is the duration as a time.Duration.
func (d Duration) Length() time.Duration { return d.length }

// String is the duration as it was written.
func (d Duration) String() string { return d.text }

// MarshalText gives the duration as it was written.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.text), nil }

// UnmarshalText is [ParseDuration].
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// Lifetime is how long a retention class keeps: a [Duration], or "forever",
// whose Length is negative.
type Lifetime struct{ Duration }

// UnmarshalText reads "forever" or a duration.
func (l *Lifetime) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*l = Lifetime{Duration{"forever", -1}}
		return nil
	}
	d, err := ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%w, or forever", err)
	}
	*l = Lifetime{d}
	return nil
}

func parseLength(text string) (time.Duration, error) {
	weeks, rest, err := cutCount(text, "w", week)
	if err != nil {
		return 0, err
	}
	days, rest, err := cutCount(rest, "d", day)
	if err != nil {
		return 0, err
	}
	if rest == "" && text != "" {
		return sum(weeks, days, 0)
	}
	clock, err := time.ParseDuration(rest)
	if err != nil {
		return 0, err
	}
	return sum(weeks, days, clock)
}

// cutCount takes a leading count of a unit off the text; without one it takes
// nothing.
func cutCount(text, unit string, length time.Duration) (time.Duration, string, error) {
	count, rest, found := strings.Cut(text, unit)
	if !found {
		return 0, text, nil
	}
	n, err := strconv.ParseUint(count, 10, 63)
	if err != nil || n > math.MaxInt64/uint64(length) {
		return 0, "", strconv.ErrRange
	}
	return time.Duration(n) * length, rest, nil
}

func sum(parts ...time.Duration) (total time.Duration, err error) {
	for _, part := range parts {
		if part < 0 || part > math.MaxInt64-total {
			return 0, strconv.ErrRange
		}
		total += part
	}
	return total, nil
}
