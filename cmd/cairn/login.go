package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type loginOptions struct{ noOpen bool }

func newLogin(e *env) *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Open the dashboard in the browser",
		Long: `Make a one-time code for the dashboard of the running peer and open the browser with it. The
address with the code is printed on stdout; it works once, within two minutes, on this machine.`,
		Example: `  cairn login
  cairn login --no-open      only print the address`,
		GroupID: groupPeer,
		Args:    wantArgs(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runLogin(cmd.Context(), e, o) },
	}
	cmd.Flags().BoolVar(&o.noOpen, "no-open", false, "do not open the browser")
	return cmd
}

type loginLine struct {
	Code    string    `json:"code"`
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

func runLogin(ctx context.Context, e *env, o loginOptions) error {
	var code api.LoginCode
	err := e.withPeer(ctx, peerNeed{running: true, again: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		code, err = p.LoginCode(ctx)
		return err
	})
	if err != nil {
		return err
	}
	url := loginURL(code)
	if e.json {
		return e.line(loginLine{code.Code, url, code.Expires})
	}
	if err := e.printf("%s\n", clean(url)); err != nil {
		return err
	}
	if o.noOpen || !e.stdoutTTY {
		return nil
	}
	if err := openBrowser(url); err != nil {
		e.note("no browser could be opened here; open the address above yourself")
	}
	return nil
}

// loginURL is the address that logs in: the code stands behind the #, which a browser never sends.
func loginURL(c api.LoginCode) string {
	if strings.Contains(c.URL, "#") {
		return c.URL
	}
	return strings.TrimSuffix(c.URL, "/") + "/#login=" + c.Code
}
