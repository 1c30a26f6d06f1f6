package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// written counts the writes that reach it.
type written struct {
	mu sync.Mutex
	bytes.Buffer
	times int
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.times++
	return w.Buffer.Write(p)
}

// seen returns the messages of the lines written so far, and in how many writes.
func (w *written) seen(t *testing.T) (messages string, times int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for line := range strings.Lines(w.String()) {
		var l struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, l.Msg)
	}
	return strings.Join(all, " "), w.times
}

func TestAccessLinesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &written{}
		log, access, done := newLogs(out)
		access.Info("a")
		access.Info("b")
		if got, times := out.seen(t); times != 0 {
			t.Fatalf("%q is written at once", got)
		}
		time.Sleep(lineWait + 1)
		synctest.Wait()
		if got, times := out.seen(t); got != "a b" || times != 1 {
			t.Errorf("after %s: %q in %d writes", lineWait, got, times)
		}
		access.Info("c")
		log.Error("d")
		if got, _ := out.seen(t); got != "a b c d" {
			t.Errorf("an error is behind the lines before it and waits for nothing: %q", got)
		}
		access.Info("e")
		done()
		if got, _ := out.seen(t); got != "a b c d e" {
			t.Errorf("at the end: %q", got)
		}
		access.Info("f")
		time.Sleep(lineWait + 1)
		synctest.Wait()
		if got, _ := out.seen(t); got != "a b c d e f" {
			t.Errorf("later: %q", got)
		}
	})
}

func TestManyAccessLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &written{}
		_, access, done := newLogs(out)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 500 {
					access.Info("x")
				}
			})
		}
		group.Wait()
		if _, times := out.seen(t); times == 0 || times > 4000/100 {
			t.Errorf("%d writes of 4000 lines before any time has passed", times)
		}
		done()
		if got, _ := out.seen(t); got != strings.TrimSpace(strings.Repeat("x ", 4000)) {
			t.Errorf("%d bytes are not 4000 whole lines", len(got))
		}
	})
}
