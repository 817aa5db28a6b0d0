package main

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"cairn/node/config"
	"cairn/web/api"
)

func newConfigValidate(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check a configuration without using it",
		Long: `Check the configuration of the data directory with the variables of this environment, or FILE
alone, and list everything that is wrong, each with its line and column. Exit code 2 means that
something is.`,
		Args: wantArgs(0, 1),
		RunE: func(_ *cobra.Command, args []string) error { return runConfigValidate(e, args) },
	}
}

// problemLine is a problem as validate --json prints it.
type problemLine struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Var     string `json:"var,omitempty"` // variable or flag
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// validLine is what validate --json prints last.
type validLine struct {
	Event    string `json:"event"`
	File     string `json:"file"`
	Valid    bool   `json:"valid"`
	Problems int    `json:"problems"`
}

func runConfigValidate(e *env, args []string) error {
	source, err := config.NewSource(e.home, e.configFlags(nil))
	if err != nil {
		return err
	}
	path := source.Path()
	if len(args) > 0 {
		if path, err = absolute(args[0]); err != nil {
			return err
		}
	}
	data, err := config.ReadFile(path)
	absent := len(args) == 0 && errors.Is(err, fs.ErrNotExist)
	if err != nil && !absent {
		return err
	}
	in := config.Input{Home: e.home, File: path, Data: data}
	if len(args) == 0 {
		in.Env, in.Flags = source.Env, source.Flags
	}
	l, probs := config.Load(in)
	if len(probs) == 0 {
		for _, w := range l.Warnings {
			e.warn("%s", w)
		}
		if absent {
			e.note("%s is not there: the defaults hold", path)
		} else {
			e.note("%s is good", path)
		}
		if e.json {
			return e.line(validLine{"end", path, true, 0})
		}
		return nil
	}
	for _, p := range probs {
		if e.json {
			if err := e.line(problemLine{p.File, p.Line, p.Column, p.Var, p.Key, p.Message, p.Hint}); err != nil {
				return err
			}
			continue
		}
		if err := e.printf("%s\n  hint: %s\n", clean(p.String()), clean(p.Hint)); err != nil {
			return err
		}
	}
	if e.json {
		if err := e.line(validLine{"end", path, false, len(probs)}); err != nil {
			return err
		}
	}
	return api.Errorf(api.CodeUsage, "%s: %s", path, count(int64(len(probs)), "problem")).WithHint("correct what is listed above; no peer starts with it")
}

type configDocOptions struct{ markdown bool }

func newConfigDoc(e *env) *cobra.Command {
	var o configDocOptions
	c := &cobra.Command{
		Use:   "doc [KEY]",
		Short: "Explain every key",
		Long:  `Explain every key of the configuration: what it is, its default, where it may stand, and whether a change needs a restart.`,
		Args:  wantArgs(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			key := ""
			if len(args) > 0 {
				key = args[0]
			}
			return runConfigDoc(e, o, key)
		},
		ValidArgsFunction: completeKeys(e),
	}
	c.Flags().BoolVar(&o.markdown, "markdown", false, "print a table in Markdown")
	return c
}

// keyLine is a key as doc --json prints it.
type keyLine struct {
	Key     string   `json:"key"`
	Kind    string   `json:"kind"`
	Default string   `json:"default"`
	Choices []string `json:"choices,omitempty"`
	Help    string   `json:"help"`
	Example string   `json:"example"`
	Env     string   `json:"env"`
	Flag    string   `json:"flag,omitempty"`
	Reload  bool     `json:"reload"`
}

func runConfigDoc(e *env, o configDocOptions, name string) error {
	keys := config.Keys()
	if name != "" {
		k, ok := config.Find(name)
		if !ok {
			return config.Unknown(name)
		}
		keys = []config.Key{k}
	}
	switch {
	case e.json:
		for _, k := range keys {
			if err := e.line(keyLine{k.Name, string(k.Kind), k.Default, k.Choices, k.Help, k.Example, k.Env(), k.Flag, k.Reload}); err != nil {
				return err
			}
		}
		return nil
	case o.markdown:
		return e.printf("%s", config.Markdown(keys))
	}
	return e.printf("%s", config.Doc(keys))
}

// completeKeys completes the name of a key and, for set, its value.
func completeKeys(e *env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) (words []string, _ cobra.ShellCompDirective) {
		const no = cobra.ShellCompDirectiveNoFileComp
		if len(args) == 0 {
			for _, k := range config.Keys() {
				words = append(words, k.Name+"\t"+k.Help)
			}
			return words, no
		}
		k, ok := config.Find(args[0])
		if !ok || cmd.Name() != "set" || len(args) > 1 && k.Kind != config.List {
			return nil, no
		}
		switch {
		case k.Choices != nil:
			return k.Choices, no
		case k.Kind == config.Switch:
			return []string{"true", "false"}, no
		case k.Path:
			return nil, cobra.ShellCompDirectiveDefault
		case k.Name == "log.level":
			return []string{"debug", "info", "warn", "error"}, no
		}
		words = append(words, k.Example+"\tfor example")
		now := e.complete(cmd, func(ctx context.Context, p remote) (now []string) {
			all, _ := p.Settings(ctx)
			for _, x := range all {
				if x.Key == k.Name && x.Value != "" && !strings.Contains(x.Value, "\t") {
					now = append(now, x.Value+"\tas it is")
				}
			}
			return now
		})
		return append(now, words...), no
	}
}
