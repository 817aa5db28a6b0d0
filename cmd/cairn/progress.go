package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"cairn/web/api"
)

// reporter shows how work at the peer goes on: a bar on a terminal, events with --json, else nothing but
// warnings. Progress and Warn are what the client calls.
type reporter struct {
	e     *env
	bars  *mpb.Progress // nil: no bar
	bar   *mpb.Bar
	state *atomic.Pointer[api.Progress] // what the bar shows
}

type progressEvent struct {
	Event string `json:"event"`
	api.Progress
}

// newReporter begins to report. The caller calls close before it prints anything on stdout.
func (e *env) newReporter() *reporter {
	return &reporter{e: e, state: new(atomic.Pointer[api.Progress])}
}

// Progress is called from one goroutine at a time.
func (r *reporter) Progress(p api.Progress) {
	switch {
	case r.e.quiet:
	case r.e.json:
		_ = r.e.line(progressEvent{"progress", p}) // a reader that is gone is noticed when the result is printed
	case r.e.stderrTTY:
		r.draw(p)
	}
}

// Warn is called from one goroutine at a time.
func (r *reporter) Warn(w api.Warning) { r.e.warn("%s", w.Message) }

func (r *reporter) draw(p api.Progress) {
	r.state.Store(&p)
	if r.bars == nil {
		r.bars = mpb.New(mpb.WithOutput(r.e.stderr.w), mpb.WithWidth(100), mpb.WithRefreshRate(150*time.Millisecond))
		text := func(f func(api.Progress) string) decor.Decorator {
			return decor.Any(func(decor.Statistics) string { return f(*r.state.Load()) })
		}
		r.bar = r.bars.New(p.Total, mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]"),
			mpb.PrependDecorators(text(func(p api.Progress) string { return clean(p.Phase) + " " })),
			mpb.AppendDecorators(text(progressText)))
		r.e.stderr.setBar(r.bars)
	}
	r.bar.SetTotal(max(p.Total, p.Done+1), false) // never complete: close takes the bar away
	r.bar.SetCurrent(p.Done)
}

// progressText is what stands right of the bar.
func progressText(p api.Progress) string {
	s := " " + size(p.Done)
	if p.Total > 0 {
		s = fmt.Sprintf(" %3d%% %s / %s", p.Done*100/p.Total, size(p.Done), size(p.Total))
	}
	if p.BPS > 0 {
		s += "  " + size(p.BPS) + "/s"
	}
	if left := (time.Duration(p.ETAMillis) * time.Millisecond).Round(time.Second); left >= time.Minute {
		s += "  " + span(left) + " left"
	} else if left > 0 {
		s += fmt.Sprintf("  %d s left", left/time.Second)
	}
	return s
}

// close takes the bar off the screen.
func (r *reporter) close() {
	if r.bars == nil {
		return
	}
	r.e.stderr.setBar(nil)
	r.bar.Abort(true)
	r.bars.Wait()
	r.bars = nil
}
