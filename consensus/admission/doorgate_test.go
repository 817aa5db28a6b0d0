package admission

import (
	"fmt"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// came is a connection of which only the address is known.
type came struct{ from ma.Multiaddr }

func (c came) LocalMultiaddr() ma.Multiaddr  { return c.from }
func (c came) RemoteMultiaddr() ma.Multiaddr { return c.from }

// TestDoorGateHoldsAFlood: of ten machines that come a thousand times a second hardly anything is let in, while others
// that come as people do always are.
func TestDoorGateHoldsAFlood(t *testing.T) {
	now := time.Unix(1000, 0)
	g := NewDoorGate(func() time.Time { return now })
	const attempts = 30_000
	let, honest := 0, 0
	for i := range attempts {
		now = now.Add(time.Millisecond)
		if g.InterceptAccept(came{ma.StringCast(fmt.Sprintf("/ip4/10.0.1.%d/tcp/%d", i%10, i%60_000+1))}) {
			let++
		}
		if i%500 == 0 && !g.InterceptAccept(came{ma.StringCast(fmt.Sprintf("/ip4/10.0.2.%d/tcp/7", i/500%3))}) {
			honest++
		}
	}
	if most := 10 * (doorBurst + 31*doorRate); let > most {
		t.Errorf("%d of %d attempts were let in, at most %d should be", let, attempts, most)
	}
	if honest > 0 {
		t.Errorf("%d honest connections were turned away", honest)
	}
	if n := g.Flooded(); n != int64(attempts-let+honest) {
		t.Errorf("%d are counted, not %d", n, attempts-let+honest)
	}
}
