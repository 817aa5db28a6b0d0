// Package api is the HTTP API of a peer: its types, its operations and the OpenAPI text made from them.
//
// The package declares what it needs of a peer as the interface [Peer] and knows nothing of how one works.
// Every field is snake_case, sizes are bytes, rates are bytes per second, times are RFC 3339 in UTC, peer ids
// and CIDs are written in full. The types are the one source of the OpenAPI text (openapi.json), of the
// TypeScript types of the dashboard and of what the commands print with --json.
package api

import "time"

// Version is the version of the API. Client and peer must agree on it.
const Version = "1"

// Status is what a peer says about itself.
type Status struct {
	Version    string      `json:"version" doc:"Version of the binary that the peer runs"`
	APIVersion string      `json:"api_version"`
	PeerID     string      `json:"peer_id" doc:"Of the door, which tickets name"`
	MemberID   string      `json:"member_id" doc:"Of the identity, which a network knows it by"`
	Network    string      `json:"network,omitempty" doc:"Name of the network that it is in"`
	Name       string      `json:"name" doc:"What people call this peer; the host name unless configured"`
	Home       string      `json:"home,omitempty" doc:"Data directory; told on the local socket only"`
	Mode       string      `json:"mode" enum:"up,command" doc:"up: a peer that stays; command: it ends with the commands that use it"`
	Started    time.Time   `json:"started"`
	Addresses  []string    `json:"addresses" doc:"Multiaddrs under which others reach this peer"`
	HTTP       string      `json:"http,omitempty" doc:"URL of the dashboard"`
	Peers      int         `json:"peers" doc:"Connected peers"`
	Store      StoreStatus `json:"store"`
	Rates      Rates       `json:"rates"`
	Transfers  int         `json:"transfers" doc:"Active transfers"`
	Limits     []Limit     `json:"limits" doc:"Resource limits in force"`
}

// StoreStatus is the state of local storage.
type StoreStatus struct {
	Entries         int    `json:"entries"`
	OwnedBlocks     int64  `json:"owned_blocks"`
	OwnedBytes      int64  `json:"owned_bytes"`
	ReferencedFiles int64  `json:"referenced_files"`
	ReferencedBytes int64  `json:"referenced_bytes"`
	FreeBytes       int64  `json:"free_bytes" doc:"Free on the file system of the store"`
	ReserveBytes    int64  `json:"reserve_bytes" doc:"Never used: new bytes are refused below it"`
	Accepting       bool   `json:"accepting" doc:"Whether new bytes are taken"`
	CorruptBlocks   int64  `json:"corrupt_blocks" doc:"Damaged blocks found since start"`
	Reason          string `json:"reason,omitempty" doc:"Why new bytes are refused"`
}

// Rates are bytes per second over the last seconds, and totals since start.
type Rates struct {
	DownBPS   int64 `json:"down_bps"`
	UpBPS     int64 `json:"up_bps"`
	DownTotal int64 `json:"down_total"`
	UpTotal   int64 `json:"up_total"`
}

// Limit is one configured bound.
type Limit struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// Limits are the limits of bandwidth that the user has set. Rates are bytes per second, 0 is no limit.
type Limits struct {
	Up        int64           `json:"up" minimum:"0" maximum:"1099511627776" doc:"To all peers together; 0: no limit, else at least 1024"`
	Down      int64           `json:"down" minimum:"0" maximum:"1099511627776" doc:"From all peers together; 0: no limit, else at least 1024"`
	Peers     []PeerLimit     `json:"peers" maxItems:"256" doc:"Limits of single peers, which hold besides"`
	Hours     []HourLimit     `json:"hours" maxItems:"64" doc:"The first that covers the time replaces up and down"`
	Effective EffectiveLimits `json:"effective" readOnly:"true" doc:"What holds now; ignored in requests"`
	Problem   string          `json:"problem,omitempty" maxLength:"4096" readOnly:"true" doc:"Why the limits that were kept do not hold; empty: all is well"`
}

// PeerLimit limits one peer.
type PeerLimit struct {
	PeerID string `json:"peer_id" minLength:"1" maxLength:"128"`
	Up     int64  `json:"up" minimum:"0" maximum:"1099511627776"`
	Down   int64  `json:"down" minimum:"0" maximum:"1099511627776"`
}

// HourLimit limits all peers together at certain hours by the clock of the peer's machine.
type HourLimit struct {
	Days []string `json:"days" maxItems:"7" enum:"mon,tue,wed,thu,fri,sat,sun" doc:"On which the hours begin; none: every day"`
	From string   `json:"from" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" patternDescription:"a time of day such as 06:30"`
	To   string   `json:"to" pattern:"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$" patternDescription:"a time of day such as 06:30, or 24:00" doc:"Before from: it ends on the next day"`
	Up   int64    `json:"up" minimum:"0" maximum:"1099511627776"`
	Down int64    `json:"down" minimum:"0" maximum:"1099511627776"`
}

// EffectiveLimits are what holds now for all peers together.
type EffectiveLimits struct {
	Up     int64  `json:"up"`
	Down   int64  `json:"down"`
	Reason string `json:"reason" doc:"Which of the limits these are, in words"`
}

