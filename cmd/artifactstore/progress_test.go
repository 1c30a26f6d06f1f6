package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// What is no terminal gets a line now and then, and none of a short transfer.
func TestPlainProgress(t *testing.T) {
	var out bytes.Buffer
	p := startProgress(&out, "put app", 64<<20)
	now := p.log.last
	p.log.now = func() time.Time { return now }
	r := p.reader(strings.NewReader(strings.Repeat("x", 3<<20)))
	buf := make([]byte, 1<<20)
	for range 3 {
		if _, err := r.Read(buf); err != nil {
			t.Fatal(err)
		}
		now = now.Add(6 * time.Second)
	}
	p.stop(true)
	if got := out.String(); got != "put app: 3.0 MiB of 64 MiB\n" {
		t.Errorf("got %q", got)
	}

	out.Reset()
	p = startProgress(&out, "get", -1)
	p.log.now = func() time.Time { return now.Add(time.Hour) }
	if _, err := p.writer(new(bytes.Buffer)).Write(buf); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "get: 1.0 MiB\n" {
		t.Errorf("of unknown size: %q", got)
	}
}

func TestPlainSteps(t *testing.T) {
	var out bytes.Buffer
	s := startSteps(&out, "check")
	now := s.last
	s.now = func() time.Time { return now }
	for i := range uint64(4) {
		s.step(i, 100)
		now = now.Add(7 * time.Second)
	}
	s.stop()
	if got := out.String(); got != "check: event 2 of 100\n" {
		t.Errorf("got %q", got)
	}
}
