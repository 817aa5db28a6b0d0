package fetch

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// twin is the stupid queue: one set per leaf and per source. It knows what must hold, not what to choose.
type twin struct {
	t       *testing.T
	n       int
	wanted  map[int]bool
	done    map[int]bool
	arrived map[int]bool
	asked   map[int]map[int]bool // source to leaves
	lacks   map[int]map[int]bool
}

func newTwin(t *testing.T, n int) *twin {
	w := &twin{t: t, n: n, wanted: map[int]bool{}, done: map[int]bool{}, arrived: map[int]bool{}, asked: map[int]map[int]bool{}, lacks: map[int]map[int]bool{}}
	for i := range n {
		w.wanted[i] = true
	}
	return w
}

func (w *twin) took(id int, r span) {
	w.t.Helper()
	idle := len(w.asked[id]) == 0
	if r.len() < 1 || r.lo < 0 || r.hi > w.n {
		w.t.Fatalf("range %v of %d leaves", r, w.n)
	}
	for i := r.lo; i < r.hi; i++ {
		others := 0
		for other, a := range w.asked {
			if a[i] {
				if other == id {
					w.t.Fatalf("leaf %d asked twice of source %d", i, id)
				}
				others++
			}
		}
		switch {
		case w.done[i] || w.arrived[i]:
			w.t.Fatalf("leaf %d asked again though it is here", i)
		case w.lacks[id][i]:
			w.t.Fatalf("leaf %d asked of source %d, which lacks it", i, id)
		case others > 1 || (others == 1 && !idle):
			w.t.Fatalf("leaf %d asked of %d others already", i, others)
		}
	}
	for i := r.lo; i < r.hi; i++ {
		w.asked[id][i] = true
	}
}

// idle fails if there is something that id could be asked for and nobody is.
func (w *twin) idle(id int) {
	w.t.Helper()
	for i := range w.n {
		free := !w.done[i] && !w.arrived[i] && !w.lacks[id][i]
		for _, a := range w.asked {
			free = free && !a[i]
		}
		if free {
			w.t.Fatalf("source %d gets nothing though leaf %d is free", id, i)
		}
	}
}

// places counts where leaf i is: done, arrived, or asked of somebody.
func (w *twin) places(i int) (n int) {
	if w.done[i] || w.arrived[i] {
		n++
	}
	for _, a := range w.asked {
		if a[i] {
			n++
		}
	}
	return n
}

