package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cairn/consensus/admission"
	"cairn/consensus/membership"
	"cairn/storage"
	"cairn/swarm/transport"
	"cairn/web/api"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// How many peers an invite names, and addresses of each: it has to fit a QR code.
const (
	inviteContacts = 3
	inviteAddrs    = 3
)

// inviteNote begins the ids of the notes of invites that this peer made; the rest is the invite's id. The text is a
// secret, so it is kept as tickets are: sealed.
const inviteNote = netNote + "invite/"

type inviteRecord struct {
	Version int    `json:"v"`
	Text    string `json:"text,omitempty"`
	Doc     []byte `json:"doc,omitempty"` // in its place once nobody can use it any more: what it granted, without the secret
}

const inviteVersion = 1

// Invite makes an invite.
func (n *Node) Invite(ctx context.Context, r api.InviteRequest) (api.Invite, error) {
	inv, err := n.invite(ctx, r)
	api.About(ctx, inv.ID)
	return inv, explained(err)
}

func (n *Node) invite(ctx context.Context, r api.InviteRequest) (api.Invite, error) {
	p, err := n.needAdmin("invite")
	if err != nil {
		return api.Invite{}, err
	}
	now := p.svc.Now()
	t, err := inviteTerms(r, now)
	if err != nil {
		return api.Invite{}, err
	}
	_, _, charter := p.book.Network()
	inv, err := membership.NewInvite(p.identity, charter, p.book.Chain(p.id), t, n.contacts(p), now)
	if err != nil {
		return api.Invite{}, err
	}
	text, err := inv.Encode()
	if err != nil {
		return api.Invite{}, err
	}
	data, err := json.Marshal(inviteRecord{Version: inviteVersion, Text: text})
	if err == nil {
		err = n.store.PutNotes(ctx, storage.Note{ID: inviteNote + inv.ID().String(), Data: data})
	}
	if err != nil {
		return api.Invite{}, err
	}
	return n.showInvite(p, inv, text), nil
}

// inviteTerms checks a request.
func inviteTerms(r api.InviteRequest, now time.Time) (t membership.InviteTerms, err error) {
	switch r.Role {
	case "", "member":
		t.Role = membership.Member
	case "reader":
		t.Role = membership.Reader
	case "admin":
		t.Role = membership.Admin
	default:
		return t, api.Errorf(api.CodeUsage, "%q is not a role", r.Role).WithHint("member, admin or reader")
	}
	for _, w := range append([]string{r.Zone}, r.Classes...) {
		if err := membership.CheckLabel(w); w != "" && err != nil {
			return t, api.Errorf(api.CodeUsage, "%q can not be a zone or class: %v", w, err).WithHint("use letters, digits, - and _")
		}
	}
	t.Coordinator = !r.NoCoordinator && t.Role > membership.Reader
	t.Zone, t.Classes = r.Zone, slices.Compact(slices.Sorted(slices.Values(r.Classes)))
	t.Uses = cmp.Or(r.Uses, 1)
	life := cmp.Or(time.Duration(r.ExpireSeconds)*time.Second, membership.DefaultInvite)
	if life < time.Second || life > membership.MaxInvite {
		return t, api.Errorf(api.CodeUsage, "an invite can not last %v", life).WithHint("at most 30 days")
	}
	if t.Uses < 1 || t.Uses > membership.MaxUses {
		return t, api.Errorf(api.CodeUsage, "an invite can not be used %d times", t.Uses).WithHint("1 to %d times", membership.MaxUses)
	}
	t.Expires = now.Add(life).Truncate(time.Second)
	if r.For != "" {
		if t.For, err = peer.Decode(r.For); err != nil {
			return t, api.Errorf(api.CodeUsage, "%q is not the id of a peer", r.For).WithHint("`cairn id --member` on that machine prints it")
		}
	}
	return t, nil
}

// contacts are where those who join may ask: here, and at the members that were seen last.
func (n *Node) contacts(p *seat) []membership.Contact {
	out := []membership.Contact{{Door: n.host.ID(), Addrs: few(transport.Dialable(n.host))}}
	sights := p.svc.Peers()
	slices.SortFunc(sights, func(a, b admission.Peer) int { return b.LastSeen.Compare(a.LastSeen) })
	now := p.svc.Now()
	for _, s := range sights {
		in := p.book.Peer(s.ID, now)
		if len(out) < inviteContacts && in.State == membership.StateValid && in.Terms.Role >= membership.Member && s.ID != p.id && s.Door != "" && len(s.Doors) > 0 {
			out = append(out, membership.Contact{Door: s.Door, Addrs: few(s.Doors)})
		}
	}
	return out
}

// few keeps the first addresses, TCP before QUIC of the same place, and the last one, which may be this machine's own.
func few(as []ma.Multiaddr) []ma.Multiaddr {
	tcp := slices.DeleteFunc(slices.Clone(as), func(a ma.Multiaddr) bool { return !plainTCP(a) })
	if len(tcp) == 0 {
		tcp = as
	}
	if len(tcp) > inviteAddrs {
		last := tcp[len(tcp)-1]
		tcp = append(tcp[:inviteAddrs-1:inviteAddrs-1], last)
	}
	return tcp
}

