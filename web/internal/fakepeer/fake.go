// Package fakepeer is an api.Peer in memory for the tests of the packages around the API. It has one file, one
// entry, one ticket and one transfer, and does what it is told.
package fakepeer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"cairn/web/api"
)

// Peer is the fake. Set its fields before it serves; methods are safe for concurrent use.
type Peer struct {
	File      []byte                                                 // what content "cid" holds
	Name      string                                                 // of that content; "": an awkward one
	Kind      string                                                 // what List says that it is; "": a directory
	FailAt    int64                                                  // reading at or after this offset fails; 0: never
	Code      func() api.LoginCode                                   // makes login codes
	Work      func(context.Context, api.Sink) error                  // what long work does; nil: one progress and a warning
	EntryFunc func(ctx context.Context, r string) (api.Entry, error) // nil: the one entry
	Updates   chan api.ShareUpdate                                   // what Watch yields, until it is closed
	Changes   chan api.Event                                         // what Events yields

	mu     sync.Mutex
	calls  []any
	limits api.Limits
	ends   []int64
}

// CID of the one file.
const CID = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"

var when = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Calls returns the requests that methods got, in order.
func (p *Peer) Calls() []any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]any(nil), p.calls...)
}

// Ends returns where reading was told to end since the last call.
func (p *Peer) Ends() []int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.ends
	p.ends = nil
	return l
}

func (p *Peer) note(v any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, v)
}

func notFound(what string) error {
	return api.Errorf(api.CodeNotFound, "there is no %s", what).WithHint("cairn ls shows what there is")
}

// TheEntry is the one entry. Its lists are nil, as a careless peer would leave them.
func TheEntry() api.Entry {
	return api.Entry{ID: "e1", Name: "a b.txt", CID: CID, Kind: "file", Origin: "share", Visibility: "private",
		State: "ok", Path: "/home/someone/a b.txt", Created: when}
}

// TheTicket is the one ticket.
func TheTicket() api.Ticket {
	return api.Ticket{ID: "t1", Text: "cairn1qqqsyqcyq5rqwzqf", EntryID: "e1", State: "open", Created: when}
}

func (p *Peer) Status(context.Context) (api.Status, error) {
	return api.Status{Version: "test", APIVersion: api.Version, PeerID: "12D3", Home: "/home/someone/.cairn", Mode: "up", Started: when}, nil
}
func (p *Peer) Peers(context.Context) ([]api.PeerInfo, error) { return nil, nil }
func (p *Peer) Entries(_ context.Context, q api.EntryQuery) (api.EntryPage, error) {
	p.note(q)
	return api.EntryPage{Entries: []api.Entry{TheEntry()}, Total: 1}, nil
}
func (p *Peer) Entry(ctx context.Context, ref string) (api.Entry, error) {
	if p.EntryFunc != nil {
		return p.EntryFunc(ctx, ref)
	}
	if ref != "e1" && ref != CID {
		return api.Entry{}, notFound("entry " + ref)
	}
	return TheEntry(), nil
}
func (p *Peer) Remove(ctx context.Context, ref string) (api.Entry, error) {
	p.note("remove " + ref)
	return p.Entry(ctx, ref)
}
func (p *Peer) Restore(ctx context.Context, id string) (api.Entry, error) { return p.Entry(ctx, id) }

func (p *Peer) work(ctx context.Context, s api.Sink) error {
	if p.Work != nil {
		return p.Work(ctx, s)
	}
	s.Progress(api.Progress{Phase: "reading", Done: 1, Total: 2, Item: "/home/someone/a b.txt"})
	s.Warn(api.Warning{Message: "skipped a FIFO\x1b[31m"})
	return nil
}

func (p *Peer) Share(ctx context.Context, r api.ShareRequest, s api.Sink) (api.ShareResult, error) {
	p.note(r)
	return api.ShareResult{Ticket: TheTicket(), Entry: TheEntry()}, p.work(ctx, s)
}
func (p *Peer) Issue(_ context.Context, _ string, o api.TicketOptions) (api.Ticket, error) {
	p.note(o)
	return TheTicket(), nil
}
func (p *Peer) Ticket(_ context.Context, id string) (api.Ticket, error) {
	if id != "t1" {
		return api.Ticket{}, notFound("ticket " + id)
	}
	return TheTicket(), nil
}
func (p *Peer) Revoke(_ context.Context, ref string) ([]api.Ticket, error) {
	p.note("revoke " + ref)
	return []api.Ticket{TheTicket()}, nil
}
func (p *Peer) Watch(ctx context.Context, _ string) iter.Seq2[api.ShareUpdate, error] {
	return values(ctx, p.Updates)
}

