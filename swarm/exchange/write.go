package exchange

import (
	"context"
	"time"

	"cairn/swarm/exchange/pb"
)

// collector sends frames, small ones together.
type collector struct {
	w       *pacedWriter
	pool    *Pool
	hold    *Buf   // memory of pend; nil while there is nothing to collect
	pend    []byte // frames not yet sent
	content int    // bytes of pend that are payload
}

// add sends a frame, of which content bytes are payload, at once if it is large, and otherwise keeps a copy until
// the next flush. On a line that is not known to be fast less is kept: it is late for being cancelled.
func (c *collector) add(frame []byte, content int) error {
	if len(frame) >= directWrite {
		if err := c.flush(); err != nil {
			return err
		}
		return c.w.Write(frame, content)
	}
	most := writeBuffer
	if !c.w.fast {
		most = smallPiece
	}
	if len(c.pend)+len(frame) > most {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if c.hold == nil {
		c.hold = c.pool.Get(writeBuffer)
		c.pend = c.hold.Bytes()[:0]
	}
	c.pend = append(c.pend, frame...)
	c.content += content
	return nil
}

func (c *collector) flush() error {
	if len(c.pend) == 0 {
		return nil
	}
	err := c.w.Write(c.pend, c.content)
	c.pend, c.content = c.pend[:0], 0
	return err
}

// free gives the memory back. What was not flushed is lost.
func (c *collector) free() {
	if c.hold != nil {
		c.hold.Release()
		c.hold, c.pend = nil, nil
	}
}

// write sends jobs in order until the session ends. What was collected leaves when the buffer is full or there is
// nothing else to send at the moment.
func (p *pipeline) write(ctx context.Context) error {
	out := &collector{w: p.ss.w, pool: p.ss.srv.cfg.Pool}
	defer out.free()
	told := time.Now()
	for {
		j, err := p.next(ctx, out)
		if err == nil {
			err = p.send(ctx, out, j)
		}
		if err != nil {
			p.last = j // a reader may still be at work on it
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return lost(err)
		}
		p.sent(j)
		p.recycle(j)
		if now := time.Now(); now.Sub(told) >= p.ss.srv.cfg.Timeouts.Progress {
			told = now
			if err := p.tell(); err != nil {
				return err
			}
		}
	}
}

// send sends one job. A large leaf waits for its turn, and one that is cancelled before its first byte has left is
// skipped.
func (p *pipeline) send(ctx context.Context, out *collector, j *job) error {
	if j.kind != kindLeaf {
		return out.add(j.frame, j.payload)
	}
	sent := 0
	if len(j.frame) >= directWrite && !out.w.shape.Limited(out.w.peer) { // else the shaper sees to equal shares
		if err := p.turn(ctx, out); err != nil {
			return err
		}
		defer func() { p.ss.srv.turns.give(p.mine, sent) }()
	}
	if !p.ss.todo.send(int(j.index)) {
		j.kind, j.frame, j.payload = kindSkipped, message(kindSkipped, &pb.Skipped{Start: j.index, Count: 1}), 0
		return out.add(j.frame, 0)
	}
	sent = j.payload
	return out.add(j.frame, j.payload)
}

// turn waits for this session's turn to send. What may stand before any answer goes out meanwhile.
func (p *pipeline) turn(ctx context.Context, out *collector) error {
	all := &p.ss.srv.turns
	all.want(p.mine)
	for {
		ok, look := all.has(p.mine)
		if ok {
			return nil
		}
		err := out.flush()
		if err == nil {
			again := time.NewTimer(look)
			select {
			case <-p.mine.ready:
			case <-again.C:
			case f := <-p.side:
				err = p.between(out, f)
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
			again.Stop()
		}
		if err != nil {
			all.give(p.mine, 0)
			return err
		}
	}
}

// next waits for the next job in order to be ready, flushing before every wait. What may stand before any answer
// goes out meanwhile. With an error it returns the job it was waiting for, if any.
func (p *pipeline) next(ctx context.Context, out *collector) (j *job, err error) {
	for j == nil {
		select {
		case f := <-p.side:
			err = p.between(out, f)
		default:
			select {
			case j = <-p.order:
			default:
				j, err = p.idle(ctx, out)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	select {
	case <-j.ready:
		return j, nil
	default:
	}
	for {
		if err := out.flush(); err != nil {
			return j, err
		}
		select {
		case <-j.ready:
			return j, nil
		case f := <-p.side:
			if err := p.between(out, f); err != nil {
				return j, err
			}
		case <-ctx.Done():
			return j, context.Cause(ctx)
		}
	}
}

// idle waits while there is nothing to answer. It returns nothing when something else was sent.
func (p *pipeline) idle(ctx context.Context, out *collector) (*job, error) {
	if err := out.flush(); err != nil {
		return nil, err
	}
	out.free() // an idle session holds no large memory
	select {
	case j := <-p.order:
		return j, nil
	case f := <-p.side:
		return nil, p.between(out, f)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// between sends a frame that is no answer.
func (p *pipeline) between(out *collector, frame []byte) error {
	p.ss.active.Store(time.Now().UnixNano())
	return out.add(frame, 0)
}

// sent counts a job that has left or been collected.
func (p *pipeline) sent(j *job) {
	ss := p.ss
	if j.buf != nil && j.kind == kindLeaf {
		ss.leaves.Add(1)
		ss.srv.count.leaves.Add(1)
	}
	if j.buf != nil && j.kind == kindNode {
		ss.srv.count.nodes.Add(1)
	}
	ss.sent.Add(int64(j.payload))
	ss.srv.count.bytes.Add(int64(j.payload))
	ss.active.Store(time.Now().UnixNano())
	ss.todo.began(-1)
}

// tell reports progress and asks again whether the session may go on.
func (p *pipeline) tell() error {
	ss := p.ss
	if err := ss.stillAllowed(); err != nil && !ss.done.Load() {
		return err
	}
	if f := ss.srv.cfg.Events.Progress; f != nil {
		f(ss.snapshot())
	}
	return nil
}
