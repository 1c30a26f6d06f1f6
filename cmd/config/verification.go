package config

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Verification says when a backend is read without anybody asking.
type Verification struct {
	Every          Interval `yaml:"every"`            // from the beginning of a run to that of the next; never
	BytesPerSecond int64    `yaml:"bytes_per_second"` // 0 is no bound
	Window         Window   `yaml:"window"`           // the hours of a day in which it reads; empty is always
}

// Interval is how often something is done: a [Duration], or "never", whose Length
// is 0.
type Interval struct{ Duration }

// UnmarshalText reads "never" or a duration, which is not nothing.
func (i *Interval) UnmarshalText(text []byte) error {
	if string(text) == "never" {
		*i = Interval{}
		return nil
	}
	d, err := ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%w, or never", err)
	}
	if d.Length() < time.Minute {
		return fmt.Errorf("%s is too often; want a minute at least, such as 7d, or never", quote(string(text)))
	}
	*i = Interval{d}
	return nil
}

// MarshalText gives the interval as it was written.
func (i Interval) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// String is the interval as it was written.
func (i Interval) String() string {
	if i.Length() == 0 {
		return "never"
	}
	return i.Duration.String()
}

// Window is a part of the day, by the clock of the machine: since midnight, over
// midnight where it ends before it begins. The zero Window is the whole day.
type Window struct{ From, To time.Duration }

var windowText = regexp.MustCompile(`^([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])$`)

// UnmarshalText reads 22:00-06:00, or nothing.
func (w *Window) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*w = Window{}
		return nil
	}
	part := windowText.FindSubmatch(text)
	if part == nil || string(text[:5]) == string(text[6:]) {
		return fmt.Errorf("%s is not a window; want one such as 22:00-06:00", quote(string(text)))
	}
	at := func(hours, minutes []byte) time.Duration {
		h, _ := strconv.Atoi(string(hours))
		m, _ := strconv.Atoi(string(minutes))
		return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	}
	*w = Window{at(part[1], part[2]), at(part[3], part[4])}
	return nil
}

// MarshalText gives the window as it is written, nothing for the whole day.
func (w Window) MarshalText() ([]byte, error) {
	if w == (Window{}) {
		return nil, nil
	}
	clock := func(d time.Duration) string {
		return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60)
	}
	return []byte(clock(w.From) + "-" + clock(w.To)), nil
}
