package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"

	"cairn/web/api"
	"cairn/web/client"
)

// Conditions of the way to a peer.
var (
	// errNobody: nobody listens on the socket of the home.
	errNobody = errors.New("no peer is running")
	// errGone: the peer went away while it worked for us; what it did before is unknown.
	errGone = errors.New("the peer ended")
	// errLocked: another process holds the home.
	errLocked = errors.New("the data directory is in use")
)

// isGone tells whether err means that the peer went away, so that the work may be asked of the next one.
func isGone(err error) bool {
	var x *api.Error
	return errors.Is(err, errGone) || errors.As(err, &x) && x.Code == api.CodeHandover
}

// isLocked tells whether err means that another process holds the home.
func isLocked(err error) bool {
	var x *api.Error
	return errors.Is(err, errLocked) || errors.As(err, &x) && x.Code == api.CodeLocked
}

// remote is a running peer as the commands use it, over the socket of its home. The methods are those of
// [client.Client]; each fails with an *api.Error of the peer, or with an error that wraps errGone.
type remote interface {
	Status(ctx context.Context) (api.Status, error)
	Peers(ctx context.Context) ([]api.PeerInfo, error)
	Entries(ctx context.Context, q api.EntryQuery) (api.EntryPage, error)
	Remove(ctx context.Context, ref string) (api.Entry, error)
	Restore(ctx context.Context, id string) (api.Entry, error)
	Share(ctx context.Context, r api.ShareRequest, p client.OnProgress, w client.OnWarning) (api.ShareResult, error)
	Revoke(ctx context.Context, ref string) ([]api.Ticket, error)
	Watch(ctx context.Context, ticketID string) iter.Seq2[api.ShareUpdate, error]
	Add(ctx context.Context, r api.AddRequest, p client.OnProgress, w client.OnWarning) (api.AddResult, error)
	Pin(ctx context.Context, ref string, p client.OnProgress, w client.OnWarning) (api.AddResult, error)
	GC(ctx context.Context, p client.OnProgress, w client.OnWarning) (api.GCResult, error)
	Verify(ctx context.Context, p client.OnProgress, w client.OnWarning) (api.VerifyResult, error)
	ImportCAR(ctx context.Context, name string, r io.Reader) (api.AddResult, error)
	ExportCAR(ctx context.Context, ref string, w io.Writer) error
	Get(ctx context.Context, r api.GetRequest, p client.OnProgress, w client.OnWarning) (api.GetResult, error)
	// Open reads length bytes of a file from off; length -1: to its end.
	Open(ctx context.Context, ref, path string, off, length int64) (content, error)
	List(ctx context.Context, ref, path string) (api.Listing, error)
	Transfers(ctx context.Context) ([]api.Transfer, error)
	Pieces(ctx context.Context, id string) (api.Pieces, error)
	Cancel(ctx context.Context, id string) (api.Transfer, error)
	Limits(ctx context.Context) (api.Limits, error)
	SetLimits(ctx context.Context, l api.Limits) (api.Limits, error)
	KeyStatus(ctx context.Context) (api.KeyStatus, error)
	SetPassphrase(ctx context.Context, r api.PassphraseRequest) (api.KeyStatus, error)
	RotateKeys(ctx context.Context, r api.RotateRequest, p client.OnProgress, w client.OnWarning) (api.RotateResult, error)
	BackupKeys(ctx context.Context, r api.BackupRequest) (api.BackupResult, error)
	api.Settings
	Handover(ctx context.Context) error
	LoginCode(ctx context.Context) (api.LoginCode, error)
	api.Network
	CreateToken(ctx context.Context, r api.TokenRequest) (api.NewToken, error)
	Tokens(ctx context.Context) ([]api.Token, error)
	RevokeToken(ctx context.Context, ref string) (api.Token, error)
	Audit(ctx context.Context, before uint64, limit int) (api.AuditPage, error)
	CA(ctx context.Context) (api.CertificateAuthority, error)
	Close()
}

// content is an opened file.
type content struct {
	io.ReadCloser
	size int64 // of the whole file
}

// local is a peer that lives in this process (a node.Node).
type local interface {
	// Run serves the socket until ctx ends or another process takes the home over, and returns when all is closed.
	Run(ctx context.Context) error
	// Ready closes when the socket answers.
	Ready() <-chan struct{}
	// Idle closes at the next moment, now included, at which nobody uses the socket.
	Idle() <-chan struct{}
	// InFlight is the number of requests on the socket.
	InFlight() int
}

// settings are what a command tells the peer that it becomes; the rest comes from the home's configuration.
type settings struct {
	home  string
	mode  string            // "up" or "command"
	flags map[string]string // configuration keys given as flags
	// logger makes the log, and a function that makes another level hold; level and format are what the configuration says,
	// "" when it says nothing.
	logger func(level, format string) (*slog.Logger, func(level string) error, error)
	// passphrase is asked for that of the keys, see node.Config.
	passphrase func(attempt int) ([]byte, error)
	warn       func(format string, args ...any) // hears what is probably not as it was meant
}

// doors are the two ways to a peer.
type doors struct {
	// exists tells whether a directory holds a peer's data.
	exists func(home string) bool
	// dial joins the peer that listens for a home: errNobody when there is none, or one that is about to end.
	dial func(ctx context.Context, home string) (remote, error)
	// become makes this process the peer of a home; isLocked(err) when another process is.
	become func(ctx context.Context, s settings) (local, error)
	// restoreKeys brings keys back into a home that no peer uses.
	restoreKeys func(ctx context.Context, r keyRestore) (keyRestored, error)
}
