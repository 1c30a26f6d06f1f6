package main

import (
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress is a bar on a terminal and nothing anywhere else: a log of a build
// has no use for one.
type progress struct {
	all *mpb.Progress
	bar *mpb.Bar
}

// startProgress begins to show size bytes, or an unknown number where it is
// negative.
func startProgress(w io.Writer, name string, size int64) *progress {
	if !isTerminal(w) {
		return &progress{}
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
		return r
	}
	return p.bar.ProxyReader(r)
}

// writer counts what is written to w.
func (p *progress) writer(w io.Writer) io.Writer {
	if p.bar == nil {
		return w
	}
	return p.bar.ProxyWriter(w)
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
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
