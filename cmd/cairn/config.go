package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cairn/node/config"
	"cairn/web/api"
)

func newConfig(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Show, change and check the configuration",
		Long: `Show, change and check how the peer is configured: config.toml in the data directory, else the
environment, else flags of "cairn up", the later before the earlier. "cairn config doc" explains
every key.

A change goes into config.toml and leaves comments and everything else there as it is. Where a
peer runs, it makes the change and says whether it holds at once or after a restart.`,
		Example: `  cairn config show --origin
  cairn config set name attic
  cairn config set reserve 10GiB
  cairn config unset log.level
  cairn config validate`,
		GroupID: groupPeer,
		Args:    refuseSubcommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newConfigShow(e), newConfigSet(e), newConfigUnset(e), newConfigValidate(e), newConfigDoc(e), newConfigReload(e))
	return c
}

type configShowOptions struct {
	origin bool
	key    string // "": all
}

func newConfigShow(e *env) *cobra.Command {
	var o configShowOptions
	c := &cobra.Command{
		Use:   "show [KEY]",
		Short: "Show the values that hold",
		Long: `Show the values that hold: of the running peer if there is one, else those with which one would
start here. With a KEY its value stands alone on stdout. --origin tells where each comes from.`,
		Args:              wantArgs(0, 1),
		ValidArgsFunction: completeKeys(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.key = args[0]
			}
			return runConfigShow(cmd.Context(), e, o)
		},
	}
	c.Flags().BoolVar(&o.origin, "origin", false, "tell where each value comes from")
	return c
}

