package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows how far a transfer is: a bar on a terminal, and on anything
// else a plain line from time to time, so that the log of a build shows that a
// long one lives and a short one leaves no trace.
type progress struct {
	all *mpb.Progress
	bar *mpb.Bar
	log *lines
}

// linePause is the time between two plain lines.
const linePause = 10 * time.Second

// startProgress begins to show size bytes, or an unknown number where it is
// negative.
func startProgress(w io.Writer, name string, size int64) *progress {
	if !isTerminal(w) {
		return &progress{log: &lines{w: w, name: name, size: size, now: time.Now, last: time.Now()}}
	}
	p := &progress{all: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))}
	p.bar = p.all.AddBar(max(size, 0),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name+" "), decor.Counters(decor.SizeB1024(0), "% .1f / % .1f")),
		mpb.AppendDecorators(decor.EwmaSpeed(decor.SizeB1024(0), " % .1f", 30), decor.Name(" "), decor.EwmaETA(decor.ET_STYLE_GO, 30)),
	)
	return p
}

// reader counts what is read from r.
func (p *progress) reader(r io.Reader) io.Reader {
	if p.bar == nil {
		return io.TeeReader(r, p.log)
	}
	return p.bar.ProxyReader(r)
}

// writer counts what is written to w.
func (p *progress) writer(w io.Writer) io.Writer {
	if p.bar == nil {
		return io.MultiWriter(w, p.log)
	}
	return p.bar.ProxyWriter(w)
}

// stop takes the bar away.
func (p *progress) stop(done bool) {
	if p.bar == nil {
		return
	}
	if done {
		p.bar.SetTotal(-1, true)
	} else {
		p.bar.Abort(true)
	}
	p.all.Wait()
}

// lines writes a line about every linePause. It is written to, in order to count.
type lines struct {
	w    io.Writer
	name string
	size int64 // < 0: not known
	n    int64
	now  func() time.Time
	last time.Time
}

// Write counts bytes.
func (l *lines) Write(p []byte) (int, error) {
	l.n += int64(len(p))
	if now := l.now(); now.Sub(l.last) >= linePause {
		l.last = now
		of := ""
		if l.size >= 0 {
			of = " of " + humanize.IBytes(uint64(l.size))
		}
		fmt.Fprintf(l.w, "%s: %s%s\n", l.name, humanize.IBytes(uint64(l.n)), of)
	}
	return len(p), nil
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
