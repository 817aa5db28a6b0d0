package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"cairn/storage/block"
)

// Sealed blocks of 4 KiB and more live in segments: files of records, written once at their end, never
// changed, removed whole.
//
//	record = multihash 34 ‖ length of the sealed block 4 ‖ sealed block
//
// The head is for people and for rebuilding an index; reading needs the pointer alone.
const (
	segmentDir  = "segments"
	segmentExt  = ".seg"
	segmentSize = 128 << 20
	recordHead  = mhLen + 4
	// openSegments is how many segments stay open for reading.
	openSegments = 64
)

// pointer is where a sealed block lies; the value of its index key: 2 ‖ segment 4 ‖ offset 8 ‖ length 4.
// (A sealed block in place begins with 1.)
type pointer struct {
	segment uint32
	offset  int64 // of the sealed block
	length  int
}

const (
	pointerVersion = 2
	pointerLen     = 17
)

func (p pointer) encode() []byte {
	v := append(make([]byte, 0, pointerLen), pointerVersion)
	v = binary.BigEndian.AppendUint32(v, p.segment)
	v = binary.BigEndian.AppendUint64(v, uint64(p.offset))
	return binary.BigEndian.AppendUint32(v, uint32(p.length))
}

// decodePointer tells whether v is a pointer at all.
func decodePointer(v []byte) (p pointer, ok bool, err error) {
	if len(v) == 0 || v[0] != pointerVersion {
		return p, false, nil
	}
	if len(v) != pointerLen {
		return p, true, fmt.Errorf("decode pointer: %w", block.ErrCorrupt)
	}
	p = pointer{binary.BigEndian.Uint32(v[1:]), int64(be64(v[5:])), int(binary.BigEndian.Uint32(v[13:]))}
	if p.offset < recordHead || p.length < sealOverhead || p.length > block.MaxSize+sealOverhead {
		return p, true, fmt.Errorf("decode pointer: %w", block.ErrCorrupt)
	}
	return p, true, nil
}

// segments owns the segment files of one store.
type segments struct {
	dir string
	max int64

	mu      sync.Mutex
	last    uint32              // the highest number ever used
	cur     *segment            // what is appended to; nil: the next append begins one
	writing map[uint32]*segment // cur, and full ones with records that no index entry names yet
	dirty   map[*segment]bool   // written to since the last sync
	reading map[uint32]*reader
}

// segment is one that is written to. Its fields are guarded by segments.mu.
type segment struct {
	id      uint32
	f       *os.File
	size    int64
	pending int // records appended whose index entries are not visible yet
}

type reader struct {
	f     *os.File
	users int
	gone  bool // out of the map: the last user closes it
}

