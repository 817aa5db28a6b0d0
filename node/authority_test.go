package node

import (
	"net/netip"
	"strings"
	"testing"
)

// TestLeafNames: a member is certified for what is its own, and for nothing by which it could stand in for another.
func TestLeafNames(t *testing.T) {
	ips := []netip.Addr{netip.MustParseAddr("10.0.0.5")}
	want := []string{"localhost", "127.0.0.1", "::1", "10.0.0.5", "10.0.0.6", "::ffff:10.0.0.5", "attic.local", "ATTIC.home.arpa", "attic.local", "cellar.local",
		"attic.example.org", "local", "8.8.8.8", "x.attic.local", ""}
	for _, c := range []struct {
		member string
		unique bool
		want   string
	}{
		{"attic", true, "localhost 127.0.0.1 ::1 10.0.0.5 ::ffff:10.0.0.5 attic.local attic.home.arpa"},
		{"Attic.home", true, "localhost 127.0.0.1 ::1 10.0.0.5 ::ffff:10.0.0.5 attic.local attic.home.arpa"},
		{"attic", false, "localhost 127.0.0.1 ::1 10.0.0.5 ::ffff:10.0.0.5"},
		{"cellar", true, "localhost 127.0.0.1 ::1 10.0.0.5 ::ffff:10.0.0.5 cellar.local"},
		{"", true, "localhost 127.0.0.1 ::1 10.0.0.5 ::ffff:10.0.0.5"},
		{"10.0.0.6", true, "localhost 127.0.0.1 ::1 10.0.0.5 ::ffff:10.0.0.5"},
	} {
		if got := strings.Join(leafNames(want, c.member, c.unique, ips), " "); got != c.want {
			t.Errorf("%q, unique %v: %s", c.member, c.unique, got)
		}
	}
}
