package fakepeer

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"cairn/web/api"
)

// Lively is a peer to look at: its transfers go on by themselves, as in a swarm of one source and some downloaders.
// What happens depends on the time alone, so that two runs look the same. Safe for concurrent use.
type Lively struct {
	*Peer
	Net *Network // its news are among the events; nil: none

	now   func() time.Time
	began time.Time

	mu     sync.Mutex
	at     int // seconds of the play that are over
	swarms []*swarm
}

// warm is how many seconds of each play are over when a Lively begins.
const warm = 95

// NewLively begins all plays.
func NewLively(p *Peer, now func() time.Time) *Lively {
	l := &Lively{Peer: p, now: now, began: now().Add(-warm * time.Second), swarms: plays()}
	for _, s := range l.swarms {
		s.begin(l.began)
	}
	return l
}

// seek brings every play to the present. The caller holds mu.
func (l *Lively) seek() {
	to := int(l.now().Sub(l.began) / time.Second)
	for ; l.at < to; l.at++ {
		for _, s := range l.swarms {
			s.second(l.began.Add(time.Duration(l.at) * time.Second))
		}
	}
}

func (l *Lively) find(id string) (*swarm, error) {
	l.seek()
	for _, s := range l.swarms {
		if s.t.ID == id {
			return s, nil
		}
	}
	return nil, notFound("transfer " + id)
}

func (l *Lively) Transfers(context.Context) ([]api.Transfer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seek()
	var out []api.Transfer
	for _, s := range l.swarms {
		out = append(out, s.transfer())
	}
	return out, nil
}

func (l *Lively) Transfer(_ context.Context, id string) (api.Transfer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.find(id)
	if err != nil {
		return api.Transfer{}, err
	}
	return s.transfer(), nil
}

func (l *Lively) Cancel(_ context.Context, id string) (api.Transfer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.find(id)
	if err != nil {
		return api.Transfer{}, err
	}
	s.end(l.now(), "cancelled", "stopped")
	return s.transfer(), nil
}

func (l *Lively) Pieces(_ context.Context, id string) (api.Pieces, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.find(id)
	if err != nil {
		return api.Pieces{}, err
	}
	return s.pieces(), nil
}

func (l *Lively) Rates(_ context.Context, id, window string) (api.RateHistory, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.find(id)
	if err != nil {
		return api.RateHistory{}, err
	}
	step := map[string]int{"1m": 1, "1h": 60, "1d": 900}[window]
	keep := map[string]int{"1m": 60, "1h": 60, "1d": 96}[window]
	end := l.began.Add(time.Duration(l.at) * time.Second)
	if s.t.Ended != nil {
		end = *s.t.Ended
	}
	h := api.RateHistory{StepMillis: int64(step) * 1000, End: end}
	for _, m := range s.members {
		if len(m.rates) > 0 {
			h.Series = append(h.Series, api.RateSeries{PeerID: m.id, Direction: m.direction(), BPS: means(m.rates, step, keep)})
		}
	}
	return h, nil
}

// means averages values over steps that end with the last one, at most keep of them.
func means(values []int64, step, keep int) []int64 {
	var out []int64
	for to := len(values); to > 0 && len(out) < keep; to -= step {
		part := values[max(0, to-step):to]
		sum := int64(0)
		for _, v := range part {
			sum += v
		}
		out = append(out, sum/int64(len(part)))
	}
	slices.Reverse(out)
	return out
}

func (l *Lively) Peers(context.Context) ([]api.PeerInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seek()
	var out []api.PeerInfo
	for _, s := range l.swarms {
		for _, m := range s.members {
			known := slices.ContainsFunc(out, func(p api.PeerInfo) bool { return p.PeerID == m.id })
			if !known && s.t.Ended == nil && m.here(s.age) {
				out = append(out, api.PeerInfo{PeerID: m.id, Address: m.addr, Direction: "outbound", Transport: m.transport, Since: l.began, RTTMillis: 1.5})
			}
		}
	}
	return out, nil
}

func (l *Lively) rates() api.Rates {
	var r api.Rates
	for _, s := range l.swarms {
		for _, v := range s.transfer().Sources {
			if v.Role == "source" {
				r.DownBPS, r.DownTotal = r.DownBPS+v.BPS, r.DownTotal+v.Bytes
			} else {
				r.UpBPS, r.UpTotal = r.UpBPS+v.BPS, r.UpTotal+v.Bytes
			}
		}
	}
	return r
}

func (l *Lively) Status(context.Context) (api.Status, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seek()
	return api.Status{
		Version: "test", APIVersion: api.Version, PeerID: peerID(0), Name: "example", Mode: "up", Started: l.began, Peers: 6,
		Addresses: []string{"/ip4/192.168.1.20/tcp/4748/p2p/" + peerID(0)}, Transfers: len(l.swarms), Rates: l.rates(),
		Store:  api.StoreStatus{Entries: 1, OwnedBytes: 3 << 30, FreeBytes: 80 << 30, Accepting: true},
		Limits: []api.Limit{{Name: "max_memory_bytes", Value: 256 << 20}, {Name: "max_sessions", Value: 256}},
	}, nil
}

// Events tells every second what moves. Ids go on after the one given.
func (l *Lively) Events(ctx context.Context, after uint64) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		var told uint64
		for {
			events := l.changes()
			if l.Net != nil {
				var news []api.Event
				news, told = l.Net.news(told)
				events = append(events, news...)
			}
			for _, e := range events {
				after++
				e.ID, e.Time = after, l.now()
				if !yield(e, nil) {
					return
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (l *Lively) changes() []api.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seek()
	r := l.rates()
	out := []api.Event{{Type: "rates", Rates: &r}}
	for _, s := range l.swarms {
		if t := s.transfer(); t.Ended == nil {
			out = append(out, api.Event{Type: "transfer", Transfer: &t})
		} else if !s.told {
			s.told = true
			out = append(out, api.Event{Type: "transfer", Transfer: &t})
		}
	}
	return out
}
