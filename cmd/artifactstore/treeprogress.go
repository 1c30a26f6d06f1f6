package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// treeProgress shows how far many files are: a bar on a terminal, and on anything
// else a plain line every [linePause].
type treeProgress struct {
	w    io.Writer
	name string
	now  func() time.Time

	files atomic.Int64

	mu          sync.Mutex
	all         *mpb.Progress
	bar         *mpb.Bar
	of          int
	bytes, size int64
	last        time.Time
}

func newTreeProgress(w io.Writer, name string) *treeProgress {
	return &treeProgress{w: w, name: name, now: time.Now}
}

// Start implements tree.Progress.
func (p *treeProgress) Start(files int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of, p.size, p.last = files, bytes, p.now()
	if !isTerminal(p.w) {
		return
	}
	p.all = mpb.New(mpb.WithOutput(p.w), mpb.WithWidth(40))
	p.bar = p.all.AddBar(bytes,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(p.name+" "), decor.Any(func(decor.Statistics) string { return p.count(files) }),
			decor.Counters(decor.SizeB1024(0), ", % .1f / % .1f")),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), " % .1f"), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)),
	)
}

// count is how many files are done, for the bar: a goroutine of its own asks, also
// while the lock is held by who waits for it.
func (p *treeProgress) count(of int) string {
	return humanize.Comma(p.files.Load()) + " / " + plural(int64(of), "file")
}

// Bytes implements tree.Progress.
func (p *treeProgress) Bytes(n int64) {
	p.mu.Lock()
	p.bytes += n
	bar := p.bar
	p.line()
	p.mu.Unlock()
	if bar != nil {
		bar.IncrInt64(n)
	}
}

// File implements tree.Progress.
func (p *treeProgress) File() {
	p.files.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line()
}

// line writes a line where one is due and there is no bar.
func (p *treeProgress) line() {
	if p.bar != nil {
		return
	}
	if now := p.now(); now.Sub(p.last) >= linePause {
		p.last = now
		fmt.Fprintf(p.w, "%s: %s of %s, %s of %s\n", p.name, humanize.Comma(p.files.Load()), plural(int64(p.of), "file"),
			humanize.IBytes(uint64(max(p.bytes, 0))), humanize.IBytes(uint64(p.size)))
	}
}

// say writes a line of its own.
func (p *treeProgress) say(w io.Writer, s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(w, s)
}

// stop takes the bar away.
func (p *treeProgress) stop(done bool) {
	p.mu.Lock()
	bar := p.bar
	p.mu.Unlock()
	if bar == nil {
		return
	}
	if done {
		bar.SetTotal(-1, true)
	} else {
		bar.Abort(true)
	}
	p.all.Wait()
}
