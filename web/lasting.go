package web

import (
	"context"
	"time"
)

// heartbeat is how often whoever asked for something long is looked at again, unless configured: as often as a silent stream
// gets its comment.
const heartbeat = 10 * time.Second

// while returns a context that ends with ctx, and within a heartbeat of the end of what the caller showed: a stream of events or a long
// download must not outlive a token that was revoked, nor a session that was left. stop ends the looking.
func (s *Server) while(ctx context.Context, c *caller) (_ context.Context, stop func()) {
	if c.token == nil && c.cookie == nil { // the socket, or what everybody may have
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	every := s.cfg.Heartbeat
	if every == 0 {
		every = heartbeat
	}
	go func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
			if c.token != nil && s.cfg.Tokens.TokenEnded(c.token.ID) || c.cookie != nil && s.cfg.Sessions.ended(c.cookie) {
				cancel()
				return
			}
		}
	}()
	return ctx, cancel
}
