package main

import (
	"fmt"
	"io"
	"time"
)

// steps shows how far a walk over the log is: a line that is written over on a
// terminal, a plain line from time to time elsewhere.
type steps struct {
	w        io.Writer
	name     string
	terminal bool
	now      func() time.Time
	last     time.Time
}

func startSteps(w io.Writer, name string) *steps {
	return &steps{w: w, name: name, terminal: isTerminal(w), now: time.Now, last: time.Now()}
}

func (s *steps) step(position, last uint64) {
	if s.terminal {
		fmt.Fprintf(s.w, "\r%s: event %d of %d", s.name, position, last)
	} else if now := s.now(); now.Sub(s.last) >= linePause {
		s.last = now
		fmt.Fprintf(s.w, "%s: event %d of %d\n", s.name, position, last)
	}
}

func (s *steps) stop() {
	if s.terminal {
		fmt.Fprintln(s.w)
	}
}
