// Package admission decides on the wire who is let into a network, and tells members of each other: joining with an invite, the certificate
// hello at the door, the members exchange on every connection, renewal, and the gate of the member host. What counts is decided by package
// membership; this package carries documents, makes them effective, and keeps the members connected. DESIGN.md describes the protocols.
//
// It promises that nobody is admitted without a certificate in force and that a stranger learns nothing but "refused"; that one redemption of
// an invite is synced before it is answered, so that the same peer gets the same answer after a crash; that a revocation is effective, and on
// its way to everybody connected, as soon as it has come, and synced before it is confirmed; and that everything from outside is
// bounded in bytes, number and time.
//
// It does not make hosts, does not keep records itself (see Store) and does not agree with others on who has used an invite: of two that
// were admitted apart the earlier stays, see package membership.
//
// Goroutines belong to Run, which returns when all have ended; handlers passed to Handle belong to their makers. Join owns its own.
package admission
