package config

import (
	"fmt"
	"strings"
)

// Doc describes keys for a terminal.
func Doc(keys []Key) string {
	var b strings.Builder
	if len(keys) > 1 {
		b.WriteString(`A peer is configured by config.toml in its data directory, by variables of the environment and by
flags of "cairn up". A flag wins over a variable, a variable over the file, the file over the default.

`)
	}
	for i, k := range keys {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s\n  %s\n", k.Name, k.Help)
		line := func(what, text string) {
			if text != "" {
				fmt.Fprintf(&b, "  %-9s%s\n", what, text)
			}
		}
		line("kind", k.kindText())
		line("default", k.Default)
		line("example", k.line())
		line("from", k.sources())
		line("holds", k.holds())
	}
	return b.String()
}

// Markdown describes keys as a table.
func Markdown(keys []Key) string {
	var b strings.Builder
	b.WriteString("| key | kind | default | what | variable, flag of `cairn up` | a change holds |\n|---|---|---|---|---|---|\n")
	for _, k := range keys {
		def := k.Default
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", k.Name, k.kindText(), def, strings.ReplaceAll(k.Help, "|", `\|`), k.sources(), k.holds())
	}
	return b.String()
}

func (k Key) kindText() string {
	switch {
	case k.Choices != nil:
		return strings.Join(k.Choices, ", ")
	case k.Kind == Switch:
		return "true, false"
	case k.Path:
		return "absolute path"
	}
	return string(k.Kind)
}

// line is the example as the file has it.
func (k Key) line() string { return k.Name + " = " + literal(k, k.Example) }

func (k Key) sources() string {
	s := k.Env()
	if k.Alias != "" {
		s += ", " + envName(k.Alias)
	}
	switch {
	case strings.HasPrefix(k.Name, "log."):
		s += ", --" + flagName(k)
	case k.Flag != "":
		s += ", --" + k.Flag
	}
	return s
}

func (k Key) holds() string {
	if k.Reload {
		return "at once"
	}
	return "after a restart"
}
