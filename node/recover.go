package node

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"cairn/consensus/admission"
	"cairn/consensus/membership"
	"cairn/node/recovery"
	"cairn/web/api"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// rootWords is a root key as words.
func rootWords(root crypto.PrivKey) (string, error) {
	raw, err := root.Raw()
	if err != nil || len(raw) < 32 {
		return "", fmt.Errorf("read root key: %w", err)
	}
	defer clear(raw)
	return recovery.Words([32]byte(raw[:32])), nil
}

// networkOf is the network that a key is the root of; zero if the key can not be one.
func networkOf(root crypto.PrivKey) membership.NetworkID {
	d, err := membership.Charter(root, "network", time.Unix(1, 0))
	if err != nil {
		return membership.NetworkID{}
	}
	return d.Network()
}

// writeRecovery writes the file that holds a root key, synced. It fails where a file is.
func (n *Node) writeRecovery(r api.InitRequest, root crypto.PrivKey, charter membership.Doc) error {
	if !filepath.IsAbs(r.RecoveryFile) {
		return api.Errorf(api.CodeUsage, "%s is not an absolute path", r.RecoveryFile)
	}
	if r.Passphrase == "" {
		return api.Errorf(api.CodeUsage, "a recovery file needs a passphrase").WithHint("leave the file out to get the root key as words")
	}
	text, err := recovery.Seal(root, charter.Bytes(), []byte(r.Passphrase))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(r.RecoveryFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return api.Errorf(api.CodeConflict, "%s is there already", r.RecoveryFile).WithHint("choose another name: a recovery file is never replaced")
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(r.RecoveryFile))); err != nil {
		return errors.Join(err, os.Remove(r.RecoveryFile))
	}
	return nil
}

// Recover uses the root key.
func (n *Node) Recover(ctx context.Context, r api.RecoverRequest) (api.RecoverResult, error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	res, err := n.recover(ctx, r)
	api.About(ctx, res.Network.ID)
	return res, explained(err)
}

func (n *Node) recover(ctx context.Context, r api.RecoverRequest) (api.RecoverResult, error) {
	root, charter, err := readRoot(r)
	if err != nil {
		return api.RecoverResult{}, err
	}
	if p := n.seat(); p != nil {
		return n.recoverHere(ctx, r, root, p)
	}
	return n.recoverAnew(ctx, r, root, charter)
}

// readRoot opens what the user has. charter is the zero value when only words were given.
func readRoot(r api.RecoverRequest) (root crypto.PrivKey, charter membership.Doc, err error) {
	if (r.Words == "") == (r.File == "") {
		return nil, charter, api.Errorf(api.CodeUsage, "the root key is needed: its words or its file")
	}
	if r.Words != "" {
		seed, err := recovery.FromWords(r.Words)
		if err != nil {
			return nil, charter, api.Errorf(api.CodeUsage, "%s", err).WithHint("24 words in the order in which they were printed")
		}
		defer clear(seed[:])
		root, err = crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
		return root, charter, err
	}
	if !filepath.IsAbs(r.File) {
		return nil, charter, api.Errorf(api.CodeUsage, "%s is not an absolute path", r.File)
	}
	f, err := os.Open(r.File)
	if err != nil {
		return nil, charter, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, charter, api.Errorf(api.CodeUsage, "%s is not a file", r.File)
	}
	text, err := io.ReadAll(io.LimitReader(f, recovery.MaxFile+1))
	if err != nil {
		return nil, charter, err
	}
	root, raw, err := recovery.Open(text, []byte(r.Passphrase))
	switch {
	case errors.Is(err, recovery.ErrWrongPassphrase):
		return nil, charter, api.Errorf(api.CodeWrongKey, "%s", recovery.ErrWrongPassphrase).
			WithHint("it is the one that was chosen when the file was made; nothing has been changed")
	case errors.Is(err, recovery.ErrNewer):
		return nil, charter, api.Errorf(api.CodeUnavailable, "%s", recovery.ErrNewer).WithHint("install a newer version of cairn")
	case err != nil:
		return nil, charter, api.Errorf(api.CodeIntegrity, "%s: %s", r.File, recovery.ErrFile).WithHint("use another copy of it, or the words")
	}
	charter, err = membership.ParseDoc(raw)
	return root, charter, err
}

