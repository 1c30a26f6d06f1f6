package main

import (
	"strings"
	"testing"
	"time"

	"artifactstore/cas"
)

// On a terminal each text takes the place of the last; elsewhere there is a line from
// time to time. Who waits is told so in a line of its own.
func TestStatusLine(t *testing.T) {
	for terminal, want := range map[bool]string{
		true:  "\r\x1b[Kone\r\x1b[Ktwo\nwaiting: WHO\n\r\x1b[Kthree\n",
		false: "two\nwaiting: WHO\n",
	} {
		var out strings.Builder
		now := time.Unix(1e9, 0)
		l := &statusLine{w: &out, terminal: terminal, now: func() time.Time { return now }, last: now}
		taken := &cas.TakenError{By: "another"}
		l.show("one")
		now = now.Add(linePause)
		l.show("two")
		l.waiting(taken)
		l.show("three")
		l.stop()
		l.stop()
		if want = strings.ReplaceAll(want, "WHO", taken.Error()); out.String() != want {
			t.Errorf("terminal %v: %q, want %q", terminal, out.String(), want)
		}
	}
}
