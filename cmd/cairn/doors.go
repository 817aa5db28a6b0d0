package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"cairn/node"
	"cairn/web/api"
	"cairn/web/client"
)

// realDoors are the ways to a peer on this machine: the socket of its home, and package node.
func realDoors() doors {
	return doors{exists: node.HomeExists, dial: dialSocket, become: becomeNode, restoreKeys: restoreKeys}
}

// defaultHome is the data directory of this user.
func defaultHome() string { return node.DefaultHome() }

// socket is the client over the socket of a home.
type socket struct{ *client.Client }

func dialSocket(ctx context.Context, home string) (remote, error) {
	if !maybeHome(home) {
		return nil, errNobody // becoming the peer says what is wrong
	}
	c, err := client.Dial(ctx, home)
	for look := 0; look < goneLooks && isBroken(err); look++ {
		// It took the connection and ended: in a moment nobody listens, or the next peer does.
		if err := pause(ctx, retryEvery); err != nil {
			return nil, err
		}
		c, err = client.Dial(ctx, home)
	}
	switch {
	case errors.Is(err, client.ErrNoPeer):
		return nil, errNobody
	case err != nil:
		return nil, err
	}
	if h, err := c.Health(ctx); err != nil || h.Status == "stopping" {
		c.Close()
		return nil, errNobody // its answers are only farewells; the next peer, maybe we, takes its place
	}
	return socket{c}, nil
}

// isBroken tells whether a connection was there and failed.
func isBroken(err error) bool {
	var x *api.Error
	return errors.As(err, &x) && x.Code == api.CodeUnavailable && !errors.Is(err, client.ErrNoPeer)
}

func (s socket) Open(ctx context.Context, ref, path string, off, length int64) (content, error) {
	f, err := s.Client.Open(ctx, ref, path, off, length)
	if err != nil {
		return content{}, err
	}
	return content{f, f.Size}, nil
}

// maybeHome is false where something that is no directory has the home's name.
func maybeHome(home string) bool {
	info, err := os.Stat(home)
	return err != nil || info.IsDir()
}

// becomeNode makes this process the peer of a home.
func becomeNode(ctx context.Context, s settings) (local, error) {
	if !maybeHome(s.home) {
		return nil, api.Errorf(api.CodeNoHome, "%s: not a directory", s.home).
			WithHint("name a directory with --home or CAIRN_HOME")
	}
	cfg, warnings, err := node.LoadConfig(s.home, s.flags)
	if err != nil {
		return nil, err
	}
	if cfg.Log, cfg.SetLogLevel, err = s.logger(cfg.LogLevel, cfg.LogFormat); err != nil {
		return nil, err
	}
	cfg.Mode, cfg.Version, cfg.Passphrase = s.mode, buildVersion(), s.passphrase
	if s.mode == "command" {
		cfg.HTTP = "" // a dashboard that goes away with the next command helps nobody
	}
	n, err := node.New(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("become the peer: %w", err)
	}
	for _, w := range warnings { // once, and not for every try to get the home
		s.warn("%s", w)
	}
	return n, nil
}

// restoreKeys brings keys back from a backup.
func restoreKeys(ctx context.Context, r keyRestore) (keyRestored, error) {
	k, err := node.RestoreKeys(ctx, node.KeyRestore{Home: r.home, File: r.file, Identity: r.identity, Ask: r.ask, Passphrase: r.passphrase})
	return keyRestored{k.PeerID, k.Name, k.Keys, k.Same}, err
}
