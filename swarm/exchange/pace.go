package exchange

import "time"

// Bounds of what a session keeps on its way, in bytes and leaves.
const (
	firstWindowBytes = 8 << 20
	minWindowBytes   = 2 << 20
	maxWindowBytes   = 32 << 20
	maxOnWay         = 2048
	worth            = 2 * time.Second        // of the rate seen
	sample           = 500 * time.Millisecond // over which the rate is taken
)

// pace decides how much to keep on its way to the client: about two seconds' worth of what the line and the
// consumer manage, so that a fast line never idles and a slow source does not hold leaves that another could
// send sooner. Leaf sizes are not known before they come, so their average stands in for them. It reads no clock.
type pace struct {
	window int // bytes
	mean   int // bytes of a leaf, at least 1

	began time.Time
	bytes int // since began
}

func (p *pace) init(size int64, leaves int) {
	p.window, p.mean = firstWindowBytes, 1
	if leaves > 0 {
		p.mean = int(min(max(size/int64(leaves), 1), maxWindowBytes))
	}
}

// begin starts a run; the time before it does not count.
func (p *pace) begin(now time.Time) { p.began, p.bytes = now, 0 }

// got takes note of a leaf.
func (p *pace) got(now time.Time, size int) {
	p.bytes += size
	p.mean = max(1, p.mean+(size-p.mean)/16)
	if took := now.Sub(p.began); took >= sample {
		p.window = int(min(max(float64(p.bytes)*float64(worth)/float64(took), minWindowBytes), maxWindowBytes))
		p.begin(now)
	}
}

// full tells whether nothing more should be asked for with onWay leaves on their way.
func (p *pace) full(onWay int) bool { return p.over(onWay, p.window, maxOnWay) }

// low tells whether it is time to ask for more.
func (p *pace) low(onWay int) bool { return !p.over(onWay, p.window/4*3, maxOnWay/4*3) }

func (p *pace) over(onWay, bytes, leaves int) bool {
	return onWay > 0 && (onWay >= leaves || int64(onWay)*int64(p.mean) >= int64(bytes))
}
