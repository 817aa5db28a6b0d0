// Package testnet runs networks of real cairn processes on this machine: for the whole-node tests beside it, for
// the demo and for the benchmarks.
//
// It promises that every process works on a home of its own below a directory that the caller names, listens on
// free ports of the loopback interface only, never reads the user's own configuration or home, and is gone when
// its context ends or its owner calls Kill. It knows the peers from outside alone: the binary, its command line
// and its files. It imports nothing of the project.
//
// Goroutines: each [Proc] has one that waits for the process and two that read its output; they end with it.
package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// BinaryEnv names the variable that says which binary to run; without it one is built.
const BinaryEnv = "CAIRN_BIN"

// FindBinary returns the binary that CAIRN_BIN names, or builds cmd/cairn into dir. It fails rather than take one
// from PATH, which may be any version.
func FindBinary(ctx context.Context, dir string) (string, error) {
	if p := os.Getenv(BinaryEnv); p != "" {
		abs, err := filepath.Abs(p)
		if err != nil {
			return "", fmt.Errorf("find binary: %w", err)
		}
		if _, err := os.Stat(abs); err != nil {
			return "", fmt.Errorf("find binary: %s: %w", BinaryEnv, err)
		}
		return abs, nil
	}
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "cairn")
	if runtime.GOOS == "windows" {
		out += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "./cmd/cairn")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build cmd/cairn: %w\n%s", err, text)
	}
	return out, nil
}

// ModuleRoot is the directory of go.mod at or above the working directory.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("find module: no go.mod at or above the working directory")
		}
		dir = up
	}
}

// cleanEnv is the environment for a peer: the machine's, without what would configure a peer or lead it to the
// user's own home, and with loopback ports of its own.
func cleanEnv(home string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "CAIRN_") && !strings.HasPrefix(kv, "XDG_") {
			env = append(env, kv)
		}
	}
	return append(env,
		"CAIRN_HOME="+home,
		"CAIRN_LISTEN=/ip4/127.0.0.1/tcp/0",
		"CAIRN_MEMBER_LISTEN=/ip4/127.0.0.1/tcp/0",
		"CAIRN_HTTP=127.0.0.1:0",
		"CAIRN_MDNS=false", // networks side by side must not find each other
	)
}
