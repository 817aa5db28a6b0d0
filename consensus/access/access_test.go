package access

import (
	"slices"
	"strings"
	"testing"
)

// allowed says by a plain list, not by ranks, which HTTP rights each subject has.
var allowed = map[string]struct {
	who    Subject
	rights []Right
}{
	"nobody from elsewhere": {Subject{}, []Right{Public}},
	"nobody on loopback":    {Subject{Near: true}, []Right{Public, Nearby}},
	"cookie alone":          {Subject{Kind: Browser}, []Right{Public, Cookie}},
	"session":               {Subject{Kind: Browser, Full: true}, []Right{Public, Nearby, Cookie, Session, Read, Write, Admin}},
	"token without scope":   {Subject{Kind: Token}, []Right{Public}},
	"token of odd scope":    {Subject{Kind: Token, Scope: Local}, []Right{Public}},
	"token of scope nearby": {Subject{Kind: Token, Scope: Nearby}, []Right{Public}},
	"read token":            {Subject{Kind: Token, Scope: Read}, []Right{Public, Nearby, Read}},
	"write token":           {Subject{Kind: Token, Scope: Write}, []Right{Public, Nearby, Read, Write}},
	"admin token":           {Subject{Kind: Token, Scope: Admin}, []Right{Public, Nearby, Read, Write, Admin}},
	"socket":                {Subject{Kind: Socket}, []Right{Public, Nearby, Cookie, Session, Read, Write, Admin, Local}},
	"stranger":              {Subject{Kind: Peer}, []Right{OfStranger}},
	"reader":                {Subject{Kind: Peer, Role: Reader}, []Right{OfStranger, OfReader}},
	"member":                {Subject{Kind: Peer, Role: Member}, []Right{OfStranger, OfReader, OfMember}},
	"administrator":         {Subject{Kind: Peer, Role: Administrator}, []Right{OfStranger, OfReader, OfMember, OfAdmin}},
}

var allRights = []Right{Public, Nearby, Cookie, Session, Read, Write, Admin, Local, OfStranger, OfReader, OfMember, OfAdmin}

func TestGrant(t *testing.T) {
	for name, a := range allowed {
		for _, need := range append(allRights, "", "other") {
			v := Grant(a.who, need)
			if v.Allowed != slices.Contains(a.rights, need) {
				t.Errorf("%s, right %q: %+v", name, need, v)
			}
			if v.Allowed == (v.Reason != "") {
				t.Errorf("%s, right %q: allowed %v with the reason %q", name, need, v.Allowed, v.Reason)
			}
			if strings.ContainsAny(v.Reason+v.Hint, "\n\r\t") {
				t.Errorf("%s, right %q: more than a line", name, need)
			}
		}
	}
}

// TestUnknown: only those are told to say who they are whom that would help.
func TestUnknown(t *testing.T) {
	for _, c := range []struct {
		who  Subject
		need Right
		want bool
	}{
		{Subject{}, Read, true},
		{Subject{}, Cookie, true},
		{Subject{Kind: Browser}, Admin, true},
		{Subject{Kind: Peer}, OfReader, true},
		{Subject{}, Local, false},
		{Subject{Kind: Token, Scope: Read}, Write, false},
		{Subject{Kind: Token, Scope: Admin}, Cookie, false},
		{Subject{Kind: Peer, Role: Reader}, OfMember, false},
	} {
		if v := Grant(c.who, c.need); v.Allowed || v.Unknown != c.want {
			t.Errorf("%+v, right %q: %+v", c.who, c.need, v)
		}
	}
}

// TestTable: each door is there once with a right that fits it, and what has no row is nobody's.
func TestTable(t *testing.T) {
	seen := map[Action]bool{}
	for _, r := range Table() {
		if seen[r.Action] {
			t.Errorf("%v is in the table twice", r.Action)
		}
		seen[r.Action] = true
		_, ofPeers := leastRole(r.Right)
		if !slices.Contains(allRights, r.Right) || ofPeers == (r.Door == HTTP) {
			t.Errorf("%v has the right %q", r.Action, r.Right)
		}
		if r.Door == HTTP && strings.HasPrefix(r.Name[strings.IndexByte(r.Name, ' ')+1:], "/v1/local/") != (r.Right == Local) {
			t.Errorf("%s needs %q", r.Name, r.Right)
		}
		if method, _, _ := strings.Cut(r.Name, " "); r.Door == HTTP && r.Right == Read && method != "GET" && method != "HEAD" {
			t.Errorf("%s changes something and is open to those who may read", r.Name)
		}
		if v := Decide(Subject{Kind: Socket}, r.Action); v.Allowed != (r.Door == HTTP) {
			t.Errorf("%v on the socket: %+v", r.Action, v)
		}
	}
	for _, a := range []Action{{HTTP, "GET /v1/forgotten"}, {DoorHost, "/cairn/members/1"}, {"", "GET /v1/status"}, {HTTP, ""}} {
		for name, s := range allowed {
			if v := Decide(s.who, a); v.Allowed || v.Reason == "" {
				t.Errorf("%s at %v, which has no row: %+v", name, a, v)
			}
		}
	}
}

// TestStrangers: of the member host nothing is for strangers, not even what libp2p brings.
func TestStrangers(t *testing.T) {
	for _, r := range Table() {
		if v := Decide(Subject{Kind: Peer}, r.Action); v.Allowed != (r.Door == DoorHost) {
			t.Errorf("a stranger at %v: %+v", r.Action, v)
		}
	}
}

// TestDeeds: whatever needs an administrator's right and changes something is recorded, and so is what the socket alone does
// to keys and networks.
func TestDeeds(t *testing.T) {
	for _, r := range Table() {
		changes := r.Door == HTTP && !strings.HasPrefix(r.Name, "GET ") && !strings.HasPrefix(r.Name, "HEAD ")
		local := strings.Contains(r.Name, "/local/keys") || strings.Contains(r.Name, "/local/network")
		if changes && (r.Right == Admin || local) && Deed(r.Name) == "" {
			t.Errorf("%s is not recorded", r.Name)
		}
	}
	for pattern := range deeds() {
		if _, ok := Needs(Action{HTTP, pattern}); !ok {
			t.Errorf("%s is recorded and in no table", pattern)
		}
	}
}

func TestMissing(t *testing.T) {
	got := Missing(DoorHost, []string{"/cairn/blocks/1", "/libp2p/circuit/relay/0.2.0/hop", "/ipfs/ping/1.0.0"})
	if !slices.Equal(got, []string{"/libp2p/circuit/relay/0.2.0/hop"}) {
		t.Errorf("%q", got)
	}
}