// PeerInfo is one connected peer.
type PeerInfo struct {
	PeerID    string    `json:"peer_id"`
	Member    string    `json:"member,omitempty" doc:"Its name, if it is a member of the network"`
	Address   string    `json:"address"`
	Direction string    `json:"direction" enum:"inbound,outbound"`
	Transport string    `json:"transport" enum:"tcp,quic-v1,other"`
	Since     time.Time `json:"since"`
	RTTMillis float64   `json:"rtt_ms"`
	UpBPS     int64     `json:"up_bps"`
	DownBPS   int64     `json:"down_bps"`
	UpBytes   int64     `json:"up_bytes"`
	DownBytes int64     `json:"down_bytes"`
}

// Entry is one thing in the library.
type Entry struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	CID        string    `json:"cid"`
	Kind       string    `json:"kind" enum:"file,directory,symlink"`
	Size       int64     `json:"size" doc:"Bytes of file content"`
	Files      int64     `json:"files"`
	Origin     string    `json:"origin" enum:"share,add,get,upload,import,pin"`
	Owned      bool      `json:"owned" doc:"true: copied into the store; false: the user's own files are referenced"`
	Path       string    `json:"path,omitempty" doc:"Where the referenced files are; told on the local socket only"`
	Visibility string    `json:"visibility" enum:"private,network"`
	Created    time.Time `json:"created"`
	State      string    `json:"state" enum:"ok,changed,missing" doc:"Whether referenced files are as they were"`
	Tickets    []Ticket  `json:"tickets"`
}

// Ticket is a ticket that this peer issued for an entry.
type Ticket struct {
	ID            string     `json:"id"`
	Text          string     `json:"text" doc:"The ticket itself; who has it can fetch the object"`
	EntryID       string     `json:"entry_id"`
	Created       time.Time  `json:"created"`
	Expires       *time.Time `json:"expires,omitempty"`
	MaxDownloads  int        `json:"max_downloads,omitempty" doc:"0: any number"`
	Downloads     int        `json:"downloads" doc:"Complete downloads"`
	State         string     `json:"state" enum:"open,expired,used,revoked"`
	Peers         int        `json:"peers" doc:"Downloaders connected now"`
	UploadedBytes int64      `json:"uploaded_bytes"`
}

// Transfer is bytes on their way to or from this peer.
type Transfer struct {
	ID        string           `json:"id"`
	Direction string           `json:"direction" enum:"download,upload,import"`
	Name      string           `json:"name"`
	CID       string           `json:"cid,omitempty"`
	State     string           `json:"state" enum:"waiting,active,done,failed,cancelled"`
	Reason    string           `json:"reason,omitempty" doc:"Why it waits or failed"`
	Hint      string           `json:"hint,omitempty"`
	Total     int64            `json:"total" doc:"Bytes; 0 while unknown"`
	Done      int64            `json:"done" doc:"Verified bytes"`
	Resumed   int64            `json:"resumed" doc:"Bytes found from an earlier attempt"`
	Files     int64            `json:"files"`
	BPS       int64            `json:"bps"`
	ETAMillis int64            `json:"eta_ms" doc:"Time left; 0 while unknown"`
	Path      string           `json:"path,omitempty" doc:"Destination; told on the local socket only"`
	Sources   []TransferSource `json:"sources"`
	Started   time.Time        `json:"started"`
	Ended     *time.Time       `json:"ended,omitempty"`
}

// TransferSource is the other side of a transfer. A peer that both gives and takes is there once in each role.
type TransferSource struct {
	PeerID    string  `json:"peer_id"`
	Role      string  `json:"role" enum:"source,downloader" doc:"source: it gives to this peer; downloader: this peer gives to it"`
	Address   string  `json:"address"`
	Transport string  `json:"transport"`
	Why       string  `json:"why,omitempty" doc:"Why this connection and no other, in words"`
	Partial   bool    `json:"partial" doc:"It is still downloading the object itself"`
	Have      float64 `json:"have" minimum:"0" maximum:"1" doc:"Share of the object that it is known to hold"`
	Bytes     int64   `json:"bytes"`
	BPS       int64   `json:"bps"`
	State     string  `json:"state" enum:"connecting,active,idle,dropped"`
	Reason    string  `json:"reason,omitempty" doc:"Why it was dropped"`
}

// Pieces is the map of a download: its leaves in order, some in a cell. Done, Source and Asked have one byte for
// every cell, and there are at most MaxCells. Without a map (uploads, imports, before the tree has come, long after
// the end) Leaves is 0 and the lists are empty.
type Pieces struct {
	Leaves  int      `json:"leaves"`
	PerCell int      `json:"per_cell" doc:"Leaves in a cell; the last one may have fewer"`
	Done    []byte   `json:"done" doc:"Percent of the cell that is verified; 100 only when all of it is"`
	Source  []byte   `json:"source" doc:"Who gave it: 0 nobody yet or an earlier attempt, k the peer k-1 of peers, 255 several"`
	Asked   []byte   `json:"asked" doc:"1: something of the cell is asked for now"`
	Peers   []string `json:"peers"`
}

