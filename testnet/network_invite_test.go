package testnet

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestBadInvites: each has its own sentence, and nobody becomes a member by it.
func TestBadInvites(t *testing.T) {
	t.Parallel() // it waits more than it works
	a, _ := founded(t, "home")
	other, _ := founded(t, "other")
	good := inviteBy(t, a.Home)

	expired := inviteBy(t, a.Home, "--expire", "1s")
	ended := inviteBy(t, a.Home)
	must(t, a.Home, "invite", "rm", ended)
	used := inviteBy(t, a.Home)
	join(t, newHome(t), used, "first-come")
	bound := inviteBy(t, a.Home, "--for", memberID(t, other.Home))
	if _, err := Until(limit(t, patience), a.invites, func(all []invite) bool {
		return slices.ContainsFunc(all, func(i invite) bool { return i.State == "expired" }) // the only one that can be
	}); err != nil {
		t.Fatal(err)
	}

	const head = "cairninvite1"
	body := strings.TrimPrefix(good, head)
	flip := func(at int) string {
		c := "b"
		if body[at] == 'b' {
			c = "c"
		}
		return head + body[:at] + c + body[at+1:]
	}
	seen := map[string]string{}
	for _, tt := range []struct {
		name, text string
		code       int
		words      []string
	}{
		{"one character changed at the beginning", flip(3), 2, nil},
		{"cut", good[:len(good)-20], 2, nil},
		{"a character no invite has", head + body[:10] + "!" + body[11:], 2, []string{"character"}},
		{"of a newer version", "cairninvite2" + body, 6, []string{"newer"}},
		{"expired", expired, 4, []string{"expired"}},
		{"ended", ended, 4, []string{"ended"}},
		{"used", used, 4, []string{"used"}},
		{"for another", bound, 4, []string{"another peer"}},
		{"a ticket", share(t, a.Home, file(t, "f", 10)), 2, []string{"ticket"}},
		{"nothing", " \n", 2, nil},
		{"words", "please let me in", 2, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			r := run(t, h.Saying(tt.text+"\n"), "join", "-")
			says(t, r, tt.code, tt.words...)
			text := reasonOf(r)
			if before, ok := seen[text]; ok {
				t.Errorf("%s and this say the same: %s", before, r)
			}
			seen[text] = tt.name
			if strings.Contains(r.Stderr, body[20:60]) {
				t.Errorf("the secret is repeated: %s", r)
			}
			if r := wantCode(t, h, []int{0, 10}, "network", "--json"); r.Code == 0 && !strings.Contains(r.Stdout, `"joined":false`) {
				t.Errorf("it joined all the same: %s", r)
			}
		})
	}
	for i := range 8 { // wherever the character is
		at := (i*len(body) + 5) / 8
		if r := run(t, newHome(t).Saying(flip(at)), "join", "-"); r.Code != 2 {
			t.Errorf("character %d changed: %s", at, r)
		}
	}

	t.Run("nobody there", func(t *testing.T) {
		gone, _ := founded(t, "gone")
		text := inviteBy(t, gone.Home)
		gone.Kill()
		says(t, run(t, newHome(t).Saying(text), "join", "-"), 6)
	})
	t.Run("member of another network", func(t *testing.T) {
		says(t, run(t, other.Home.Saying(good), "join", "-"), 1, "other", "leave")
	})
	// None of that used the good one up, and --for lets the right one in.
	join(t, newHome(t), good, "last")
	must(t, other.Home, "leave", "--yes")
	says(t, run(t, other.Home.Saying(bound), "join", "-"), 4, "another peer") // it has a new identity now
	right := newHome(t)
	forRight := inviteBy(t, a.Home, "--for", memberID(t, right))
	join(t, right, forRight, "right")

	names := members(t, a.Home)
	for _, name := range []string{"first", "first-come", "last", "right"} {
		if names[name].State != "valid" {
			t.Errorf("%s is not a member: %+v", name, names[name])
		}
	}
	if len(names) != 4 {
		t.Errorf("%d members: %+v", len(names), names)
	}
}

