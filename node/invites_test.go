package node

import (
	"slices"
	"strings"
	"testing"

	"cairn/web/api"
)

// TestEndedInvites: of an invite that nobody can use any more the secret is forgotten, and what it was is still told.
func TestEndedInvites(t *testing.T) {
	a, _ := founded(t, Config{})
	open, err := a.Invite(t.Context(), api.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	used, err := a.Invite(t.Context(), api.InviteRequest{Role: "reader", Zone: "attic"})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := start(t, t.TempDir())
	if _, err := b.Join(t.Context(), api.JoinRequest{Invite: used.Text}); err != nil {
		t.Fatal(err)
	}
	for _, swept := range []bool{false, true} {
		all, err := a.Invites(t.Context())
		if err != nil || len(all) != 2 {
			t.Fatalf("%+v, %v", all, err)
		}
		i := slices.IndexFunc(all, func(v api.Invite) bool { return v.ID == used.ID })
		if u, o := all[i], all[1-i]; u.Text != "" || u.State != "used" || u.Role != "reader" || u.Zone != "attic" || len(u.Used) != 1 || o.Text != open.Text || o.State != "open" {
			t.Errorf("swept %v: %+v, %+v", swept, u, o)
		}
		if err := a.sweepInvites(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for note, err := range a.store.Notes(inviteNote) {
		if err != nil {
			t.Fatal(err)
		}
		if kept := strings.Contains(string(note.Data), "cairninvite"); kept != strings.HasSuffix(note.ID, open.ID) {
			t.Errorf("the secret of %s: kept %v", note.ID, kept)
		}
	}
	if v, err := a.RevokeInvite(t.Context(), used.ID); err != nil || v.State != "revoked" {
		t.Errorf("an end of what is used: %+v, %v", v, err)
	}
}
