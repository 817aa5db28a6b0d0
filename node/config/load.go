package config

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"cairn/web/api"
)

// Origin is the layer that a value comes from.
type Origin string

// The origins, the later before the earlier.
const (
	FromDefault Origin = "default"
	FromFile    Origin = "file"
	FromEnv     Origin = "environment"
	FromFlag    Origin = "flag"
)

// Setting is one key with its value.
type Setting struct {
	Key    Key
	Value  string
	Origin Origin
	at     Problem // where it stands
}

// Where is the file with its line, the variable or the flag; "" for a default.
func (s Setting) Where() string {
	if s.at.Line > 0 {
		return fmt.Sprintf("%s:%d", s.at.File, s.at.Line)
	}
	return s.at.Where()
}

// API returns the setting as the HTTP API has it.
func (s Setting) API() api.Setting {
	return api.Setting{Key: s.Key.Name, Kind: string(s.Key.Kind), Value: s.Value, Default: s.Key.Default, Origin: string(s.Origin),
		Where: s.Where(), Help: s.Key.Help, Choices: s.Key.Choices, Reload: s.Key.Reload, Remote: s.Key.Browser, Path: s.Key.Path}
}

// Input is what a configuration is made from.
type Input struct {
	Home  string            // absolute
	Host  string            // name of this machine
	File  string            // path of the file, for messages
	Data  []byte            // what it holds; nil: there is none
	Env   map[string]string // variables that begin with CAIRN_
	Flags map[string]string // by name or alias of the key; only those that the user gave
}

// Loaded is a configuration with what is known about it.
type Loaded struct {
	Config   Config
	Settings []Setting // one for each key, in the order of Keys
	Warnings []string  // what is probably not as it was meant
}

// Get returns the setting of a key.
func (l *Loaded) Get(name string) Setting {
	for _, s := range l.Settings {
		if s.Key.Name == name {
			return s
		}
	}
	return Setting{}
}

// value is the text of a key of the table.
func (l *Loaded) value(name string) string { return l.Get(name).Value }

// Load makes a configuration: defaults, then the file, then the environment, then flags. All that is wrong is in the
// problems, and then there is no configuration.
func Load(in Input) (*Loaded, Problems) {
	l := &Loaded{}
	for _, k := range Keys() {
		l.Settings = append(l.Settings, Setting{Key: k, Value: k.Default, Origin: FromDefault})
	}
	d := parse(in.File, in.Data)
	probs := d.probs
	for _, e := range d.entries {
		at := d.at(e.value.from)
		at.Key = e.key
		probs = append(probs, l.take(e.key, e.text, FromFile, at)...)
		if s := l.find(e.key); s.Origin == FromFile {
			s.at.Line, s.at.Column = e.line, e.column
		}
	}
	slices.SortStableFunc(probs, func(a, b Problem) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	known := knownVars()
	for _, name := range slices.Sorted(maps.Keys(in.Env)) {
		if key, ok := known[name]; ok {
			probs = append(probs, l.take(key, in.Env[name], FromEnv, Problem{Var: name, Key: key})...)
		} else if w := misspelt(name, known); w != "" {
			l.Warnings = append(l.Warnings, w)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Flags)) {
		k, ok := Find(name)
		if !ok {
			probs = append(probs, unknown(Problem{Var: "flags"}, name))
			continue
		}
		probs = append(probs, l.take(k.Name, in.Flags[name], FromFlag, Problem{Var: "--" + flagName(k), Key: k.Name})...)
	}
	if len(probs) > 0 {
		return nil, probs
	}
	l.fit()
	l.build(in)
	if probs := l.conflicts(); len(probs) > 0 {
		return nil, probs
	}
	return l, nil
}

// flagName is the flag of a key. The level and the form of the log have flags of every command.
func flagName(k Key) string {
	if k.Flag != "" {
		return k.Flag
	}
	return strings.ReplaceAll(k.Name, ".", "-")
}

func (l *Loaded) find(name string) *Setting {
	i := slices.IndexFunc(l.Settings, func(s Setting) bool { return s.Key.Name == name })
	return &l.Settings[i]
}

// take puts a value in the place of one of an earlier layer. An empty one is none.
func (l *Loaded) take(name, value string, from Origin, at Problem) Problems {
	if value == "" {
		return nil
	}
	s := l.find(name)
	v, err := s.Key.Check(value)
	if err != nil {
		p := problemOf(at, err)
		if at.Var == "" {
			p.Message = name + ": " + p.Message
		}
		return Problems{p}
	}
	if v == "" { // a list of commas
		return nil
	}
	s.Value, s.Origin, s.at = v, from, at
	return nil
}

// knownVars maps variables to keys.
func knownVars() map[string]string {
	m := map[string]string{}
	for _, k := range Keys() {
		m[k.Env()] = k.Name
		if k.Alias != "" {
			m[envName(k.Alias)] = k.Name
		}
	}
	return m
}

// misspelt is a warning for a variable that looks like that of a key. Others are not ours to judge.
func misspelt(name string, known map[string]string) string {
	if name == "CAIRN_HOME" {
		return ""
	}
	best, at := "", 3
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if d := distance(strings.ToUpper(name), k); d < at {
			best, at = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("the variable %s is of no effect; did you mean %s?", name, best)
}

// build makes the typed configuration of values that were checked.
func (l *Loaded) build(in Input) {
	on := func(name string) bool { return l.value(name) == "true" }
	bytes := func(name string) int64 {
		if l.value(name) == "" {
			return 0
		}
		n, _ := parseSize(l.value(name)) // checked
		return n
	}
	c := &l.Config
	*c = Config{
		Home:         in.Home,
		Name:         l.value("name"),
		Listen:       items(l.value("listen")),
		MemberListen: items(l.value("member.listen")),
		HTTP:         l.value("http.address"),
		TLS:          TLS{Mode: l.value("http.tls"), Cert: l.value("http.cert"), Key: l.value("http.key"), Names: items(l.value("http.names"))},
		ACME: ACME{Domains: items(l.value("acme.domains")), Email: l.value("acme.email"), Directory: l.value("acme.directory"),
			Agree: on("acme.agree")},
		Downloads: l.value("downloads"),
		Reserve:   bytes("reserve"),
		MDNS:      on("mdns"),
		LogLevel:  l.value("log.level"),
		LogFormat: l.value("log.format"),
	}
	c.AuditAge, c.AuditSize, _ = parseKeep(l.value("audit.keep")) // checked
	if c.HTTP == "off" {
		c.HTTP = ""
	}
	if c.Name == "" {
		c.Name = in.Host
	}
	if c.Downloads == "" {
		c.Downloads = filepath.Join(in.Home, "downloads")
	}
	for _, r := range limitRows() {
		n := bytes("limits." + r.name)
		r.set(&c.Limits, n)
	}
}
