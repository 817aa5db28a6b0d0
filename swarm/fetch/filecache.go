package fetch

import (
	"os"
	"sync"
)

// fileCache keeps files open between the writes of their leaves, up to maxOpen of them beside those in use.
type fileCache struct {
	mu   sync.Mutex
	open map[int]*cached
}

type cached struct {
	f     *os.File
	users int
	last  bool // close when the last user is through
}

const maxOpen = 64

// acquire returns the open file of an item, which make opens when it is not open. Each acquire is followed by
// a release.
func (c *fileCache) acquire(item int, make func(item int) (*os.File, error)) (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.open[item]; e != nil {
		e.users++
		return e.f, nil
	}
	if len(c.open) >= maxOpen {
		for other, e := range c.open {
			if e.users == 0 {
				e.f.Close() // what was written is in the system's hands; syncing the tree reports its failures
				delete(c.open, other)
				break
			}
		}
	}
	f, err := make(item)
	if err != nil {
		return nil, err
	}
	c.open[item] = &cached{f: f, users: 1}
	return f, nil
}

// release ends one use. After a use with last the file leaves the cache when nobody uses it any more, and is
// returned to the caller, who closes it.
func (c *fileCache) release(item int, last bool) *os.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.open[item]
	e.users--
	e.last = e.last || last
	if e.users > 0 || !e.last {
		return nil
	}
	delete(c.open, item)
	return e.f
}

// closeAll closes what is open; nobody uses it any more.
func (c *fileCache) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for item, e := range c.open {
		e.f.Close()
		delete(c.open, item)
	}
}
