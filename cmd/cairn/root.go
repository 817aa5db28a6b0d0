package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cairn/web/api"
)

// Groups of commands in the help text.
const (
	groupShare   = "share"
	groupLibrary = "library"
	groupNetwork = "network"
	groupPeer    = "peer"
)

// newRoot makes the command tree.
func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "cairn",
		Short: "Share files between machines, verified and without a server",
		Long: `Cairn moves files from one machine to another, straight and verified, with no server in
between. On the one machine:

  cairn share big.iso

prints a ticket. On the other one

  cairn get TICKET

fetches the file, checks every byte and goes on where it stopped if it was interrupted.

With "cairn init" and "cairn invite" your machines become a private network, whose members
fetch from each other by CID, without tickets.

A command that needs a peer uses the one that runs for its data directory (cairn up) and
becomes one itself when there is none, for as long as it works.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 not found, 4 not permitted, 5 damaged content,
6 not reachable or timed out, 7 no space, 10 no data directory, 11 data directory in use,
12 wrong key.`,
		Example: `  cairn share holiday/             share a directory, print a ticket
  cairn get @ticket.txt -o /data   fetch with the ticket that a file holds
  cairn up                         keep a peer running, with a dashboard
  cairn login                      open the dashboard in the browser`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              refuseSubcommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { return e.begin() },
	}
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetFlagErrorFunc(explainFlag)
	f := root.PersistentFlags()
	f.StringVar(&e.home, "home", "", "`DIR` with the peer's data (default: CAIRN_HOME, else in the user's data directory)")
	f.BoolVar(&e.json, "json", false, "print one JSON object per line")
	f.BoolVarP(&e.quiet, "quiet", "q", false, "no notes and no progress")
	f.Var(&e.passphraseFD, "passphrase-fd", "read the passphrase of the keys from this file descriptor, one line")
	f.StringVar(&e.logLevel, "log-level", "", "`LEVEL` of the log: debug, info, warn or error; PART=LEVEL for one part")
	f.StringVar(&e.logFormat, "log-format", "", "`FORMAT` of the log: text or json")
	e.elsewhere.flags(f)
	root.AddGroup(
		&cobra.Group{ID: groupShare, Title: "Share and fetch:"},
		&cobra.Group{ID: groupLibrary, Title: "What this peer has:"},
		&cobra.Group{ID: groupNetwork, Title: "Your own network:"},
		&cobra.Group{ID: groupPeer, Title: "The peer itself:"},
	)
	root.AddCommand(
		newShare(e), newUnshare(e), newGet(e),
		newAdd(e), newLs(e), newCat(e), newRm(e), newRestore(e), newPin(e), newExport(e), newImport(e), newGC(e), newVerify(e),
		newInit(e), newInvite(e), newJoin(e), newMembers(e), newRevoke(e), newLeave(e), newRename(e), newNetwork(e),
		newUp(e), newLogin(e), newStatus(e), newPeers(e), newTransfers(e), newLimit(e), newConfig(e), newKey(e), newToken(e), newAudit(e), newCA(e), newID(e), newVersion(e), newDocs(),
	)
	root.SetHelpCommand(newHelp())
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.GroupID = groupPeer
		c.Args = refuseSubcommand
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	return root
}

// refuseSubcommand is for a command that has subcommands and takes nothing else.
func refuseSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	return nil
}

