//go:build race

package web_test

// raced: the race detector watches.
const raced = true
