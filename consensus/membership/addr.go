package membership

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	ma "github.com/multiformats/go-multiaddr"
)

// maxAddrLen is the most bytes of one address in binary form.
const maxAddrLen = 128

// Bits of the byte that begins an address. One with bitTCP or bitQUIC is followed by an IP address and a port and
// stands for one multiaddr or, with both bits, for two; otherwise by its length and a multiaddr in binary form.
const (
	bitTCP       = 1 << 0
	bitQUIC      = 1 << 1
	bitIP6       = 1 << 2 // 16 bytes of IP address, not 4
	bitQUICFirst = 1 << 3 // of the two
)

// hostPort recognises /ip/tcp and /ip/udp/quic-v1: bits is 0 for all others.
func hostPort(a ma.Multiaddr) (bits byte, ap netip.AddrPort) {
	var port []byte
	switch {
	case len(a) == 2 && a[1].Code() == ma.P_TCP:
		bits, port = bitTCP, a[1].RawValue()
	case len(a) == 3 && a[1].Code() == ma.P_UDP && a[2].Code() == ma.P_QUIC_V1:
		bits, port = bitQUIC, a[1].RawValue()
	default:
		return 0, ap
	}
	ip, ok := netip.AddrFromSlice(a[0].RawValue())
	switch code := a[0].Code(); {
	case !ok, code != ma.P_IP4 && code != ma.P_IP6:
		return 0, ap
	case code == ma.P_IP6:
		bits |= bitIP6
	}
	return bits, netip.AddrPortFrom(ip, binary.BigEndian.Uint16(port))
}

// appendAddrs writes the number of entries and the entries. TCP and QUIC of one address and port are one entry where
// they follow each other.
func appendAddrs(b []byte, addrs []ma.Multiaddr) []byte {
	var n byte
	at := len(b)
	b = append(b, 0)
	for i := 0; i < len(addrs); i++ {
		n++
		bits, ap := hostPort(addrs[i])
		if bits == 0 {
			raw := addrs[i].Bytes()
			b = append(binary.AppendUvarint(append(b, 0), uint64(len(raw))), raw...)
			continue
		}
		if i+1 < len(addrs) {
			if next, ap2 := hostPort(addrs[i+1]); ap2 == ap && next^bits == bitTCP|bitQUIC {
				if bits&bitQUIC != 0 {
					bits |= bitQUICFirst
				}
				bits |= bitTCP | bitQUIC
				i++
			}
		}
		b = append(append(b, bits), ap.Addr().AsSlice()...)
		b = binary.BigEndian.AppendUint16(b, ap.Port())
	}
	b[at] = n
	return b
}

// addrs reads what appendAddrs wrote.
func (r *reader) addrs() (out []ma.Multiaddr) {
	for range r.count(MaxAddrs, "addresses") {
		bits := r.byte()
		if bits == 0 {
			a, err := ma.NewMultiaddrBytes(r.bytes(r.count(maxAddrLen, "bytes in an address")))
			if err != nil || len(a) == 0 {
				r.fail("it has an address that can not be read")
				return nil
			}
			out = append(out, a)
			continue
		}
		size, name := 4, "/ip4/"
		if bits&bitIP6 != 0 {
			size, name = 16, "/ip6/"
		}
		both := bits&bitTCP != 0 && bits&bitQUIC != 0
		if bits&^(bitTCP|bitQUIC|bitIP6|bitQUICFirst) != 0 || bits&(bitTCP|bitQUIC) == 0 || bits&bitQUICFirst != 0 && !both {
			r.fail("it has an address of an unknown kind")
		}
		ip, _ := netip.AddrFromSlice(r.bytes(size))
		port := strconv.Itoa(int(binary.BigEndian.Uint16(r.bytes(2))))
		if r.reason != "" {
			return nil
		}
		tcp, err := ma.NewMultiaddr(name + ip.String() + "/tcp/" + port)
		quic, err2 := ma.NewMultiaddr(name + ip.String() + "/udp/" + port + "/quic-v1")
		if err != nil || err2 != nil {
			r.fail("it has an address that can not be read")
			return nil
		}
		switch {
		case bits&bitQUICFirst != 0:
			out = append(out, quic, tcp)
		case both:
			out = append(out, tcp, quic)
		case bits&bitTCP != 0:
			out = append(out, tcp)
		default:
			out = append(out, quic)
		}
	}
	if len(out) > MaxAddrs {
		r.fail("it has too many addresses")
		return nil
	}
	return out
}