// Invites lists those that this peer made.
func (n *Node) Invites(context.Context) ([]api.Invite, error) {
	p, err := n.need()
	if err != nil {
		return nil, err
	}
	out := []api.Invite{}
	for note, err := range n.store.Notes(inviteNote) {
		inv, text, err := readInvite(note, err)
		if err != nil {
			n.log.Warn("the record of an invite is damaged and left out", "record", note.ID, "err", err)
			continue
		}
		v := n.showInvite(p, inv, text)
		if v.State != "open" {
			v.Text = "" // gone with the next sweep
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b api.Invite) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// sweepInvites forgets the secrets of invites that nobody can use any more. Together with the key of a revoked member one could
// still be used, dated back.
func (n *Node) sweepInvites(ctx context.Context) error {
	p := n.seat()
	if p == nil {
		return nil
	}
	var ended []storage.Note
	for note, err := range n.store.Notes(inviteNote) {
		inv, text, err := readInvite(note, err)
		if err != nil || text == "" || n.showInvite(p, inv, text).State == "open" {
			continue // a damaged one is named when they are listed
		}
		data, err := json.Marshal(inviteRecord{Version: inviteVersion, Doc: inv.Doc.Bytes()})
		if err != nil {
			return fmt.Errorf("write invite: %w", err)
		}
		ended = append(ended, storage.Note{ID: note.ID, Data: data})
	}
	// A network that was left meanwhile must not get notes again. Whoever changes it now may take long: the next sweep will do.
	if len(ended) == 0 || !n.changing.TryLock() {
		return nil
	}
	defer n.changing.Unlock()
	if n.seat() != p {
		return nil
	}
	return n.store.PutNotes(ctx, ended...)
}

// readInvite reads a record. text is empty when only the document is kept.
func readInvite(note storage.Note, err error) (inv membership.Invite, text string, _ error) {
	var r inviteRecord
	if err == nil {
		err = json.Unmarshal(note.Data, &r)
	}
	if err == nil && r.Version != inviteVersion {
		err = fmt.Errorf("%w: version %d", storage.ErrFormat, r.Version)
	}
	switch {
	case err != nil:
	case r.Text == "":
		inv.Doc, err = membership.ParseDoc(r.Doc)
	default:
		inv, err = membership.ParseInvite(r.Text)
	}
	return inv, r.Text, err
}

func (n *Node) showInvite(p *seat, inv membership.Invite, text string) api.Invite {
	t := inv.Terms()
	v := api.Invite{ID: inv.ID().String(), Text: text, Role: roleName(t.Role), Coordinator: t.Coordinator, Zone: t.Zone,
		Classes: append([]string{}, t.Classes...), Uses: t.Uses, Used: []string{}, Created: inv.Doc.Issued().UTC(), Expires: t.Expires.UTC(), State: "open"}
	if t.For != "" {
		v.For = t.For.String()
	}
	revoked := false
	for _, in := range p.book.Invites(p.svc.Now()) {
		if in.ID == inv.ID() {
			revoked = in.Revoked
			for _, id := range in.Used {
				v.Used = append(v.Used, id.String())
			}
		}
	}
	switch {
	case revoked:
		v.State = "revoked"
	case len(v.Used) >= v.Uses:
		v.State = "used"
	case !p.svc.Now().Before(t.Expires):
		v.State = "expired"
	}
	return v
}

// RevokeInvite ends an invite of this or of another peer.
func (n *Node) RevokeInvite(ctx context.Context, ref string) (api.Invite, error) {
	inv, err := n.endInvite(ctx, ref)
	api.About(ctx, inv.ID)
	return inv, explained(err)
}

func (n *Node) endInvite(ctx context.Context, ref string) (api.Invite, error) {
	p, err := n.needAdmin("end an invite")
	if err != nil {
		return api.Invite{}, err
	}
	inv, text, err := n.findInvite(p, ref)
	if err != nil {
		return api.Invite{}, err
	}
	net, _, _ := p.book.Network()
	d, err := membership.RevokeInvite(p.identity, net, inv.ID(), p.svc.Now())
	if err == nil {
		// With the invite itself, so that the others know whose it was.
		_, err = p.svc.Publish(ctx, inv.Doc, d)
	}
	if err != nil {
		return api.Invite{}, err
	}
	return n.showInvite(p, inv, text), nil
}

// findInvite finds an invite by its text, its id or the end or beginning of that.
func (n *Node) findInvite(p *seat, ref string) (membership.Invite, string, error) {
	if inv, err := membership.ParseInvite(ref); err == nil {
		if id, _, _ := p.book.Network(); inv.Charter.Network() != id {
			return inv, "", membership.ErrForeign
		}
		return inv, ref, nil
	}
	ref = strings.TrimPrefix(strings.TrimSpace(ref), "…")
	var found membership.Invite
	var text string
	hits := 0
	for note, err := range n.store.Notes(inviteNote) {
		id := strings.TrimPrefix(note.ID, inviteNote)
		if id != ref && (len(ref) < 6 || !strings.HasSuffix(id, ref) && !strings.HasPrefix(id, ref)) {
			continue
		}
		if inv, t, err := readInvite(note, err); err == nil {
			found, text, hits = inv, t, hits+1
		}
	}
	switch {
	case hits == 0:
		return found, "", api.Errorf(api.CodeNotFound, "this peer made no such invite").WithHint("`cairn invite ls` lists those that it made; the text of an invite works everywhere")
	case hits > 1:
		return found, "", api.Errorf(api.CodeUsage, "%q fits %d invites", ref, hits).WithHint("give more of the id")
	}
	return found, text, nil
}
