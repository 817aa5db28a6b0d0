package api

import "context"

// transfers registers what concerns bytes on their way.
func (s *service) transfers() {
	p := s.Peer
	call(s, op("GET", "/v1/transfers", "transfers", "transfers", "Active and recent transfers"),
		func(ctx context.Context, _ *none) ([]Transfer, error) { return p.Transfers(ctx) })
	call(s, op("GET", "/v1/transfers/{id}", "transfer", "transfers", "One transfer"),
		func(ctx context.Context, in *idIn) (Transfer, error) { return p.Transfer(ctx, in.ID) })
	call(s, op("DELETE", "/v1/transfers/{id}", "cancel-transfer", "transfers", "Stop a transfer"),
		func(ctx context.Context, in *idIn) (Transfer, error) { return p.Cancel(ctx, in.ID) })
	call(s, op("GET", "/v1/transfers/{id}/pieces", "transfer-pieces", "transfers", "Which pieces of a download are here, and from whom"),
		func(ctx context.Context, in *idIn) (Pieces, error) { return p.Pieces(ctx, in.ID) })
	call(s, op("GET", "/v1/transfers/{id}/rates", "transfer-rates", "transfers", "Rates of a transfer over time, for each peer of it"),
		func(ctx context.Context, in *struct {
			ID     string `path:"id" minLength:"1" maxLength:"256"`
			Window string `query:"window" enum:"1m,1h,1d" default:"1m"`
		}) (RateHistory, error) {
			return p.Rates(ctx, in.ID, in.Window)
		})
	work(s, op("POST", "/v1/gets", "get-tickets", "transfers", "Fetch an object into the peer's download folder"), "GetStream", nil,
		func(ctx context.Context, in *struct{ Body GetsRequest }, k Sink) (GetResult, error) {
			return p.Get(ctx, GetRequest{Tickets: in.Body.Tickets, NoSwarm: in.Body.NoSwarm}, k)
		})
}
