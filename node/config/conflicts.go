package config

import (
	"fmt"
	"slices"
	"strings"
)

// conflicts finds values that do not go together. Each problem stands at the value that was given, the later layer
// first, and names both keys.
func (l *Loaded) conflicts() (probs Problems) {
	clash := func(a, b, message, hint string) {
		s, other := l.Get(a), l.Get(b)
		if rank(other.Origin) > rank(s.Origin) {
			s = other
		}
		at := s.at
		at.Key, at.Message, at.Hint = s.Key.Name, message, hint
		probs = append(probs, at)
	}
	http, tls := l.value("http.address"), l.value("http.tls")
	if tls == TLSOff && http != "off" && !loopback(http) {
		clash("http.address", "http.tls", fmt.Sprintf("%q can be reached from other machines, and http.tls is off", http),
			"set http.tls to network, files or acme, or http.address to one of this machine alone, such as 127.0.0.1:4747")
	}
	needs := func(mode, name, what string) {
		if tls == mode && (l.value(name) == "" || l.value(name) == "false") {
			clash("http.tls", name, fmt.Sprintf("http.tls is %s, and %s %s", mode, name, what), "set "+name+" first; `cairn config doc "+name+"` says what it holds")
		}
	}
	needs(TLSFiles, "http.cert", "is not set")
	needs(TLSFiles, "http.key", "is not set")
	needs(TLSACME, "acme.domains", "is not set")
	needs(TLSACME, "acme.agree", "is false")
	if http == "off" && tls != TLSOff && l.Get("http.tls").Origin != FromDefault {
		l.Warnings = append(l.Warnings, fmt.Sprintf("http.tls is %s, and http.address is off: there is no dashboard", tls))
	}
	for _, name := range []string{"http.cert", "http.key"} {
		if tls != TLSFiles && l.value(name) != "" {
			l.Warnings = append(l.Warnings, fmt.Sprintf("%s is of no effect while http.tls is %s", name, tls))
		}
	}
	for _, a := range items(l.value("listen")) {
		if slices.Contains(items(l.value("member.listen")), a) && !strings.Contains(a, "/0/") && !strings.HasSuffix(a, "/0") {
			clash("member.listen", "listen", fmt.Sprintf("listen and member.listen both have %s", a), "give each a port of its own, such as 4748 and 4749")
		}
	}
	for _, pair := range nested() {
		less, more := "limits."+pair[0], "limits."+pair[1]
		a, _ := parseSize(l.value(less)) // checked, as are all
		b, _ := parseSize(l.value(more))
		if a > b {
			clash(less, more, fmt.Sprintf("%s is %s, which is more than %s, %s", less, l.value(less), more, l.value(more)),
				"lower the one or raise the other")
		}
	}
	return probs
}

// nested are the limits of which the first can not be more than the second. What follows from a pair stands below it.
func nested() [][2]string {
	return [][2]string{
		{"connections_inbound", "connections"},
		{"connections_opening", "connections"},
		{"connections_per_peer", "connections"},
		{"connections_trim_above", "connections"},
		{"connections_trim_to", "connections_trim_above"},
		{"streams_per_peer", "streams"},
		{"memory_per_peer_bytes", "memory_bytes"},
	}
}

// fit lowers limits that nobody has set to those that were set lower.
func (l *Loaded) fit() {
	for _, pair := range nested() {
		less, more := l.find("limits."+pair[0]), l.find("limits."+pair[1])
		a, _ := parseSize(less.Value) // checked, as are all
		b, _ := parseSize(more.Value)
		if less.Origin == FromDefault && a > b {
			less.Value = more.Value
		}
	}
}

func rank(o Origin) int {
	return slices.Index([]Origin{FromDefault, FromFile, FromEnv, FromFlag}, o)
}
