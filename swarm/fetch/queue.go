package fetch

import (
	"math"
	"time"
)

// Sizes of one range of leaves given to a source.
const (
	rangeBytes  = 16 << 20 // at most, unless one leaf alone is larger
	rangeLeaves = 1024     // at most
	rangeFloor  = 1 << 20  // bytes under which sharing out evenly is not worth a request
)

// patience is how long the end may be held up before it is worth sending something twice.
const patience = 500 * time.Millisecond

// queue decides which source is asked for which leaves. It is pure: no goroutine, no clock (time is passed in), no
// I/O; its user holds a lock around it.
//
// A wanted leaf is in exactly one of these places until it is done: todo; out of one source; out of two sources,
// when an idle one was given part of a slower one's work; arrived (have is set) and waiting for done or bad. So
// no leaf is asked for twice but after a failure or by that rule, and none is forgotten.
type queue struct {
	size    func(i int) int // bytes of leaf i; at least 0
	have    []uint64        // bit per leaf: arrived or done
	todo    spans           // wanted and asked of nobody
	todoSum int64           // bytes in todo
	pending int             // wanted leaves that are not done
	sources map[int]*asked
}

// asked is what the queue keeps per source.
type asked struct {
	out      []span // asked and not arrived, in the order asked
	outBytes int64
	lacks    spans // leaves that the source does not have
	bytes    int64 // arrived
	busy     time.Duration
	since    time.Time // when out became non-empty; meaningful only then
}

func newQueue(leaves int, size func(i int) int) *queue {
	return &queue{size: size, have: make([]uint64, (leaves+63)/64), sources: map[int]*asked{}}
}

func (q *queue) has(i int) bool { return q.have[i/64]&(1<<(i%64)) != 0 }
func (q *queue) set(i int)      { q.have[i/64] |= 1 << (i % 64) }
func (q *queue) clear(i int)    { q.have[i/64] &^= 1 << (i % 64) }

func (q *queue) bytes(r span) int64 {
	var n int64
	for i := r.lo; i < r.hi; i++ {
		n += int64(q.size(i))
	}
	return n
}

// want adds leaves to the work. Leaves that arrived, are wanted or are asked for already are not added again.
func (q *queue) want(r span) {
	for i := r.lo; i < r.hi; i++ {
		if !q.has(i) && !q.todo.has(i) && !q.isOut(i, -1) {
			q.put(i)
			q.pending++
		}
	}
}

// unwant forgets all leaves that nobody was asked for yet.
func (q *queue) unwant() {
	q.pending -= q.todo.count()
	q.todo, q.todoSum = nil, 0
}

// put makes leaf i free to be asked for.
func (q *queue) put(i int) {
	q.todo.add(span{i, i + 1})
	q.todoSum += int64(q.size(i))
}

// isOut tells whether a source other than except has been asked for i and has not delivered it.
func (q *queue) isOut(i, except int) bool {
	for id, a := range q.sources {
		if id != except && a.holds(i) >= 0 {
			return true
		}
	}
	return false
}

// holds returns the index in out of the range with i, or -1.
func (a *asked) holds(i int) int {
	for n, r := range a.out {
		if r.lo <= i && i < r.hi {
			return n
		}
	}
	return -1
}

func (q *queue) join(id int) { q.sources[id] = &asked{} }

// leave ends a source; what it was asked for goes back.
func (q *queue) leave(id int, now time.Time) {
	q.giveBack(id, now)
	delete(q.sources, id)
}

// giveBack returns what a source was asked for and has not delivered.
func (q *queue) giveBack(id int, now time.Time) {
	a := q.sources[id]
	if a == nil {
		return
	}
	out := a.out
	if len(out) > 0 {
		a.busy += now.Sub(a.since)
	}
	a.out, a.outBytes = nil, 0
	for _, r := range out {
		for i := r.lo; i < r.hi; i++ {
			if !q.has(i) && !q.isOut(i, id) {
				q.put(i)
			}
		}
	}
}

// missing notes that a source does not have what it was asked for and has not delivered, which goes back. It
// returns how many leaves those are.
func (q *queue) missing(id int, now time.Time) int {
	a := q.sources[id]
	if a == nil {
		return 0
	}
	n := 0
	for _, r := range a.out {
		a.lacks.add(r)
		n += r.len()
	}
	q.giveBack(id, now)
	return n
}

// drop takes i, which a was asked for, out of its work.
func (q *queue) drop(a *asked, i int, now time.Time) {
	n := a.holds(i)
	r := a.out[n]
	switch {
	case r.len() == 1:
		a.out = append(a.out[:n], a.out[n+1:]...)
	case i == r.lo:
		a.out[n].lo++
	case i == r.hi-1:
		a.out[n].hi--
	default:
		a.out[n].hi = i
		a.out = append(a.out[:n+1], append([]span{{i + 1, r.hi}}, a.out[n+1:]...)...)
	}
	a.outBytes -= int64(q.size(i))
	if len(a.out) == 0 {
		a.busy += now.Sub(a.since)
	}
}

