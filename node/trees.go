package node

import (
	"context"
	"sync"

	"cairn/storage/block"
	"cairn/storage/dag"
	"cairn/swarm/exchange"

	"github.com/ipfs/go-cid"
)

// keptTrees is how many trees without a user stay in memory, at 32 bytes a leaf each.
const keptTrees = 8

// trees builds the flat form of objects that this peer holds, once for all who use it at a time.
type trees struct {
	block.Getter
	size func(cid.Cid) int64 // of an object in the library; -1 if it is not there

	mu    sync.Mutex
	trees map[cid.Cid]*sharedTree
	order []cid.Cid // least recently used first
}

type sharedTree struct {
	users int
	ready chan struct{}
	tree  *dag.Tree
	err   error
}

func newTrees(g block.Getter, size func(cid.Cid) int64) *trees {
	return &trees{Getter: g, size: size, trees: map[cid.Cid]*sharedTree{}}
}

// Tree returns the tree of root as the exchange takes it, to be released once.
func (t *trees) Tree(ctx context.Context, root cid.Cid) (exchange.Tree, func(), error) {
	tree, release, err := t.open(ctx, root)
	if err != nil {
		return nil, nil, err
	}
	return tree, release, nil
}

// open returns the tree of root, to be released once.
func (t *trees) open(ctx context.Context, root cid.Cid) (*dag.Tree, func(), error) {
	t.mu.Lock()
	s := t.trees[root]
	build := s == nil
	if build {
		s = &sharedTree{ready: make(chan struct{})}
		t.trees[root] = s
	}
	s.users++
	t.touch(root)
	t.mu.Unlock()
	if build {
		// Not under the caller's context: others may be waiting for the same tree.
		s.tree, s.err = dag.Walk(context.WithoutCancel(ctx), root, t.size(root), dag.FromGetter(t.Getter), dag.DefaultBudget(), nil)
		close(s.ready)
	}
	release := sync.OnceFunc(func() { t.release(root, s) })
	select {
	case <-s.ready:
	case <-ctx.Done():
		release()
		return nil, nil, ctx.Err()
	}
	if s.err != nil {
		release()
		return nil, nil, s.err
	}
	return s.tree, release, nil
}

// touch makes root the most recently used. Callers hold mu.
func (t *trees) touch(root cid.Cid) {
	for i, c := range t.order {
		if c == root {
			t.order = append(t.order[:i], t.order[i+1:]...)
			break
		}
	}
	t.order = append(t.order, root)
}

func (t *trees) release(root cid.Cid, s *sharedTree) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.users--
	if s.err != nil && t.trees[root] == s {
		t.drop(root) // the next one tries again: a file may be back
	}
	unused := 0
	for _, x := range t.trees {
		if x.users == 0 {
			unused++
		}
	}
	for i := 0; i < len(t.order) && unused > keptTrees; {
		if c := t.order[i]; t.trees[c].users == 0 {
			t.drop(c)
			unused--
			continue
		}
		i++
	}
}

func (t *trees) drop(root cid.Cid) {
	delete(t.trees, root)
	for i, c := range t.order {
		if c == root {
			t.order = append(t.order[:i], t.order[i+1:]...)
			return
		}
	}
}
