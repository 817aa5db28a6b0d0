package admission

import (
	"fmt"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestPlacesAtTheDoorGoToThoseWhoHoldFew(t *testing.T) {
	var s shakes
	at := func(i int) ma.Multiaddr { return ma.StringCast(fmt.Sprintf("/ip4/10.0.0.%d/tcp/1", i)) }
	var ended []int
	var leaves []func()
	for i := range maxShakes { // eight addresses with eight each
		leave, ok := s.enter(at(i%8), func() { ended = append(ended, i) })
		if !ok {
			t.Fatalf("handshake %d was turned away", i)
		}
		leaves = append(leaves, leave)
	}
	if _, ok := s.enter(at(0), func() {}); ok {
		t.Error("one address got a ninth place")
	}
	mine, ok := s.enter(at(99), func() { t.Error("the honest one was cut") })
	if !ok || len(ended) != 1 || ended[0] != 0 {
		t.Fatalf("a new address: %v, cut %v; want the oldest of those who hold most", ok, ended)
	}
	leaves[0]() // which it has lost already
	if n := len(s.all); n != maxShakes {
		t.Errorf("%d places are taken, want %d", n, maxShakes)
	}
	mine()
	for _, l := range leaves[1:] {
		l()
	}
	if n := len(s.all); n != 0 {
		t.Errorf("%d places were not given back", n)
	}
}