// transcript drives a queue by bytes and compares it with the twin after every step.
func transcript(t *testing.T, script []byte) {
	if len(script) < 2 {
		return
	}
	n := 1 + int(script[0])*7
	if script[1]%4 < 2 { // few leaves: sources run out of work and take each other's
		n = 1 + int(script[0])%40
	}
	sizes := []int{0, 1, 4096, 1 << 18, 1 << 20, 2 << 20}
	uniform := script[1]%2 == 0
	size := func(i int) int {
		if uniform {
			return 1 << 20
		}
		return sizes[(i*7+i/3)%len(sizes)]
	}
	q, w := newQueue(n, size), newTwin(t, n)
	q.want(span{0, n})
	q.want(span{0, n / 2}) // wanting twice changes nothing
	now := time.Unix(0, 0)
	ids, nextID := []int{}, 0
	rnd := rand.New(rand.NewPCG(uint64(script[0]), uint64(len(script))))
	pickOut := func(id int) int {
		var all []int
		for i := range w.asked[id] {
			all = append(all, i)
		}
		if len(all) == 0 {
			return -1
		}
		slices.Sort(all)
		return all[rnd.IntN(len(all))]
	}
	join := func() {
		q.join(nextID)
		w.asked[nextID], w.lacks[nextID] = map[int]bool{}, map[int]bool{}
		ids = append(ids, nextID)
		nextID++
	}
	leave := func(k int) {
		q.leave(ids[k], now)
		delete(w.asked, ids[k])
		delete(w.lacks, ids[k])
		ids = slices.Delete(ids, k, k+1)
	}
	settle := func() { // all that arrived is verified
		for i := range w.arrived {
			q.done(i)
			w.done[i] = true
		}
		clear(w.arrived)
	}
	step := func(op, arg byte) {
		now = now.Add(time.Duration(arg) * 10 * time.Millisecond)
		if len(ids) == 0 || (op%16 == 15 && len(ids) < 5) {
			join()
			return
		}
		k := int(arg) % len(ids)
		id := ids[k]
		switch op % 16 {
		case 0, 1, 2, 3:
			can := q.can(id, now)
			r, ok := q.take(id, now)
			if can != ok {
				t.Fatalf("can says %v, take %v", can, ok)
			}
			if ok {
				w.took(id, r)
			} else {
				w.idle(id)
			}
		case 4, 5, 6, 7, 8, 9, 10:
			i := pickOut(id)
			if i < 0 {
				i = int(arg) % n
				if v := q.got(id, i, now); v != unasked {
					t.Fatalf("unasked leaf %d: verdict %d", i, v)
				}
				return
			}
			v := q.got(id, i, now)
			delete(w.asked[id], i)
			want := fresh
			if w.arrived[i] || w.done[i] {
				want = surplus
			}
			if v != want {
				t.Fatalf("leaf %d: verdict %d, want %d", i, v, want)
			}
			w.arrived[i] = true
			if w.done[i] {
				delete(w.arrived, i)
			}
		case 11:
			settle()
		case 12: // a lie
			for i := range w.arrived {
				q.bad(i)
				delete(w.arrived, i)
				break
			}
			leave(k)
		case 13:
			for i := range w.asked[id] {
				w.lacks[id][i] = true
			}
			if m := q.missing(id, now); m != len(w.asked[id]) {
				t.Fatalf("%d missing, want %d", m, len(w.asked[id]))
			}
			clear(w.asked[id])
		case 14:
			if arg%4 == 0 {
				leave(k)
			}
		}
		if q.pending != n-len(w.done) {
			t.Fatalf("%d pending, want %d", q.pending, n-len(w.done))
		}
		var sum int64
		for i := range n {
			if q.todo.has(i) {
				sum += int64(size(i))
			}
			if places := w.places(i); q.todo.has(i) != (places == 0) {
				t.Fatalf("leaf %d is free: %v, and in %d other places", i, q.todo.has(i), places)
			}
		}
		if sum != q.todoSum {
			t.Fatalf("todoSum %d, want %d", q.todoSum, sum)
		}
	}
	for k := 2; k+1 < len(script); k += 2 {
		step(script[k], script[k+1])
	}
	// Nothing is forgotten: one good source alone can finish.
	for len(ids) > 0 {
		leave(0)
	}
	settle()
	join()
	id := ids[0]
	for {
		r, ok := q.take(id, now)
		if !ok {
			w.idle(id)
			break
		}
		w.took(id, r)
		for i := r.lo; i < r.hi; i++ {
			if v := q.got(id, i, now); v != fresh {
				t.Fatalf("leaf %d: verdict %d at the end", i, v)
			}
			delete(w.asked[id], i)
			w.arrived[i] = true
		}
	}
	settle()
	if q.pending != 0 || len(w.done) != n {
		t.Fatalf("%d pending, %d of %d done", q.pending, len(w.done), n)
	}
}

func FuzzQueue(f *testing.F) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		script := make([]byte, 20+r.IntN(900))
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1<<12 {
			return
		}
		transcript(t, script)
	})
}

func TestSpansAgainstMap(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var s spans
		m := map[int]bool{}
		for range 60 {
			lo := r.IntN(80)
			x := span{lo, lo + r.IntN(12)}
			add := r.IntN(2) == 0
			if add {
				s.add(x)
			} else {
				s.remove(x)
			}
			for i := x.lo; i < x.hi; i++ {
				if add {
					m[i] = true
				} else {
					delete(m, i)
				}
			}
			for i := range 100 {
				if s.has(i) != m[i] {
					t.Fatalf("%v: has(%d) is %v", s, i, s.has(i))
				}
			}
			for k := range s {
				if s[k].len() <= 0 || (k > 0 && s[k].lo <= s[k-1].hi) {
					t.Fatalf("not normal: %v", s)
				}
			}
			if s.count() != len(m) {
				t.Fatalf("count %d, want %d", s.count(), len(m))
			}
			gap := span{r.IntN(40), 40 + r.IntN(40)}
			free := 0
			s.without(gap, func(p span) bool {
				for i := p.lo; i < p.hi; i++ {
					if m[i] {
						t.Fatalf("%v without %v gives %v", gap, s, p)
					}
					free++
				}
				return true
			})
			for i := gap.lo; i < gap.hi; i++ {
				if !m[i] {
					free--
				}
			}
			if free != 0 {
				t.Fatalf("without is %d off", free)
			}
		}
	}
}

