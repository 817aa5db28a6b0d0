// Package web is the door for people and programs: an HTTP server with two entrances, one tree of handlers and
// different rights.
//
// The unix socket has all rights: its connections come from the same user, checked by peer credentials. The TCP
// entrance is for browsers that logged in and for programs with a token. It listens on loopback; with a source of certificates
// ([certs.Source]) it speaks TLS, and then also where other machines reach it. The table of package consensus/access says which right every
// route needs, and [routes] which limits hold for it. The operations themselves are in web/api, the page in web/dashboard.
//
// It promises that every answer that is not a success has the one error body, that no state changes on GET, that
// nothing is read without a bound in size and time, that an address which others reach is refused without TLS, that every denial
// and whatever changes rights, keys and settings is told to the audit log before it is answered, and that Run ends within five seconds
// of its context. Run owns all goroutines.
package web
