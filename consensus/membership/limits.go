package membership

import "time"

// Durations of the rules.
const (
	CertificateLife = 7 * 24 * time.Hour // of a certificate, and of a join certificate
	RenewAfter      = 24 * time.Hour     // a certificate older than this is renewed when an administrator is up
	MaxSkew         = 24 * time.Hour     // a document issued further ahead of the present time is refused as from the future
	DefaultInvite   = 24 * time.Hour
	MaxInvite       = 30 * 24 * time.Hour
)

// Limits of documents and books.
const (
	MaxDoc      = 8 << 10 // bytes of one document
	MaxName     = 64      // bytes of the name of a peer or a network
	MaxZone     = 64      // bytes of a zone or a class
	MaxClasses  = 16
	MaxReason   = 128 // bytes of the reason of a revocation
	MaxUses     = 1000
	MaxContacts = 8     // in an invite
	MaxAddrs    = 8     // of a contact
	MaxMembers  = 4096  // subjects in a book
	MaxDocs     = 32768 // documents in a book
	MaxOrphans  = 1024  // documents kept aside until what gives them authority comes
)

// Room of a book that is kept for what cuts off and restores: the last reserveAll documents are the root's, the ones
// before them delegations and revocations too. A book that somebody has filled can so still be put right.
const (
	reserveRoot  = 1024
	reserveOther = 4096
)

// What a member that is no administrator can put into a book is bounded, or it could fill it: of an invite with
// n uses one member lets in n+spareUses peers at most, each by maxRepeats admissions, and it leaves maxRepeats times.
// What goes beyond counts as if its signer had no authority.
const (
	spareUses  = 16
	maxRepeats = 4
)

// maxMade is the number of administrators that one who is not the root makes; later ones have no authority. Deciding
// about administrators takes time that grows with the square of their number.
const maxMade = 64

// kept is the number of certificates of one issuer for one peer that a book keeps, newest first: the second counts
// while the first is from the future, so that one document signed with a wrong clock locks nobody out.
const kept = 2

// maxTime is the end of year 9999, the last that RFC 3339 can write.
const maxTime = 253402300799
