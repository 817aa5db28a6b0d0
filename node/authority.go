package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cairn/consensus/membership"
	"cairn/storage/vault"
	"cairn/swarm/transport"
	"cairn/web/api"
	"cairn/web/certs"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// The dashboards of a network have one authority, so that a browser is told of it once. Its key is with the administrators;
// other members ask one of them for a certificate. A peer that is in no network is its own authority.

// leafLife is the life of a dashboard's certificate by a network's authority: no longer than membership itself, because
// nothing revokes it.
const leafLife = membership.CertificateLife

// Names of the authorities' secrets in the vault.
const (
	secretHomeCA    = "ca"
	secretNetworkCA = "network-ca"
	secretLeaf      = "leaf" // the dashboard's certificate and key, where the network's authority gave it
)

// caProtocol is spoken on the member host: one request, one answer, each JSON of at most maxCA bytes.
const (
	caProtocol = "/cairn/ca/1"
	maxCA      = 128 << 10
	caTime     = 10 * time.Second

	maxLeafNames = 48
)

// caSecret is an authority in the vault. An administrator's has the key; any other member's is what it was told, for
// showing it.
type caSecret struct {
	Cert []byte `json:"cert"`
	Key  []byte `json:"key,omitempty"`
}

type caRequest struct {
	CSR   []byte   `json:"csr,omitempty"`
	Names []string `json:"names,omitempty"`
	Key   bool     `json:"key,omitempty"` // an administrator asks for the authority itself
}

type caAnswer struct {
	Chain  []byte    `json:"chain,omitempty"`
	CA     *caSecret `json:"ca,omitempty"`
	Reason string    `json:"reason,omitempty"` // why there is nothing, in plain words
}

// storedCA reads an authority; nil when there is none. Without a key it can only be shown.
func (n *Node) storedCA(name string) (*caSecret, error) {
	b, err := n.vault.Get(name)
	if errors.Is(err, vault.ErrNoSecret) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer clear(b)
	s := &caSecret{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	return s, nil
}

func (n *Node) storeCA(name string, s caSecret) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write authority: %w", err)
	}
	defer clear(b)
	return n.vault.Put(name, b)
}

