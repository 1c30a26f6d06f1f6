package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"artifactstore/cas"
)

// verifyProgress shows how far a verification is: a bar of the locations, with
// the bytes read, their rate and the time left, on a terminal; on anything else
// a plain line every [linePause].
type verifyProgress struct {
	w     io.Writer
	name  string
	now   func() time.Time
	start time.Time
	last  time.Time
	from  int64 // locations that were seen before this process began
	began bool
	all   *mpb.Progress
	bar   *mpb.Bar

	mu   sync.Mutex // the bar asks from a goroutine of its own
	read int64
}

func newVerifyProgress(w io.Writer, name string) *verifyProgress {
	p := &verifyProgress{w: w, name: name, now: time.Now, start: time.Now(), last: time.Now()}
	if isTerminal(w) {
		p.all = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))
	}
	return p
}

// show is told how far the run is.
func (p *verifyProgress) show(v cas.Verification) {
	if !p.began {
		p.began, p.from = true, v.Seen
	}
	p.mu.Lock()
	p.read = v.Read
	p.mu.Unlock()
	switch now := p.now(); {
	case p.all != nil:
		if p.bar == nil {
			p.bar = p.begin(v)
		}
		p.bar.SetCurrent(v.Seen)
	case now.Sub(p.last) >= linePause:
		p.last = now
		fmt.Fprintf(p.w, "%s: %s of %s, %s, %d failed, %s\n", p.name,
			humanize.Comma(v.Seen), plural(v.Locations, "location"), p.rate(), v.Failed(), p.left(v))
	}
}

func (p *verifyProgress) begin(v cas.Verification) *mpb.Bar {
	bar := p.all.AddBar(max(v.Locations, 1),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(p.name+" "), decor.CountersNoUnit("%d / %d")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + p.rate() + " " }), decor.AverageETA(decor.ET_STYLE_GO)),
	)
	bar.DecoratorAverageAdjust(p.start)
	return bar
}

// rate is the bytes read by this process, and how many a second.
func (p *verifyProgress) rate() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := max(p.now().Sub(p.start).Seconds(), 1e-3)
	return fmt.Sprintf("%s at %s/s", humanize.IBytes(uint64(p.read)), humanize.IBytes(uint64(float64(p.read)/took)))
}

// left says how much time is left, if the rest takes as long as what this process has seen.
func (p *verifyProgress) left(v cas.Verification) string {
	seen := v.Seen - p.from
	if seen <= 0 {
		return "time left not known yet"
	}
	took := p.now().Sub(p.start)
	left := time.Duration(float64(took) * float64(max(v.Locations-v.Seen, 0)) / float64(seen))
	return left.Round(time.Second).String() + " left"
}

// stop takes the bar away.
func (p *verifyProgress) stop() {
	if p.all == nil {
		return
	}
	if p.bar != nil {
		p.bar.Abort(true)
	}
	p.all.Wait()
}
