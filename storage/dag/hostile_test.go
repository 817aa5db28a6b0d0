package dag

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"cairn/storage/block"
)

// lnk is a link of a hand-made node; tsize nil means the true one.
type lnk struct {
	name  string
	to    made
	tsize *uint64
}

// made is a hand-made block.
type made struct {
	c     cid.Cid
	tsize uint64
	size  uint64
}

func (m *memory) raw(n int, fill byte) made {
	b := make([]byte, n)
	for i := range b {
		b[i] = fill
	}
	c := block.Sum(cid.Raw, b)
	m.blocks[c] = b
	return made{c, uint64(n), uint64(n)}
}

// pb encodes links and data as they are given.
func (m *memory) pb(data []byte, links ...lnk) made {
	var b []byte
	var below uint64
	for _, l := range links {
		ts := l.to.tsize
		if l.tsize != nil {
			ts = *l.tsize
		}
		below += l.to.tsize
		body := append([]byte{0x0a, byte(l.to.c.ByteLen())}, l.to.c.Bytes()...)
		body = append(binary.AppendUvarint(append(body, 0x12), uint64(len(l.name))), l.name...)
		body = binary.AppendUvarint(append(body, 0x18), ts)
		b = append(binary.AppendUvarint(append(b, 0x12), uint64(len(body))), body...)
	}
	b = appendData(b, data)
	return m.block(b, below)
}

func (m *memory) block(b []byte, below uint64) made {
	c := block.Sum(cid.DagProtobuf, b)
	m.blocks[c] = b
	return made{c: c, tsize: below + uint64(len(b))}
}

func (m *memory) dir(links ...lnk) made { return m.pb([]byte{8, 1}, links...) }

// file makes a file node that says it has size bytes in these blocks.
func (m *memory) file(size uint64, blocks []uint64, links ...lnk) made {
	data := binary.AppendUvarint([]byte{8, 2, 0x18}, size)
	for _, b := range blocks {
		data = binary.AppendUvarint(append(data, 0x20), b)
	}
	n := m.pb(data, links...)
	n.size = size
	return n
}

// node makes a well-formed file node over children.
func (m *memory) node(children ...made) made {
	var size uint64
	var blocks []uint64
	var links []lnk
	for _, c := range children {
		size += c.size
		blocks = append(blocks, c.size)
		links = append(links, lnk{to: c})
	}
	return m.file(size, blocks, links...)
}

func (m *memory) shard(fan uint64, bitmap []byte, links ...lnk) made {
	data := binary.AppendUvarint([]byte{8, 5, 0x12}, uint64(len(bitmap)))
	data = append(append(data, bitmap...), 0x28, 0x22, 0x30)
	return m.pb(binary.AppendUvarint(data, fan), links...)
}

func repeat(to made, n int) []made {
	out := make([]made, n)
	for i := range out {
		out[i] = to
	}
	return out
}

