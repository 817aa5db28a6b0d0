// Command serve opens the dashboard on a peer that is not one: its transfers are plays. It is for looking at the
// dashboard, by hand and in the browser test. It prints one line of JSON when it is ready, whose login link opens a session,
// and a further one for every line on its standard input; it ends with that.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"cairn/web"
	"cairn/web/api"
	"cairn/web/dashboard"
	"cairn/web/internal/fakepeer"
)

func main() {
	addr := flag.String("http", "127.0.0.1:0", "loopback address and port")
	kind := flag.String("network", "home", "network that the peer is in: home, none, cut (this peer was revoked), crowd (1,000 members) or absent (the peer can be in none)")
	flag.Parse()
	if err := serve(*addr, *kind); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func network(kind string) *fakepeer.Network {
	switch kind {
	case "none":
		return fakepeer.NewNetwork(time.Now)
	case "cut":
		return fakepeer.NewCutOff(time.Now)
	case "crowd":
		return fakepeer.NewCrowd(time.Now, 1000)
	case "absent":
		return nil
	}
	return fakepeer.NewHousehold(time.Now)
}

func serve(addr, kind string) error {
	sessions := web.NewSessions(nil)
	peer := fakepeer.NewLively(&fakepeer.Peer{File: []byte("a file"), Changes: make(chan api.Event), Updates: make(chan api.ShareUpdate)}, time.Now)
	cfg := web.Config{Peer: peer, Sessions: sessions, HTTP: addr, Dashboard: dashboard.FS(), Settings: fakepeer.NewSettings()}
	if n := network(kind); n != nil {
		peer.Net, cfg.Network = n, n
	}
	s, err := web.New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := s.Listen(ctx); err != nil {
		return err
	}
	go func() {
		defer cancel()
		for in := bufio.NewScanner(os.Stdin); ; {
			code, _ := sessions.NewCode()
			_ = json.NewEncoder(os.Stdout).Encode(map[string]string{"event": "ready", "http": s.URL(), "login": s.URL() + "/#login=" + code})
			if !in.Scan() {
				return
			}
		}
	}()
	return s.Run(ctx)
}
