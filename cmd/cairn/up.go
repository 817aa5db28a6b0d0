package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newUp(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the peer, with its dashboard",
		Long: `Run the peer of this data directory until Ctrl-C or SIGTERM: it serves what was shared, keeps
its ports, and has a dashboard on http://127.0.0.1:4747 ("cairn login" opens it). Commands in
other terminals use it. A "cairn share" that serves by itself hands over to it.

When the peer is ready it prints its addresses; with --json one line {"event":"ready", ...}.
The log goes to stderr.

Configuration: flags, else the environment (CAIRN_LISTEN for the key "listen"), else
config.toml in the data directory, else defaults; "cairn config" shows and changes it. SIGHUP
reads the file again. Port 0 takes any free port.`,
		Example: `  cairn up
  cairn up --http 127.0.0.1:0 --listen /ip4/0.0.0.0/tcp/0
  cairn up --http off`,
		GroupID: groupPeer,
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags, err := givenFlags(cmd)
			if err != nil {
				return err
			}
			return runUp(cmd.Context(), e, flags)
		},
	}
	addConfigFlags(cmd)
	return cmd
}

// readyLine is what up --json prints once the socket answers.
type readyLine struct {
	Event     string   `json:"event"`
	PeerID    string   `json:"peer_id"`
	Name      string   `json:"name"`
	Home      string   `json:"home"`
	HTTP      string   `json:"http"`
	Addresses []string `json:"addresses"`
	Version   string   `json:"version"`
}

func runUp(ctx context.Context, e *env, flags map[string]string) error {
	if e.elsewhere.given() {
		return usagef("up runs a peer on this machine, and --at names one elsewhere").WithHint("leave --at out")
	}
	n, err := e.takeHome(ctx, flags)
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(run) }()
	select {
	case <-n.Ready():
		err = e.announce(ctx)
	case err := <-ended:
		return err
	}
	hung := e.sig.hangups()
	for err == nil && ctx.Err() == nil {
		select {
		case err := <-ended:
			return err
		case <-hung:
			e.reloadOwn(ctx)
		case <-ctx.Done():
			e.note("ending")
		}
	}
	stop()
	select {
	case failed := <-ended:
		return errors.Join(err, failed)
	case <-time.After(stopWait):
		return api.Errorf(api.CodeFailed, "the peer did not end in %s", stopWait)
	}
}

// takeHome makes this process the peer that stays. A command that is the peer for its own sake is asked to hand
// over; another peer that stays is not.
func (e *env) takeHome(ctx context.Context, flags map[string]string) (local, error) {
	for began := time.Now(); ; {
		n, err := e.doors.become(ctx, settings{home: e.home, mode: "up", flags: e.configFlags(flags), logger: e.upLogger, warn: e.warn, passphrase: e.unlock(ctx)})
		if !isLocked(err) {
			return n, err
		}
		if time.Since(began) > lockWait {
			return nil, noAnswer(err)
		}
		p, st, greeting := e.greet(ctx)
		switch {
		case errors.Is(greeting, errNobody): // it begins or ends at this moment
		case isLocked(greeting):
			return nil, noAnswer(err)
		case greeting != nil:
			return nil, greeting
		case st.Mode == "up":
			return nil, api.Errorf(api.CodeLocked, "%s", explain(err).Message).
				WithHint("`cairn status` shows it; end it first, or choose another directory with --home")
		default:
			// A refusal shows in the next round: it is then still there.
			_ = p.Handover(ctx)
		}
		if p != nil {
			p.Close()
		}
		if err := pause(ctx, retryEvery); err != nil {
			return nil, err
		}
	}
}

// announce prints how to reach the peer.
func (e *env) announce(ctx context.Context) error {
	p, st, err := e.greet(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	if e.json {
		return e.line(readyLine{"ready", st.PeerID, st.Name, e.home, st.HTTP, st.Addresses, st.Version})
	}
	pairs := []string{"peer", short(st.PeerID) + " (" + st.Name + ")", "home", e.home}
	for _, a := range st.Addresses {
		pairs = append(pairs, "address", a)
	}
	pairs = append(pairs, "dashboard", firstOf(st.HTTP, "off"))
	if e.stdoutTTY && st.HTTP != "" {
		if code, err := p.LoginCode(ctx); err == nil {
			pairs = append(pairs, "log in", loginURL(code)+" (once, within 2 minutes; later: cairn login)")
		}
	}
	return fields(e.stdout, pairs...)
}
