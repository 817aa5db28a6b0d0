package api

import (
	"context"
	"path/filepath"

	"github.com/danielgtaylor/huma/v2"
)

// local registers what only the socket offers: whatever takes paths of this machine.
func (s *service) local() {
	p := s.Peer
	work(s, op("POST", "/v1/local/share", "local-share", "local", "Share files of this machine"), "ShareStream",
		func(in *struct{ Body ShareRequest }) error { return absolute(in.Body.Paths...) },
		func(ctx context.Context, in *struct{ Body ShareRequest }, k Sink) (ShareResult, error) {
			return p.Share(ctx, in.Body, k)
		})
	work(s, op("POST", "/v1/local/add", "local-add", "local", "Put files of this machine into the library"), "AddStream",
		func(in *struct{ Body AddRequest }) error { return absolute(in.Body.Path) },
		func(ctx context.Context, in *struct{ Body AddRequest }, k Sink) (AddResult, error) {
			return p.Add(ctx, in.Body, k)
		})
	work(s, op("POST", "/v1/local/get", "local-get", "local", "Fetch an object to a path of this machine"), "GetStream",
		func(in *struct{ Body GetRequest }) error { return checkGet(in.Body) },
		func(ctx context.Context, in *struct{ Body GetRequest }, k Sink) (GetResult, error) {
			return p.Get(ctx, in.Body, k)
		})
	call(s, op("POST", "/v1/local/revoke", "local-revoke", "local", "End tickets by entry, ticket or shared path"),
		func(ctx context.Context, in *struct{ Body RefRequest }) ([]Ticket, error) {
			return p.Revoke(ctx, in.Body.Ref)
		})
	call(s, op("POST", "/v1/local/login-codes", "local-login-code", "local", "A one-time code that opens the dashboard"),
		func(ctx context.Context, _ *none) (LoginCode, error) { return p.LoginCode(ctx) })
	handover := op("POST", "/v1/local/handover", "local-handover", "local", "Ask a peer that runs for a command to end")
	describe(s.api, &handover)
	huma.Register(s.api, handover, func(ctx context.Context, _ *none) (*struct{}, error) {
		if err := p.Handover(ctx); err != nil {
			return nil, s.fault(ctx, err)
		}
		return nil, nil
	})
}

func absolute(paths ...string) error {
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			return Errorf(CodeUsage, "path %s is not absolute", quote(p)).WithHint("the peer does not know the directory you are in")
		}
	}
	return nil
}

func checkGet(r GetRequest) error {
	if (len(r.Tickets) == 0) == (r.Ref == "") {
		return Errorf(CodeUsage, "a get needs either tickets or one reference").WithHint("set tickets or ref, not both")
	}
	if r.Output != "" && r.OutputDir != "" {
		return Errorf(CodeUsage, "a get takes either output or output_dir").WithHint("set one of them, or none for the download folder")
	}
	for _, p := range []string{r.Output, r.OutputDir} {
		if p == "" {
			continue
		}
		if err := absolute(p); err != nil {
			return err
		}
	}
	return nil
}
