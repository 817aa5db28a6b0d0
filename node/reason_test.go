package node

import (
	"strings"
	"testing"

	"cairn/web/api"
)

// TestRevokeReason: a reason is a sentence, not a name.
func TestRevokeReason(t *testing.T) {
	a, _ := founded(t, Config{})
	joined(t, a, "second", api.InviteRequest{})
	if _, err := a.RevokeMember(t.Context(), "second", api.RevokeRequest{Reason: strings.Repeat("x", 201)}); code(t, err) != api.CodeUsage {
		t.Errorf("too long: %v", err)
	}
	why := strings.TrimSpace(strings.Repeat("lost laptop ", 9))
	r, err := a.RevokeMember(t.Context(), "second", api.RevokeRequest{Reason: why})
	if err != nil || !strings.Contains(r.Member.Reason, why) {
		t.Errorf("%+v, %v", r.Member, err)
	}
}