// TestHostile walks DAGs that lie and DAGs that explode: each must be refused, with a reason, at once.
func TestHostile(t *testing.T) {
	one := uint64(1)
	for name, tc := range map[string]struct {
		make func(m *memory) made
		want error
		text string
	}{
		"name empty":      {func(m *memory) made { return m.dir(lnk{name: "", to: m.raw(1, 1)}) }, ErrBadDAG, `named ""`},
		"name dot":        {func(m *memory) made { return m.dir(lnk{name: ".", to: m.raw(1, 1)}) }, ErrBadDAG, `named "."`},
		"name dot dot":    {func(m *memory) made { return m.dir(lnk{name: "..", to: m.raw(1, 1)}) }, ErrBadDAG, `named ".."`},
		"name slash":      {func(m *memory) made { return m.dir(lnk{name: "../etc", to: m.raw(1, 1)}) }, ErrBadDAG, `named "../etc"`},
		"name NUL":        {func(m *memory) made { return m.dir(lnk{name: "a\x00", to: m.raw(1, 1)}) }, ErrBadDAG, `named "a\x00"`},
		"name long":       {func(m *memory) made { return m.dir(lnk{name: strings.Repeat("a", 256), to: m.raw(1, 1)}) }, ErrBadDAG, "256 bytes"},
		"name ESC quoted": {func(m *memory) made { return m.dir(lnk{name: "\x1b/", to: m.raw(1, 1)}) }, ErrBadDAG, `\x1b/`},
		"names twice": {func(m *memory) made {
			return m.dir(lnk{name: "a", to: m.raw(1, 1)}, lnk{name: "a", to: m.raw(1, 2)})
		}, ErrBadDAG, `two entries are named "a"`},
		"names twice unsorted": {func(m *memory) made {
			return m.dir(lnk{name: "b", to: m.raw(1, 1)}, lnk{name: "a", to: m.raw(1, 1)}, lnk{name: "b", to: m.raw(1, 2)})
		}, ErrBadDAG, `two entries are named "b"`},
		"file size": {func(m *memory) made { return m.file(3, []uint64{2}, lnk{to: m.raw(2, 1)}) }, ErrBadDAG, "file size 3"},
		"block sizes missing": {func(m *memory) made {
			return m.file(2, []uint64{2}, lnk{to: m.raw(2, 1)}, lnk{to: m.raw(2, 1)})
		}, ErrBadDAG, "2 links and 1 block sizes"},
		"leaf larger than a block": {func(m *memory) made {
			l := m.raw(2, 1)
			l.tsize = 3 << 20
			return m.file(3<<20, []uint64{3 << 20}, lnk{to: l})
		}, ErrBadDAG, "leaf of 3145728 bytes"},
		"leaf Tsize": {func(m *memory) made { return m.file(2, []uint64{2}, lnk{"", m.raw(2, 1), &one}) }, ErrBadDAG, "total size of 1"},
		"node Tsize": {func(m *memory) made { return m.dir(lnk{"d", m.dir(), &one}) }, ErrBadDAG, "1 bytes in total"},
		"size overflow": {func(m *memory) made {
			return m.file(1, []uint64{1 << 63, 1<<63 + 1}, lnk{to: m.raw(2, 1)}, lnk{to: m.raw(2, 1)})
		}, ErrBadDAG, "file size"},
		"child size": {func(m *memory) made {
			n := m.node(m.raw(2, 1))
			n.size = 5
			return m.node(n)
		}, ErrBadDAG, "its parent says 5"},
		"directory in a file": {func(m *memory) made { return m.node(m.dir()) }, ErrBadDAG, "a directory inside a file"},
		"shard is a leaf":     {func(m *memory) made { return m.shard(256, []byte{1}, lnk{name: "00", to: m.raw(1, 1)}) }, ErrBadDAG, "raw leaf"},
		"shard is a directory": {func(m *memory) made {
			return m.shard(256, []byte{1}, lnk{name: "00", to: m.dir(lnk{name: "a", to: m.raw(1, 1)})})
		}, ErrBadDAG, "where a HAMT shard is needed"},
		"shard empty":        {func(m *memory) made { return m.shard(256, []byte{1}, lnk{name: "00", to: m.shard(256, nil)}) }, ErrBadDAG, "0 entries"},
		"shard slot":         {func(m *memory) made { return m.shard(256, []byte{1}, lnk{name: "00a", to: m.raw(1, 1)}) }, ErrBadDAG, "wrong slot"},
		"shard bitmap":       {func(m *memory) made { return m.shard(256, []byte{3}, lnk{name: "00a", to: m.raw(1, 1)}) }, ErrBadDAG, "bitmap"},
		"shard bitmap long":  {func(m *memory) made { return m.shard(8, []byte{1, 1}) }, ErrBadDAG, "bitmap of 2 bytes"},
		"shard slot digits":  {func(m *memory) made { return m.shard(256, nil, lnk{name: "0g", to: m.raw(1, 1)}) }, ErrBadDAG, `"0g"`},
		"shard fan-out":      {func(m *memory) made { return m.shard(1<<20, nil) }, ErrBadDAG, "fan-out of 1048576"},
		"shard fan-out odd":  {func(m *memory) made { return m.shard(100, nil) }, ErrBadDAG, "fan-out of 100"},
		"symlink with links": {func(m *memory) made { return m.pb([]byte{8, 4, 0x12, 1, 'x'}, lnk{to: m.raw(1, 1)}) }, ErrBadDAG, "symbolic link"},
		"symlink long":       {func(m *memory) made { return m.block(symlinkBlock(strings.Repeat("x", 4097), meta{}), 0) }, ErrBadDAG, "4097 bytes"},
		"inline data":        {func(m *memory) made { return m.pb([]byte{8, 2, 0x12, 1, 'x', 0x18, 1}) }, ErrUnsupported, "only raw leaves"},
		"dag-pb leaf":        {func(m *memory) made { return m.pb([]byte{8, 0, 0x12, 1, 'x', 0x18, 1}) }, ErrUnsupported, "only raw leaves"},
		"metadata type":      {func(m *memory) made { return m.pb([]byte{8, 3}) }, ErrUnsupported, "UnixFS type 3"},
		"unknown field":      {func(m *memory) made { return m.pb([]byte{8, 1, 0x78, 1}) }, ErrUnsupported, "field 15"},
		"not protobuf":       {func(m *memory) made { return m.block([]byte("hello"), 0) }, ErrBadDAG, "dag-pb"},
		"empty block":        {func(m *memory) made { return m.block(nil, 0) }, ErrBadDAG, "without data"},
		"other codec": {func(m *memory) made {
			return m.dir(lnk{name: "a", to: made{c: block.Sum(cid.DagCBOR, []byte{1})}})
		}, ErrUnsupported, "codec 0x71"},
		"other hash": {func(m *memory) made {
			h, _ := multihash.Sum([]byte("x"), multihash.SHA2_512, -1)
			return m.dir(lnk{name: "a", to: made{c: cid.NewCidV1(cid.Raw, h)}})
		}, ErrUnsupported, "another hash"},
		"missing": {func(m *memory) made {
			d := m.dir(lnk{name: "x", to: m.raw(1, 1)})
			delete(m.blocks, d.c)
			return m.dir(lnk{name: "d", to: d})
		}, block.ErrNotFound, "not found"},
		"corrupt": {func(m *memory) made {
			d := m.dir()
			m.blocks[d.c] = []byte{8, 2}
			return m.dir(lnk{name: "d", to: d})
		}, block.ErrCorrupt, "corrupt"},
		"block too large": {func(m *memory) made { return m.block(make([]byte, block.MaxSize+1), 0) }, block.ErrTooLarge, "too large"},
		"deep": {func(m *memory) made {
			d := m.dir()
			for range 300 {
				d = m.dir(lnk{name: "d", to: d})
			}
			return d
		}, ErrBadDAG, "deeper than 256"},
		"deep after shallow": {func(m *memory) made { // the deep path reaches nodes that were seen near the root
			d := m.dir()
			var all []lnk
			for i := range 300 {
				d = m.dir(lnk{name: "d", to: d})
				all = append(all, lnk{name: fmt.Sprintf("%03d", i), to: d})
			}
			return m.dir(all...)
		}, ErrBadDAG, "deeper than 256"},
		"diamond of directories": {func(m *memory) made { // 2^40 items from 40 nodes
			d := m.dir()
			for range 40 {
				d = m.dir(lnk{name: "a", to: d}, lnk{name: "b", to: d})
			}
			return d
		}, ErrBadDAG, "items"},
		"diamond of leaves": {func(m *memory) made { // 1024^5 leaves
			n := m.raw(0, 0)
			for range 5 {
				n = m.node(repeat(n, 1024)...)
			}
			return n
		}, ErrBadDAG, "leaves"},
		"diamond of nothing": {func(m *memory) made { // file nodes without any leaf
			n := m.node()
			for range 5 {
				n = m.node(repeat(n, 1024)...)
			}
			return n
		}, ErrBadDAG, "nodes with duplicates"},
		"bytes": {func(m *memory) made {
			n := m.node(repeat(m.raw(block.MaxSize, 0), 1024)...)
			n = m.node(repeat(n, 1024)...)
			return m.node(repeat(n, 4)...)
		}, ErrBadDAG, "bytes"},
		"long path": {func(m *memory) made {
			d := m.dir(lnk{name: "x", to: m.raw(1, 1)})
			for range 30 {
				d = m.dir(lnk{name: strings.Repeat("n", 200), to: d})
			}
			return d
		}, ErrBadDAG, "bytes in one path"},
		"many long paths": {func(m *memory) made {
			d := m.dir()
			for i := range 15 {
				d = m.dir(lnk{name: "a" + strings.Repeat("n", 200+i), to: d}, lnk{name: "b" + strings.Repeat("n", 200+i), to: d})
			}
			return m.dir(lnk{name: "1", to: d}, lnk{name: "2", to: d}, lnk{name: "3", to: d}, lnk{name: "4", to: d})
		}, ErrBadDAG, "bytes in paths"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			root := tc.make(m)
			b := DefaultBudget()
			b.MaxBytes = 7 << 40
			if name == "many long paths" {
				b.MaxItems = 1 << 18
			}
			_, err := Walk(context.Background(), root.c, -1, FromGetter(m), b, nil)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v; want %v with %q", err, tc.want, tc.text)
			}
			// The other readers of foreign blocks must survive it too.
			for range ListDir(context.Background(), root.c, m) {
				break
			}
			_, _, _ = Resolve(context.Background(), root.c, "a/b/c", m)
			_, _ = Stat(context.Background(), root.c, m)
		})
	}
}