// makeCA makes an authority and keeps it.
func (n *Node) makeCA(name, title string) (*certs.CA, error) {
	ca, err := certs.NewCA(title, n.now())
	if err != nil {
		return nil, err
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	defer clear(key)
	if err := n.storeCA(name, caSecret{ca.CertificatePEM(), key}); err != nil {
		return nil, err
	}
	n.audit.note("peer", "", "ca.create", certs.Fingerprint(ca.Certificate()), "done", "")
	return ca, nil
}

// caOf opens a stored authority; nil where there is none, or not its key.
func (n *Node) caOf(name string) (*certs.CA, error) {
	s, err := n.storedCA(name)
	if err != nil || s == nil || s.Key == nil {
		return nil, err
	}
	return certs.ParseCA(s.Cert, s.Key)
}

// homeCA is the authority of this peer alone.
func (n *Node) homeCA() (*certs.CA, error) {
	ca, err := n.caOf(secretHomeCA)
	if err == nil && ca == nil {
		ca, err = n.makeCA(secretHomeCA, "Cairn "+firstName(n.settings.name())+" "+shortText(n.host.ID()))
	}
	return ca, err
}

// shortText is the end of a peer id, which tells peers of one name apart.
func shortText(id peer.ID) string {
	s := id.String()
	return s[max(0, len(s)-8):]
}

// obtain has the key of the dashboard certified: in a network by its authority, here or at an administrator; otherwise, and
// for as long as none answers, by this peer's own.
func (n *Node) obtain(ctx context.Context, csr []byte, names []string) ([]byte, error) {
	if p := n.seat(); p != nil {
		chain, err := n.obtainIn(ctx, p, csr, names)
		if err == nil {
			n.signer.Store(n.authority(p))
			return chain, nil
		}
		n.log.Info("no certificate for the dashboard from the network yet: browsers will warn", "part", "web", "err", err)
	}
	ca, err := n.homeCA()
	if err != nil {
		return nil, err
	}
	n.signer.Store("")
	return ca.Issue(csr, names, certs.LeafLife, n.now())
}

// authority names the network's authority as this peer knows it.
func (n *Node) authority(p *seat) string {
	id, _, _ := p.book.Network()
	s, err := n.storedCA(secretNetworkCA)
	if err != nil || s == nil {
		return id.String()
	}
	sum := sha256.Sum256(s.Cert)
	return id.String() + " " + hex.EncodeToString(sum[:])
}

// signedBy is the authority of a network that signed the dashboard's certificate, "" if it was none.
func (n *Node) signedBy() string {
	s, _ := n.signer.Load().(string)
	return s
}

// betterCertificate tells that the dashboard's certificate is not of the network that this peer is in, if any, and that
// somebody is there who may give one.
func (n *Node) betterCertificate() bool {
	p := n.seat()
	if p == nil {
		return n.signedBy() != ""
	}
	return n.signedBy() != n.authority(p) && (p.svc.Self().Admin || len(p.host.Network().Peers()) > 0)
}

// keptLeaf is the secret of a certificate by a network's authority: after a restart no administrator may be there.
type keptLeaf struct {
	Network string `json:"network"`
	Chain   []byte `json:"chain"`
	Key     []byte `json:"key"`
}

func (n *Node) keptCertificate() (chain, key []byte) {
	b, err := n.vault.Get(secretLeaf)
	var k keptLeaf
	if err != nil || json.Unmarshal(b, &k) != nil {
		return nil, nil
	}
	if p := n.seat(); p == nil || n.authority(p) != k.Network {
		return nil, nil
	}
	n.signer.Store(k.Network)
	return k.Chain, k.Key
}

func (n *Node) keepCertificate(chain, key []byte) {
	by := n.signedBy()
	if by == "" {
		n.warn("forget certificate", n.vault.Delete(secretLeaf))
		return
	}
	b, err := json.Marshal(keptLeaf{by, chain, key})
	if err == nil {
		err = n.vault.Put(secretLeaf, b)
	}
	n.warn("keep certificate", err)
}

func (n *Node) obtainIn(ctx context.Context, p *seat, csr []byte, names []string) ([]byte, error) {
	if me := p.svc.Self(); me.Admin && me.State == membership.StateValid {
		ca, err := n.networkCA(ctx, p)
		if err != nil {
			return nil, err
		}
		return ca.Issue(csr, names, leafLife, n.now())
	}
	a, err := n.askAuthority(ctx, p, caRequest{CSR: csr, Names: names})
	if err != nil {
		return nil, err
	}
	return a.Chain, n.remember(a)
}

// remember keeps the certificate of the network's authority, for showing it.
func (n *Node) remember(a caAnswer) error {
	if a.CA == nil {
		return nil
	}
	return n.takeOver(caSecret{Cert: a.CA.Cert})
}

// takeOver keeps an authority if it takes the place of the one that is known.
func (n *Node) takeOver(fresh caSecret) error {
	old, err := n.storedCA(secretNetworkCA)
	if err != nil || !newerCA(old, &fresh) {
		return err
	}
	return n.storeCA(secretNetworkCA, fresh)
}

// newerCA tells whether an authority takes the place of another: an administrator that revokes another makes a new one,
// because the revoked one still has the key.
func newerCA(old, fresh *caSecret) bool {
	c, err := certs.ParseCertificate(fresh.Cert)
	if err != nil {
		return false
	}
	if old == nil {
		return true
	}
	was, err := certs.ParseCertificate(old.Cert)
	return err != nil || c.NotBefore.After(was.NotBefore)
}

// syncAuthority takes over an authority that another administrator has made since. Administrators ask all of the others
// that are connected; of the other members those that have a dashboard to certify ask one.
func (n *Node) syncAuthority(ctx context.Context, p *seat) {
	me := p.svc.Self()
	if me.State != membership.StateValid {
		return
	}
	if !me.Admin {
		if n.own == nil {
			return
		}
		if a, err := n.askAuthority(ctx, p, caRequest{}); err == nil {
			n.warn("keep the network's authority", n.remember(a))
		}
		return
	}
	for _, id := range p.administrators() {
		a, err := askCA(ctx, p, id, caRequest{Key: true})
		if err != nil || a.CA == nil {
			continue
		}
		if _, err := certs.ParseCA(a.CA.Cert, a.CA.Key); err == nil {
			n.warn("keep the network's authority", n.takeOver(*a.CA))
		}
	}
}

// settleCertificate looks for a better certificate sooner than the web server does by itself.
func (n *Node) settleCertificate(ctx context.Context) {
	if n.own == nil || !n.betterCertificate() {
		return
	}
	if err := n.own.Refresh(ctx); err != nil {
		n.log.Debug("refresh certificate", "part", "web", "err", err)
	}
}

// networkCA is the network's authority on an administrator: the one it has, or the one that another has.
func (n *Node) networkCA(ctx context.Context, p *seat) (*certs.CA, error) {
	ca, err := n.caOf(secretNetworkCA)
	if err != nil || ca != nil {
		return ca, err
	}
	a, err := n.askAuthority(ctx, p, caRequest{Key: true})
	if err != nil {
		return nil, err
	}
	if a.CA == nil {
		return nil, errors.New("the administrator that answered has no authority")
	}
	if ca, err = certs.ParseCA(a.CA.Cert, a.CA.Key); err != nil {
		return nil, err
	}
	return ca, n.storeCA(secretNetworkCA, *a.CA)
}

// newNetworkCA makes the authority of a network that begins here.
func (n *Node) newNetworkCA(name string) error {
	_, err := n.makeCA(secretNetworkCA, "Cairn network "+name)
	return err
}

// administrators are those that are connected and in force.
func (p *seat) administrators() (out []peer.ID) {
	now := p.svc.Now()
	for _, id := range p.host.Network().Peers() {
		if in := p.book.Peer(id, now); in.Admin && in.State == membership.StateValid {
			out = append(out, id)
		}
	}
	return out
}

// askAuthority asks the connected administrators, one after the other.
func (n *Node) askAuthority(ctx context.Context, p *seat, r caRequest) (caAnswer, error) {
	err := errors.New("no administrator is connected")
	for _, id := range p.administrators() {
		var a caAnswer
		if a, err = askCA(ctx, p, id, r); err == nil {
			return a, nil
		}
	}
	return caAnswer{}, err
}

func askCA(ctx context.Context, p *seat, id peer.ID, r caRequest) (a caAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, caTime)
	defer cancel()
	st, err := p.host.NewStream(ctx, id, caProtocol)
	if err != nil {
		return a, fmt.Errorf("ask for a certificate: %w", err)
	}
	defer st.Close()
	_ = st.SetDeadline(time.Now().Add(caTime)) // fails on a stream that is dead, which the next line tells
	if err := json.NewEncoder(st).Encode(r); err != nil {
		return a, fmt.Errorf("ask for a certificate: %w", err)
	}
	if err := st.CloseWrite(); err != nil {
		return a, fmt.Errorf("ask for a certificate: %w", err)
	}
	if err := readJSON(st, &a); err != nil {
		return a, fmt.Errorf("ask for a certificate: %w", err)
	}
	if a.Reason != "" {
		return a, errors.New(a.Reason)
	}
	return a, nil
}

