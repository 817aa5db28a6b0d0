package main

import (
	"errors"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/ipfs/go-cid"

	"cairn/swarm/ticket"
	"cairn/web/api"
)

// Bounds of what is read as tickets.
const (
	maxTickets    = 16
	maxTicketText = 1 << 20 // bytes of a file or of stdin
)

// ticketStart matches where a ticket begins.
var ticketStart = regexp.MustCompile(`(?i)^\s*cairn[0-9]`)

// looksLikeTicket tells whether text was meant to be a ticket, well formed or not.
func looksLikeTicket(text string) bool { return ticketStart.MatchString(text) }

// readTickets collects the tickets that the arguments give: as text, "-" for stdin, @FILE for a file. White space
// is forgiven, also where it made several arguments of one ticket. Every one was parsed: a mistake is found
// before anything is started.
func (e *env) readTickets(args []string) ([]string, error) {
	var text []string
	exposed := false
	for _, a := range args {
		if a != "-" && !strings.HasPrefix(a, "@") {
			exposed = true
			text = append(text, a)
			continue
		}
		s, err := e.readTicketFile(a)
		if err != nil {
			return nil, err
		}
		text = append(text, s)
	}
	tickets := splitTickets(strings.Join(text, "\n"))
	if len(tickets) == 0 {
		return nil, usagef("no ticket in %s", strings.Join(args, " "))
	}
	if len(tickets) > maxTickets {
		return nil, usagef("%d tickets given: at most %d can be used together", len(tickets), maxTickets)
	}
	for _, t := range tickets {
		if err := checkTicket(t); err != nil {
			return nil, err
		}
	}
	if exposed {
		e.warnExposed()
	}
	return tickets, nil
}

// warnExposed tells that the arguments of a process are public on most machines.
func (e *env) warnExposed() {
	if !e.quiet {
		e.warn("a ticket on the command line can be read by other users of this machine; @FILE and - (stdin) keep it private")
	}
}

func (e *env) readTicketFile(arg string) (string, error) {
	r, name := e.stdin, "stdin"
	if path, ok := strings.CutPrefix(arg, "@"); ok {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return "", usagef("%s: a directory holds no ticket", path)
		}
		r, name = f, path
	}
	b, err := io.ReadAll(io.LimitReader(r, maxTicketText+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxTicketText {
		return "", usagef("%s: too long for tickets", name)
	}
	if strings.TrimSpace(string(b)) == "" {
		return "", usagef("%s: no ticket in it", name)
	}
	return string(b), nil
}

// splitTickets cuts text into tickets. A ticket begins at a word that begins with its prefix, and goes on, over
// spaces and line breaks, to the next such word.
func splitTickets(text string) []string {
	var all []string
	for _, word := range strings.Fields(text) {
		if len(all) == 0 || looksLikeTicket(word) {
			all = append(all, word)
			continue
		}
		all[len(all)-1] += " " + word
	}
	return all
}

// checkTicket refuses what can not be a ticket, in the words of the parser.
func checkTicket(text string) error {
	_, err := ticket.Parse(text)
	if err == nil {
		return nil
	}
	var p *ticket.ParseError
	if !errors.As(err, &p) {
		return usagef("%s", err)
	}
	x := usagef("%s", p.Reason)
	if p.Pos > 0 {
		x = usagef("%s (character %d)", p.Reason, p.Pos)
	}
	switch {
	case errors.Is(err, ticket.ErrNewer):
		x.Code = api.CodeUnavailable
		return x.WithHint("install the newest cairn on this machine")
	case errors.Is(err, ticket.ErrNotTicket):
		return x.WithHint("`cairn share` prints tickets; they begin with cairn1")
	}
	return x.WithHint("copy the whole ticket again from where it was printed")
}

// reference checks an argument that names something a peer has: a CID, an entry or, where tickets are taken, a
// ticket. A path below it may follow after a slash.
func (e *env) reference(arg string, tickets bool) (ref, path string, err error) {
	if tickets && (arg == "-" || strings.HasPrefix(arg, "@") || looksLikeTicket(arg)) {
		ts, err := e.readTickets([]string{arg})
		if err != nil {
			return "", "", err
		}
		if len(ts) > 1 {
			return "", "", usagef("%d tickets given: one is needed", len(ts))
		}
		return ts[0], "", nil
	}
	ref, path, _ = strings.Cut(arg, "/")
	if ref == "" {
		return "", "", usagef("%q: names no object", arg).WithHint("give a CID or an ID from `cairn ls`")
	}
	return ref, strings.TrimSuffix(path, "/"), checkCID(ref)
}

const base32 = "abcdefghijklmnopqrstuvwxyz234567"

// checkCID refuses what was meant to be a CID but is none. Other names are for the peer to judge.
func checkCID(ref string) error {
	if len(ref) < 32 || !strings.HasPrefix(ref, "baf") {
		return nil
	}
	for i := range len(ref) {
		if !strings.Contains(base32, ref[i:i+1]) {
			return usagef("CID %q: character %d can not be part of a CID", ref, i+1).WithHint("copy the whole CID again")
		}
	}
	if _, err := cid.Decode(ref); err != nil {
		return usagef("CID %q: characters are missing or too many (%d given, usually 59)", ref, len(ref)).
			WithHint("copy the whole CID again")
	}
	return nil
}
