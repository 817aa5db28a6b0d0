// Package config says how a peer is configured: config.toml in the home, then the environment (CAIRN_*), then flags,
// the later before the earlier.
//
// [Keys] is the one table of keys: names, kinds, defaults, help, variables, flags, what a browser may set and what
// holds without a restart. Everything else (loading, messages, `cairn config doc`, completion) is made from it.
//
// [Load] is pure: bytes of a file, variables and flags become a [Config] and, for every key, its value and where it
// comes from, or problems with line and column. [Edit] is pure too: it changes one key in the text of a file and
// leaves every other byte as it is. [Source] is the edge to the disk: it reads without ever waiting for a pipe, and
// replaces the file as a whole, synced, so that a crash leaves the old or the new one.
//
// The package does not apply anything: package node does. It starts no goroutine.
package config