// newHelp makes the command help, which unlike cobra's own fails for a command that is not there.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Explain a command",
		GroupID: groupPeer,
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), strings.Join(args, " "))
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range cmd.Root().Commands() {
				if len(args) == 0 && c.IsAvailableCommand() {
					names = append(names, c.Name()+"\t"+c.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// begin settles the global flags once the command line is understood.
func (e *env) begin() error {
	e.started = true
	if err := refuseEnvironment(); err != nil {
		return err
	}
	if _, _, err := e.logger("", "info", ""); err != nil {
		return err // told even where another process is the peer and no log is written
	}
	return e.findHome()
}

// findHome makes the data directory's path absolute: --home, else CAIRN_HOME, else the default.
func (e *env) findHome() error {
	home := firstOf(e.home, os.Getenv("CAIRN_HOME"), defaultHome())
	if home == "" {
		return api.Errorf(api.CodeNoHome, "no data directory: this user has no home directory").
			WithHint("name one with --home or CAIRN_HOME")
	}
	abs, err := filepath.Abs(home)
	if err != nil {
		return fmt.Errorf("find the working directory: %w", err)
	}
	e.home = abs
	return nil
}

// unknownCommand is the failure of parent to find its subcommand name.
func unknownCommand(parent *cobra.Command, name string) error {
	err := usagef("unknown command %q", name)
	parent.SuggestionsMinimumDistance = 2
	path := parent.CommandPath()
	if s := parent.SuggestionsFor(name); len(s) > 0 {
		return err.WithHint("did you mean `%s %s`?", path, strings.Join(s, "` or `"+path+" "))
	}
	return err.WithHint("`%s --help` lists the commands", path)
}

// explainFlag puts the parser's complaint about a flag into our words.
func explainFlag(cmd *cobra.Command, err error) error {
	var (
		absent *pflag.NotExistError
		value  *pflag.InvalidValueError
		need   *pflag.ValueRequiredError
		syntax *pflag.InvalidSyntaxError
	)
	help := fmt.Sprintf("`%s --help` lists the flags", cmd.CommandPath())
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return err
	case errors.As(err, &absent):
		name := "--" + absent.GetSpecifiedName()
		if short := absent.GetSpecifiedShortnames(); short != "" {
			name = "-" + absent.GetSpecifiedName()
			if _, err := os.Lstat("-" + short); err == nil {
				return usagef("unknown flag %s", name).WithHint("for the file of that name write ./-%s", short)
			}
		} else if s := closestFlag(cmd, absent.GetSpecifiedName()); s != "" {
			return usagef("unknown flag %s", name).WithHint("did you mean --%s?", s)
		}
		return usagef("unknown flag %s", name).WithHint("%s", help)
	case errors.As(err, &value):
		var x *api.Error
		if errors.As(err, &x) {
			return api.Errorf(x.Code, "--%s %q: %s", value.GetFlag().Name, value.GetValue(), x.Message).WithHint("%s", firstOf(x.Hint, help))
		}
		return usagef("--%s %q: not a %s", value.GetFlag().Name, value.GetValue(), value.GetFlag().Value.Type()).WithHint("%s", help)
	case errors.As(err, &need):
		return usagef("flag --%s needs a value", need.GetFlag().Name).WithHint("%s", help)
	case errors.As(err, &syntax):
		return usagef("%q is not a flag", syntax.GetSpecifiedFlag()).WithHint("%s", help)
	}
	return usagef("%s", err)
}

// closestFlag finds the flag of cmd that was probably meant by name.
func closestFlag(cmd *cobra.Command, name string) string {
	best, at := "", 3 // more than two edits away is another word
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); !f.Hidden && d < at {
			best, at = f.Name, d
		}
		if len(name) > 2 && strings.HasPrefix(f.Name, name) && at > 0 {
			best, at = f.Name, 0
		}
	})
	return best
}

// distance is the Levenshtein distance of two short texts.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// wantArgs checks the number of arguments; most < 0: any number.
func wantArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		usage := "usage: " + cmd.UseLine()
		switch {
		case len(args) < least:
			return usagef("%s: %s missing", cmd.Name(), argName(cmd, len(args))).WithHint("%s", usage)
		case most >= 0 && len(args) > most:
			return usagef("%s: %q is one argument too many", cmd.Name(), args[most]).WithHint("%s", usage)
		}
		return nil
	}
}

// argName is the name that cmd's usage line gives its i-th argument.
func argName(cmd *cobra.Command, i int) string {
	words := strings.Fields(cmd.Use)[1:]
	if i >= len(words) {
		return "an argument is"
	}
	return strings.TrimSuffix(words[i], "...") + " is"
}
