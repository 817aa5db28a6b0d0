package testnet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"cairn/consensus/access"
	"cairn/consensus/admission"
	"cairn/consensus/membership"
	"cairn/testnet/intruder"
)

// builtIn are the protocols that libp2p itself, or one of the parts that this project uses or may use, answers
// unless it is kept from doing so.
var builtIn = []string{
	"/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/p2p/id/delta/1.0.0",
	"/libp2p/circuit/relay/0.1.0", "/libp2p/circuit/relay/0.2.0/hop", "/libp2p/circuit/relay/0.2.0/stop",
	"/libp2p/autonat/1.0.0", "/libp2p/autonat/2/dial-request", "/libp2p/autonat/2/dial-back", "/libp2p/dcutr",
	"/libp2p/fetch/0.0.1", "/libp2p-http", "/http/1.1", "/rendezvous/1.0.0",
	"/ipfs/kad/1.0.0", "/ipfs/lan/kad/1.0.0", "/cairn/kad/1.0.0", "/meshsub/1.0.0", "/meshsub/1.1.0", "/meshsub/1.2.0", "/floodsub/1.0.0",
	"/ipfs/bitswap", "/ipfs/bitswap/1.2.0",
	"/cairn/blocks/1", "/cairn/join/1", "/cairn/hello/1", "/cairn/members/1", "/cairn/renew/1", "/cairn/raft/1", "/cairn/gossip/1", "/cairn/blocks/2",
	"/multistream/1.0.0", "ls", "/", "",
}

