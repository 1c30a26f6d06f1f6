package main

import (
	"io"
	"log/slog"
	"sync"
	"time"
)

// newLogs returns the log and the access log, which go to one writer: text to a
// terminal, JSON lines to anything else, where access lines wait a moment for
// one another. close writes those that do.
func newLogs(w io.Writer) (log, access *slog.Logger, close func()) {
	if isTerminal(w) {
		log = slog.New(slog.NewTextHandler(w, nil))
		return log, log, func() {}
	}
	l := &logLines{w: w}
	return slog.New(slog.NewJSONHandler(l, nil)), slog.New(slog.NewJSONHandler(waiting{l}, nil)), l.flush
}

// How long and how many access lines wait. A system call for each would be a
// good part of what a small request costs.
const (
	lineWait  = 250 * time.Millisecond
	lineBytes = 32 << 10
)

// logLines writes log lines to w. What is written to it goes out at once, behind
// the lines that wait. Lines wait only in a process that runs: a killed one takes
// its last quarter of a second with it.
type logLines struct {
	w io.Writer

	mu    sync.Mutex
	buf   []byte
	timer *time.Timer // flushes; nil before the first line that waits
}

// Write implements io.Writer.
func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out()
	return l.w.Write(p)
}

// flush writes the lines that wait.
func (l *logLines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out()
}

func (l *logLines) out() {
	if len(l.buf) == 0 {
		return
	}
	l.timer.Stop()
	_, _ = l.w.Write(l.buf) // a log that cannot be written has nowhere to say so
	l.buf = l.buf[:0]
}

func (l *logLines) add(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.timer == nil:
		l.timer = time.AfterFunc(lineWait, l.flush)
	case len(l.buf) == 0:
		l.timer.Reset(lineWait)
	}
	if l.buf = append(l.buf, p...); len(l.buf) >= lineBytes {
		l.out()
	}
}

// waiting is a writer of lines that wait.
type waiting struct{ *logLines }

// Write implements io.Writer.
func (w waiting) Write(p []byte) (int, error) {
	w.add(p)
	return len(p), nil
}
