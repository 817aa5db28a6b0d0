package ticket

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/multiformats/go-multiaddr"
)

// Kinds of an address entry. An entry of kinds 1 to 8 is an IP address and a port; ip6 kinds are the ip4 kinds
// plus 4. A pair stands for two multiaddrs of one address and port, in the order given.
const (
	addrRaw      = 0 // uvarint length, multiaddr in binary form
	addrTCP      = 1 // /ip4/A/tcp/P
	addrQUIC     = 2 // /ip4/A/udp/P/quic-v1
	addrTCPQUIC  = 3 // both
	addrQUICTCP  = 4 // both
	addrIP6      = 4 // added for ip6
	addrLastKind = 8
)

// endpoint is an address in short form: ip and port as they stand on the wire.
type endpoint struct {
	kind byte   // addrTCP, addrQUIC, or addrRaw
	ip   string // 4 or 16 bytes
	port uint16
}

// shorten recognises the two forms that have a short coding.
func shorten(a multiaddr.Multiaddr) endpoint {
	var e endpoint
	if len(a) < 2 || len(a) > 3 || (a[0].Code() != multiaddr.P_IP4 && a[0].Code() != multiaddr.P_IP6) {
		return e
	}
	switch {
	case len(a) == 2 && a[1].Code() == multiaddr.P_TCP:
		e.kind = addrTCP
	case len(a) == 3 && a[1].Code() == multiaddr.P_UDP && a[2].Code() == multiaddr.P_QUIC_V1:
		e.kind = addrQUIC
	default:
		return e
	}
	e.ip = string(a[0].RawValue())
	e.port = binary.BigEndian.Uint16(a[1].RawValue())
	return e
}

// appendAddrs appends the number of entries and the entries. The TCP and QUIC forms of one address and port are
// joined into one entry at the place of the first.
func appendAddrs(b []byte, addrs []multiaddr.Multiaddr) []byte {
	short := make([]endpoint, len(addrs))
	for i, a := range addrs {
		short[i] = shorten(a)
	}
	var entries [][]byte
	done := make([]bool, len(addrs))
	for i, e := range short {
		if done[i] {
			continue
		}
		if e.kind == addrRaw {
			raw := addrs[i].Bytes()
			entries = append(entries, append(binary.AppendUvarint([]byte{addrRaw}, uint64(len(raw))), raw...))
			continue
		}
		kind := e.kind
		for j := i + 1; j < len(short); j++ {
			if o := short[j]; !done[j] && o.ip == e.ip && o.port == e.port && o.kind == addrTCP+addrQUIC-e.kind {
				done[j] = true
				kind = e.kind + 2 // TCP becomes TCP+QUIC, QUIC becomes QUIC+TCP
				break
			}
		}
		if len(e.ip) == 16 {
			kind += addrIP6
		}
		entries = append(entries, binary.BigEndian.AppendUint16(append([]byte{kind}, e.ip...), e.port))
	}
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = append(b, e...)
	}
	return b
}

// addrs reads what appendAddrs wrote.
func (d *decoder) addrs() []multiaddr.Multiaddr {
	n := d.uvarint()
	if n > MaxAddrs {
		d.fail("it has too many addresses")
		return nil
	}
	var out []multiaddr.Multiaddr
	for range n {
		out = append(out, d.addr()...)
		if d.reason != "" {
			return nil
		}
	}
	if len(out) > MaxAddrs {
		d.fail("it has too many addresses")
		return nil
	}
	return out
}

func (d *decoder) addr() []multiaddr.Multiaddr {
	kind := d.byte()
	if kind == addrRaw {
		n := d.uvarint()
		if n > MaxAddrLen {
			d.fail("it has an address that is too long")
			return nil
		}
		a, err := multiaddr.NewMultiaddrBytes(d.bytes(int(n)))
		if err != nil || len(a) == 0 {
			d.fail("it has an address that can not be read")
			return nil
		}
		return []multiaddr.Multiaddr{a}
	}
	if kind > addrLastKind {
		d.fail("it has an address of an unknown kind")
		return nil
	}
	name, size := "ip4", 4
	if kind > addrIP6 {
		name, size, kind = "ip6", 16, kind-addrIP6
	}
	ip, port := d.bytes(size), d.bytes(2)
	if d.reason != "" {
		return nil
	}
	host := multiaddr.StringCast("/" + name + "/" + netipText(ip)) // 4 or 16 bytes always make an address
	p := binary.BigEndian.Uint16(port)
	tcp := host.Encapsulate(multiaddr.StringCast(fmt.Sprintf("/tcp/%d", p)))
	quic := host.Encapsulate(multiaddr.StringCast(fmt.Sprintf("/udp/%d/quic-v1", p)))
	switch kind {
	case addrTCP:
		return []multiaddr.Multiaddr{tcp}
	case addrQUIC:
		return []multiaddr.Multiaddr{quic}
	case addrTCPQUIC:
		return []multiaddr.Multiaddr{tcp, quic}
	default:
		return []multiaddr.Multiaddr{quic, tcp}
	}
}

// netipText writes 4 or 16 bytes as multiaddrs want them.
func netipText(b []byte) string {
	a, _ := netip.AddrFromSlice(b)
	return a.String()
}
