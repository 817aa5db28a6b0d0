package testnet

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// strike kills a process (kill -9) at a random moment within span, unless it has ended before, and waits for its
// end.
func strike(t *testing.T, p *Proc, at time.Duration) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(at):
	}
	p.Kill()
	sane(t, p.Wait(context.Background()))
}

// TestKillGet kills the downloader: nothing is ever under the final name but the whole file, and the next attempt
// goes on where the last one stopped.
func TestKillGet(t *testing.T) {
	d := dice(t)
	a := up(t, newHome(t))
	src := file(t, "f", 96*mib)
	ticket := share(t, a.Home, src)
	out := filepath.Join(dir(t), "out")
	whole := must(t, newHome(t), "get", ticket, "-o", out).Took

	resumed := 0
	for range *faultRuns {
		h := newHome(t)
		out := filepath.Join(dir(t), "out")
		at := time.Duration(d.Float64() * 1.1 * float64(whole))
		strike(t, background(t, h, "get", ticket, "-o", out), at)
		if _, err := os.Lstat(out); err == nil {
			same(t, src, out) // it was quicker, or died after the rename
			continue
		}
		g := result(t, run(t, h, "get", "--json", ticket, "-o", out))
		same(t, src, out)
		if g.Fetched+g.Resumed < g.Size {
			t.Errorf("killed at %v: %d fetched and %d resumed of %d bytes", at, g.Fetched, g.Resumed, g.Size)
		}
		if g.Resumed > 0 {
			resumed++
		}
		leftovers(t, filepath.Dir(out), "out")
		verified(t, h)
	}
	t.Logf("%d of %d went on from what was there; undisturbed: %v", resumed, *faultRuns, whole)
	if *faultRuns >= 10 && resumed == 0 {
		t.Error("no run went on from what an earlier one had fetched")
	}
}

// leftovers fails if anything but the named file is in dir: temporary files must go once their get is through.
func leftovers(t *testing.T, dir, name string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Name() != name {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

// TestKillSource kills the source while it serves: the download fails cleanly or waits, and goes on once the source
// is back.
func TestKillSource(t *testing.T) {
	d := dice(t)
	h := newHome(t)
	src := file(t, "f", 96*mib)
	a := up(t, h)
	ticket := share(t, h, src)
	whole := must(t, newHome(t), "get", ticket, "-o", filepath.Join(dir(t), "out")).Took

	for range *faultRuns {
		b := newHome(t)
		out := filepath.Join(dir(t), "out")
		get := background(t, b, "get", ticket, "-o", out)
		strike(t, a.Proc, time.Duration(d.Float64()*1.1*float64(whole)))
		a = up(t, h) // the lock that was left behind blocks nobody, and the ticket's port is the same
		r := get.Wait(limit(t, 60*time.Second))
		sane(t, r)
		switch r.Code {
		case 0:
		case 6:
			absent(t, out)
			must(t, b, "get", ticket, "-o", out)
		default:
			t.Fatalf("want exit code 0 or 6: %s", r)
		}
		same(t, src, out)
	}
	verified(t, h)
}

// TestKillShare kills a foreground share: a ticket that was printed opens again with the next peer of that home.
func TestKillShare(t *testing.T) {
	d := dice(t)
	src := file(t, "f", 64*mib)
	h := newHome(t)
	s := background(t, h, "share", src)
	began := time.Now()
	if _, err := s.Line(limit(t, 30*time.Second), isTicket); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(began)
	s.Kill()

	printed := 0
	for range *faultRuns {
		h := newHome(t)
		s := background(t, h, "share", src)
		strike(t, s, time.Duration(d.Float64()*1.5*float64(whole)))
		ticket, err := s.Line(limit(t, time.Second), isTicket)
		a := up(t, h)
		if err == nil {
			printed++
			out := filepath.Join(dir(t), "out")
			must(t, newHome(t), "get", ticket, "-o", out)
			same(t, src, out)
		}
		share(t, h, src)
		verified(t, h)
		a.Kill()
	}
	t.Logf("%d of %d had printed their ticket; undisturbed: %v", printed, *faultRuns, whole)
}

func isTicket(line string) bool { return strings.HasPrefix(line, "cairn1") }

// TestKillAdd kills add --copy: what was acknowledged can be read, and what was not can be added again.
func TestKillAdd(t *testing.T) {
	d := dice(t)
	h := newHome(t)
	keep := file(t, "keep", 3*mib)
	kept := must(t, h, "add", "--copy", keep).Value()
	whole := must(t, newHome(t), "add", "--copy", file(t, "f", 48*mib)).Took

	acknowledged := map[string]string{kept: keep}
	for range *faultRuns {
		src := file(t, "f", 48*mib)
		add := background(t, h, "add", "--copy", src)
		strike(t, add, time.Duration(d.Float64()*1.2*float64(whole)))
		id, err := add.Line(limit(t, time.Second), func(l string) bool { return strings.HasPrefix(l, "baf") })
		if err == nil {
			acknowledged[id] = src
		} else if again := must(t, h, "add", "--copy", src).Value(); again != "" {
			acknowledged[again] = src
		}
		for id, src := range acknowledged {
			readsBack(t, h, id, src)
		}
		if len(acknowledged) > 4 { // enough of them; the store need not grow
			for id := range acknowledged {
				if id != kept {
					must(t, h, "rm", id)
					delete(acknowledged, id)
				}
			}
			must(t, h, "gc")
		}
	}
	verified(t, h)
}

// readsBack fails unless the home gives the content of the file at src for id.
func readsBack(t *testing.T, h Home, id, src string) {
	t.Helper()
	out := filepath.Join(dir(t), "back")
	must(t, h, "get", id, "-o", out)
	same(t, src, out)
	os.Remove(out)
}

// TestKillGC kills garbage collection: nothing that an entry holds may go.
func TestKillGC(t *testing.T) {
	d := dice(t)
	h := newHome(t)
	keep := file(t, "keep", 16*mib)
	kept := must(t, h, "add", "--copy", keep).Value()
	for range max(1, *faultRuns/3) {
		gone := must(t, h, "add", "--copy", file(t, "gone", 32*mib)).Value()
		must(t, h, "rm", gone)
		strike(t, background(t, h, "gc"), time.Duration(d.Float64()*float64(2*time.Second)))
		readsBack(t, h, kept, keep)
	}
	verified(t, h)
}

// TestTermUnderLoad: a peer that is told to end while it serves does so in ten seconds and with success, and the
// download ends cleanly.
func TestTermUnderLoad(t *testing.T) {
	a := up(t, newHome(t))
	src := file(t, "f", 1024*mib)
	ticket := share(t, a.Home, src)
	b := newHome(t)
	out := filepath.Join(dir(t), "out")
	get := background(t, b, "get", "--json", "--wait", "5s", ticket, "-o", out)
	if err := fetching(t, get); err != nil {
		t.Fatal(err)
	}
	r, err := a.Stop(limit(t, 10*time.Second))
	if err != nil || r.Code != 0 {
		t.Errorf("%v: %s", err, r)
	}
	if g := get.Wait(limit(t, 60*time.Second)); g.Code == 0 {
		same(t, src, out) // it had come through
	} else {
		absent(t, out)
		if g.Code != 6 {
			t.Errorf("want exit code 6: %s", g)
		}
	}
}

// fetching waits until a get --json has fetched something.
func fetching(t *testing.T, get *Proc) error {
	t.Helper()
	_, err := get.Line(limit(t, 30*time.Second), func(l string) bool {
		return strings.Contains(l, `"progress"`) && !strings.Contains(l, `"done":0,`)
	})
	return err
}
