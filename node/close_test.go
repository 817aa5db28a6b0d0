package node

import (
	"net"
	"testing"

	"cairn/web/api"
)

// TestStartFailsInNetwork: a member whose dashboard's port is taken is told so, and can start afterwards.
func TestStartFailsInNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	home := t.TempDir()
	n, stop := start(t, home)
	if _, err := n.Init(t.Context(), api.InitRequest{Name: "home"}); err != nil {
		t.Fatal(err)
	}
	stop()
	_, err = New(t.Context(), Config{Home: home, Name: "test", Mode: ModeUp, HTTP: l.Addr().String(),
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, MemberListen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if code(t, err) != api.CodeConflict {
		t.Errorf("%v", err)
	}
	if n, _ = start(t, home); !n.networkStatus().Joined {
		t.Error("it is in no network afterwards")
	}
}
