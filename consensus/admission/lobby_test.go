package admission

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func waitingLink(id peer.ID) *link {
	return &link{peer: id, admitted: make(chan struct{}), gone: make(chan struct{})}
}

func TestLobbyWaitsForAdmission(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration // when it happens
		what  func(*link, context.CancelFunc)
		want  bool
		took  time.Duration
	}{
		{"admitted", 2900 * time.Millisecond, func(l *link, _ context.CancelFunc) { close(l.admitted) }, true, 2900 * time.Millisecond},
		{"too late", 3100 * time.Millisecond, func(l *link, _ context.CancelFunc) { close(l.admitted) }, false, 3 * time.Second},
		{"connection ends", time.Second, func(l *link, _ context.CancelFunc) { close(l.gone) }, false, time.Second},
		{"shutdown", time.Second, func(_ *link, stop context.CancelFunc) { stop() }, false, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				var y lobby
				l := waitingLink("p")
				time.AfterFunc(tt.after, func() { tt.what(l, stop) })
				began := time.Now()
				if got := y.wait(ctx, l, 3*time.Second); got != tt.want || time.Since(began) != tt.took {
					t.Errorf("verdict %v after %v, want %v after %v", got, time.Since(began), tt.want, tt.took)
				}
				if y.all != 0 || len(y.per) != 0 {
					t.Errorf("%d places were not given back", y.all)
				}
				time.Sleep(time.Second) // what comes late finds nobody
			})
		})
	}
}

func TestLobbyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var y lobby
		var wg sync.WaitGroup
		links := []*link{}
		for i := range 10 { // ten peers with 64 each: more than 512
			l := waitingLink(peer.ID(fmt.Sprint("p", i)))
			links = append(links, l)
			for range maxLobbyPeer {
				wg.Go(func() { y.wait(t.Context(), l, 3*time.Second) })
			}
		}
		synctest.Wait()
		if n := y.count(); n != maxLobby {
			t.Errorf("%d wait, want %d", n, maxLobby)
		}
		wg.Wait()
		l := links[0]
		for range maxLobbyPeer {
			wg.Go(func() { y.wait(t.Context(), l, 3*time.Second) })
		}
		synctest.Wait()
		if y.wait(t.Context(), l, 3*time.Second) {
			t.Error("one more than allowed of one peer was let through")
		}
		if n := y.count(); n != maxLobbyPeer {
			t.Errorf("%d of one peer wait, want %d", n, maxLobbyPeer)
		}
		wg.Wait()
	})
}
