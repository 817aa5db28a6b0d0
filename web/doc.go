// Package web is the door for people and programs on this machine: an HTTP server with two entrances, one tree
// of handlers and different rights.
//
// The unix socket has all rights: its connections come from the same user, checked by peer credentials. The TCP
// entrance is for browsers and listens on loopback only; one table ([routes]) says which right every route
// needs. The operations themselves are in web/api, the page in web/dashboard.
//
// It promises that every answer that is not a success has the one error body, that no state changes on GET, that
// nothing is read without a bound in size and time, and that Run ends within five seconds of its context. It does
// not encrypt, so it refuses addresses that others can reach. Run owns all goroutines.
package web
