package admission

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

func TestFloodIsHeldAndMembersHaveRoom(t *testing.T) {
	f := newFlood(rates{floodRate, floodBurst}, rates{crowdRate, crowdBurst})
	now := time.Unix(1000, 0)
	home := placeOf(ma.StringCast("/ip4/10.0.0.99/tcp/1"))
	f.known(home, now)
	let, members := 0, 0
	for i := range 10_000 { // 1,000 a second from ten addresses
		at := now.Add(time.Duration(i) * time.Millisecond)
		if f.accept(placeOf(ma.StringCast(fmt.Sprintf("/ip4/10.0.1.%d/tcp/%d", i%10, i+1))), at) {
			let++
		}
		if i%500 == 0 && f.accept(home, at) {
			members++
		}
	}
	if most := 10 * (floodBurst + 10*floodRate); let > most {
		t.Errorf("%d of 10,000 attempts were let in, at most %d should be", let, most)
	}
	if members != 20 {
		t.Errorf("of 20 connections from a member's address %d were let in", members)
	}
}

func TestFloodOfManyAddressesIsHeldTogether(t *testing.T) {
	f := newFlood(rates{floodRate, floodBurst}, rates{crowdRate, crowdBurst})
	now := time.Unix(1000, 0)
	let := 0
	for i := range 100_000 { // each from an address of its own, within ten seconds
		ip := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if f.accept(netip.PrefixFrom(ip, 32), now.Add(time.Duration(i)*100*time.Microsecond)) {
			let++
		}
	}
	if most := crowdBurst + 10*crowdRate; let > most {
		t.Errorf("%d attempts were let in, at most %d should be", let, most)
	}
	if n := len(f.strangers); n > floodPlaces {
		t.Errorf("%d addresses are remembered", n)
	}
}

func TestFloodForgives(t *testing.T) {
	f := newFlood(rates{floodRate, floodBurst}, rates{crowdRate, crowdBurst})
	now := time.Unix(1000, 0)
	p := placeOf(ma.StringCast("/ip4/10.0.0.1/tcp/1"))
	for f.accept(p, now) {
	}
	if f.accept(p, now.Add(-time.Hour)) {
		t.Error("a clock that goes back gives room")
	}
	if !f.accept(p, now.Add(time.Second)) {
		t.Error("an address that was held is held for ever")
	}
}

func TestPlaces(t *testing.T) {
	for a, want := range map[string]string{
		"/ip4/1.2.3.4/tcp/1":              "1.2.3.4/32",
		"/ip6/2001:db8:1:2:3:4:5:6/tcp/1": "2001:db8:1:2::/64",
		"/ip6/::ffff:1.2.3.4/tcp/1":       "1.2.3.4/32",
		"/dns4/example.org/tcp/1":         "invalid Prefix",
	} {
		if got := placeOf(ma.StringCast(a)).String(); got != want {
			t.Errorf("%s: place %s, want %s", a, got, want)
		}
	}
}
