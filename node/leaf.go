package node

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"cairn/consensus/membership"
	"cairn/storage/vault"
	"cairn/web/api"
	"cairn/web/certs"

	manet "github.com/multiformats/go-multiaddr/net"
)

// A network has one authority for the certificates of its members' dashboards: that of the administrator whom the root
// itself appointed, who made the network. The others ask it with a renewal of their membership, the one protocol
// between a member and an administrator. A member that can not reach it has a certificate of its own authority meanwhile.

const (
	leafForm  = 1
	leafAgain = 10 * time.Minute // between tries to get a certificate of the network's authority
	maxLeaf   = 32 << 10         // bytes of a request
	maxLeafAt = 64               // names in one
)

// leafRequest is what travels with a renewal.
type leafRequest struct {
	Form  int      `json:"v"`
	CSR   []byte   `json:"csr"`
	Names []string `json:"names"`
}

// keptLeaf is the secret of the vault with the certificate that the network's authority gave last.
type keptLeaf struct {
	Network string `json:"network"`
	Chain   []byte `json:"chain"` // PEM
	Key     []byte `json:"key"`   // PEM
}

// leaf obtains the certificate of this peer's dashboard.
type leaf struct {
	n       *Node
	home    *certs.CA
	own     *certs.Own
	tried   atomic.Int64 // Unix time of the last try at the network's authority
	foreign atomic.Bool  // the certificate that Obtain returned last is of the network's authority
}

// newLeaf makes the source of it.
func (n *Node) newLeaf(home *certs.CA) *leaf {
	l := &leaf{n: n, home: home}
	l.own = certs.NewOwn(certs.OwnConfig{Names: n.httpNames, Obtain: l.obtain, Better: l.better, Kept: l.kept, Keep: l.keep, Now: n.now,
		Log: n.log.With("part", "web")})
	return l
}

// authority is the administrator to ask, connected or not; false: nobody, or this peer itself.
func (p *seat) authority() (membership.Info, bool) {
	now := p.svc.Now()
	for _, m := range p.book.Members(now) {
		if m.Deleg && m.State == membership.StateValid {
			return m, m.ID != p.id
		}
	}
	return membership.Info{}, false
}

// obtain has a request certified by the network's authority, or else by this peer's.
func (l *leaf) obtain(ctx context.Context, csr []byte, names []string) ([]byte, error) {
	if chain, err := l.fromNetwork(ctx, csr, names); err != nil {
		l.n.log.Info("no certificate of the network's authority yet", "part", "web", "err", err)
	} else if chain != nil {
		l.foreign.Store(true)
		return chain, nil
	}
	l.foreign.Store(false)
	return l.home.Issue(csr, names, certs.LeafLife, l.n.now())
}

// fromNetwork is nil without an error where nobody is to be asked.
func (l *leaf) fromNetwork(ctx context.Context, csr []byte, names []string) ([]byte, error) {
	p := l.n.seat()
	if p == nil {
		return nil, nil
	}
	a, other := p.authority()
	if !other || !p.svc.Connected(a.ID) {
		return nil, nil
	}
	l.tried.Store(l.n.now().Unix())
	req, err := json.Marshal(leafRequest{leafForm, csr, names})
	if err != nil {
		return nil, err
	}
	chain, err := p.svc.Renew(ctx, "", req)
	if err != nil {
		return nil, err
	}
	return chain, l.check(chain)
}

// check looks at a chain that came from another peer: it must be of one authority for good, as long as this peer is in its
// network, and cover what the user has configured. That it is for our key is for certs.Own to see.
func (l *leaf) check(chain []byte) error {
	if len(chain) == 0 {
		return errors.New("the administrator that was asked has none to give")
	}
	_, rest := pem.Decode(chain)
	ca, err := certs.ParseCertificate(rest)
	if err != nil {
		return err
	}
	if old, err := l.n.keptLeaf(); err == nil && l.n.inNetwork(old.Network) {
		_, rest := pem.Decode(old.Chain)
		if was, err := certs.ParseCertificate(rest); err == nil && !bytes.Equal(was.Raw, ca.Raw) {
			return fmt.Errorf("another authority than before: %s", certs.Fingerprint(ca))
		}
	}
	has, err := certs.NamesIn(chain)
	if err != nil {
		return err
	}
	for _, name := range l.n.cfg.TLS.Names {
		if !slices.Contains(has, strings.ToLower(name)) {
			return fmt.Errorf("it does not vouch for %q, which is in http.names: a member is certified for its own name and the addresses that it is seen at", name)
		}
	}
	return nil
}

// better tells that the network's authority can be asked for a certificate in the place of our own, or that our own has to replace one of a
// network that this peer has left.
func (l *leaf) better() bool {
	p := l.n.seat()
	foreign := l.foreign.Load()
	if p == nil {
		return foreign
	}
	a, other := p.authority()
	if !other {
		return foreign
	}
	return !foreign && p.svc.Connected(a.ID) && l.n.now().Unix()-l.tried.Load() >= int64(leafAgain/time.Second)
}

