package api

import (
	"context"
	"iter"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// tickets registers what concerns tickets of entries that are there.
func (s *service) tickets() {
	p := s.Peer
	call(s, op("POST", "/v1/entries/{ref}/tickets", "create-ticket", "tickets", "A ticket for an entry"),
		// Not by embedding refIn: huma fills only fields of exported structs.
		func(ctx context.Context, in *struct {
			Ref  string `path:"ref" minLength:"1" maxLength:"1024" doc:"An entry's id or a CID"`
			Body TicketOptions
		}) (Ticket, error) {
			return p.Issue(ctx, in.Ref, in.Body)
		})
	call(s, op("GET", "/v1/tickets/{id}", "ticket", "tickets", "One ticket"),
		func(ctx context.Context, in *idIn) (Ticket, error) { return p.Ticket(ctx, in.ID) })
	call(s, op("DELETE", "/v1/tickets/{ref}", "revoke-tickets", "tickets", "End one ticket, or all of an entry"),
		func(ctx context.Context, in *struct {
			Ref string `path:"ref" minLength:"1" maxLength:"1024" doc:"A ticket's id or text, or an entry"`
		}) ([]Ticket, error) {
			return p.Revoke(ctx, in.Ref)
		})
	follow(s, op("GET", "/v1/tickets/{id}/watch", "watch-ticket", "tickets", "Follow a ticket until it ends"), "WatchStream",
		map[string]*huma.Schema{"update": schemaOf[ShareUpdate](s.api)},
		func(ctx context.Context, in *idIn) iter.Seq2[ShareUpdate, error] { return p.Watch(ctx, in.ID) },
		func(ShareUpdate) (uint64, string) { return 0, "update" })
	qr := op("GET", "/v1/tickets/{id}/qr.svg", "ticket-qr", "tickets", "A ticket as a QR code")
	describe(s.api, &qr)
	describeBytes(&qr, "image/svg+xml", "The code, black on white with its quiet zone; it has no size of its own")
	huma.Register(s.api, qr, func(ctx context.Context, in *idIn) (*huma.StreamResponse, error) {
		t, err := p.Ticket(ctx, in.ID)
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		svg, err := qrSVG(t.Text)
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			_, w := humago.Unwrap(c)
			w.Header().Set("Content-Type", "image/svg+xml")
			_, _ = w.Write(svg)
		}}, nil
	})
}
