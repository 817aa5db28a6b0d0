package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// refresh reads the lists of packages, once.
var refresh = sync.OnceValue(func() error { return aptGet(context.Background(), "update", "-q") })

// install gets a package of Debian's where root runs this; it starts no service. The error says what is missing.
func install(ctx context.Context, name string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s is not installed", name)
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%s is not installed, and there is no apt-get", name)
	}
	fmt.Fprintf(os.Stderr, "installing %s with apt-get\n", name)
	// Lists that could not be read anew may still do.
	if err := errors.Join(refresh(), aptGet(ctx, "install", "-y", "-q", "--no-install-recommends", name)); err != nil {
		if _, missing := os.Stat("/var/lib/dpkg/info/" + name + ".list"); missing != nil {
			return fmt.Errorf("%s is not installed, and can not be: %w", name, err)
		}
	}
	return nil
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1") // 1: start nothing
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w: %.200s", args[0], err, out)
	}
	return nil
}

// program finds a program, or installs the package that has it.
func program(ctx context.Context, name, from string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	if err := install(ctx, from); err != nil {
		return "", err
	}
	return exec.LookPath(name)
}

// reason is an error as a table shows it: its first line.
func reason(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if len(text) > 120 {
		text = text[:120] + "..."
	}
	return "not measured: " + strings.ReplaceAll(text, "|", "/")
}