func values[T any](ctx context.Context, c chan T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			select {
			case v, ok := <-c:
				if !ok || !yield(v, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (p *Peer) Add(ctx context.Context, r api.AddRequest, s api.Sink) (api.AddResult, error) {
	p.note(r)
	return api.AddResult{Entry: TheEntry()}, p.work(ctx, s)
}
func (p *Peer) Upload(_ context.Context, name string, size int64, r io.Reader) (api.AddResult, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return api.AddResult{}, api.Errorf(api.CodeUnavailable, "the upload broke off")
	}
	p.note([]any{name, size, string(data)})
	return api.AddResult{Entry: TheEntry()}, nil
}
func (p *Peer) Pin(ctx context.Context, ref string, s api.Sink) (api.AddResult, error) {
	p.note("pin " + ref)
	return api.AddResult{Entry: TheEntry()}, p.work(ctx, s)
}
func (p *Peer) GC(ctx context.Context, s api.Sink) (api.GCResult, error) {
	return api.GCResult{Blocks: 3}, p.work(ctx, s)
}
func (p *Peer) Verify(ctx context.Context, s api.Sink) (api.VerifyResult, error) {
	return api.VerifyResult{Findings: []api.Finding{{Kind: "changed", Path: "/home/someone/x"}}}, p.work(ctx, s)
}
func (p *Peer) ImportCAR(ctx context.Context, name string, r io.Reader) (api.AddResult, error) {
	return p.Upload(ctx, name, -1, r)
}
func (p *Peer) ExportCAR(_ context.Context, ref string, w io.Writer) error {
	if ref != "e1" {
		return notFound("object " + ref)
	}
	if p.FailAt > 0 {
		_, err := w.Write(p.File[:p.FailAt])
		return errors.Join(err, api.Errorf(api.CodeIntegrity, "a block is damaged"))
	}
	_, err := w.Write(p.File)
	return err
}
func (p *Peer) Get(ctx context.Context, r api.GetRequest, s api.Sink) (api.GetResult, error) {
	p.note(r)
	return api.GetResult{Path: "/home/someone/Downloads/x", CID: CID}, p.work(ctx, s)
}

type reader struct {
	*bytes.Reader
	failAt int64
	peer   *Peer
}

// Limit implements api.Limiter.
func (r *reader) Limit(end int64) {
	r.peer.mu.Lock()
	defer r.peer.mu.Unlock()
	r.peer.ends = append(r.peer.ends, end)
}

func (r *reader) Read(b []byte) (int, error) {
	at, _ := r.Seek(0, io.SeekCurrent)
	if r.failAt > 0 {
		if at >= r.failAt {
			return 0, api.Errorf(api.CodeIntegrity, "a block of the file is damaged").WithHint("cairn verify")
		}
		b = b[:min(int64(len(b)), r.failAt-at)]
	}
	return r.Reader.Read(b)
}
func (*reader) Close() error { return nil }

func (p *Peer) Open(_ context.Context, ref, path string) (api.Content, error) {
	if ref != "e1" && ref != CID || path != "" {
		return api.Content{}, notFound("object " + ref)
	}
	name := p.Name
	if name == "" {
		name = "naïve \"a\"\r\n.txt"
	}
	return api.Content{ReadSeekCloser: &reader{bytes.NewReader(p.File), p.FailAt, p}, Name: name, CID: CID, Size: int64(len(p.File))}, nil
}
func (p *Peer) List(context.Context, string, string) (api.Listing, error) {
	if p.Kind == "" {
		return api.Listing{CID: CID, Kind: "directory"}, nil
	}
	return api.Listing{CID: CID, Kind: p.Kind, Size: int64(len(p.File))}, nil
}
func (p *Peer) Transfers(context.Context) ([]api.Transfer, error) {
	t, err := p.Transfer(context.Background(), "x1")
	return []api.Transfer{t}, err
}
func (p *Peer) Transfer(_ context.Context, id string) (api.Transfer, error) {
	if id != "x1" {
		return api.Transfer{}, notFound("transfer " + id)
	}
	return api.Transfer{ID: "x1", Direction: "download", State: "active", Path: "/home/someone/x", Started: when}, nil
}
func (p *Peer) Cancel(ctx context.Context, id string) (api.Transfer, error) {
	p.note("cancel " + id)
	return p.Transfer(ctx, id)
}
func (p *Peer) Pieces(_ context.Context, id string) (api.Pieces, error) {
	if id != "x1" {
		return api.Pieces{}, notFound("transfer " + id)
	}
	return api.Pieces{Leaves: 5, PerCell: 2, Done: []byte{100, 50, 0}, Source: []byte{1, 255, 0}, Asked: []byte{0, 1, 0}, Peers: []string{"12D3"}}, nil
}
func (p *Peer) Rates(_ context.Context, id, window string) (api.RateHistory, error) {
	p.note("rates " + window)
	if id != "x1" {
		return api.RateHistory{}, notFound("transfer " + id)
	}
	return api.RateHistory{StepMillis: 1000, End: when, Series: []api.RateSeries{{PeerID: "12D3", Direction: "down", BPS: []int64{1, 2}}}}, nil
}
func (p *Peer) Limits(context.Context) (api.Limits, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.limits
	l.Effective = api.EffectiveLimits{Up: l.Up, Down: l.Down, Reason: "the limits for all hours"}
	return l, nil
}
func (p *Peer) SetLimits(ctx context.Context, l api.Limits) (api.Limits, error) {
	p.note(l)
	p.mu.Lock()
	p.limits, p.limits.Problem = l, ""
	p.mu.Unlock()
	return p.Limits(ctx)
}
func (p *Peer) Events(ctx context.Context, after uint64) iter.Seq2[api.Event, error] {
	p.note(after)
	return values(ctx, p.Changes)
}
func (p *Peer) Handover(context.Context) error { p.note("handover"); return nil }
func (p *Peer) LoginCode(context.Context) (api.LoginCode, error) {
	if p.Code == nil {
		return api.LoginCode{}, errors.New("an internal detail that users do not see")
	}
	return p.Code(), nil
}
