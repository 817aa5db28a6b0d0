package testnet

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cutWithin is the promise: every peer that can be reached cuts a revoked member off in that time.
const cutWithin = 5 * time.Second

// TestRevoke cuts a member off in the middle of a download, and shows that its identity never comes back.
func TestRevoke(t *testing.T) {
	t.Parallel() // it waits more than it works
	a, _ := founded(t, "home")
	b := joined(t, inviteBy(t, a.Home), "source")
	c := joined(t, inviteBy(t, a.Home), "victim")
	together(t, a, b, c)

	// A download that takes a minute.
	src := file(t, "f", 64*mib)
	id := must(t, b.Home, "add", src).Value()
	must(t, b.Home, "limit", "--up", "1MB/s")
	out := filepath.Join(dir(t), "out")
	get := background(t, c.Home, "get", "--json", "--wait", "5s", id, "-o", out)
	if err := fetching(t, get); err != nil {
		t.Fatal(err)
	}
	old := memberID(t, c.Home)
	invite := inviteBy(t, a.Home)

	began := time.Now()
	r := must(t, a.Home, "revoke", "victim", "--yes", "--reason", "lost on the train")
	if !strings.Contains(r.Stdout, "victim") {
		t.Errorf("the revoked one is not named: %s", r)
	}
	for name, p := range map[string]*Peer{"inviter": a, "source": b} {
		awaitMembers(t, p.Home, cutWithin, name+" cuts off", func(m map[string]Member) bool {
			return m["victim"].State == "revoked" && m["victim"].Connection == nil
		})
	}
	n := awaitStatus(t, c.Home, cutWithin, "the victim is told", func(n Network) bool { return n.State == "revoked" && n.Connected == 0 })
	took := time.Since(began)
	t.Logf("cut off everywhere after %v", took.Round(time.Millisecond))
	if took > cutWithin {
		t.Errorf("it took %v", took)
	}
	if alert, ok := n.Alert("revoked", ""); !ok || alert.Hint == "" || n.Reason == "" {
		t.Errorf("it does not say why, or what to do: %+v", n)
	}
	if n := len(get.Wait(limit(t, time.Minute)).Stderr); get.cmd.ProcessState.ExitCode() == 0 || n == 0 {
		t.Errorf("the download went on, or ended without a word: %s", get.Stderr())
	}
	absent(t, out)

	// With its identity it stays outside, also after a restart.
	stopAll(t, false, c)
	upAll(t, c)
	awaitStatus(t, c.Home, patience, "revoked after a restart", func(n Network) bool { return n.State == "revoked" && n.Connected == 0 })
	if r := run(t, c.Home, "get", id, "-o", out); r.Code == 0 {
		t.Errorf("a revoked member fetched: %s", r)
	}
	says(t, run(t, c.Home.Saying(invite), "join", "-"), 1, "home", "leave")
	if m := members(t, b.Home)["victim"]; m.Connection != nil || m.State != "revoked" {
		t.Errorf("it came back: %+v", m)
	}
	must(t, c.Home, "leave", "--yes")
	if n := status(t, c.Home); n.Joined || n.MemberID == old {
		t.Errorf("after it left: %+v", n)
	}
	join(t, c.Home, invite, "victim")
	together(t, a, b, c)
	if id := memberID(t, c.Home); id == old {
		t.Error("a revoked identity is used again")
	}
}

// TestRevokeAdministrator: those that an administrator let in stay when it goes, unless it is said to have been
// somebody else.
func TestRevokeAdministrator(t *testing.T) {
	t.Parallel() // it waits more than it works
	a, _ := founded(t, "home")
	good := joined(t, inviteBy(t, a.Home, "--role", "admin"), "good")
	bad := joined(t, inviteBy(t, a.Home, "--role", "admin"), "bad")
	together(t, a, good, bad)
	byGood := joined(t, inviteBy(t, good.Home), "by-good")
	byBad := joined(t, inviteBy(t, bad.Home), "by-bad")
	together(t, a, good, bad, byGood, byBad)

	if r := must(t, a.Home, "revoke", "good", "--yes"); !strings.Contains(r.Stderr, "taken over from it: by-good") {
		t.Errorf("it does not say whom it keeps: %s", r)
	}
	if r := must(t, a.Home, "revoke", "bad", "--yes", "--void"); !strings.Contains(r.Stderr, "ended with it: by-bad") {
		t.Errorf("it does not say who ends with it: %s", r)
	}
	for _, p := range []*Peer{a, byGood} {
		awaitMembers(t, p.Home, cutWithin, "by-bad is out, by-good is in", func(m map[string]Member) bool {
			return m["good"].State == "revoked" && m["bad"].State == "revoked" &&
				m["by-good"].State == "valid" && m["by-bad"].State == "void" && m["by-bad"].Connection == nil
		})
	}
	together(t, a, byGood)
	awaitStatus(t, byBad.Home, patience, "by-bad is told", func(n Network) bool { return n.State == "void" && n.Connected == 0 })
	awaitStatus(t, byGood.Home, patience, "by-good stays", func(n Network) bool { return n.State == "valid" })
	// What is kept is kept over a restart.
	stopAll(t, true, a, byGood)
	upAll(t, a, byGood)
	together(t, a, byGood)
}