func (l *leaf) kept() (chain, key []byte) {
	k, err := l.n.keptLeaf()
	if err != nil || !l.n.inNetwork(k.Network) {
		return nil, nil
	}
	l.foreign.Store(true)
	return k.Chain, k.Key
}

// keep remembers a certificate of the network's authority, and forgets it for one of our own.
func (l *leaf) keep(chain, key []byte) {
	p := l.n.seat()
	if !l.foreign.Load() || p == nil {
		l.n.warn("forget certificate", l.n.vault.Delete(secretLeaf))
		return
	}
	b, err := json.Marshal(keptLeaf{networkText(p), chain, key})
	if err == nil {
		err = l.n.vault.Put(secretLeaf, b)
	}
	l.n.warn("keep certificate", err)
}

func networkText(p *seat) string {
	id, _, _ := p.book.Network()
	return fmt.Sprintf("%x", id[:])
}

func (n *Node) inNetwork(id string) bool {
	p := n.seat()
	return p != nil && networkText(p) == id
}

func (n *Node) keptLeaf() (k keptLeaf, err error) {
	b, err := n.vault.Get(secretLeaf)
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	return k, err
}

// caPEM is the certificate of the authority behind the dashboard's, and nothing of its key. Errors: vault.ErrNoSecret.
func (n *Node) caPEM() ([]byte, error) {
	if k, err := n.keptLeaf(); err == nil && n.inNetwork(k.Network) {
		_, rest := pem.Decode(k.Chain)
		return rest, nil
	} else if err != nil && !errors.Is(err, vault.ErrNoSecret) {
		return nil, err
	}
	text, err := n.vault.Get(secretCA)
	if err != nil {
		return nil, err
	}
	ca, err := certs.ParseCA(text, text)
	if err != nil {
		return nil, err
	}
	return ca.CertificatePEM(), nil
}

// certifyLeaf answers a member that renews its membership and asks for a certificate of its dashboard as well. What is wrong with
// that must not keep it from its membership: then the answer is empty.
func (p *seat) certifyLeaf(from membership.Info, request []byte) []byte {
	if a, other := p.authority(); other || a.ID != p.id || from.ID == p.id {
		return nil
	}
	chain, names, err := p.issueLeaf(from, request)
	if err != nil {
		p.n.audit.note(from.ID.String(), "", "certificate.issue", from.Name, "failed", plain(err))
		return nil
	}
	p.n.audit.note(from.ID.String(), "", "certificate.issue", from.Name, "done", strings.Join(names, " "))
	return chain
}

func (p *seat) issueLeaf(from membership.Info, request []byte) (chain []byte, names []string, err error) {
	q, err := parseLeafRequest(request)
	if err != nil {
		return nil, nil, err
	}
	unique := true
	for _, m := range p.book.Members(p.svc.Now()) {
		if m.ID != from.ID && m.State == membership.StateValid && strings.EqualFold(m.Name, from.Name) {
			unique = false
		}
	}
	var seen []netip.Addr
	for _, c := range p.host.Network().ConnsToPeer(from.ID) {
		if ip, err := manet.ToIP(c.RemoteMultiaddr()); err == nil {
			if a, ok := netip.AddrFromSlice(ip); ok {
				seen = append(seen, a.Unmap())
			}
		}
	}
	names = leafNames(q.Names, from.Name, unique, seen)
	ca, err := p.n.homeCA()
	if err != nil {
		return nil, nil, err
	}
	chain, err = ca.Issue(q.CSR, names, certs.LeafLife, p.svc.Now())
	return chain, names, err
}

// parseLeafRequest reads what a member sent.
func parseLeafRequest(b []byte) (q leafRequest, err error) {
	if len(b) > maxLeaf {
		return q, errors.New("a request of too many bytes")
	}
	if err := api.CheckJSON(b); err != nil {
		return q, fmt.Errorf("a malformed request: %w", err)
	}
	if err := json.Unmarshal(b, &q); err != nil {
		return q, errors.New("a malformed request")
	}
	if q.Form != leafForm || len(q.Names) == 0 || len(q.Names) > maxLeafAt {
		return q, errors.New("a request of another form")
	}
	return q, nil
}

// leafNames are those of the wanted names that a member may have: loopback's, the addresses that it is seen at, and names whose first
// label is its name in the network, unless somebody else has that too. So no member can pretend to be the dashboard of another.
func leafNames(wanted []string, member string, unique bool, seen []netip.Addr) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(name string) bool {
		if !certs.Vouches(name) {
			return true
		}
		if ip, err := netip.ParseAddr(name); err == nil {
			return !ip.IsLoopback() && !slices.Contains(seen, ip.Unmap())
		}
		return name != "localhost" && (!unique || !strings.EqualFold(firstName(name), firstName(member)))
	})
}
