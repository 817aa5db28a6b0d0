package api

import (
	"context"
	"iter"

	"github.com/danielgtaylor/huma/v2"
)

type refIn struct {
	Ref string `path:"ref" minLength:"1" maxLength:"1024" doc:"An entry's id or a CID"`
}

type idIn struct {
	ID string `path:"id" minLength:"1" maxLength:"256"`
}

// library registers what concerns the peer and its library.
func (s *service) library() {
	p := s.Peer
	call(s, op("GET", "/v1/status", "status", "peer", "What the peer says about itself"),
		func(ctx context.Context, _ *none) (Status, error) { return p.Status(ctx) })
	call(s, op("GET", "/v1/peers", "peers", "peer", "Connected peers"),
		func(ctx context.Context, _ *none) ([]PeerInfo, error) { return p.Peers(ctx) })
	follow(s, op("GET", "/v1/events", "events", "peer", "What happens, as it happens"), "EventStream",
		s.eventData(),
		func(ctx context.Context, in *struct {
			Last uint64 `header:"Last-Event-ID" doc:"Go on after this event"`
		}) iter.Seq2[Event, error] {
			return p.Events(ctx, in.Last)
		},
		func(e Event) (uint64, string) { return e.ID, e.Type })
	call(s, op("GET", "/v1/entries", "entries", "library", "The library, newest first"),
		func(ctx context.Context, in *struct {
			Q      string `query:"q" maxLength:"256" doc:"Part of name, path or CID"`
			Cursor string `query:"cursor" maxLength:"256" doc:"next of the page before"`
			Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
		}) (EntryPage, error) {
			return p.Entries(ctx, EntryQuery{Text: in.Q, Cursor: in.Cursor, Limit: in.Limit})
		})
	call(s, op("GET", "/v1/entries/{ref}", "entry", "library", "One entry"),
		func(ctx context.Context, in *refIn) (Entry, error) { return p.Entry(ctx, in.Ref) })
	call(s, op("DELETE", "/v1/entries/{ref}", "remove-entry", "library", "Forget an entry and its tickets; the user's files stay"),
		func(ctx context.Context, in *refIn) (Entry, error) { return p.Remove(ctx, in.Ref) })
	call(s, op("POST", "/v1/entries/{id}/restore", "restore-entry", "library", "Undo the removal of an entry"),
		func(ctx context.Context, in *idIn) (Entry, error) { return p.Restore(ctx, in.ID) })
	work(s, op("POST", "/v1/pins", "pin", "library", "Copy an object into owned storage"), "PinStream", nil,
		func(ctx context.Context, in *struct{ Body RefRequest }, k Sink) (AddResult, error) {
			return p.Pin(ctx, in.Body.Ref, k)
		})
	work(s, op("POST", "/v1/gc", "gc", "library", "Give space back"), "GCStream", nil,
		func(ctx context.Context, _ *none, k Sink) (GCResult, error) { return p.GC(ctx, k) })
	work(s, op("POST", "/v1/verify", "verify", "library", "Read and check everything"), "VerifyStream", nil,
		func(ctx context.Context, _ *none, k Sink) (VerifyResult, error) { return p.Verify(ctx, k) })
}

func (s *service) eventData() map[string]*huma.Schema {
	out := map[string]*huma.Schema{}
	for _, name := range []string{"transfer", "entry", "entry_removed", "peers", "rates", "limits", "status", "network", "members"} {
		out[name] = schemaOf[Event](s.api)
	}
	return out
}
