package storage

import (
	"container/list"
	"io/fs"
	"os"
	"sync"
	"time"
)

// idleClose is how long an unused file stays open.
const idleClose = 30 * time.Second

// maxRecords bounds the file records held in memory; 256 bytes each or so.
const maxRecords = 4096

// fileCache keeps the referenced files read last open, and their records at hand.
type fileCache struct {
	max int

	mu      sync.Mutex
	closed  bool
	held    map[uint64]*handle
	lru     *list.List // of *handle, the last used in front; only those in held
	records map[uint64]fileRecord
	sweep   *time.Timer // nil: no file is open
}

// handle is an open file, shared by its readers.
type handle struct {
	cache *fileCache
	id    uint64
	f     *os.File
	info  fs.FileInfo // when it was opened

	// guarded by cache.mu
	users int
	used  time.Time
	elem  *list.Element // nil: no longer in the cache, the last user closes it
}

func newFileCache(max int) *fileCache {
	return &fileCache{max: max, held: make(map[uint64]*handle), lru: list.New(), records: make(map[uint64]fileRecord)}
}

// open returns the file of rec for one read. It looks at the path each time: a file that was replaced, changed
// or that we may no longer read is noticed although it is still open.
func (c *fileCache) open(id uint64, rec fileRecord) (*handle, error) {
	c.mu.Lock()
	h := c.held[id]
	if h != nil {
		h.users++
	}
	c.mu.Unlock()
	if h != nil {
		now, err := os.Stat(rec.Path)
		if err == nil && os.SameFile(now, h.info) && changeTime(now) == changeTime(h.info) && rec.check(now) == nil {
			return h, nil
		}
		c.drop(h)
		h.release()
	}
	f, info, err := openReference(rec)
	if err != nil {
		return nil, err
	}
	h = &handle{cache: c, id: id, f: f, info: info, users: 1}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.held[id]; c.closed || c.max == 0 || old != nil {
		return h, nil // used once and closed
	}
	c.held[id] = h
	h.elem = c.lru.PushFront(h)
	for c.lru.Len() > c.max {
		c.remove(c.lru.Back().Value.(*handle))
	}
	if c.sweep == nil {
		c.sweep = time.AfterFunc(idleClose, c.closeIdle)
	}
	return h, nil
}

// release ends one use.
func (h *handle) release() {
	c := h.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	h.users--
	h.used = time.Now()
	if h.elem != nil {
		c.lru.MoveToFront(h.elem)
	} else if h.users == 0 {
		h.f.Close()
	}
}

func (c *fileCache) drop(h *handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(h)
}

// remove takes h out of the cache; call with mu held.
func (c *fileCache) remove(h *handle) {
	if h.elem == nil {
		return
	}
	c.lru.Remove(h.elem)
	h.elem = nil
	delete(c.held, h.id)
	if h.users == 0 {
		h.f.Close()
	}
}

func (c *fileCache) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.lru.Back(); e != nil; e = c.lru.Back() {
		h := e.Value.(*handle)
		if h.users > 0 || time.Since(h.used) < idleClose {
			break
		}
		c.remove(h)
	}
	c.sweep = nil
	if c.lru.Len() > 0 && !c.closed {
		c.sweep = time.AfterFunc(idleClose, c.closeIdle)
	}
}

func (c *fileCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.sweep != nil {
		c.sweep.Stop()
		c.sweep = nil
	}
	for e := c.lru.Back(); e != nil; e = c.lru.Back() {
		c.remove(e.Value.(*handle))
	}
}

func (c *fileCache) record(id uint64) (fileRecord, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.records[id]
	return r, ok
}

func (c *fileCache) remember(id uint64, r fileRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.records) >= maxRecords {
		clear(c.records)
	}
	c.records[id] = r
}

func (c *fileCache) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.records, id)
	if h := c.held[id]; h != nil {
		c.remove(h)
	}
}