// TestBudgetNodes: distinct nodes and links are bounded while they are being fetched.
func TestBudgetNodes(t *testing.T) {
	m := newMemory()
	var links []lnk
	for i := range 100 {
		links = append(links, lnk{name: fmt.Sprintf("%03d", i), to: m.dir(lnk{name: fmt.Sprint(i), to: m.raw(1, 1)})})
	}
	root := m.dir(links...)
	b := DefaultBudget()
	b.MaxNodes = 50
	src := &nodeCounter{NodeSource: FromGetter(m)}
	if _, err := Walk(context.Background(), root.c, -1, src, b, nil); !errors.Is(err, ErrBadDAG) || src.nodes > 1 {
		t.Errorf("%v after %d nodes", err, src.nodes)
	}
	b = Budget{MaxNodes: 101, MaxLeaves: 100, MaxItems: 201, MaxDepth: 2, MaxBytes: 100, MaxPath: 6}
	if _, err := Walk(context.Background(), root.c, -1, FromGetter(m), b, nil); err != nil {
		t.Errorf("a budget that just fits: %v", err)
	}
	for i, less := range []Budget{
		{100, 100, 201, 2, 100, 6}, {101, 99, 201, 2, 100, 6}, {101, 100, 200, 2, 100, 6},
		{101, 100, 201, 1, 100, 6}, {101, 100, 201, 2, 99, 6}, {101, 100, 201, 2, 100, 5}, {},
	} {
		if _, err := Walk(context.Background(), root.c, -1, FromGetter(m), less, nil); !errors.Is(err, ErrBadDAG) {
			t.Errorf("budget %d: %v", i, err)
		}
	}
}