// TestOneWins has twelve machines take one invite at once: one of them is in, the others are told so, and the winner
// may ask again as often as it likes.
func TestOneWins(t *testing.T) {
	t.Parallel() // it waits more than it works
	const rivals = 12
	a, _ := founded(t, "home")
	text := inviteBy(t, a.Home)
	homes, results := race(t, rivals, text)
	winner := -1
	for i, r := range results {
		switch {
		case r.Code == 0 && winner < 0:
			winner = i
		case r.Code == 0:
			t.Errorf("rival %d won too: %s", i, r)
		default:
			says(t, r, 4, "used")
		}
	}
	if winner < 0 {
		t.Fatalf("nobody won: %s", results[0])
	}
	// The answer was lost: the same peer asks again, the member is killed and asks again.
	join(t, homes[winner], text, fmt.Sprintf("rival%d", winner))
	a.Kill()
	upAll(t, a)
	join(t, homes[winner], text, fmt.Sprintf("rival%d", winner))
	for i := range 2 {
		loser := homes[(winner+1+i)%rivals]
		says(t, run(t, loser.Saying(text), "join", "-"), 4, "used")
	}
	awaitOne(t, a, homes)
}

// TestKillOfTheOneWhoAdmits: whoever was told that it is a member is one, whenever the member that said so is killed,
// and an invite never lets two in.
func TestKillOfTheOneWhoAdmits(t *testing.T) {
	t.Parallel() // it waits more than it works
	d := dice(t)
	a, _ := founded(t, "home")
	text := inviteBy(t, a.Home)
	var whole time.Duration
	for i := range 4 {
		fresh := inviteBy(t, a.Home)
		at := time.Duration(d.Float64() * float64(whole))
		var killed sync.WaitGroup
		if i > 0 { // the first time at once after the answers
			killed.Go(func() { strike(t, a.Proc, at) })
		}
		began := time.Now()
		homes, results := race(t, 3, fresh)
		whole = max(whole, time.Since(began))
		killed.Wait()
		a.Kill()
		upAll(t, a)
		told := -1
		for k, r := range results {
			if r.Code == 0 {
				if told >= 0 {
					t.Errorf("round %d, killed after %v: two were told that they are members", i, at)
				}
				told = k
			}
		}
		won := -1
		for k, h := range homes {
			r := run(t, h.Saying(fresh), "join", "-", "--name", fmt.Sprintf("rival%d-%d", i, k))
			if r.Code != 0 {
				continue
			}
			if won >= 0 {
				t.Errorf("round %d, killed after %v: two are members", i, at)
			}
			won = k
		}
		if won < 0 || told >= 0 && told != won {
			t.Errorf("round %d, killed after %v: %d was told, %d is a member", i, at, told, won)
		}
		awaitOne(t, a, homes)
	}
	join(t, newHome(t), text, "last") // the member lets others in all the same
}

// race has n new homes take one invite at the same moment.
func race(t *testing.T, n int, invite string) (homes []Home, results []Result) {
	t.Helper()
	results = make([]Result, n)
	ctx := limit(t, 90*time.Second)
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		h := newHome(t)
		homes = append(homes, h)
		all.Go(func() {
			<-start
			results[i] = h.Saying(invite).Run(ctx, "join", "-", "--name", fmt.Sprintf("rival%d", i))
		})
	}
	close(start)
	all.Wait()
	for _, r := range results {
		sane(t, r)
	}
	return homes, results
}

// awaitOne waits until the member that admits lists exactly one of the homes.
func awaitOne(t *testing.T, a *Peer, homes []Home) {
	t.Helper()
	ids := map[string]bool{}
	for _, h := range homes {
		ids[memberID(t, h)] = true
	}
	_, err := Until(limit(t, patience), a.Members, func(all []Member) bool {
		n := 0
		for _, m := range all {
			if ids[m.ID] && m.State == "valid" {
				n++
			}
		}
		return n == 1
	})
	if err != nil {
		t.Error(err)
	}
}
