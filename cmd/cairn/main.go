// Command cairn shares files between machines and runs a peer that keeps and serves them.
//
// It is a thin door: a command reads its flags, asks a peer over the socket of its home and prints the answer.
// Where no peer runs, the command becomes one for as long as it and the commands that joined it work (host.go).
//
// Promises to scripts: a value that a command exists to print (a ticket, a CID) is alone on stdout; with --json
// stdout holds one JSON object per line and nothing else; stderr holds notes, progress and at most one error; the
// exit code says what kind of failure it was (exit.go). Text from outside is printed with its control characters
// escaped.
//
// Every command is one file with three parts: a constructor (newShare), its options (shareOptions) and its run
// (runShare). It never opens the store nor a file of the user's, but for what passes through stdin and stdout,
// and for a configuration file (config.go).
package main

import (
	"io"
	"os"
)

// version is the release, stamped by the linker (-X main.version=v1.2.3).
var version string

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run carries out one command line and returns its exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, sig := catchSignals(os.Exit)
	e := newEnv(stdin, stdout, stderr, sig)
	root := newRoot(e)
	e.json = wantsJSON(args)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return e.report(err)
}

// wantsJSON looks for --json by hand: an error in the flags themselves is to be told in the asked form too.
func wantsJSON(args []string) bool {
	for _, a := range args {
		switch a {
		case "--json", "--json=true":
			return true
		case "--":
			return false
		}
	}
	return false
}