// MaxCells is how many cells a map of pieces has at most.
const MaxCells = 4096

// RateHistory is how fast the bytes of a transfer moved, for every other side of it.
type RateHistory struct {
	StepMillis int64        `json:"step_ms"`
	End        time.Time    `json:"end" doc:"When the newest value was measured: now, or the end of the transfer"`
	Series     []RateSeries `json:"series"`
}

// RateSeries is one direction between this peer and another.
type RateSeries struct {
	PeerID    string  `json:"peer_id"`
	Direction string  `json:"direction" enum:"down,up" doc:"down: it gives to this peer; up: it takes"`
	BPS       []int64 `json:"bps" doc:"Oldest first, one value a step; the last one ends at end. Shorter than the window while the peer is new"`
}

// DirEntry is one name in a directory object.
type DirEntry struct {
	Name   string `json:"name"`
	Kind   string `json:"kind" enum:"file,directory,symlink"`
	Size   int64  `json:"size"`
	CID    string `json:"cid"`
	Target string `json:"target,omitempty"`
}

// Progress is how far a long piece of work is.
type Progress struct {
	Phase     string `json:"phase" doc:"What is being done, e.g. reading, fetching, checking, reclaiming"`
	Done      int64  `json:"done"`
	Total     int64  `json:"total" doc:"0 while unknown"`
	Files     int64  `json:"files"`
	BPS       int64  `json:"bps"`
	ETAMillis int64  `json:"eta_ms"`
	Item      string `json:"item,omitempty" doc:"The file or peer it is about"`
}

// Warning is something the user should know that does not stop the work, such as a skipped socket.
type Warning struct {
	Message string `json:"message"`
}

// ShareResult ends the work of a share.
type ShareResult struct {
	Ticket Ticket `json:"ticket"`
	Entry  Entry  `json:"entry"`
}

// AddResult ends the work of an add, upload, import or pin.
type AddResult struct {
	Entry Entry `json:"entry"`
}

// GetResult ends the work of a get.
type GetResult struct {
	Path    string           `json:"path,omitempty" doc:"Where the object is now"`
	CID     string           `json:"cid"`
	Size    int64            `json:"size"`
	Files   int64            `json:"files"`
	Fetched int64            `json:"fetched" doc:"Bytes that came over the network"`
	Resumed int64            `json:"resumed" doc:"Bytes found from an earlier attempt"`
	Millis  int64            `json:"ms"`
	Sources []TransferSource `json:"sources"`
}

// GCResult ends a garbage collection.
type GCResult struct {
	Blocks     int64 `json:"blocks" doc:"Blocks removed"`
	Bytes      int64 `json:"bytes" doc:"Bytes of those blocks"`
	References int64 `json:"references" doc:"References to user files forgotten"`
	DiskBefore int64 `json:"disk_before"`
	DiskAfter  int64 `json:"disk_after"`
	Millis     int64 `json:"ms"`
}

// Finding is one thing that verify found.
type Finding struct {
	Kind    string `json:"kind" enum:"corrupt,missing,changed,unreadable" doc:"corrupt and missing: owned blocks; changed and unreadable: referenced files"`
	CID     string `json:"cid,omitempty"`
	Path    string `json:"path,omitempty"`
	EntryID string `json:"entry_id,omitempty"`
	Name    string `json:"name,omitempty"`
	Message string `json:"message"`
}

// VerifyResult ends a verification.
type VerifyResult struct {
	Blocks       int64     `json:"blocks"`
	Bytes        int64     `json:"bytes"`
	Damaged      int64     `json:"damaged" doc:"Owned blocks that are corrupt or missing"`
	ChangedFiles int64     `json:"changed_files" doc:"Referenced files that changed, vanished or cannot be read"`
	Findings     []Finding `json:"findings" doc:"At most 1000"`
}

// ShareUpdate is sent while a foreground share is watched.
type ShareUpdate struct {
	Ticket Ticket `json:"ticket"`
	Reason string `json:"reason,omitempty" doc:"Set on the last update: expired, used, revoked or handover"`
}

// LoginCode is a one-time code that opens the dashboard.
type LoginCode struct {
	Code    string    `json:"code"`
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// Event is one change of the peer's state, as the dashboard's stream carries it. Exactly one of the pointers is
// set, as Type says.
type Event struct {
	ID       uint64         `json:"id" doc:"Grows by one with every event of one run of the peer"`
	Type     string         `json:"type" enum:"transfer,entry,entry_removed,peers,rates,limits,status,network,members"`
	Time     time.Time      `json:"time"`
	Transfer *Transfer      `json:"transfer,omitempty"`
	Entry    *Entry         `json:"entry,omitempty"`
	EntryID  string         `json:"entry_id,omitempty"`
	Peers    []PeerInfo     `json:"peers,omitempty"`
	Rates    *Rates         `json:"rates,omitempty"`
	Limits   *Limits        `json:"limits,omitempty"`
	Status   *Status        `json:"status,omitempty"`
	Network  *NetworkStatus `json:"network,omitempty"`
	Members  []Member       `json:"members,omitempty" doc:"Those that changed, or all; nobody is taken off the list while the network is the same"`
}
