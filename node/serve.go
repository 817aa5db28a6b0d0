package node

import (
	"cmp"
	"strings"
	"sync"

	"cairn/swarm/exchange"
	"cairn/web/api"
)

// uploads shows the sessions of the exchange server as transfers and keeps the tickets' counts.
type uploads struct {
	lib       *library
	transfers *transfers
	swarms    *swarms
	drop      func(session uint64, why error) bool

	mu   sync.Mutex
	rows map[uint64]*upload
}

type upload struct {
	row  *transfer
	sent int64 // already told to the library
}

func newUploads(l *library, s *swarms, t *transfers) *uploads {
	return &uploads{lib: l, swarms: s, transfers: t, rows: map[uint64]*upload{}}
}

func (u *uploads) events() exchange.Events {
	return exchange.Events{Started: u.started, Progress: u.progress, Done: u.done, Ended: u.ended}
}

func (u *uploads) started(s exchange.SessionInfo) {
	if s.News {
		return
	}
	name := cmp.Or(u.swarms.nameOf(s.Ref), u.lib.nameOf(s.Ref), u.lib.nameOfRoot(s.Root))
	u.lib.joined(s.Ref)
	row := u.transfers.start(api.Transfer{
		Direction: "upload",
		Name:      name,
		CID:       s.Root.String(),
		Total:     s.Size,
		Sources:   []api.TransferSource{{PeerID: s.Peer.String(), Address: s.Addr, Transport: s.Transport, State: "active", Role: "downloader"}},
	}, func() { u.drop(s.ID, exchange.ErrGone) })
	u.mu.Lock()
	defer u.mu.Unlock()
	u.rows[s.ID] = &upload{row: row}
}

// progress is also called while done is.
func (u *uploads) progress(s exchange.SessionInfo) {
	u.mu.Lock()
	up, more := u.rows[s.ID], int64(0)
	if up != nil && s.Sent > up.sent {
		up.sent, more = s.Sent, s.Sent-up.sent
	}
	u.mu.Unlock()
	if up == nil {
		return
	}
	if more > 0 {
		u.lib.uploaded(s.Ref, more)
	}
	u.transfers.update(up.row, func(t *api.Transfer) {
		t.Sources[0].Bytes = max(t.Sources[0].Bytes, s.Sent)
		t.Done = min(t.Sources[0].Bytes, max(t.Total, 0))
	})
}

func (u *uploads) done(s exchange.SessionInfo) error {
	u.progress(s)
	if strings.HasPrefix(s.Ref, ofGet) || strings.HasPrefix(s.Ref, ofMember) { // its ticket is another peer's, who counts; or there is none
		return nil
	}
	return u.lib.downloaded(s.Ref, s.Download)
}

func (u *uploads) ended(s exchange.SessionInfo, err error) {
	if s.News {
		return
	}
	u.progress(s)
	u.mu.Lock()
	up := u.rows[s.ID]
	delete(u.rows, s.ID)
	u.mu.Unlock()
	if s.Done {
		err = nil
	} else if err == nil {
		err = api.Errorf(api.CodeCancelled, "the downloader left before it had everything")
	}
	if up != nil {
		u.transfers.end(up.row, err)
	}
	u.lib.left(s.Ref)
}
