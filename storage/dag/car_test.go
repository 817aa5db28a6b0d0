package dag

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	car "github.com/ipld/go-car/v2"

	"cairn/storage/block"
)

// carOf encodes a CARv1 by hand.
func carOf(roots []cid.Cid, blocks ...block.Block) []byte {
	h := append([]byte("\xa2\x65roots"), 0x80|byte(len(roots)))
	for _, r := range roots {
		h = append(append(h, 0xd8, 0x2a, 0x58, byte(r.ByteLen()+1), 0), r.Bytes()...)
	}
	h = append(h, "\x67version\x01"...)
	b := append(binary.AppendUvarint(nil, uint64(len(h))), h...)
	for _, blk := range blocks {
		b = binary.AppendUvarint(b, uint64(blk.CID.ByteLen()+len(blk.Data)))
		b = append(append(b, blk.CID.Bytes()...), blk.Data...)
	}
	return b
}

func (m *memory) blk(x made) block.Block { return block.Block{CID: x.c, Data: m.blocks[x.c]} }

// sample is a small object with a duplicate.
func sample() (m *memory, root made, all []block.Block) {
	m = newMemory()
	a, b := m.raw(100, 1), m.raw(200, 2)
	f := m.node(a, a, b)
	d := m.dir(lnk{name: "again", to: f}, lnk{name: "f", to: f})
	root = m.dir(lnk{name: "a", to: a}, lnk{name: "d", to: d})
	return m, root, []block.Block{m.blk(root), m.blk(a), m.blk(d), m.blk(f), m.blk(b)}
}

func TestWriteCAR(t *testing.T) {
	ctx := context.Background()
	m, root, all := sample()
	var buf bytes.Buffer
	if err := WriteCAR(ctx, &buf, root.c, m); err != nil {
		t.Fatal(err)
	}
	if want := carOf([]cid.Cid{root.c}, all...); !bytes.Equal(buf.Bytes(), want) {
		t.Error("not the root, then depth first, each once")
	}
	br, err := car.NewBlockReader(bytes.NewReader(buf.Bytes())) // the oracle verifies as it reads
	if err != nil || len(br.Roots) != 1 || br.Roots[0] != root.c || br.Version != 1 {
		t.Fatal(err, br)
	}
	for i := range all {
		if b, err := br.Next(); err != nil || b.Cid() != all[i].CID {
			t.Fatal(i, err)
		}
	}
	if _, err := br.Next(); err != io.EOF {
		t.Error(err)
	}
	v0 := cid.NewCidV0(root.c.Hash())
	buf.Reset()
	if err := WriteCAR(ctx, &buf, v0, m); err != nil {
		t.Fatal(err)
	}
	if br, err = car.NewBlockReader(&buf); err != nil || br.Roots[0] != v0 {
		t.Error(err)
	}
	delete(m.blocks, all[4].CID)
	if err := WriteCAR(ctx, io.Discard, root.c, m); !errors.Is(err, block.ErrNotFound) {
		t.Error(err)
	}
	m.blocks[all[4].CID] = []byte("other")
	if err := WriteCAR(ctx, io.Discard, root.c, m); !errors.Is(err, block.ErrCorrupt) {
		t.Error(err)
	}
}