// recoverHere makes a member an administrator by the root, and settles revocations.
func (n *Node) recoverHere(ctx context.Context, r api.RecoverRequest, root crypto.PrivKey, p *seat) (api.RecoverResult, error) {
	id, _, _ := p.book.Network()
	if networkOf(root) != id {
		return api.RecoverResult{}, api.Errorf(api.CodeNotPermitted, "this is the root key of another network").
			WithHint("`cairn network` shows which one this peer is in")
	}
	now := p.svc.Now()
	var did []string
	var docs []membership.Doc
	add := func(d membership.Doc, err error, format string, args ...any) error {
		if err == nil {
			docs = append(docs, d)
			did = append(did, fmt.Sprintf(format, args...))
		}
		return err
	}
	for _, ref := range r.Keep {
		in, err := p.find(ref)
		if err != nil {
			return api.RecoverResult{}, err
		}
		for _, rev := range p.book.Revocations() {
			if rev.Kind() != membership.KindRevocation || rev.Subject() != in.ID {
				continue
			}
			d, err := membership.Settle(root, id, rev.ID(), now)
			if err := add(d, err, "lifted a revocation of %s", in.Name); err != nil {
				return api.RecoverResult{}, err
			}
		}
	}
	for _, ref := range r.Revoke {
		in, err := p.find(ref)
		if err != nil {
			return api.RecoverResult{}, err
		}
		if in.ID == p.id {
			return api.RecoverResult{}, api.Errorf(api.CodeUsage, "a peer does not revoke itself")
		}
		d, err := membership.Revoke(root, id, in.ID, "revoked by the root", now)
		if err := add(d, err, "revoked %s", in.Name); err != nil {
			return api.RecoverResult{}, err
		}
	}
	if len(docs) > 0 {
		if _, err := p.svc.Publish(ctx, docs...); err != nil {
			return api.RecoverResult{}, err
		}
	}
	more, err := appoint(root, p.identity, id, p.book.Peer(p.id, now), n.settings.name(), p)
	if err != nil {
		return api.RecoverResult{}, err
	}
	if _, err := p.svc.Publish(ctx, more...); err != nil {
		return api.RecoverResult{}, err
	}
	did = append(did, "this peer is an administrator")
	if _, err := n.networkCA(ctx, p); err != nil { // whoever had the authority of the dashboards can not be reached
		_, name, _ := p.book.Network()
		if err := n.newNetworkCA(name); err != nil {
			return api.RecoverResult{}, err
		}
		did = append(did, "a new authority for dashboards was made: browsers have to be told of it (`cairn ca`)")
	}
	return api.RecoverResult{Network: n.networkStatus(), Did: did}, nil
}

// appoint makes the documents by which the root makes a peer an administrator.
func appoint(root, identity crypto.PrivKey, id membership.NetworkID, me membership.Info, name string, p *seat) ([]membership.Doc, error) {
	now := p.svc.Now()
	if me.State == membership.StateRevoked || me.State == membership.StateSuspended {
		return nil, api.Errorf(api.CodeNotPermitted, "this peer itself is out of the network: %s", me.Reason).
			WithHint("use --keep with its name, or run this on another member")
	}
	d, err := membership.Delegate(root, id, p.id, true, now)
	if err != nil {
		return nil, err
	}
	t := me.Terms
	t.Role = membership.Admin
	c, err := membership.Certify(identity, id, p.id, cmp.Or(me.Name, name), t, now, membership.CertificateLife)
	return []membership.Doc{d, c}, err
}

// recoverAnew begins the network again on a peer that knows nothing of it.
func (n *Node) recoverAnew(ctx context.Context, r api.RecoverRequest, root crypto.PrivKey, charter membership.Doc) (api.RecoverResult, error) {
	if len(r.Keep)+len(r.Revoke) > 0 {
		return api.RecoverResult{}, api.Errorf(api.CodeUsage, "this peer knows no members of the network to keep or revoke").
			WithHint("run this on a member; or join first, with an invite")
	}
	if err := n.none(ctx); err != nil {
		return api.RecoverResult{}, err
	}
	now := n.now()
	id := networkOf(root)
	if len(charter.Bytes()) == 0 {
		if err := named("network", r.Name); err != nil {
			if r.Name == "" {
				err = api.Errorf(api.CodeUsage, "words do not say what the network is called").WithHint("add --name NAME")
			}
			return api.RecoverResult{}, err
		}
		var err error
		if charter, err = membership.Charter(root, r.Name, now); err != nil {
			return api.RecoverResult{}, err
		}
	} else if charter.Network() != id {
		return api.RecoverResult{}, api.Errorf(api.CodeIntegrity, "the recovery file holds a key and a charter that do not belong together")
	}
	key, self := n.identity.key(), n.identity.id()
	d, err := membership.Delegate(root, id, self, true, now)
	if err != nil {
		return api.RecoverResult{}, err
	}
	c, err := membership.Certify(key, id, self, n.settings.name(), membership.Terms{Role: membership.Admin, Coordinator: true}, now, membership.CertificateLife)
	if err != nil {
		return api.RecoverResult{}, err
	}
	if err := n.newNetworkCA(charter.Name()); err != nil {
		return api.RecoverResult{}, err
	}
	if err := n.enter(ctx, admission.Records(charter, d, c)); err != nil {
		return api.RecoverResult{}, err
	}
	st := n.networkStatus()
	return api.RecoverResult{Network: st, Did: []string{fmt.Sprintf("this peer is an administrator of %s, which begins anew with it", st.Name)}}, nil
}