func TestRangeSizes(t *testing.T) {
	for _, c := range []struct {
		name          string
		leaves, bytes int
		sources       int
		first         int // leaves in the first range
	}{
		{"large leaves", 4096, 1 << 20, 1, 16},
		{"small files", 10000, 4096, 1, 1024},
		{"two share a small object", 16, 1 << 20, 2, 2},
		{"one leaf", 1, 1 << 20, 3, 1},
		{"leaf above the limit", 3, 2 << 20, 1, 1},
		{"empty leaves", 5000, 0, 1, 1024},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue(c.leaves, func(int) int { return c.bytes })
			q.want(span{0, c.leaves})
			for id := range c.sources {
				q.join(id)
			}
			if r, ok := q.take(0, time.Unix(0, 0)); !ok || r != (span{0, c.first}) {
				t.Errorf("first range %v", r)
			}
		})
	}
}

func TestStealing(t *testing.T) {
	const leaf = 1 << 20
	start := time.Unix(100, 0)
	setup := func() *queue { // source 1 holds leaves 0..7, source 0 has brought 8
		q := newQueue(16, func(int) int { return leaf })
		q.join(0)
		q.join(1)
		q.want(span{0, 8})
		for {
			if _, ok := q.fromTodo(q.sources[1]); !ok {
				break
			}
			q.take(1, start)
		}
		q.want(span{8, 16})
		for {
			if _, ok := q.fromTodo(q.sources[0]); !ok {
				break
			}
			q.take(0, start)
		}
		for i := 8; i < 16; i++ {
			if q.got(0, i, start.Add(time.Second)) != fresh {
				t.Fatal(i)
			}
			q.done(i)
		}
		return q
	}
	t.Run("idle takes from a slow one", func(t *testing.T) {
		q := setup()
		r, ok := q.take(0, start.Add(time.Second))
		if !ok || r.lo < 0 || r.hi > 8 {
			t.Fatalf("got %v %v", r, ok)
		}
		if _, ok := q.take(0, start.Add(time.Second)); ok {
			t.Error("takes more while it has something")
		}
		if v := q.got(0, r.lo, start.Add(2*time.Second)); v != fresh {
			t.Errorf("verdict %d", v)
		}
		if v := q.got(1, r.lo, start.Add(3*time.Second)); v != surplus {
			t.Errorf("the slow one's copy: verdict %d", v)
		}
	})
	t.Run("equals leave each other alone", func(t *testing.T) {
		q := setup()
		for i := range 7 { // source 1 was as fast, one leaf is on its way
			q.got(1, i, start.Add(time.Second))
			q.done(i)
		}
		if r, ok := q.take(0, start.Add(time.Second)); ok {
			t.Errorf("took %v", r)
		}
		// but not for ever
		if _, ok := q.take(0, start.Add(time.Minute)); !ok {
			t.Error("leaves a stalled one alone")
		}
	})
	t.Run("a source that has just begun is left alone", func(t *testing.T) {
		q := newQueue(1, func(int) int { return leaf })
		q.want(span{0, 1})
		q.join(0)
		q.join(1)
		q.take(0, start)
		if _, ok := q.take(1, start.Add(patience/2)); ok {
			t.Error("taken from it at once")
		}
		if _, ok := q.take(1, start.Add(patience)); !ok {
			t.Error("left alone for ever")
		}
	})
	t.Run("the thief lies", func(t *testing.T) {
		q := setup()
		r, _ := q.take(0, start.Add(time.Second))
		q.got(0, r.lo, start.Add(time.Second))
		q.bad(r.lo)
		if len(q.todo) != 0 {
			t.Errorf("%v back though its first holder still has it", q.todo)
		}
		if v := q.got(1, r.lo, start.Add(2*time.Second)); v != fresh {
			t.Errorf("the first holder's copy: verdict %d", v)
		}
		q.bad(r.lo)
		if q.todo.count() != 1 {
			t.Errorf("%v back", q.todo)
		}
	})
	t.Run("the thief fails", func(t *testing.T) {
		q := setup()
		q.take(0, start.Add(time.Second))
		q.leave(0, start.Add(time.Second))
		if len(q.todo) != 0 {
			t.Errorf("%v back though its first holder still has it", q.todo)
		}
		q.leave(1, start.Add(time.Second))
		if q.todo.count() != 8 {
			t.Errorf("%v back", q.todo)
		}
	})
}
