package api

import (
	"context"
	"slices"
)

// limits registers what concerns limits of bandwidth.
func (s *service) limits() {
	p := s.Peer
	call(s, op("GET", "/v1/limits", "limits", "peer", "The limits of bandwidth and what holds of them now"),
		func(ctx context.Context, _ *none) (Limits, error) { return p.Limits(ctx) })
	call(s, op("PUT", "/v1/limits", "set-limits", "peer", "Replace the limits of bandwidth; they hold at once and are kept"),
		func(ctx context.Context, in *struct{ Body Limits }) (Limits, error) {
			if err := checkLimits(in.Body); err != nil {
				return Limits{}, err
			}
			return p.SetLimits(ctx, in.Body)
		})
}

// checkLimits refuses what the schema can not say.
func checkLimits(l Limits) error {
	rates := []int64{l.Up, l.Down}
	seen := map[string]bool{}
	for _, p := range l.Peers {
		if seen[p.PeerID] {
			return Errorf(CodeUsage, "peer %s is limited twice", quote(p.PeerID)).WithHint("one limit for each peer")
		}
		seen[p.PeerID] = true
		rates = append(rates, p.Up, p.Down)
	}
	seen = map[string]bool{}
	for _, h := range l.Hours {
		if h.From == h.To {
			return Errorf(CodeUsage, "the hours from %s to %s end when they begin", h.From, h.To).WithHint("00:00 to 24:00 is the whole day")
		}
		rule := h.From + "-" + h.To
		for _, d := range []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} {
			if len(h.Days) == 0 || slices.Contains(h.Days, d) {
				rule += " " + d
			}
		}
		if seen[rule] {
			return Errorf(CodeUsage, "the hours from %s to %s are limited twice on the same days", h.From, h.To).
				WithHint("one limit for the same hours; where several cover a time, the first holds")
		}
		seen[rule] = true
		rates = append(rates, h.Up, h.Down)
	}
	for _, r := range rates {
		if r > 0 && r < 1024 {
			return Errorf(CodeUsage, "a limit of %d bytes a second is too low", r).WithHint("the least is 1024, and 0 is no limit")
		}
	}
	return nil
}
