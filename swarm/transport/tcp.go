package transport

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/tcpreuse"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// keepAlive is how often an idle connection is asked whether it still is one.
const keepAlive = 30 * time.Second

// tcpTransport is libp2p's, with connections tuned before they are used; see tune.
type tcpTransport struct {
	*tcp.TcpTransport
	upgrader transport.Upgrader
}

// newTCP is what libp2p constructs. Without DisableReuseport a second process of the same user would silently share
// the port (SO_REUSEPORT) and get half of the connections.
func newTCP(u transport.Upgrader, rm network.ResourceManager, shared *tcpreuse.ConnMgr) (*tcpTransport, error) {
	dial := func(ma.Multiaddr) (tcp.ContextDialer, error) { return dialer{}, nil }
	t, err := tcp.NewTCPTransport(u, rm, nil, tcp.DisableReuseport(), tcp.WithDialerForAddr(dial))
	if err != nil {
		return nil, fmt.Errorf("make TCP transport: %w", err)
	}
	return &tcpTransport{t, u}, nil
}

type dialer struct{}

func (dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err == nil {
		tune(c)
	}
	return c, err
}

// Listen listens as libp2p does, but tunes what it accepts.
func (t *tcpTransport) Listen(a ma.Multiaddr) (transport.Listener, error) {
	l, err := manet.Listen(a)
	if err != nil {
		return nil, err
	}
	return t.upgrader.UpgradeGatedMaListener(t, tunedListener{t.upgrader.GateMaListener(l)}), nil
}

type tunedListener struct{ transport.GatedMaListener }

func (l tunedListener) Accept() (manet.Conn, network.ConnManagementScope, error) {
	c, scope, err := l.GatedMaListener.Accept()
	if err != nil {
		return nil, nil, err
	}
	if k, ok := c.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
		SetLinger(int) error
	}); ok {
		// A failure leaves the connection as good as it was. Without linger a closed one does not hold its port.
		_ = k.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive})
		_ = k.SetLinger(0)
	}
	tune(c)
	return c, scope, nil
}

// far is a round trip from which a line counts as long.
const far = 20 * time.Millisecond
