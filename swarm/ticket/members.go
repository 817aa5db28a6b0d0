package ticket

import (
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// ForMembers stands in the place of a ticket between members of one network: an object that its holder shows to all of
// them. Its secret is no secret, so that whoever knows the root can derive the key: it opens something only on a host that
// admits nobody but members, and must be refused everywhere else. Its text can not be made by accident: see [Ticket.Open].
func ForMembers(root cid.Cid, holder peer.ID) Ticket {
	return Ticket{Root: root, Peer: holder, Size: -1}
}

// Open tells whether the ticket is one of ForMembers. 128 random bits are never all zero.
func (t Ticket) Open() bool { return t.Secret == [16]byte{} }
