package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type limitOptions struct {
	up, down speed
	peer     string
	hours    hourSpan
	days     dayList
	clear    bool
}

func newLimit(e *env) *cobra.Command {
	var o limitOptions
	c := &cobra.Command{
		Use:   "limit",
		Short: "Show or change limits of bandwidth",
		Long: `Show the limits of bandwidth, or change them: for all peers together, for one peer (--peer), or
for all peers at certain hours (--hours). A change holds at once, also for transfers that run,
and is kept when the peer ends.

The limit of a single peer holds besides the one for all. The first line of hours that covers
the time, by the clock of this machine, replaces the limits for all; --days names the days on
which the hours begin. Downloaders share a limit evenly, however many connections they have.

Rates are bytes (5MB/s, 512KiB) or bits (40Mbit/s) per second, none for no limit. A direction
that is not named stays as it is. --clear alone removes all limits.`,
		Example: `  cairn limit --up 5MB/s
  cairn limit --hours 22:00-06:00 --days mon-fri --up none --down none
  cairn limit --peer 12D3KooW... --down 40Mbit/s
  cairn limit --peer 12D3KooW... --clear`,
		GroupID: groupPeer,
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.peer == "" && cmd.Flags().Changed("peer") {
				return usagef("--peer names no peer").WithHint("without --peer the limits are for all peers together")
			}
			return runLimit(cmd.Context(), e, o)
		},
	}
	f := c.Flags()
	f.Var(&o.up, "up", "what may be sent, such as 5MB/s or 40Mbit/s; none: no limit")
	f.Var(&o.down, "down", "what may be received; none: no limit")
	f.StringVar(&o.peer, "peer", "", "the limits are for the peer of this `ID`")
	f.Var(&o.hours, "hours", "the limits are for these hours, such as 22:00-06:00")
	f.Var(&o.days, "days", "days on which --hours begin, such as mon-fri or sat,sun (default: every day)")
	f.BoolVar(&o.clear, "clear", false, "remove the limits of --peer or --hours, or all")
	completeLimit(e, c)
	return c
}

