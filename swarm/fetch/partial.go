package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"cairn/storage/block"
	"cairn/storage/dag"
	"cairn/swarm/schedule"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Partial is what a running get has already verified and written; others may be served from it at once. It goes on
// to work when the get is over, under the final name as under the temporary one, until Close. It is safe for
// concurrent use.
type Partial struct {
	p *plan

	mu   sync.Mutex
	log  []uint32      // leaves that are here, in the order they came; only grows
	from []uint8       // per leaf: 0 not here, 1 of an earlier run, or the code of the member that gave it
	more chan struct{} // closed when log grows; nil: nobody has asked

	members func() []peer.ID                // of the get
	asked   func(yield func(schedule.Span)) // stretches on their way; guarded by mu

	files sync.RWMutex // read-held while the handles below are used
	f     *os.File     // a single file
	dir   *os.Root     // a directory
	cache fileCache    // its files of several leaves
}

// early is the code in Partial.from of leaves that an earlier run left, or that are zeros.
const early = 1

// newPartial opens its own handles of what a destination builds.
func newPartial(pl *place, p *plan, there []bool) (h *Partial, err error) {
	h = &Partial{p: p, from: make([]uint8, len(p.sizes)), cache: fileCache{open: make(map[int]*cached)}}
	for i, is := range there {
		if is {
			h.add(i, early)
		}
	}
	if err = h.open(pl, pl.temp); err != nil {
		return nil, err
	}
	return h, nil
}

// open opens what stands under a name.
func (h *Partial) open(pl *place, name string) (err error) {
	if h.p.tree.Kind() == dag.Directory {
		h.dir, err = pl.parent.OpenRoot(name)
	} else {
		h.f, err = pl.parent.Open(name)
	}
	return pl.wrap(err)
}

// shut closes all handles. files is held.
func (h *Partial) shut() {
	h.cache.closeAll()
	if h.f != nil {
		h.f.Close()
	}
	if h.dir != nil {
		h.dir.Close()
	}
	h.f, h.dir = nil, nil
}

// reopened calls rename, which gives what is built its final name, with all handles closed, and opens them again: for systems
// that do not rename what is open.
func (h *Partial) reopened(pl *place, rename func() error) error {
	h.files.Lock()
	defer h.files.Unlock()
	if h.f == nil && h.dir == nil { // closed
		return rename()
	}
	h.shut()
	name := pl.name
	err := rename()
	if err != nil {
		name = pl.temp
	}
	if oerr := h.open(pl, name); oerr != nil {
		h.shut() // nothing more can be served; the get itself is well
	}
	return err
}

// follow lets Pieces show what the members of a get are asked for.
func (h *Partial) follow(e *engine) {
	h.members = func() []peer.ID {
		e.mu.Lock()
		defer e.mu.Unlock()
		ids := make([]peer.ID, len(e.all))
		for i, s := range e.all {
			ids[i] = s.src.Peer()
		}
		return ids
	}
	h.asked = func(yield func(schedule.Span)) {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, s := range e.live() {
			e.sched.Asked(s.id, func(span schedule.Span) bool {
				yield(span)
				return true
			})
		}
	}
}

// over says that the get has ended: the members stay as they are now. Unless keep its files are about to be removed.
func (h *Partial) over(keep bool) {
	if !keep {
		h.Close()
	}
	ids := h.members()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.members, h.asked = func() []peer.ID { return ids }, nil
}

// add notes that leaf i is here, given by the member with a code.
func (h *Partial) add(i int, code uint8) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.from[i] != 0 {
		return
	}
	h.from[i] = code
	h.log = append(h.log, uint32(i))
	if h.more != nil {
		close(h.more)
		h.more = nil
	}
}

// Tree returns the tree of the object.
func (h *Partial) Tree() *dag.Tree { return h.p.tree }

// NumLeaves returns the number of leaves of the whole object.
func (h *Partial) NumLeaves() int { return h.p.tree.NumLeaves() }

// Leaf returns the CID and size of leaf i, whether it is here or not.
func (h *Partial) Leaf(i int) (cid.Cid, int) { return h.p.tree.Leaf(i) }

// HasNode tells whether c is an inner node of the object.
func (h *Partial) HasNode(c cid.Cid) bool { return h.p.tree.HasNode(c) }

// Since returns the leaves that have come, in the order they came, from position pos on, and a channel that is closed
// when there are more. What an earlier run left and zeros come first. The slice must not be changed.
func (h *Partial) Since(pos int) (leaves []uint32, more <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.more == nil {
		h.more = make(chan struct{})
	}
	n := len(h.log)
	return h.log[min(max(pos, 0), n):n:n], h.more
}

