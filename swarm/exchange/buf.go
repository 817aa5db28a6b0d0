package exchange

import (
	"sync"
	"sync/atomic"

	"cairn/storage/block"
)

// headRoom is the space before the payload in which a frame header fits, so that header and payload leave in one
// write without being copied together.
const headRoom = 32

// classes are the payload sizes for which buffers are pooled, in bytes. Most leaves are 1 MiB or a small file.
var classes = [...]int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, block.MaxSize}

// Pool hands out buffers by size class. First touch of fresh memory costs more than hashing it, so buffers are
// used again; what is idle is given back by the garbage collector. The zero Pool is ready; share one between the
// sessions of a process. Safe for concurrent use.
type Pool struct {
	free [len(classes)]sync.Pool
	out  atomic.Int64
}

// Buf is a payload with one owner at a time. Whoever is handed a Buf owns it and must call Release once when the
// bytes are no longer used, from any goroutine. A Buf that is never released is merely collected.
type Buf struct {
	pool  *Pool
	class int
	mem   []byte // headRoom bytes, then the class's size
	n     int    // bytes of payload
	held  atomic.Bool
}

// Bytes returns the payload. It is valid until Release; its owner may write to it.
func (b *Buf) Bytes() []byte { return b.mem[headRoom : headRoom+b.n : headRoom+b.n] }

// Release gives the buffer back. A second Release does nothing.
func (b *Buf) Release() {
	if !b.held.CompareAndSwap(true, false) {
		return
	}
	b.pool.out.Add(-int64(len(b.mem)))
	b.pool.free[b.class].Put(b)
}

// Get returns a buffer with a payload of n bytes of any content, or nil if n is above block.MaxSize.
func (p *Pool) Get(n int) *Buf {
	for class, size := range classes {
		if n > size {
			continue
		}
		b, _ := p.free[class].Get().(*Buf)
		if b == nil {
			b = &Buf{pool: p, class: class, mem: make([]byte, headRoom+size)}
		}
		b.n = n
		b.held.Store(true)
		p.out.Add(int64(len(b.mem)))
		return b
	}
	return nil
}

// InUse returns the bytes of buffers that have not been released.
func (p *Pool) InUse() int64 { return p.out.Load() }