// readJSON reads one value of at most maxCA bytes and nothing else.
func readJSON(r io.Reader, v any) error {
	b, err := io.ReadAll(io.LimitReader(r, maxCA+1))
	if err != nil {
		return err
	}
	if len(b) > maxCA {
		return fmt.Errorf("more than %d bytes", maxCA)
	}
	return json.Unmarshal(b, v)
}

// serveCA answers members. Only administrators get the key.
func (n *Node) serveCA(p *seat) network.StreamHandler {
	return func(st network.Stream) {
		defer st.Close()
		_ = st.SetDeadline(time.Now().Add(caTime)) // as above
		var r caRequest
		if readJSON(st, &r) != nil {
			_ = st.Reset()
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), caTime)
		defer cancel()
		a, err := n.answerCA(ctx, p, st, r)
		if err != nil {
			n.log.Info("no certificate for a member", "part", "membership", "peer", st.Conn().RemotePeer(), "err", err)
			a = caAnswer{Reason: "this peer can not give certificates now"}
		}
		if json.NewEncoder(st).Encode(a) != nil {
			_ = st.Reset()
		}
	}
}

func (n *Node) answerCA(ctx context.Context, p *seat, st network.Stream, r caRequest) (caAnswer, error) {
	from := p.book.Peer(st.Conn().RemotePeer(), p.svc.Now())
	if me := p.svc.Self(); !me.Admin || from.State != membership.StateValid {
		return caAnswer{}, errors.New("not an administrator, or not asked by a member")
	}
	if r.Key {
		s, err := n.storedCA(secretNetworkCA)
		if err != nil || s == nil || s.Key == nil || !from.Admin {
			return caAnswer{}, errors.Join(err, errors.New("the authority is for administrators, and may not be here"))
		}
		n.audit.note(from.ID.String(), st.Conn().RemoteMultiaddr().String(), "ca.share", from.ID.String(), "done", "")
		return caAnswer{CA: s}, nil
	}
	ca, err := n.networkCA(ctx, p)
	if err != nil {
		return caAnswer{}, err
	}
	if len(r.CSR) == 0 { // it wants to know the authority
		return caAnswer{CA: &caSecret{Cert: ca.CertificatePEM()}}, nil
	}
	names := n.namesFor(p, from, st.Conn(), r.Names)
	chain, err := ca.Issue(r.CSR, names, leafLife, n.now())
	if err != nil {
		return caAnswer{}, err
	}
	return caAnswer{Chain: chain, CA: &caSecret{Cert: ca.CertificatePEM()}}, nil
}