// protocols are those and all that the project's own table lists.
func protocols() []string {
	all := slices.Clone(builtIn)
	for _, row := range access.Table() {
		if row.Door == access.DoorHost || row.Door == access.MemberHost {
			all = append(all, row.Name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestStrangers tries every protocol on both hosts of a member with keys that no certificate names.
func TestStrangers(t *testing.T) {
	t.Parallel() // it waits more than it works
	a, _ := founded(t, "home")
	b := joined(t, inviteBy(t, a.Home), "second")
	together(t, a, b)
	door, member := addrInfo(t, a.Ready.Addresses), addrInfo(t, status(t, a.Home).Addresses)
	if door.ID == member.ID {
		t.Fatal("both hosts have one key")
	}

	// One alone is on record, with its id. Of many, some stand for all.
	lone := stranger(t)
	if x := lone.Ask(limit(t, patience), member, "/cairn/members/1"); x.Accepted {
		t.Error("the member host speaks to a stranger")
	}
	id := lone.ID().String()
	if _, err := Until(limit(t, patience), a.audited, func(all []audit) bool {
		return slices.ContainsFunc(all, func(r audit) bool { return r.Actor == id && r.Outcome == "denied" })
	}); err != nil {
		t.Errorf("the refusal of %s is not in the audit log: %v", id, err)
	}
	if !strings.Contains(a.Stderr(), id) {
		t.Errorf("the refusal of %s is not in the log", id)
	}

	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[protocol.ID]bool{}
	for _, p := range protocols() {
		id := protocol.ID(p)
		all.Go(func() {
			if x := stranger(t).Ask(limit(t, patience), member, id); x.Accepted {
				t.Errorf("the member host answers %q to a stranger", p)
			}
			x := stranger(t).Ask(limit(t, patience), door, id)
			if !x.Connected {
				t.Errorf("%q: the door does not open: %v", p, x.Err)
			}
			mu.Lock()
			open[id] = x.Accepted
			mu.Unlock()
		})
	}
	all.Wait()
	for id, answered := range open {
		_, listed := access.Needs(access.Action{Door: access.DoorHost, Name: string(id)})
		if answered && !listed {
			t.Errorf("the door answers %q, which no table allows", id)
		}
		if must := strings.HasPrefix(string(id), "/cairn/"); must && listed && !answered {
			t.Errorf("the door does not answer %q", id)
		}
	}
	// The members did not notice.
	if n := status(t, b.Home); n.Connected != 1 || len(n.Alerts) != 0 {
		t.Errorf("the network says %+v", n)
	}
}

// audit is a line of `cairn audit --json`.
type audit struct{ Actor, From, Action, Subject, Outcome, Detail string }

func (h Home) audited(ctx context.Context) (all []audit, err error) {
	r := h.Run(ctx, "audit", "--json")
	if r.Code != 0 {
		return nil, errors.New(r.String())
	}
	for line := range strings.Lines(r.Stdout) {
		var a audit
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// traitor is a member that has joined with a reader's invite and keeps everything it was told.
type traitor struct {
	network membership.NetworkID
	key     crypto.PrivKey
	id      peer.ID
	docs    []membership.Doc
}

func newTraitor(t *testing.T, a *Peer) traitor {
	t.Helper()
	inv, err := membership.ParseInvite(inviteBy(t, a.Home, "--role", "reader"))
	if err != nil {
		t.Fatal(err)
	}
	key, id := newKey(t)
	j, err := admission.Join(limit(t, patience), admission.JoinConfig{Door: stranger(t).Host, Identity: key, Invite: inv, Name: "traitor"})
	if err != nil {
		t.Fatal(err)
	}
	return traitor{inv.Charter.Network(), key, id, j.Docs}
}

func newKey(t *testing.T) (crypto.PrivKey, peer.ID) {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, id
}

// TestForgedCertificates: nobody is let in, or up, by documents that are not its own or not signed by whoever may.
func TestForgedCertificates(t *testing.T) {
	t.Parallel() // it waits more than it works
	a, _ := founded(t, "home")
	b := joined(t, inviteBy(t, a.Home), "second")
	together(t, a, b)
	spy := newTraitor(t, a)
	door, member := addrInfo(t, a.Ready.Addresses), addrInfo(t, status(t, a.Home).Addresses)
	now := time.Now()
	key, id := newKey(t)
	made := func(d membership.Doc, err error) membership.Doc {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	admin := membership.Terms{Role: membership.Admin, Coordinator: true}
	otherRoot, otherCharter, err := membership.Found("home", now)
	if err != nil {
		t.Fatal(err)
	}
	otherNet := otherCharter.Network()
	for name, claim := range map[string]intruder.Claim{
		"nothing":                      {Key: key},
		"certificates of others":       {Key: key, Docs: spy.docs},
		"one's own certificate":        {Key: key, Docs: []membership.Doc{made(membership.Certify(key, spy.network, id, "me", admin, now, time.Hour))}},
		"signed by a reader":           {Key: key, Docs: append(slices.Clone(spy.docs), made(membership.Certify(spy.key, spy.network, id, "me", admin, now, time.Hour)))},
		"delegated by a reader":        {Key: key, Docs: append(slices.Clone(spy.docs), made(membership.Delegate(spy.key, spy.network, id, false, now)), made(membership.Certify(key, spy.network, id, "me", admin, now, time.Hour)))},
		"delegated by another root":    {Key: key, Docs: []membership.Doc{otherCharter, made(membership.Delegate(otherRoot, spy.network, id, false, now)), made(membership.Certify(key, spy.network, id, "me", admin, now, time.Hour))}},
		"a member of another network":  {Network: otherNet, Key: key, Docs: []membership.Doc{otherCharter, made(membership.Delegate(otherRoot, otherNet, id, true, now)), made(membership.Certify(key, otherNet, id, "me", admin, now, time.Hour))}},
		"a revocation of the inviter":  {Key: key, Docs: []membership.Doc{made(membership.Revoke(key, spy.network, peer.ID(memberBytes(t, a.Home)), "", now))}},
		"a join without its invite":    {Protocol: intruder.JoinProtocol, Key: key, Docs: spy.docs},
		"a join with nothing at all":   {Protocol: intruder.JoinProtocol, Key: key},
		"another's join, shown anew":   {Protocol: intruder.JoinProtocol, Key: key, Docs: slices.DeleteFunc(slices.Clone(spy.docs), func(d membership.Doc) bool { return d.Kind() == membership.KindCharter })},
		"a revocation by who may none": {Key: key, Docs: append(slices.Clone(spy.docs), made(membership.Revoke(spy.key, spy.network, peer.ID(memberBytes(t, b.Home)), "", now)))},
	} {
		if claim.Protocol == "" {
			claim.Protocol = intruder.HelloProtocol
		}
		if claim.Network == (membership.NetworkID{}) {
			claim.Network = spy.network
		}
		s := stranger(t)
		if told, err := s.Present(limit(t, patience), door, claim); err == nil {
			t.Errorf("%s: it was let in and told %d bytes", name, len(told))
		} else {
			t.Logf("%s: %v", name, err)
		}
		as, err := intruder.NewStranger(claim.Key)
		if err != nil {
			t.Fatal(err)
		}
		if x := as.Ask(limit(t, patience), member, "/cairn/members/1"); x.Accepted {
			t.Errorf("%s: the member host speaks to it", name)
		}
		as.Close()
	}

	// A member may say hello; what it adds about itself makes it no more than it is.
	up := intruder.Claim{Protocol: intruder.HelloProtocol, Network: spy.network, Key: spy.key, Docs: append(slices.Clone(spy.docs),
		made(membership.Certify(spy.key, spy.network, spy.id, "traitor", admin, now, time.Hour)),
		made(membership.Delegate(spy.key, spy.network, spy.id, false, now)),
		made(membership.Revoke(spy.key, spy.network, peer.ID(memberBytes(t, b.Home)), "", now)))}
	brief, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	if _, err := stranger(t).Present(brief, door, up); err != nil {
		t.Errorf("a member's own certificate does not let it say hello: %v", err)
	}
	cancel()
	m := members(t, a.Home)
	if x := m["traitor"]; x.Role != "reader" || x.State != "valid" {
		t.Errorf("the traitor is %+v", x)
	}
	if !connected(m, "second") || len(m) != 3 {
		t.Errorf("members: %+v", m)
	}
	// Once it is out, the same does not let it in.
	must(t, a.Home, "revoke", "traitor", "--yes")
	if told, err := stranger(t).Present(limit(t, patience), door, up); err == nil {
		t.Errorf("a revoked member was let in and told %d bytes", len(told))
	}
}

// memberBytes is the id of a peer as a member, in bytes.
func memberBytes(t *testing.T, h Home) []byte {
	t.Helper()
	id, err := peer.Decode(memberID(t, h))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(id)
}

// TestClone runs two machines on copies of one home. The third member and both of them say so.
func TestClone(t *testing.T) {
	t.Parallel() // it waits
	a, _ := founded(t, "home")
	b := joined(t, inviteBy(t, a.Home), "twin")
	together(t, a, b)
	// A mere restart is no clone.
	stopAll(t, true, b)
	upAll(t, b)
	together(t, a, b)
	if n := status(t, a.Home); len(n.Alerts) != 0 {
		t.Errorf("after a restart it says %+v", n.Alerts)
	}

	stopAll(t, false, b)
	copied := filepath.Join(dir(t), "home")
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", b.Home.Dir, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	upAll(t, b)
	id := memberID(t, b.Home)
	began := time.Now()
	twin := up(t, homeAt(t, copied))
	for name, p := range map[string]*Peer{"third": a, "original": b, "copy": twin} {
		n := awaitStatus(t, p.Home, time.Minute-time.Since(began), "the "+name+" says that there are two", func(n Network) bool {
			_, ok := n.Alert("clone", id)
			return ok
		})
		alert, _ := n.Alert("clone", id)
		t.Logf("%s after %v: %s", name, time.Since(began).Round(time.Millisecond), alert.Message)
		if alert.Hint == "" {
			t.Errorf("%s does not say what to do", name)
		}
	}
	if m := members(t, a.Home)["twin"]; !m.Cloned {
		t.Errorf("members does not show it: %+v", m)
	}
}
