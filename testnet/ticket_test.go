package testnet

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cairn/swarm/ticket"
)

func parse(t *testing.T, text string) ticket.Ticket {
	t.Helper()
	tk, err := ticket.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

func encode(t *testing.T, tk ticket.Ticket) string {
	t.Helper()
	text, err := tk.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestOneCharacterWrong: every mistyped character is noticed before anything is asked, with its position.
func TestOneCharacterWrong(t *testing.T) {
	h := newHome(t)
	a := up(t, h)
	text := share(t, a.Home, file(t, "f", 10))
	d := dice(t)
	for range *faultRuns {
		at := 6 + d.IntN(len(text)-6)
		c := byte('a')
		if text[at] == c {
			c = 'b'
		}
		wrong := text[:at] + string(c) + text[at+1:]
		r := wantCode(t, h, []int{2}, "get", wrong)
		if strings.Contains(r.Stderr, wrong[6:]) {
			t.Errorf("the error repeats the ticket: %s", r)
		}
	}
	r := wantCode(t, h, []int{2}, "get", text[:30]+"!"+text[31:])
	if !strings.Contains(r.Stderr, "31") {
		t.Errorf("the position is not named: %s", r)
	}
	wantCode(t, h, []int{2}, "get", text[:len(text)-5])
	r = wantCode(t, h, []int{6}, "get", "cairn2"+text[6:])
	if !strings.Contains(r.Stderr, "newer") && !strings.Contains(r.Stderr, "newest") {
		t.Errorf("a newer version is not called one: %s", r)
	}
	out := filepath.Join(dir(t), "out")
	must(t, newHome(t), "get", strings.ToUpper(text[:40])+" \n "+text[40:], "-o", out) // pasted badly: forgiven
}

// TestEditedTickets: whoever changes a ticket, or knows the CID alone, learns nothing: an object that is there
// and one that is not answer in the same words.
func TestEditedTickets(t *testing.T) {
	a := up(t, newHome(t))
	text := share(t, a.Home, file(t, "f", 2*mib), "--expire", "1h")
	good := parse(t, text)

	longer := good
	longer.Expires = good.Expires.Add(24 * time.Hour)
	never := good
	never.Expires = time.Time{}
	guess := good
	guess.Secret = [16]byte{1, 2, 3}
	elsewhere := good
	elsewhere.Root = parse(t, share(t, up(t, newHome(t)).Home, file(t, "g", 2*mib))).Root

	var first string
	for _, tt := range []struct {
		name string
		tk   ticket.Ticket
	}{{"expiry moved", longer}, {"expiry removed", never}, {"secret guessed", guess}, {"object not there", elsewhere}} {
		out := filepath.Join(dir(t), "out")
		r := wantCode(t, newHome(t), []int{3, 4}, "get", encode(t, tt.tk), "-o", out)
		absent(t, out)
		said := fmt.Sprint(r.Code, nowarn(r.Stderr))
		if first == "" {
			first = said
		} else if said != first {
			t.Errorf("%s: answered %q, others %q: that tells what the peer has", tt.name, said, first)
		}
	}
}

var logLine = regexp.MustCompile(`(?m)^(time=|warning: ).*\n`)

// nowarn leaves the error of what was printed on stderr.
func nowarn(stderr string) string { return logLine.ReplaceAllString(stderr, "") }

func TestTicketsEnd(t *testing.T) {
	a := up(t, newHome(t))
	src := file(t, "f", 2*mib)
	refused := func(t *testing.T, text, word string) {
		t.Helper()
		out := filepath.Join(dir(t), "out")
		r := wantCode(t, newHome(t), []int{4}, "get", text, "-o", out)
		absent(t, out)
		if !strings.Contains(r.Stderr, word) {
			t.Errorf("the reason (%q) is not told: %s", word, r)
		}
	}
	t.Run("expired", func(t *testing.T) {
		text := share(t, a.Home, src, "--expire", "1s")
		expiry := parse(t, text).Expires
		<-time.After(time.Until(expiry) + 100*time.Millisecond) // the peer's clock is the one that counts
		refused(t, text, "expired")
	})
	t.Run("used up", func(t *testing.T) {
		text := share(t, a.Home, src, "--downloads", "1")
		must(t, newHome(t), "get", text, "-o", filepath.Join(dir(t), "out"))
		refused(t, text, "used")
	})
	t.Run("used up, after kill -9", func(t *testing.T) {
		h := newHome(t)
		b := up(t, h)
		text := share(t, h, src, "--downloads", "1")
		must(t, newHome(t), "get", text, "-o", filepath.Join(dir(t), "out"))
		b.Kill()
		up(t, h)
		refused(t, text, "used")
	})
	t.Run("unshared by path", func(t *testing.T) {
		other := file(t, "other", mib)
		text := share(t, a.Home, other)
		must(t, a.Home, "unshare", other)
		refused(t, text, "")
	})
	t.Run("unshared by ticket", func(t *testing.T) {
		text := share(t, a.Home, src)
		still := share(t, a.Home, src)
		must(t, a.Home, "unshare", text)
		refused(t, text, "")
		must(t, newHome(t), "get", still, "-o", filepath.Join(dir(t), "out"))
	})
}

// TestUnknownObject: a CID is no ticket.
func TestUnknownObject(t *testing.T) {
	a := up(t, newHome(t))
	r := wantCode(t, a.Home, []int{3}, "get", "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
	if !strings.Contains(r.Stderr, "ticket") {
		t.Errorf("the way out is not named: %s", r)
	}
	nobody := parse(t, share(t, a.Home, file(t, "f", 10)))
	a.Kill()
	r = wantCode(t, newHome(t), []int{6}, "get", encode(t, nobody))
	if r.Took > 30*time.Second {
		t.Errorf("it took %v to find out that nobody is there", r.Took)
	}
}

// TestTicketFromFile: other users of the machine do not see it, so there is nothing to warn of.
func TestTicketFromFile(t *testing.T) {
	a := up(t, newHome(t))
	src := file(t, "f", 100)
	path := filepath.Join(dir(t), "ticket.txt")
	if err := os.WriteFile(path, []byte("\n  "+share(t, a.Home, src)+"\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir(t), "out")
	if r := must(t, newHome(t), "get", "@"+path, "-o", out); strings.Contains(r.Stderr, "warning") {
		t.Errorf("a warning without a reason: %s", r)
	}
	same(t, src, out)
}
