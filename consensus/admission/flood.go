package admission

import (
	"net/netip"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// How many connections may be opened. A handshake costs about a millisecond of a core, so strangers together get a twentieth of one.
// Addresses cost an attacker something, peer ids do not; so addresses are what is counted.
const (
	floodRate, floodBurst   = 2, 8    // per second and at once, of an address that is not known
	crowdRate, crowdBurst   = 50, 200 // of all those together
	doorRate, doorBurst     = 4, 32   // the same at a door, where everybody may come: downloaders behind one address
	throngRate, throngBurst = 100, 400
	memberRate, memberBurst = 16, 64 // of an address from which a member came within memberLately
	memberLately            = time.Hour
	floodForget             = time.Minute // a bucket that was quiet for so long is full
	floodPlaces             = 4096        // addresses remembered of each sort
)

// flood decides how many connections an address may open before it is known who they are. Its user has the lock.
type flood struct {
	each, all          rates // of strangers: of an address, and together
	strangers, members map[netip.Prefix]*bucket
	crowd              bucket
}

// rates are those of a bucket: per second, and at once.
type rates struct{ rate, burst float64 }

func newFlood(each, all rates) flood {
	return flood{each: each, all: all, strangers: map[netip.Prefix]*bucket{}, members: map[netip.Prefix]*bucket{}}
}

// accept takes one connection of a place.
func (f *flood) accept(from netip.Prefix, now time.Time) bool {
	if b := f.members[from]; b != nil && now.Sub(b.used) < memberLately {
		if b.take(now, 1, memberRate, memberBurst) {
			return true
		}
	}
	if from.IsValid() && from.Addr().IsLoopback() { // programs of this machine share it, and can harm it in simpler ways
		return f.of(f.strangers, from, now).take(now, 1, memberRate*4, memberBurst*4)
	}
	return f.of(f.strangers, from, now).take(now, 1, f.each.rate, f.each.burst) && f.crowd.take(now, 1, f.all.rate, f.all.burst)
}

// known notes that a member came from a place.
func (f *flood) known(from netip.Prefix, now time.Time) {
	f.of(f.members, from, now).used = now
}

// of returns the bucket of a place. When there are too many places, those that have been quiet for longest enough to be full again are
// forgotten, and if that is none, all: whoever has that many addresses is held by the limit of all together.
func (f *flood) of(m map[netip.Prefix]*bucket, from netip.Prefix, now time.Time) *bucket {
	b := m[from]
	if b != nil {
		return b
	}
	if len(m) >= floodPlaces {
		for p, o := range m {
			if now.Sub(o.at) > floodForget && now.Sub(o.used) > memberLately {
				delete(m, p)
			}
		}
		if len(m) >= floodPlaces {
			clear(m)
		}
	}
	b = &bucket{}
	m[from] = b
	return b
}

// bucket is a token bucket; its rate is its user's. The zero value is full.
type bucket struct {
	spent float64   // tokens that are missing
	at    time.Time // of that
	used  time.Time // when a member came from there, zero for others
}

// take takes n tokens if they are there. A clock that goes back gives none.
func (b *bucket) take(now time.Time, n, rate, burst float64) bool {
	if d := now.Sub(b.at); d > 0 {
		b.spent = max(b.spent-d.Seconds()*rate, 0)
	}
	b.at = now
	if b.spent+n > burst {
		return false
	}
	b.spent += n
	return true
}

// placeOf is what one machine or household has of addresses: an IPv4 address, or the first half of an IPv6 address. What is neither
// counts as one.
func placeOf(a ma.Multiaddr) netip.Prefix {
	b, err := manet.ToIP(a)
	ip, ok := netip.AddrFromSlice(b)
	if err != nil || !ok {
		return netip.Prefix{}
	}
	bits := 64
	if ip = ip.Unmap(); ip.Is4() {
		bits = 32
	}
	p, _ := ip.WithZone("").Prefix(bits) // no error: the bits fit the address
	return p
}