func runConfigShow(ctx context.Context, e *env, o configShowOptions) error {
	var key config.Key
	if o.key != "" {
		var ok bool
		if key, ok = config.Find(o.key); !ok {
			return config.Unknown(o.key)
		}
	}
	var all []api.Setting
	err := e.settings(ctx, func(s api.Settings) (err error) {
		all, err = s.Settings(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if o.key != "" {
		i := slices.IndexFunc(all, func(x api.Setting) bool { return x.Key == key.Name })
		if i < 0 {
			return api.Errorf(api.CodeUnavailable, "the running peer does not know the key %s", key.Name).WithHint("restart it with this version")
		}
		all = all[i : i+1]
	}
	switch {
	case e.json:
		return eachLine(e, all)
	case o.key != "" && !o.origin:
		if err := e.printf("%s\n", clean(all[0].Value)); err != nil {
			return err
		}
	case o.origin:
		t := newTable("KEY", "VALUE", "FROM", "WHERE")
		for _, x := range all {
			t.row(x.Key, valueText(x), x.Origin, orDash(x.Where))
		}
		if err := t.print(e.stdout); err != nil {
			return err
		}
	default:
		t := newTable("KEY", "VALUE")
		for _, x := range all {
			t.row(x.Key, valueText(x))
		}
		if err := t.print(e.stdout); err != nil {
			return err
		}
	}
	e.notePending(all)
	return nil
}

// valueText is a value in a table.
func valueText(x api.Setting) string { return firstOf(x.Value, "-") }

func orDash(s string) string { return firstOf(s, "-") }

// notePending tells what does not hold yet.
func (e *env) notePending(all []api.Setting) {
	for _, x := range all {
		if x.Pending != "" {
			e.note("%s", clean(pendingText(x)))
		}
	}
}

func pendingText(x api.Setting) string {
	when := "after a restart of the peer"
	if x.Reload {
		when = "after `cairn config reload`"
	}
	if x.Pending == "default" {
		return fmt.Sprintf("%s: the default holds %s", x.Key, when)
	}
	return fmt.Sprintf("%s: %s holds %s", x.Key, x.Pending, when)
}

func newConfigSet(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "set KEY VALUE...",
		Short: "Write a key into config.toml",
		Long: `Write a key into config.toml of the data directory. Comments, order and everything else in the
file stay as they are. The whole configuration is checked before anything is written, and a crash
leaves the old or the new file. Several VALUEs make a list.`,
		Example: `  cairn config set name attic
  cairn config set http.names attic.home.arpa 192.168.1.5
  cairn config set log.level info,swarm=debug`,
		Args:              wantArgs(2, -1),
		ValidArgsFunction: completeKeys(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := settingValue(args[0], args[1:])
			if err != nil {
				return err
			}
			return runConfigSet(cmd.Context(), e, args[0], value)
		},
	}
}

// settingValue makes one value of the arguments for a key.
func settingValue(name string, values []string) (string, error) {
	k, ok := config.Find(name)
	if !ok {
		return "", config.Unknown(name)
	}
	value := strings.Join(values, ",")
	switch {
	case strings.Trim(value, ", ") == "":
		return "", usagef("%s: the value is empty", k.Name).WithHint("`cairn config unset %s` makes the default hold", k.Name)
	case len(values) > 1 && k.Kind != config.List:
		return "", usagef("%s takes one value, not %d", k.Name, len(values)).WithHint("put a value with spaces between quotation marks")
	case k.Path:
		return absolute(value)
	}
	return value, nil
}

func newConfigUnset(e *env) *cobra.Command {
	return &cobra.Command{
		Use:               "unset KEY",
		Short:             "Take a key out of config.toml",
		Long:              `Take a key out of config.toml, so that the default holds, or what a variable or flag says.`,
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeKeys(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runConfigSet(cmd.Context(), e, args[0], "")
		},
	}
}

// runConfigSet changes a key; an empty value takes it out.
func runConfigSet(ctx context.Context, e *env, name, value string) error {
	k, ok := config.Find(name)
	if !ok {
		return config.Unknown(name)
	}
	var x api.Setting
	running := false
	err := e.settings(ctx, func(s api.Settings) (err error) {
		_, here := s.(fileSettings)
		running = !here
		x, err = s.SetSetting(ctx, k.Name, value)
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(x)
	}
	switch {
	case x.Pending != "":
		e.note("%s", clean(pendingText(x)))
	case x.Origin == string(config.FromEnv) || x.Origin == string(config.FromFlag):
		e.warn("%s: %s holds, because %s wins over config.toml", x.Key, x.Value, x.Where)
	case !running:
		e.note("%s: %s holds when the peer starts", x.Key, clean(firstOf(x.Value, "the default")))
	default:
		e.note("%s: %s holds now", x.Key, clean(firstOf(x.Value, "the default")))
	}
	return nil
}

func newConfigReload(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make the running peer read its configuration again",
		Long: `Make the running peer read its configuration again (SIGHUP does the same) and say what holds only
after a restart. A configuration that can not be used changes nothing.`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runConfigReload(cmd.Context(), e) },
	}
}

func runConfigReload(ctx context.Context, e *env) error {
	return e.withPeer(ctx, peerNeed{running: true}, func(ctx context.Context, p remote, _ api.Status) error {
		all, err := p.Reload(ctx)
		if err != nil {
			return err
		}
		if e.json {
			return eachLine(e, all)
		}
		e.note("the configuration holds")
		e.notePending(all)
		return nil
	})
}

// reloadOwn makes the peer of this process read its configuration again. Its log tells how that went.
func (e *env) reloadOwn(ctx context.Context) {
	p, _, err := e.greet(ctx)
	if err != nil {
		e.warn("the configuration was not read again: %s", explain(err).Message)
		return
	}
	defer p.Close()
	_, _ = p.Reload(ctx)
}

// settings works with the configuration of the running peer, or with that of the home itself where none runs.
func (e *env) settings(ctx context.Context, work func(api.Settings) error) error {
	p, _, err := e.greet(ctx)
	if errors.Is(err, errNobody) {
		s, err := config.NewSource(e.home, e.configFlags(nil))
		if err != nil {
			return err
		}
		return work(fileSettings{e, s})
	}
	if err != nil {
		return err
	}
	defer p.Close()
	return work(p)
}

// fileSettings is the configuration of a home whose peer does not run.
type fileSettings struct {
	e    *env
	from config.Source
}

func (s fileSettings) Settings(context.Context) ([]api.Setting, error) {
	l, err := s.from.Load()
	if err != nil {
		return nil, err
	}
	for _, w := range l.Warnings {
		s.e.warn("%s", w)
	}
	var all []api.Setting
	for _, x := range l.Settings {
		all = append(all, x.API())
	}
	return all, nil
}

func (s fileSettings) SetSetting(ctx context.Context, key, value string) (api.Setting, error) {
	l, err := s.from.Set(ctx, key, value)
	if err != nil {
		return api.Setting{}, err
	}
	return l.Get(key).API(), nil
}

func (s fileSettings) Reload(ctx context.Context) ([]api.Setting, error) { return s.Settings(ctx) }
