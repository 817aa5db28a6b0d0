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
	work(s, op("POST", "/v1/gets", "get-tickets", "transfers", "Fetch an object into the peer's download folder"), "GetStream", nil,
		func(ctx context.Context, in *struct{ Body GetsRequest }, k Sink) (GetResult, error) {
			return p.Get(ctx, GetRequest{Tickets: in.Body.Tickets, NoSwarm: in.Body.NoSwarm}, k)
		})
}
