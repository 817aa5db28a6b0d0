package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"cairn/web/api"
	"cairn/web/certs"
)

const (
	stopTime = 4 * time.Second        // for requests to finish after Run was told to end
	cutTime  = 900 * time.Millisecond // for those that were cut off
)

// Config is what a Server works with.
type Config struct {
	Peer      api.Peer
	Network   api.Network                   // nil: this peer can be in none
	Keys      api.Keys                      // nil: this peer keeps none
	Settings  api.Settings                  // nil: this peer has no configuration
	Sessions  *Sessions                     // shared with whoever makes login codes
	Home      string                        // the socket is in it; its lock must be held. "": no socket
	HTTP      string                        // address and port for browsers, e.g. "127.0.0.1:4747"; not loopback only with TLS; "": none
	TLS       certs.Source                  // what HTTP is encrypted with; its Run is called by Server.Run. nil: it is not
	Names     []string                      // names and addresses under which HTTP is served besides its own
	Tokens    Bearers                       // nil: there are no tokens
	Audit     func(api.AuditRecord)         // told of denials and of what is done; returns when what was done is synced. nil: nobody is
	Dashboard fs.FS                         // files of the page, index.html among them; nil: none
	Metrics   http.Handler                  // answers /metrics; nil: nothing is there. It must name no file, object or secret
	Begin     func(local bool) (end func()) // told of every request, local: on the socket; nil: nobody is
	Log       *slog.Logger
	Now       func() time.Time // for the log; nil: time.Now
	Limits    Limits
	Heartbeat time.Duration // between comments on a silent stream; 0: 10 s
}

// Server is the two entrances. Make it with New, open it with Listen, work it with Run.
type Server struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	rows    []route
	cross   *http.CrossOriginProtection
	guesses *guesses
	near    bool // HTTP is loopback
	static  map[string]staticFile
	api     *mux
	pages   *mux

	stopping chan struct{}
	active   inflight // requests being answered

	// Set by Listen, before any request.
	socket net.Listener
	tcp    net.Listener
	port   int
}

// New checks cfg and builds the tree of handlers. It opens and starts nothing.
func New(cfg Config) (*Server, error) {
	if cfg.Peer == nil || cfg.Sessions == nil {
		return nil, errors.New("make web server: peer and sessions are needed")
	}
	near := true
	if cfg.HTTP != "" {
		addr, err := address(cfg.HTTP)
		if err != nil {
			return nil, err
		}
		if near = isLoopback(addr); !near && cfg.TLS == nil {
			return nil, errPublic(cfg.HTTP)
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Limits = cfg.Limits.withDefaults()
	static, err := loadStatic(cfg.Dashboard)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, now: cfg.Now, rows: routes(), static: static,
		cross: http.NewCrossOriginProtection(), stopping: make(chan struct{}),
		guesses: newGuesses(cfg.Now), near: near,
	}
	s.api, s.pages = newMux(s), newMux(s)
	description := api.Register(s.api, api.Config{
		Peer: cfg.Peer, Network: cfg.Network, Keys: cfg.Keys, Settings: cfg.Settings, Access: doorkeeper{s}, Log: cfg.Log, Heartbeat: cfg.Heartbeat, Stopping: s.stopping,
	})
	text, err := json.Marshal(description)
	if err != nil {
		return nil, fmt.Errorf("describe API: %w", err)
	}
	s.api.HandleFunc("GET /v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	})
	s.api.HandleFunc("GET /metrics", s.serveMetrics)
	s.pages.HandleFunc("GET /{path...}", s.serveStatic)
	if err := complete(s.rows, s.api, s.pages); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Metrics == nil {
		api.WriteError(w, r, api.Errorf(api.CodeNotFound, "this peer keeps no metrics"))
		return
	}
	s.cfg.Metrics.ServeHTTP(w, r)
}

// Run answers requests until ctx ends, then stops within five seconds: streams are told and end, listeners close;
// other requests may finish for four seconds; what is left is cut off. It calls Listen when that was not done. It
// runs once.
func (s *Server) Run(ctx context.Context) error {
	if s.socket == nil && s.tcp == nil {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var entries []*entry
	failed := make(chan error, 3)
	var serving sync.WaitGroup
	start := func(l net.Listener, local bool) {
		if l == nil {
			return
		}
		srv := s.newEntry(base, local)
		entries = append(entries, srv)
		serving.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
			}
		})
	}
	start(s.socket, true)
	start(s.tcp, false)
	if s.tcp != nil && s.cfg.TLS != nil {
		serving.Go(func() {
			if err := s.cfg.TLS.Run(base); err != nil {
				failed <- fmt.Errorf("keep certificates: %w", err)
			}
		})
	}

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	close(s.stopping) // streams end by themselves; Shutdown would wait for them for ever
	grace, done := context.WithTimeout(base, stopTime)
	defer done()
	var stops sync.WaitGroup
	for _, e := range entries {
		stops.Go(func() { e.stop(grace, cut) })
	}
	stops.Wait()
	cut() // ends the keeping of certificates
	serving.Wait()
	// Their contexts have ended, so they end too; a peer that does not listen to its context must not hang the rest.
	select {
	case <-s.active.wait():
	case <-time.After(cutTime):
		s.log.Error("requests go on after the server stopped")
	}
	return err
}

// entry is one of the two doors at work.
type entry struct {
	*http.Server
	conns conns
}

func (s *Server) newEntry(base context.Context, local bool) *entry {
	e := &entry{conns: conns{fresh: map[net.Conn]struct{}{}}}
	inner := s.entrance(local)
	e.Server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if e.conns.count() > s.cfg.Limits.Conns {
				w.Header().Set("Connection", "close") // answered, but not kept
			}
			inner.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnState:         e.conns.state,
	}
	return e
}

// stop ends the entrance gently until grace is over, then cuts everything off.
func (e *entry) stop(grace context.Context, cut func()) {
	e.conns.closeFresh()
	if e.Shutdown(grace) != nil {
		cut() // long downloads see their context end
		_ = e.Close()
	}
}
