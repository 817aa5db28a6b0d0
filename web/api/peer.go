package api

import (
	"context"
	"io"
	"iter"
	"time"
)

// Peer is what the API needs of a running peer. Every error it returns is an *Error, or becomes CodeFailed with
// its text kept from the user. Methods with a Sink call it from one goroutine at a time and end with the
// returned result; they stop when ctx ends.
type Peer interface {
	Status(ctx context.Context) (Status, error)
	Peers(ctx context.Context) ([]PeerInfo, error)

	Entries(ctx context.Context, q EntryQuery) (EntryPage, error)
	Entry(ctx context.Context, ref string) (Entry, error)
	// Remove forgets an entry and its tickets. It never touches a user's file.
	Remove(ctx context.Context, ref string) (Entry, error)
	// Restore undoes a Remove of the last minutes, tickets included.
	Restore(ctx context.Context, id string) (Entry, error)

	Share(ctx context.Context, r ShareRequest, s Sink) (ShareResult, error)
	// Issue makes a ticket for an entry that is there.
	Issue(ctx context.Context, ref string, o TicketOptions) (Ticket, error)
	// Ticket returns a ticket of this peer by its id.
	Ticket(ctx context.Context, id string) (Ticket, error)
	// Revoke ends tickets: ref is an entry (all its tickets), a ticket's id or its text, or a path that was shared.
	Revoke(ctx context.Context, ref string) ([]Ticket, error)
	// Watch follows a ticket until it ends or ctx does.
	Watch(ctx context.Context, ticketID string) iter.Seq2[ShareUpdate, error]

	Add(ctx context.Context, r AddRequest, s Sink) (AddResult, error)
	Upload(ctx context.Context, name string, size int64, r io.Reader) (AddResult, error)
	Pin(ctx context.Context, ref string, s Sink) (AddResult, error)
	GC(ctx context.Context, s Sink) (GCResult, error)
	Verify(ctx context.Context, s Sink) (VerifyResult, error)
	ImportCAR(ctx context.Context, name string, r io.Reader) (AddResult, error)
	ExportCAR(ctx context.Context, ref string, w io.Writer) error

	Get(ctx context.Context, r GetRequest, s Sink) (GetResult, error)
	// Open reads a file: ref is a CID, an entry or a ticket, path names a file below it.
	Open(ctx context.Context, ref, path string) (Content, error)
	List(ctx context.Context, ref, path string) (Listing, error)

	Transfers(ctx context.Context) ([]Transfer, error)
	Transfer(ctx context.Context, id string) (Transfer, error)
	Cancel(ctx context.Context, id string) (Transfer, error)
	// Pieces returns the map of a download; one without leaves where there is no map.
	Pieces(ctx context.Context, id string) (Pieces, error)
	// Rates returns the rates of the last minute in seconds ("1m"), of the last hour in minutes ("1h") or of the last
	// day in quarters of an hour ("1d").
	Rates(ctx context.Context, id, window string) (RateHistory, error)

	// Events yields what happens after the event with this id; 0: from now on, beginning with a full picture
	// (status, peers, rates, each entry's and transfer's newest state is for the caller to fetch). An id that is
	// no longer kept starts over the same way with an event of type status.
	Events(ctx context.Context, after uint64) iter.Seq2[Event, error]

	// Limits are the limits of bandwidth and what holds of them now.
	Limits(ctx context.Context) (Limits, error)
	// SetLimits replaces all of them; they hold at once and are kept. What is read-only in l is ignored.
	SetLimits(ctx context.Context, l Limits) (Limits, error)

	// Handover asks a peer of mode "command" to end, so that another process can take its home over.
	Handover(ctx context.Context) error
	LoginCode(ctx context.Context) (LoginCode, error)

	Tokens
	Audit
	Certificates
}

// Sink hears of work in progress.
type Sink interface {
	Progress(Progress)
	Warn(Warning)
}

// EntryQuery selects entries, newest first.
type EntryQuery struct {
	Text   string // part of name, path or CID; empty: all
	Cursor string
	Limit  int
}

// EntryPage is a page of entries; Next is empty on the last.
type EntryPage struct {
	Entries []Entry `json:"entries"`
	Next    string  `json:"next,omitempty"`
	Total   int     `json:"total"`
}

// TicketOptions bound a new ticket.
type TicketOptions struct {
	ExpireSeconds int64 `json:"expire_seconds,omitempty" minimum:"0" maximum:"315360000" doc:"0: the default of 24 h; at most 10 years"`
	Downloads     int   `json:"downloads,omitempty" minimum:"0" maximum:"1000000" doc:"0: any number"`
	NoSwarm       bool  `json:"no_swarm,omitempty" doc:"Do not introduce downloaders to each other"`
}

// ShareRequest shares files of this machine. Paths are absolute.
type ShareRequest struct {
	Paths    []string `json:"paths" minItems:"1" maxItems:"1024"`
	Copy     bool     `json:"copy,omitempty"`
	Preserve bool     `json:"preserve,omitempty" doc:"Keep modes and times"`
	// Visibility is private unless it says network.
	Visibility string `json:"visibility,omitempty" enum:"private,network" doc:"Who may fetch it besides those with a ticket; default: nobody"`
	TicketOptions
}

// AddRequest puts files of this machine into the library. Path is absolute.
type AddRequest struct {
	Path       string `json:"path"`
	Copy       bool   `json:"copy,omitempty"`
	Preserve   bool   `json:"preserve,omitempty"`
	Visibility string `json:"visibility,omitempty" enum:"private,network" doc:"Who may fetch it; default: in a network its members, otherwise nobody"`
}

// GetRequest fetches an object to a path of this machine. Exactly one of Tickets and Ref is set. An empty Output
// with OutputDir set takes the object's own name inside OutputDir; both empty: the peer's download folder.
type GetRequest struct {
	Tickets   []string `json:"tickets,omitempty" maxItems:"16"`
	Ref       string   `json:"ref,omitempty" doc:"A CID or entry that this peer holds, or the CID of what a connected member of its network shows to the others"`
	Output    string   `json:"output,omitempty" doc:"Absolute path of the file or directory to make; an existing directory: the object goes inside it"`
	OutputDir string   `json:"output_dir,omitempty" doc:"Absolute path"`
	Force     bool     `json:"force,omitempty" doc:"Replace what is there"`
	NoSwarm   bool     `json:"no_swarm,omitempty" doc:"Do not exchange with other downloaders"`
	// WaitSeconds bounds how long a source that went away is waited for.
	WaitSeconds int64 `json:"wait_seconds,omitempty" minimum:"0" maximum:"604800" doc:"How long to wait for a source that went away; 0: the default of 120 s"`
}

// Content is an opened file. The caller closes it. Reading at an offset fetches what is missing there first.
type Content struct {
	io.ReadSeekCloser
	Name    string
	CID     string
	Size    int64
	ModTime time.Time // zero when unknown
}

// Limiter may be implemented by the reader of a Content: what lies at end or beyond is not going to be read before
// the next Limit, so that fetching ahead stops there. -1: no limit.
type Limiter interface {
	Limit(end int64)
}

// Listing is what a reference names: a directory's entries, or the one file itself.
type Listing struct {
	CID     string     `json:"cid"`
	Kind    string     `json:"kind" enum:"file,directory,symlink"`
	Size    int64      `json:"size"`
	Entries []DirEntry `json:"entries"`
}