// ReadLeaf returns the bytes of leaf i, for somebody who compares them with its hash himself, as a peer does with all
// that it is sent: here they were compared when they came, and decay and change since then are told by their CRC-32C.
// Hashing them again would be a quarter of the work of sending. It may use dst[:0] as the backing store. Errors:
// block.ErrNotFound when it has not come, or is no longer there; block.ErrCorrupt when what is on the disk is not it any
// more.
func (h *Partial) ReadLeaf(ctx context.Context, i int, dst []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if !h.has(i) {
		return nil, fmt.Errorf("leaf %d: %w", i, block.ErrNotFound)
	}
	size := int(h.p.sizes[i])
	if size < 0 {
		size = block.MaxSize + 1
	}
	if cap(dst) < size {
		dst = make([]byte, size)
	}
	dst = dst[:size]
	if h.p.zero[i] { // known by its hash
		clear(dst)
		return dst, nil
	}
	n, err := h.read(i, dst)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("leaf %d: %w: %w", i, block.ErrNotFound, err)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("leaf %d: %w", i, err)
	}
	if err := h.p.recheck(i, dst[:n]); err != nil {
		return nil, err
	}
	return dst[:n], nil
}

func (h *Partial) has(i int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return i >= 0 && i < len(h.from) && h.from[i] != 0
}

// read fills dst with what is on the disk in the place of leaf i.
func (h *Partial) read(i int, dst []byte) (int, error) {
	h.files.RLock()
	defer h.files.RUnlock()
	item, off := h.p.tree.Locate(i)
	switch {
	case h.f != nil:
		return h.f.ReadAt(dst, off)
	case h.dir == nil:
		return 0, fs.ErrNotExist // closed
	}
	open := func(item int) (*os.File, error) { return h.dir.Open(local(h.p.items[item].Path)) }
	if h.p.items[item].Leaves == 1 {
		f, err := open(item)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		return f.ReadAt(dst, off)
	}
	f, err := h.cache.acquire(item, open)
	if err != nil {
		return 0, err
	}
	defer h.cache.release(item, false)
	return f.ReadAt(dst, off)
}

// Close ends reading. It may be called more than once, and while the get runs.
func (h *Partial) Close() error {
	h.files.Lock()
	defer h.files.Unlock()
	h.shut()
	return nil
}

// Pieces is what is here of the object, in cells of PerCell leaves each (the last one may have fewer), for people to
// look at.
type Pieces struct {
	Leaves  int
	PerCell int
	Done    []byte    // percent of the cell's leaves that are here; 100 only when all are
	Source  []byte    // who gave them: 0 nobody yet or an earlier run, k Members[k-1], 255 several; k is modulo 254
	Asked   []byte    // 1: something of the cell is on its way
	Members []peer.ID // the sources of the get, in the order they joined
}

// codeOf is the code of a member in Pieces.Source; Partial.from has it one higher.
func codeOf(id int) uint8 { return uint8(1 + id%254) }

// Pieces sums up in at most cells cells.
func (h *Partial) Pieces(cells int) Pieces {
	n := len(h.from)
	out := Pieces{Leaves: n, PerCell: max((n+max(cells, 1)-1)/max(cells, 1), 1)}
	cells = (n + out.PerCell - 1) / out.PerCell
	out.Done, out.Source, out.Asked = make([]byte, cells), make([]byte, cells), make([]byte, cells)
	h.mu.Lock()
	members, asked := h.members, h.asked
	h.mu.Unlock()
	// Not with mu held: a get takes its own lock first, then ours.
	if members != nil {
		out.Members = members()
	}
	if asked != nil {
		asked(func(s schedule.Span) {
			for c := s.Lo / out.PerCell; c*out.PerCell < s.Hi; c++ {
				out.Asked[c] = 1
			}
		})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range cells {
		cell := h.from[c*out.PerCell : min((c+1)*out.PerCell, n)]
		out.Done[c], out.Source[c] = sumUp(cell)
	}
	return out
}

// sumUp returns the share of a cell that is here, in percent, and the code of who gave it.
func sumUp(cell []uint8) (percent, code byte) {
	here := 0
	for _, from := range cell {
		if from == 0 {
			continue
		}
		here++
		switch {
		case from == early || code == from-1:
		case code == 0:
			code = from - 1
		default:
			code = 255
		}
	}
	return byte(100 * here / len(cell)), code
}
