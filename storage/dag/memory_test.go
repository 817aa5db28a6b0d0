package dag

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// memory is a sink and a getter: it keeps every block and what it was told.
type memory struct {
	mu     sync.Mutex
	blocks map[cid.Cid][]byte
	leaves map[cid.Cid]int // calls of Leaf and Node by CID
	nodes  map[cid.Cid]int
	files  []string
	at     []leafAt
}

type leafAt struct {
	id  uint64
	off int64
	c   cid.Cid
}

func newMemory() *memory {
	return &memory{blocks: map[cid.Cid][]byte{}, leaves: map[cid.Cid]int{}, nodes: map[cid.Cid]int{}}
}

func (m *memory) File(path string, info fs.FileInfo) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files = append(m.files, path)
	return uint64(len(m.files)), nil
}

func (m *memory) Leaf(_ context.Context, id uint64, off int64, c cid.Cid, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leaves[c]++
	m.at = append(m.at, leafAt{id, off, c})
	return m.keep(c, data)
}

func (m *memory) Node(_ context.Context, c cid.Cid, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes[c]++
	return m.keep(c, data)
}

func (m *memory) keep(c cid.Cid, data []byte) error {
	if err := block.Verify(c, data); err != nil {
		return err
	}
	if _, ok := m.blocks[c]; !ok {
		m.blocks[c] = append([]byte{}, data...)
	}
	return nil
}

func (m *memory) Get(_ context.Context, c cid.Cid, dst []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.Version() == 0 {
		c = cid.NewCidV1(c.Type(), c.Hash())
	}
	b, ok := m.blocks[c]
	if !ok {
		return nil, fmt.Errorf("%w: %s", block.ErrNotFound, c)
	}
	return append(dst[:0], b...), nil
}

// nodeCounter counts what a walk asks for.
type nodeCounter struct {
	NodeSource
	calls, nodes int
}

func (n *nodeCounter) Nodes(ctx context.Context, cs []cid.Cid) iter.Seq2[block.Block, error] {
	n.calls++
	n.nodes += len(cs)
	return n.NodeSource.Nodes(ctx, cs)
}

// tempDir is in memory where that is possible: thousands of small files are slow on a busy disk.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "dag-test")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// discard is a sink that keeps nothing.
type discard struct{}

func (discard) File(string, fs.FileInfo) (uint64, error)                   { return 1, nil }
func (discard) Leaf(context.Context, uint64, int64, cid.Cid, []byte) error { return nil }
func (discard) Node(context.Context, cid.Cid, []byte) error                { return nil }
