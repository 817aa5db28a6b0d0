package main

import (
	"maps"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cairn/node/config"
)

// configFlags adds to flags that are configuration keys those of every command.
func (e *env) configFlags(flags map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, flags)
	for key, value := range map[string]string{"log.level": e.logLevel, "log.format": e.logFormat} {
		if value != "" {
			all[key] = value
		}
	}
	return all
}

// addConfigFlags gives a command the flags of the configuration's keys.
func addConfigFlags(cmd *cobra.Command) {
	for _, k := range config.Keys() {
		if k.Flag == "" {
			continue
		}
		help := "`" + flagWord(k) + "`: " + k.Help
		if k.Default != "" {
			help += " (default " + k.Default + ")"
		}
		switch k.Kind {
		case config.List:
			cmd.Flags().StringArray(k.Flag, nil, help+"; may be repeated")
		case config.Switch:
			cmd.Flags().Bool(k.Flag, false, strings.ReplaceAll(help, "`", ""))
		default:
			cmd.Flags().String(k.Flag, "", help)
		}
		if k.Choices != nil {
			_ = cmd.RegisterFlagCompletionFunc(k.Flag, cobra.FixedCompletions(k.Choices, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
		}
	}
}

// flagWord stands for a value in the help.
func flagWord(k config.Key) string {
	switch {
	case k.Path:
		return "PATH"
	case k.Kind == config.Size:
		return "SIZE"
	case strings.HasSuffix(k.Name, "listen"):
		return "MULTIADDR"
	}
	return strings.ToUpper(k.Name[strings.LastIndexByte(k.Name, '.')+1:])
}

// givenFlags are the configuration flags that stand in the command line, by key. Relative paths are taken from the
// working directory, as everywhere in a command line.
func givenFlags(cmd *cobra.Command) (map[string]string, error) {
	given := map[string]string{}
	for _, k := range config.Keys() {
		f := cmd.Flags().Lookup(k.Flag)
		if k.Flag == "" || f == nil || !f.Changed {
			continue
		}
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		if strings.Trim(value, ", ") == "" {
			return nil, usagef("--%s is empty", k.Flag).WithHint("give it a value, or leave it out")
		}
		if k.Path {
			var err error
			if value, err = absolute(value); err != nil {
				return nil, err
			}
		}
		given[k.Name] = value
	}
	return given, nil
}