// verdict on a leaf that arrived.
type verdict int

const (
	unasked verdict = iota // the source was not asked for it, or delivered it before
	surplus                // another source was faster
	fresh                  // to be verified; done or bad must follow
)

// got says that a source delivered leaf i.
func (q *queue) got(id, i int, now time.Time) verdict {
	a := q.sources[id]
	if a == nil || a.holds(i) < 0 {
		return unasked
	}
	q.drop(a, i, now)
	a.bytes += int64(q.size(i))
	if q.has(i) {
		return surplus
	}
	q.set(i)
	return fresh
}

// done says that leaf i, which was fresh, is verified and in its place.
func (q *queue) done(int) { q.pending-- }

// forget makes a leaf that was done unknown again, so that it may be wanted once more.
func (q *queue) forget(i int) { q.clear(i) }

// bad says that leaf i, which was fresh, was not what it should be. The caller lets the source leave.
func (q *queue) bad(i int) {
	q.clear(i)
	if !q.isOut(i, -1) {
		q.put(i)
	}
}

// take gives a source its next range.
func (q *queue) take(id int, now time.Time) (span, bool) {
	a := q.sources[id]
	if a == nil {
		return span{}, false
	}
	r, ok := q.fromTodo(a)
	if ok {
		q.todo.remove(r)
		q.todoSum -= q.bytes(r)
	} else if r, ok = q.steal(id, a, now); !ok {
		return span{}, false
	}
	if len(a.out) == 0 {
		a.since = now
	}
	a.out = append(a.out, r)
	a.outBytes += q.bytes(r)
	return r, true
}

// can tells whether take would give the source something.
func (q *queue) can(id int, now time.Time) bool {
	a := q.sources[id]
	if a == nil {
		return false
	}
	if _, ok := q.fromTodo(a); ok {
		return true
	}
	_, ok := q.steal(id, a, now)
	return ok
}

// fromTodo picks the first free leaves that the source may have, so that files are written front to back.
// Towards the end ranges get smaller, so that all sources end at about the same time.
func (q *queue) fromTodo(a *asked) (found span, ok bool) {
	limit := min(rangeBytes, max(rangeFloor, q.todoSum/int64(4*len(q.sources))))
	for _, r := range q.todo {
		a.lacks.without(r, func(part span) bool {
			found, ok = q.cut(part, limit), true
			return false
		})
		if ok {
			break
		}
	}
	return found, ok
}

// cut shortens r to the limits of one range, from its front.
func (q *queue) cut(r span, limit int64) span {
	var sum int64
	end := r.lo
	for end < r.hi && end-r.lo < rangeLeaves {
		sum += int64(q.size(end))
		if sum > limit && end > r.lo {
			break
		}
		end++
	}
	return span{r.lo, end}
}

// steal picks work of a slower source for one that has nothing else to do: the later half of the largest range
// that only the slower one was asked for. It is worth it when the thief, at the rates seen so far, has its half
// long before the victim is through with everything it was asked for. The victim sends its copies all
// the same (a request cannot be taken back), so equals do not steal from each other.
func (q *queue) steal(thief int, t *asked, now time.Time) (span, bool) {
	if len(t.out) > 0 {
		return span{}, false
	}
	var best span
	var worst float64
	for id, v := range q.sources {
		if id == thief || len(v.out) == 0 {
			continue
		}
		left := v.left(now)
		if left < patience.Seconds() || left < worst || (left == worst && best.len() > 0) {
			continue
		}
		r := q.alone(id, v, t)
		if r.len() == 0 {
			continue
		}
		half := q.cut(span{r.lo + r.len()/2, r.hi}, rangeBytes)
		if rate := t.rate(now); rate > 0 && left < 2*float64(q.bytes(half))/rate {
			continue
		}
		best, worst = half, left
	}
	return best, best.len() > 0
}

// alone returns the largest range that v (source id) alone was asked for, that has not arrived and t may have.
func (q *queue) alone(id int, v, t *asked) (best span) {
	for _, r := range v.out {
		for lo := r.lo; lo < r.hi; {
			hi := lo
			for hi < r.hi && !q.has(hi) && !t.lacks.has(hi) && !q.isOut(hi, id) {
				hi++
			}
			if hi-lo > best.len() {
				best = span{lo, hi}
			}
			lo = hi + 1
		}
	}
	return best
}

// left returns the seconds until a has delivered all that it was asked for, at its rate so far. A source that has
// delivered nothing yet is given patience, then nothing more is expected of it (+Inf).
func (a *asked) left(now time.Time) float64 {
	if rate := a.rate(now); rate > 0 {
		return float64(a.outBytes) / rate
	}
	if now.Sub(a.since) < patience {
		return 0
	}
	return math.Inf(1)
}

// rate returns bytes per second of busy time; 0 for a source that delivered nothing.
func (a *asked) rate(now time.Time) float64 {
	busy := a.busy
	if len(a.out) > 0 {
		busy += now.Sub(a.since)
	}
	return float64(a.bytes) / max(busy, time.Millisecond).Seconds()
}
