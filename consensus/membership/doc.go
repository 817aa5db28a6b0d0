// Package membership says who belongs to a network and why: the forms of charters, delegations, certificates,
// invites, joins, admissions, revocations and settlements, their signatures, and the verdict about a peer that follows from a set of
// them.
//
// Everything is a [Doc]: a libp2p signed envelope whose payload is one protobuf message. Documents are never
// changed; a [Book] is a set of them that only grows, so two books that have merged the same documents, in any order, give the same
// verdicts. A book takes time as an argument, reads no clock, does no I/O and starts no goroutine.
//
// It promises that bytes from outside never panic and are bounded, that no document counts whose signature, network or
// chain up to the root is wrong, and that nobody gets more rights than whoever vouched for him has.
package membership