// lyingSource answers with what it likes.
type lyingSource func(cs []cid.Cid, yield func(block.Block, error) bool)

func (l lyingSource) Nodes(_ context.Context, cs []cid.Cid) iter.Seq2[block.Block, error] {
	return func(yield func(block.Block, error) bool) { l(cs, yield) }
}

func TestLyingSource(t *testing.T) {
	m := newMemory()
	root, other := m.dir(lnk{name: "a", to: m.raw(1, 1)}), m.dir()
	for name, tc := range map[string]struct {
		src  lyingSource
		want error
	}{
		"nothing": {func([]cid.Cid, func(block.Block, error) bool) {}, block.ErrNotFound},
		"other block": {func(_ []cid.Cid, y func(block.Block, error) bool) {
			y(block.Block{CID: other.c, Data: m.blocks[other.c]}, nil)
		}, ErrBadDAG},
		"other bytes": {func(cs []cid.Cid, y func(block.Block, error) bool) {
			y(block.Block{CID: cs[0], Data: m.blocks[other.c]}, nil)
		}, block.ErrCorrupt},
		"twice": {func(cs []cid.Cid, y func(block.Block, error) bool) {
			b := block.Block{CID: cs[0], Data: m.blocks[cs[0]]}
			for range 2 {
				if !y(b, nil) {
					return
				}
			}
		}, ErrBadDAG},
		"no CID": {func(_ []cid.Cid, y func(block.Block, error) bool) { y(block.Block{}, nil) }, block.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			called := 0
			_, err := Walk(context.Background(), root.c, -1, tc.src, DefaultBudget(), func(block.Block) error { called++; return nil })
			if !errors.Is(err, tc.want) || called > 1 || called == 1 && name != "twice" {
				t.Errorf("%v, onNode called %d times", err, called)
			}
		})
	}
}

