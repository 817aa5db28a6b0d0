package storage

import (
	"encoding/binary"
	"sync"
)

// guard keeps what writers use from GC.
//
// A writer notes a block before it looks whether the block is there. GC holds mu for writing while it checks
// the notes and deletes. So either the note was first, and GC spares the block, or the delete was, and the
// writer does not find the block and stores it again.
type guard struct {
	mu      sync.RWMutex
	writers map[*usedSet]struct{}
	late    *usedSet // while GC runs: what writers that closed since it began had used; else nil
}

// usedSet is what one writer used. Blocks are noted by the first 8 bytes of their digest: a collision spares
// garbage, nothing worse.
type usedSet struct {
	mu     sync.Mutex
	blocks map[uint64]struct{}
	files  map[uint64]struct{}
}

func shortOf(d digest) uint64 { return binary.BigEndian.Uint64(d[:8]) }

func (g *guard) init() { g.writers = make(map[*usedSet]struct{}) }

func (g *guard) add(u *usedSet) {
	u.blocks, u.files = make(map[uint64]struct{}), make(map[uint64]struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writers[u] = struct{}{}
}

// remove ends a writer. Its entry may have been written after a running GC listed the entries, so that GC
// inherits its notes.
func (g *guard) remove(u *usedSet) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.writers[u]; !ok {
		return
	}
	delete(g.writers, u)
	if g.late == nil {
		return
	}
	for b := range u.blocks {
		g.late.blocks[b] = struct{}{}
	}
	for f := range u.files {
		g.late.files[f] = struct{}{}
	}
}

func (g *guard) use(u *usedSet, d digest) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.blocks[shortOf(d)] = struct{}{}
}

func (g *guard) useFile(u *usedSet, id uint64) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files[id] = struct{}{}
}

// begin starts a GC or a reseal; false if one runs already.
func (g *guard) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.late != nil {
		return false
	}
	g.late = &usedSet{blocks: make(map[uint64]struct{}), files: make(map[uint64]struct{})}
	return true
}

func (g *guard) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.late = nil
}

// usesBlock and usesFile want mu held for writing, which keeps all sets still.
func (g *guard) usesBlock(d digest) bool {
	k := shortOf(d)
	if _, ok := g.late.blocks[k]; ok {
		return true
	}
	for u := range g.writers {
		if _, ok := u.blocks[k]; ok {
			return true
		}
	}
	return false
}

func (g *guard) usesFile(id uint64) bool {
	if _, ok := g.late.files[id]; ok {
		return true
	}
	for u := range g.writers {
		if _, ok := u.files[id]; ok {
			return true
		}
	}
	return false
}