func runLimit(ctx context.Context, e *env, o limitOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	var l api.Limits
	err := e.withPeer(ctx, peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		if l, err = p.Limits(ctx); err != nil || !o.changes() {
			return err
		}
		if l, err = o.apply(l); err == nil {
			l, err = p.SetLimits(ctx, l)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := printLimits(e, l); err != nil || l.Problem == "" {
		return err
	}
	return api.Errorf(api.CodeFailed, "%s", l.Problem).WithHint("correct the file or move it away, then set the limits again")
}

func (o limitOptions) changes() bool { return o.clear || o.up.given || o.down.given }

// check refuses flags that do not go together.
func (o limitOptions) check() error {
	const forms = "say what may move with --up and --down, or --clear"
	switch {
	case o.peer != "" && o.hours.from != "":
		return usagef("--peer and --hours do not go together").WithHint("hours are for all peers; limit one peer or certain hours")
	case o.days.names != nil && o.hours.from == "":
		return usagef("--days needs --hours").WithHint("for whole days write --hours 00:00-24:00")
	case o.clear && (o.up.given || o.down.given):
		return usagef("--clear removes limits, --up and --down set them").WithHint("to lift one direction only write --up none")
	case o.peer != "" && !o.changes():
		return usagef("--peer alone changes nothing").WithHint(forms)
	case o.hours.from != "" && !o.changes():
		return usagef("--hours alone changes nothing").WithHint(forms)
	}
	return nil
}

// apply makes the limits that are wanted of those that are.
func (o limitOptions) apply(l api.Limits) (api.Limits, error) {
	switch {
	case o.peer != "":
		return o.applyPeer(l)
	case o.hours.from != "":
		return o.applyHours(l)
	case o.clear:
		return api.Limits{}, nil
	}
	o.set(&l.Up, &l.Down)
	return l, nil
}

func (o limitOptions) set(up, down *int64) {
	if o.up.given {
		*up = o.up.n
	}
	if o.down.given {
		*down = o.down.n
	}
}

func (o limitOptions) applyPeer(l api.Limits) (api.Limits, error) {
	i := slices.IndexFunc(l.Peers, func(p api.PeerLimit) bool { return p.PeerID == o.peer })
	l.Peers = slices.Clone(l.Peers)
	if o.clear {
		if i < 0 {
			return l, api.Errorf(api.CodeNotFound, "peer %s has no limits of its own", o.peer).WithHint("`cairn limit` lists those that have")
		}
		l.Peers = slices.Delete(l.Peers, i, i+1)
		return l, nil
	}
	if i < 0 {
		i = len(l.Peers)
		l.Peers = append(l.Peers, api.PeerLimit{PeerID: o.peer})
	}
	if o.set(&l.Peers[i].Up, &l.Peers[i].Down); l.Peers[i].Up == 0 && l.Peers[i].Down == 0 {
		l.Peers = slices.Delete(l.Peers, i, i+1)
	}
	return l, nil
}

func (o limitOptions) applyHours(l api.Limits) (api.Limits, error) {
	same := func(h api.HourLimit) bool {
		return h.From == o.hours.from && h.To == o.hours.to && sameDays(h.Days, o.days.names)
	}
	l.Hours = slices.Clone(l.Hours)
	if o.clear {
		before := len(l.Hours)
		l.Hours = slices.DeleteFunc(l.Hours, func(h api.HourLimit) bool {
			return same(h) || o.days.names == nil && h.From == o.hours.from && h.To == o.hours.to
		})
		if len(l.Hours) == before {
			return l, api.Errorf(api.CodeNotFound, "there are no limits for %s", hourText(o.hours.from, o.hours.to, o.days.names)).
				WithHint("`cairn limit` lists those that are")
		}
		return l, nil
	}
	i := slices.IndexFunc(l.Hours, same)
	if i < 0 {
		if !o.up.given || !o.down.given {
			return l, usagef("limits for new hours need both --up and --down").WithHint("they replace both of the usual limits; none is no limit")
		}
		i = len(l.Hours)
		l.Hours = append(l.Hours, api.HourLimit{Days: o.days.names, From: o.hours.from, To: o.hours.to})
	}
	o.set(&l.Hours[i].Up, &l.Hours[i].Down)
	return l, nil
}

// sameDays compares lists of days; an empty one is every day.
func sameDays(a, b []string) bool {
	all := func(days []string) []string {
		if len(days) == 0 {
			return week[:]
		}
		return days
	}
	a, b = all(a), all(b)
	return len(a) == len(b) && !slices.ContainsFunc(a, func(d string) bool { return !slices.Contains(b, d) })
}

func printLimits(e *env, l api.Limits) error {
	if e.json {
		return e.line(l)
	}
	t := newTable("FOR", ">UP", ">DOWN")
	t.row("all peers", speedText(l.Up), speedText(l.Down))
	for _, h := range l.Hours {
		t.row("all peers "+hourText(h.From, h.To, h.Days), speedText(h.Up), speedText(h.Down))
	}
	for _, p := range l.Peers {
		t.row(p.PeerID, speedText(p.Up), speedText(p.Down))
	}
	t.row("now", speedText(l.Effective.Up), speedText(l.Effective.Down))
	if err := t.print(e.stdout); err != nil {
		return err
	}
	e.note("now: %s", clean(l.Effective.Reason))
	return nil
}

// hourText is like "22:00-06:00 mon-fri".
func hourText(from, to string, days []string) string {
	s := from + "-" + to
	if !sameDays(days, nil) {
		s += " " + dayText(days)
	}
	return s
}

// completeLimit completes values of the flags from what the running peer says.
func completeLimit(e *env, c *cobra.Command) {
	register := func(flag string, words func(ctx context.Context, p remote) []string) {
		err := c.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			var found []string
			if e.findHome() == nil {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), completionWait)
				defer cancel()
				if p, _, err := e.greet(ctx); err == nil {
					defer p.Close()
					found = words(ctx, p)
				}
			}
			return found, cobra.ShellCompDirectiveNoFileComp
		})
		if err != nil {
			panic(err) // a flag that is not there
		}
	}
	register("peer", func(ctx context.Context, p remote) (ids []string) {
		peers, _ := p.Peers(ctx)
		for _, x := range peers {
			ids = append(ids, x.PeerID+"\t"+clean(x.Address))
		}
		l, _ := p.Limits(ctx)
		for _, x := range l.Peers {
			ids = append(ids, x.PeerID+"\thas limits")
		}
		return ids
	})
	register("hours", func(ctx context.Context, p remote) (spans []string) {
		l, _ := p.Limits(ctx)
		for _, h := range l.Hours {
			spans = append(spans, h.From+"-"+h.To+"\t"+strings.Join(h.Days, ","))
		}
		return spans
	})
	fixed := func(flag string, words ...string) {
		if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err)
		}
	}
	fixed("up", "none", "1MB/s", "10MB/s")
	fixed("down", "none", "1MB/s", "10MB/s")
	fixed("days", "mon-fri", "sat,sun")
}