// namesFor are those of the wanted names that a member may have a certificate for. See leafNames.
func (n *Node) namesFor(p *seat, from membership.Info, c network.Conn, want []string) []string {
	own, others := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, a := range transport.Dialable(p.host) {
		noteIP(others, a)
	}
	unique := true
	for _, s := range p.svc.Peers() {
		claims := others
		if s.ID == from.ID {
			claims = own
		} else if s.State == membership.StateValid && strings.EqualFold(firstName(s.Name), firstName(from.Name)) {
			unique = false
		}
		for _, a := range slices.Concat(s.Addrs, s.Doors) {
			noteIP(claims, a)
		}
	}
	var ips []netip.Addr
	for ip := range own {
		if !others[ip] { // what it says of itself; nobody else may say so too
			ips = append(ips, ip)
		}
	}
	seen := map[netip.Addr]bool{}
	noteIP(seen, c.RemoteMultiaddr())
	// Nor under one that this peer's own dashboard has: of this machine's host name the network may know nothing.
	for _, name := range n.httpNames() {
		if _, err := netip.ParseAddr(name); err != nil && name != "localhost" && strings.EqualFold(firstName(name), firstName(from.Name)) {
			unique = false
		}
	}
	return leafNames(want, from.Name, unique, slices.AppendSeq(ips, maps.Keys(seen)))
}

// noteIP adds the IP address of a multiaddr.
func noteIP(to map[netip.Addr]bool, a ma.Multiaddr) {
	if ip, err := manet.ToIP(a); err == nil {
		if x, ok := netip.AddrFromSlice(ip); ok {
			to[x.Unmap()] = true
		}
	}
}

// leafNames are those of the wanted names that a member may have: loopback's, as everybody; addresses at which it was seen, or which it
// alone says to have; and names whose first label is its name in the network, unless somebody else has that too. With others it could pose as
// another member's dashboard, and take an administrator's session.
func leafNames(want []string, member string, unique bool, ips []netip.Addr) []string {
	out := []string{"localhost"}
	for _, w := range want {
		w = strings.ToLower(w)
		ip, err := netip.ParseAddr(w)
		switch {
		case !certs.Vouches(w) || slices.Contains(out, w) || len(out) >= maxLeafNames:
		case err == nil && (ip.IsLoopback() || slices.Contains(ips, ip.Unmap())), err != nil && unique && strings.EqualFold(firstName(w), firstName(member)):
			out = append(out, w)
		}
	}
	return out
}

// CA tells of the authority behind the dashboard's certificate: the network's, or this peer's own.
func (n *Node) CA(ctx context.Context) (api.CertificateAuthority, error) {
	name := secretHomeCA
	if p := n.seat(); p != nil {
		name = secretNetworkCA
		if me := p.svc.Self(); me.Admin && me.State == membership.StateValid {
			_, _ = n.networkCA(ctx, p) // without it there is nothing to tell, which is told below
		} else if a, err := n.askAuthority(ctx, p, caRequest{}); err == nil {
			if err := n.remember(a); err != nil {
				return api.CertificateAuthority{}, explained(err)
			}
		}
	}
	s, err := n.storedCA(name)
	if err != nil {
		return api.CertificateAuthority{}, explained(err)
	}
	if s == nil {
		return api.CertificateAuthority{}, api.Errorf(api.CodeNotFound, "this peer knows of no authority for dashboards").
			WithHint("`cairn config set http.tls network` gives the dashboard a certificate; on loopback it needs none")
	}
	c, err := certs.ParseCertificate(s.Cert)
	if err != nil {
		return api.CertificateAuthority{}, explained(err)
	}
	return api.CertificateAuthority{PEM: string(s.Cert), Fingerprint: certs.Fingerprint(c), Name: c.Subject.CommonName,
		Expires: c.NotAfter.UTC().Truncate(time.Second), Permitted: certs.Permitted(c)}, nil
}
