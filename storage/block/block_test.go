package block_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

func TestMem(t *testing.T) {
	blocktest.Run(t, func(*testing.T) block.Store { return block.NewMem() })
}

// liar answers every Get with the same bytes.
type liar struct{ block.Store }

func (liar) Get(context.Context, cid.Cid, []byte) ([]byte, error) { return []byte("lie"), nil }

func TestVerifiedCatchesLiar(t *testing.T) {
	s := block.Verified(liar{block.NewMem()})
	if d, err := s.Get(context.Background(), block.Sum(cid.Raw, []byte("truth")), nil); !errors.Is(err, block.ErrCorrupt) || d != nil {
		t.Fatalf("got %q, %v", d, err)
	}
	if d, err := s.Get(context.Background(), block.Sum(cid.Raw, []byte("lie")), nil); err != nil || string(d) != "lie" {
		t.Fatalf("got %q, %v", d, err)
	}
}

func TestDigest(t *testing.T) {
	v0 := cid.NewCidV0(block.Sum(cid.DagProtobuf, []byte("x")).Hash())
	for name, c := range map[string]cid.Cid{"undefined": cid.Undef, "identity": idCID(t)} {
		if _, err := block.Digest(c); !errors.Is(err, block.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := block.Verify(v0, []byte("x")); err != nil {
		t.Errorf("version 0: %v", err)
	}
}

func idCID(t *testing.T) cid.Cid {
	t.Helper()
	c, err := cid.V1Builder{Codec: cid.Raw, MhType: 0}.Sum([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