// TestForeign: shapes of other writers that are read.
func TestForeign(t *testing.T) {
	m := newMemory()
	mixed := m.node(m.node(m.raw(300, 1), m.raw(300, 2), m.raw(10, 3)), m.raw(500, 4), m.node(m.raw(300, 5)), m.raw(0, 0), m.raw(1, 6))
	v0 := m.node(m.raw(256<<10, 1), m.raw(256<<10, 2), m.raw(5, 3))
	v0.c = cid.NewCidV0(v0.c.Hash())
	m2 := m.raw(block.MaxSize, 7)
	for name, tc := range map[string]struct {
		root  made
		sizes []int
	}{
		"irregular leaves": {mixed, []int{300, 300, 10, 500, 300, 0, 1}},
		"CIDv0 root":       {v0, []int{256 << 10, 256 << 10, 5}},
		"2 MiB leaves":     {m.node(m2, m2, m.raw(1, 1)), []int{2 << 20, 2 << 20, 1}},
		"no leaves":        {m.node(), nil},
		"one empty leaf":   {m.node(m.raw(0, 0)), []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			tree := walk(t, m, tc.root.c)
			if tree.NumLeaves() != len(tc.sizes) || tree.Root() != tc.root.c {
				t.Fatalf("%d leaves", tree.NumLeaves())
			}
			var off int64
			for i, want := range tc.sizes {
				_, size := tree.Leaf(i)
				if item, at := tree.Locate(i); size != want || item != 0 || at != off {
					t.Errorf("leaf %d: %d bytes at %d of item %d, want %d at %d", i, size, at, item, want, off)
				}
				off += int64(want)
			}
			checkReader(t, tree, m, 0)
		})
	}
	// A fan-out other than ours, and links after data.
	name := "hello"
	h := nameHash([]byte(name))
	slot := int(h >> 60)
	root := m.shard(16, bitmap16(slot), lnk{name: fmt.Sprintf("%X%s", slot, name), to: m.raw(3, 9)})
	if tree := walk(t, m, root.c); len(tree.Items()) != 2 || tree.Items()[1].Path != name {
		t.Errorf("fan-out 16: %+v", tree.Items())
	}
	b := m.blocks[m.dir(lnk{name: "a", to: m.raw(1, 1)}).c]
	dataFirst := m.block(append([]byte{0x0a, 2, 8, 1}, b[:len(b)-4]...), 1)
	if tree := walk(t, m, dataFirst.c); len(tree.Items()) != 2 {
		t.Errorf("data first: %+v", tree.Items())
	}
}

func bitmap16(slot int) []byte {
	if slot < 8 {
		return []byte{1 << slot}
	}
	return []byte{1 << (slot - 8), 0}
}

func TestWalkRawRoot(t *testing.T) {
	m := newMemory()
	l := m.raw(7, 7)
	src := &nodeCounter{NodeSource: FromGetter(m)}
	for _, size := range []int64{7, -1} {
		tree, err := Walk(context.Background(), l.c, size, src, DefaultBudget(), nil)
		if err != nil || src.calls > 0 || tree.Size() != size || tree.NumLeaves() != 1 || tree.Kind() != File {
			t.Fatalf("%v, %d calls", err, src.calls)
		}
		if _, n := tree.Leaf(0); int64(n) != size {
			t.Errorf("leaf size %d", n)
		}
		if tree.HasNode(l.c) {
			t.Error("a leaf is no node")
		}
	}
	if _, err := Walk(context.Background(), l.c, 3<<20, src, DefaultBudget(), nil); !errors.Is(err, ErrBadDAG) {
		t.Errorf("3 MiB: %v", err)
	}
	if _, err := Walk(context.Background(), cid.Undef, -1, src, DefaultBudget(), nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("no CID: %v", err)
	}
}
