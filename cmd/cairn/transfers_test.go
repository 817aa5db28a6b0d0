package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cairn/web/api"
)

func someTransfers() []api.Transfer {
	ended := time.Unix(1e9, 0).UTC()
	return []api.Transfer{
		{ID: "4f2a0000000000ab", Direction: "download", Name: "film\x1b[31m.mp4", State: "active", Total: 4 << 20, Done: 2 << 20, BPS: 1 << 20, ETAMillis: 2000,
			Sources: []api.TransferSource{
				{PeerID: "12D3KooWRdcdh3dUnQM9grHsVgpUu12jF4o7gyyBWWWNemer6k14", Role: "source", State: "active", Have: 1, Bytes: 1 << 20, BPS: 1 << 19,
					Transport: "tcp", Why: "TCP on the local network: the fastest way that answered"},
				{PeerID: "12D3KooWH7eeJZbUS3LNrck4ZG92bepbpdPkMSMe1SnAav7yiqai", Role: "source", State: "dropped", Partial: true, Have: .25, Bytes: 1 << 20,
					Transport: "tcp", Why: "TCP on the local network: introduced by a source", Reason: "the connection to the sender was lost"}}},
		{ID: "4f2b0000000000cd", Direction: "upload", Name: "film.mp4", State: "done", Total: 4 << 20, Done: 4 << 20, Ended: &ended,
			Sources: []api.TransferSource{{PeerID: "12D3KooWH7eeJZbUS3LNrck4ZG92bepbpdPkMSMe1SnAav7yiqai", Role: "downloader", State: "idle", Bytes: 4 << 20, Transport: "quic-v1"}}},
	}
}

// TestTransfers holds what the command prints.
func TestTransfers(t *testing.T) {
	for name, x := range map[string]struct {
		id     string
		cancel bool
		json   bool
		code   int
		out    string // with the ends of lines trimmed
		errOut string
	}{
		"all": {out: `
ID                DIRECTION  NAME              STATE      DONE       OF       RATE   LEFT  PEERS
4f2a0000000000ab  download   film\x1b[31m.mp4  active  2.0 MiB  4.0 MiB  1.0 MiB/s  2.0 s      2
4f2b0000000000cd  upload     film.mp4          done    4.0 MiB  4.0 MiB      0 B/s      -      1`},
		"one": {id: "4f2a", out: `
download  film\x1b[31m.mp4  active
2.0 MiB of 4.0 MiB, 1.0 MiB/s, 2.0 s left
██··  4 pieces
PEER               ROLE    STATE      HAS       RATE    BYTES  CONNECTION
12D3KooW…emer6k14  source  active   100 %  512 KiB/s  1.0 MiB  TCP on the local network: the fastest way that answered
12D3KooW…av7yiqai  part    dropped   25 %      0 B/s  1.0 MiB  the connection to the sender was lost`},
		"upload": {id: "4f2b", out: `
upload  film.mp4  done
4.0 MiB of 4.0 MiB, 0 B/s, - left
PEER               ROLE        STATE  HAS   RATE    BYTES  CONNECTION
12D3KooW…av7yiqai  downloader  idle     -  0 B/s  4.0 MiB  quic-v1`},
		"unknown":               {id: "77", code: 3, errOut: "no transfer \"77\""},
		"ambiguous":             {id: "4f2", code: 2, errOut: "2 begin with that"},
		"cancel":                {id: "4f2a", cancel: true, errOut: "cancelled: download film"},
		"cancel what has ended": {id: "4f2b", cancel: true, code: 1, errOut: "has already ended"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{transfers: someTransfers()}
				ctx, e, out, errOut := w.process(x.json)
				e.started = true
				run := func() error {
					if x.id == "" {
						return runTransfers(ctx, e)
					}
					return runTransfer(ctx, e, x.id, x.cancel)
				}
				code := e.report(run())
				var lines []string
				for l := range strings.Lines(out.String()) {
					lines = append(lines, strings.TrimRight(l, " \n"))
				}
				if got := strings.Join(lines, "\n"); code != x.code || got != strings.TrimSpace(x.out) || !strings.Contains(errOut.String(), x.errOut) {
					t.Errorf("exit %d\n%s\n%s", code, got, errOut)
				}
				if want := x.cancel && x.code == 0; slices.Contains(w.cancelled, "4f2a0000000000ab") != want {
					t.Errorf("cancelled: %q", w.cancelled)
				}
			})
		})
	}
}

// TestTransfersJSON: one object a line, with ids in full.
func TestTransfersJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{transfers: someTransfers()}
		ctx, e, out, _ := w.process(true)
		e.started = true
		if err := runTransfers(ctx, e); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], `{"id":"4f2a0000000000ab","direction":"download"`) || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s", out)
		}
	})
}

// TestCompleteTransfers: the tab key offers ids, once, and no control characters of a sender's names.
func TestCompleteTransfers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{transfers: someTransfers()}
		ctx, e, _, _ := w.process(false)
		n, err := w.doors().become(ctx, settings{mode: "up"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		go n.Run(ctx)
		<-n.Ready()
		cmd := newTransfers(e)
		cmd.SetContext(ctx)
		got, _ := completeTransfers(e)(cmd, nil, "")
		if len(got) != 2 || !strings.HasPrefix(got[0], "4f2a0000000000ab\tdownload of film") || strings.Contains(got[0], "\x1b") {
			t.Errorf("%q", got)
		}
		if got, _ := completeTransfers(e)(cmd, []string{"4f2a"}, ""); len(got) > 0 {
			t.Errorf("a second one: %q", got)
		}
	})
}