// TestMutualRevocation: two administrators end each other while apart. Neither counts until the root has decided.
func TestMutualRevocation(t *testing.T) {
	t.Parallel() // it waits more than it works
	a, words := founded(t, "home")
	b := joined(t, inviteBy(t, a.Home, "--role", "admin"), "second")
	c := joined(t, inviteBy(t, a.Home), "third")
	together(t, a, b, c)

	stopAll(t, false, a, c)
	must(t, b.Home, "revoke", "first", "--yes")
	stopAll(t, false, b)
	upAll(t, a)
	must(t, a.Home, "revoke", "second", "--yes")
	stopAll(t, false, a)
	upAll(t, c, a)
	upAll(t, b)
	awaitMembers(t, c.Home, patience, "both suspended", func(m map[string]Member) bool {
		return m["first"].State == "suspended" && m["second"].State == "suspended"
	})
	for _, p := range []*Peer{a, b} {
		n := awaitStatus(t, p.Home, patience, "it knows", func(n Network) bool { return n.State == "suspended" })
		if alert, ok := n.Alert("suspended", ""); !ok || !strings.Contains(alert.Hint, "recover") {
			t.Errorf("it does not say what to do: %+v", n)
		}
	}

	// The words, typed wrong in each way.
	all := strings.Fields(words)
	swapped := strings.Join(append([]string{all[1], all[0]}, all[2:]...), " ")
	for name, typed := range map[string]string{"unknown": "cairnx " + strings.Join(all[1:], " "), "short": strings.Join(all[:23], " "), "swapped": swapped} {
		if r := run(t, c.Home.Saying(typed+"\n"), "network", "recover", "-", "--keep", "first"); all[0] != all[1] || name != "swapped" {
			says(t, r, 2)
			if strings.Contains(r.Stderr, all[2]) {
				t.Errorf("%s: a word of the key is in the error: %s", name, r)
			}
		}
	}
	must(t, c.Home.Saying("  "+strings.ToUpper(words)+"\n\n"), "network", "recover", "-", "--keep", "first")
	for _, p := range []*Peer{a, c} {
		awaitMembers(t, p.Home, patience, "settled", func(m map[string]Member) bool {
			return m["first"].State == "valid" && m["second"].State == "revoked" && m["third"].Role == "admin"
		})
	}
	together(t, a, c)
	awaitStatus(t, b.Home, patience, "the loser knows", func(n Network) bool { return n.State == "revoked" && n.Connected == 0 })
}

// TestRecoveryFile: the file is made once, opens with its passphrase alone, and brings a network back from nothing.
func TestRecoveryFile(t *testing.T) {
	t.Parallel() // argon2id and scrypt take their time
	file := filepath.Join(dir(t), "home.age")
	h := newHome(t)
	p := up(t, h)
	opened := func(h Home, passphrase string) Home { h.FilePassphrase = passphrase; return h }
	must(t, opened(h, "a long passphrase"), "init", "home", "--recovery-file", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	id := status(t, h).ID
	p.Kill()

	// All that is left is the file.
	anew := up(t, newHome(t))
	says(t, run(t, opened(anew.Home, "a wrong passphrase"), "network", "recover", file), 12, "passphrase")
	if n := status(t, anew.Home); n.Joined {
		t.Errorf("a wrong passphrase recovered %+v", n)
	}
	must(t, opened(anew.Home, "a long passphrase"), "network", "recover", file)
	if n := status(t, anew.Home); !n.Joined || n.ID != id || n.Name != "home" || n.Role != "admin" || n.State != "valid" {
		t.Errorf("recovered %+v, want %s", n, id)
	}
	joined(t, inviteBy(t, anew.Home), "newcomer")

	// A root of another network settles nothing here.
	other, words := founded(t, "other")
	_ = other
	says(t, run(t, anew.Home.Saying(words+"\n"), "network", "recover", "-"), 4, "another network")
}

// TestPowersOfMembers: what only an administrator may do, a member is refused, with who could.
func TestPowersOfMembers(t *testing.T) {
	t.Parallel() // it waits more than it works
	a, _ := founded(t, "home")
	b := joined(t, inviteBy(t, a.Home), "second")
	together(t, a, b)
	for _, args := range [][]string{{"invite"}, {"revoke", "first", "--yes"}, {"rename", "first", "last"}} {
		says(t, run(t, b.Home, args...), 4, "administrator", "first")
	}
	says(t, run(t, a.Home, "revoke", "first", "--yes"), 2, "leave")
	says(t, run(t, a.Home, "revoke", "nobody", "--yes"), 3, "nobody")
	says(t, run(t, a.Home, "init", "again"), 1, "home", "leave")
	alone := up(t, newHome(t))
	for _, args := range [][]string{{"invite"}, {"members"}, {"leave", "--yes"}, {"revoke", "first", "--yes"}} {
		says(t, run(t, alone.Home, args...), 3, "no network", "cairn join")
	}
	// Names are those that the network knows, on every member.
	must(t, a.Home, "rename", "second", "kitchen")
	must(t, b.Home, "rename", "cellar")
	awaitMembers(t, a.Home, patience, "renamed", func(m map[string]Member) bool { return connected(m, "cellar") })
	must(t, b.Home, "leave", "--yes")
	awaitMembers(t, a.Home, cutWithin, "it has left", func(m map[string]Member) bool {
		return m["cellar"].State == "left" && m["cellar"].Connection == nil
	})
	var shown []string
	for line := range strings.Lines(must(t, a.Home, "members", "--json").Stdout) {
		var m Member
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		shown = append(shown, m.Name)
	}
	if strings.Join(shown, " ") != "first" {
		t.Errorf("members lists %q", shown)
	}
}