// openSegmentDir opens or makes the directory. Writing goes on behind the end of the newest segment: what a
// crash left there is behind nobody's pointer.
func openSegmentDir(dir string, max int64) (*segments, error) {
	g := &segments{dir: dir, max: max, writing: make(map[uint32]*segment), dirty: make(map[*segment]bool), reading: make(map[uint32]*reader)}
	ids, err := g.list()
	if err != nil || len(ids) == 0 {
		return g, err
	}
	g.last = ids[len(ids)-1]
	f, err := os.OpenFile(g.path(g.last), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.Size() >= max {
		f.Close()
		return g, err
	}
	g.cur = &segment{id: g.last, f: f, size: info.Size()}
	g.writing[g.last] = g.cur
	return g, nil
}

func (g *segments) path(id uint32) string {
	return filepath.Join(g.dir, fmt.Sprintf("%08d%s", id, segmentExt))
}

// list returns the numbers of all segments, in order.
func (g *segments) list() ([]uint32, error) {
	names, err := os.ReadDir(g.dir)
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, n := range names {
		text, ok := strings.CutSuffix(n.Name(), segmentExt)
		if id, err := strconv.ParseUint(text, 10, 32); ok && err == nil {
			ids = append(ids, uint32(id))
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// append writes a whole record, from any goroutine, and says where its sealed block is. It is not synced. Pair
// a success with settled.
func (g *segments) append(record []byte) (pointer, error) {
	g.mu.Lock()
	if g.cur != nil && g.cur.size > 0 && g.cur.size+int64(len(record)) > g.max {
		g.retire()
	}
	if g.cur == nil {
		if err := g.begin(); err != nil {
			g.mu.Unlock()
			return pointer{}, fmt.Errorf("begin segment: %w", err)
		}
	}
	s, off := g.cur, g.cur.size
	s.size += int64(len(record))
	s.pending++
	g.mu.Unlock()
	_, err := s.f.WriteAt(record, off)
	g.mu.Lock()
	g.dirty[s] = true
	g.mu.Unlock()
	if err != nil { // the place stays empty
		g.settled(s.id)
		if errors.Is(err, syscall.ENOSPC) {
			err = fmt.Errorf("%w: %w", block.ErrNoSpace, err)
		}
		return pointer{}, fmt.Errorf("write segment: %w", err)
	}
	return pointer{s.id, off + recordHead, len(record) - recordHead}, nil
}

// begin starts a segment, its name synced; call with mu held.
func (g *segments) begin() error {
	id := g.last + 1
	f, err := os.OpenFile(g.path(id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := syncDir(g.dir); err != nil {
		return errors.Join(err, f.Close())
	}
	g.last = id
	g.cur = &segment{id: id, f: f}
	g.writing[id] = g.cur
	return nil
}

// retire ends appending to cur; call with mu held.
func (g *segments) retire() {
	s := g.cur
	g.cur = nil
	g.closeIfDone(s)
}

func (g *segments) closeIfDone(s *segment) {
	if s != g.cur && s.pending == 0 && !g.dirty[s] {
		delete(g.writing, s.id)
		s.f.Close() // synced before
	}
}

// settled says that a record's index entry is visible, or will never be.
func (g *segments) settled(id uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.writing[id]; s != nil {
		s.pending--
		g.closeIfDone(s)
	}
}

// sync makes all records written so far durable. It is called by one goroutine.
func (g *segments) sync() error {
	g.mu.Lock()
	todo := make([]*segment, 0, len(g.dirty))
	for s := range g.dirty {
		s.pending++ // keeps it open
		todo = append(todo, s)
	}
	clear(g.dirty)
	g.mu.Unlock()
	var err error
	for _, s := range todo {
		if serr := s.f.Sync(); serr != nil {
			err = errors.Join(err, fmt.Errorf("sync segment %d: %w", s.id, serr))
		}
		g.settled(s.id)
	}
	return err
}

// read fills buf with the record's sealed block, which it holds room for. Errors: fs.ErrNotExist (moved by GC, or lost),
// block.ErrCorrupt (the segment is too short), those of the disk.
func (g *segments) read(p pointer, buf []byte) ([]byte, error) {
	r, err := g.openReader(p.segment)
	if err != nil {
		return nil, err
	}
	defer g.release(r)
	buf = buf[:p.length]
	if _, err := r.f.ReadAt(buf, p.offset); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read segment: %w: it is too short", block.ErrCorrupt)
	} else if err != nil {
		return nil, fmt.Errorf("read segment: %w: %w", block.ErrCorrupt, err)
	}
	return buf, nil
}

func (g *segments) openReader(id uint32) (*reader, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.reading[id]; r != nil {
		r.users++
		return r, nil
	}
	for old, r := range g.reading {
		if len(g.reading) < openSegments {
			break
		}
		g.dropReader(old, r)
	}
	f, err := os.Open(g.path(id))
	if err != nil {
		return nil, err
	}
	r := &reader{f: f, users: 1}
	g.reading[id] = r
	return r, nil
}

func (g *segments) dropReader(id uint32, r *reader) {
	delete(g.reading, id)
	r.gone = true
	if r.users == 0 {
		r.f.Close()
	}
}

func (g *segments) release(r *reader) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.users--; r.users == 0 && r.gone {
		r.f.Close()
	}
}

// finished ends appending to the newest segment, and returns those of which every record's index entry is
// visible by now, with their sizes: what GC may look at. Nothing is ever appended to them again.
func (g *segments) finished() (map[uint32]int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cur != nil && g.cur.size > 0 {
		g.retire()
	}
	ids, err := g.list()
	if err != nil {
		return nil, err
	}
	sizes := make(map[uint32]int64, len(ids))
	for _, id := range ids {
		if g.writing[id] != nil {
			continue
		}
		if info, err := os.Stat(g.path(id)); err == nil {
			sizes[id] = info.Size()
		}
	}
	return sizes, nil
}

// remove deletes a segment to which no index entry leads.
func (g *segments) remove(id uint32) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.reading[id]; r != nil {
		g.dropReader(id, r)
	}
	if err := os.Remove(g.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove segment: %w", err)
	}
	return nil
}

// close syncs and closes everything. Nothing may be under way.
func (g *segments) close() error {
	err := g.sync()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.writing {
		s.f.Close()
	}
	for id, r := range g.reading {
		g.dropReader(id, r)
	}
	return err
}
