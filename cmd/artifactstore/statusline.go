package main

import (
	"fmt"
	"io"
	"time"

	"artifactstore/cas"
)

// statusLine shows how far a run is: a line that is written over on a terminal, a
// plain line every [linePause] elsewhere.
type statusLine struct {
	w        io.Writer
	terminal bool
	now      func() time.Time
	last     time.Time
	open     bool // the cursor stands in a line
}

func newStatusLine(w io.Writer) *statusLine {
	return &statusLine{w: w, terminal: isTerminal(w), now: time.Now, last: time.Now()}
}

// show shows a text in place of the last.
func (l *statusLine) show(text string) {
	switch now := l.now(); {
	case l.terminal:
		fmt.Fprintf(l.w, "\r\x1b[K%s", text)
		l.open = true
	case now.Sub(l.last) >= linePause:
		l.last = now
		fmt.Fprintln(l.w, text)
	}
}

// waiting says who is at it.
func (l *statusLine) waiting(taken *cas.TakenError) {
	l.stop()
	fmt.Fprintf(l.w, "waiting: %v\n", taken)
}

// stop leaves the line as it is.
func (l *statusLine) stop() {
	if l.open {
		fmt.Fprintln(l.w)
		l.open = false
	}
}