func TestReadCAR(t *testing.T) {
	m, root, all := sample()
	other := m.dir()
	flipped := slices.Clone(all)
	flipped[3].Data = bytes.Clone(flipped[3].Data)
	flipped[3].Data[20] ^= 1
	reversed := slices.Clone(all)
	slices.Reverse(reversed)
	whole := carOf([]cid.Cid{root.c}, all...)
	lone := m.raw(50, 3)
	small := m.raw(5, 1)
	lying := small
	lying.size, lying.tsize = 6, 6
	liar := m.node(lying)
	big := block.Block{CID: block.Sum(cid.Raw, make([]byte, block.MaxSize+1)), Data: make([]byte, block.MaxSize+1)}

	for name, tc := range map[string]struct {
		car   []byte
		want  error
		text  string
		count int // blocks handed over when it succeeds
	}{
		"whole":           {whole, nil, "", 5},
		"reversed":        {carOf([]cid.Cid{root.c}, reversed...), nil, "", 5},
		"duplicates":      {carOf([]cid.Cid{root.c}, append(all, all...)...), nil, "", 5},
		"extra block":     {carOf([]cid.Cid{root.c}, append(all, m.blk(other))...), nil, "", 6},
		"raw root":        {carOf([]cid.Cid{lone.c}, m.blk(lone)), nil, "", 1},
		"no roots":        {carOf(nil, all...), ErrUnsupported, "0 roots", 0},
		"two roots":       {carOf([]cid.Cid{root.c, other.c}, all...), ErrUnsupported, "2 roots", 0},
		"flipped byte":    {carOf([]cid.Cid{root.c}, flipped...), block.ErrCorrupt, all[3].CID.String(), 0},
		"no blocks":       {carOf([]cid.Cid{root.c}), block.ErrNotFound, root.c.String(), 0},
		"no raw root":     {carOf([]cid.Cid{lone.c}), block.ErrNotFound, lone.c.String(), 0},
		"missing node":    {carOf([]cid.Cid{root.c}, slices.Delete(slices.Clone(all), 3, 4)...), block.ErrNotFound, all[3].CID.String(), 0},
		"missing leaf":    {carOf([]cid.Cid{root.c}, all[:4]...), block.ErrNotFound, all[4].CID.String(), 0},
		"block too large": {carOf([]cid.Cid{root.c}, append(slices.Clone(all), big)...), block.ErrTooLarge, "2097153", 0},
		"leaf size":       {carOf([]cid.Cid{liar.c}, m.blk(liar), m.blk(small)), ErrBadDAG, "its parent says 6", 0},
		"other codec":     {carOf([]cid.Cid{root.c}, block.Block{CID: block.Sum(cid.DagCBOR, nil)}), ErrUnsupported, "codec 0x71", 0},
		"empty":           {nil, io.ErrUnexpectedEOF, "header", 0},
		"text":            {[]byte("this is not a CAR, but a text"), io.ErrUnexpectedEOF, "header", 0},
		"huge header":     {binary.AppendUvarint(nil, 1<<62), ErrBadDAG, "header", 0},
		"huge section":    {binary.AppendUvarint(bytes.Clone(whole), 1<<62), io.ErrUnexpectedEOF, "", 0},
		"endless varint":  {append(bytes.Clone(whole), bytes.Repeat([]byte{0xff}, 20)...), ErrBadDAG, "", 0},
		"huge block":      {append(binary.AppendUvarint(bytes.Clone(whole), 1<<62), all[0].CID.Bytes()...), block.ErrTooLarge, "", 0},
		"zero section":    {append(bytes.Clone(whole), 0), ErrBadDAG, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			mem := newMemory()
			s, err := ReadCAR(context.Background(), bytes.NewReader(tc.car), DefaultBudget(), mem)
			if tc.want != nil {
				if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
					t.Errorf("%v; want %v with %q", err, tc.want, tc.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if n := len(mem.leaves) + len(mem.nodes); n != tc.count || s.Files == 0 {
				t.Errorf("%d blocks, %+v", n, s)
			}
			for _, at := range mem.at {
				if at.id != 0 {
					t.Errorf("leaf with id %d", at.id)
				}
			}
		})
	}

	t.Run("truncated anywhere", func(t *testing.T) {
		for n := range len(whole) {
			if _, err := ReadCAR(context.Background(), bytes.NewReader(whole[:n]), DefaultBudget(), discard{}); err == nil {
				t.Fatalf("%d of %d bytes were taken for the whole", n, len(whole))
			}
		}
	})
	t.Run("version 2", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "v2.car")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := car.WrapV1(bytes.NewReader(whole), f); err != nil {
			t.Fatal(err)
		}
		v2, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		mem := newMemory()
		s, err := ReadCAR(context.Background(), bytes.NewReader(v2), DefaultBudget(), mem)
		if err != nil || s.Root != root.c || s.Files != 3 || s.Size != 900 || s.Leaves != 7 || len(mem.blocks) != 5 {
			t.Fatalf("%+v, %v", s, err)
		}
		end := 51 + len(whole) // what follows is the index
		for n := range end {
			if _, err := ReadCAR(context.Background(), bytes.NewReader(v2[:n]), DefaultBudget(), discard{}); err == nil {
				t.Fatalf("%d of %d bytes were taken for the whole", n, end)
			}
		}
	})
	t.Run("budget", func(t *testing.T) {
		for _, b := range []Budget{{1, 100, 100, 10, 1e6, 100}, {100, 1, 100, 10, 1e6, 100}, {100, 100, 1, 10, 1e6, 100}, {100, 100, 100, 10, 299, 100}} {
			if _, err := ReadCAR(context.Background(), bytes.NewReader(whole), b, discard{}); !errors.Is(err, ErrBadDAG) {
				t.Errorf("%+v: %v", b, err)
			}
		}
	})
	t.Run("sink fails", func(t *testing.T) {
		full := errors.New("full")
		for _, s := range []Sink{failing{leaf: full}, failing{node: full}} {
			if _, err := ReadCAR(context.Background(), bytes.NewReader(whole), DefaultBudget(), s); !errors.Is(err, full) {
				t.Error(err)
			}
		}
	})
}

// failing is a sink that fails.
type failing struct{ file, leaf, node error }

func (f failing) File(string, os.FileInfo) (uint64, error) { return 1, f.file }
func (f failing) Leaf(context.Context, uint64, int64, cid.Cid, []byte) error {
	return f.leaf
}
func (f failing) Node(context.Context, cid.Cid, []byte) error { return f.node }
