package config

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "60s": time.Minute, "36h": 36 * time.Hour, "90d": 90 * day, "2w": 14 * day,
		"1w2d": 9 * day, "1d12h": 36 * time.Hour, "1w1d1h1m1s": 8*day + time.Hour + time.Minute + time.Second, "1.5h": 90 * time.Minute,
	} {
		if d, err := ParseDuration(text); err != nil || d.Length() != want || d.String() != text {
			t.Errorf("%s is %v (%q), %v; want %v", text, d.Length(), d, err, want)
		}
	}
	for _, text := range []string{"", "d", "1", "-1d", "1d1w", "1d1d", "1.5d", "1h1d", "1d-1h", "106752d", "9223372036854775807w", "forever", "1 d", "+1d", "１d"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, d.Length())
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"1w2d3h", "90d", "0s", "-1d", "1d-1h", "99999999999w"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err == nil && (d.Length() < 0 || d.String() != text) {
			t.Errorf("%q is %v, shown as %q", text, d.Length(), d)
		}
	})
}
