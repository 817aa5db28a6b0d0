//go:build !linux

package main

// hush does nothing: reading the secret stops the terminal from showing it, a moment after the question.
func hush(int) (restore func()) { return func() {} }
