package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"cairn/web/api"
)

// Problem is one thing that is wrong with a configuration, at the place where it stands.
type Problem struct {
	File    string // path of the file; "" for a variable, a flag or a set
	Line    int    // from 1; 0: the file as a whole
	Column  int    // in characters, from 1
	Var     string // variable or flag, such as CAIRN_HTTP or --http; "": the file
	Key     string // "": none in particular
	Message string
	Hint    string
}

// Where is the place, such as /home/config.toml:3:1, CAIRN_HTTP or --http.
func (p Problem) Where() string {
	switch {
	case p.Var != "":
		return p.Var
	case p.Line > 0:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	return p.File
}

func (p Problem) String() string {
	if w := p.Where(); w != "" {
		return w + ": " + p.Message
	}
	return p.Message
}

// Problems is the error of a configuration that can not be used: all that is wrong with it, in the order of the text.
type Problems []Problem

func (ps Problems) Error() string { return ps[0].String() }

// Err makes one message of problems, nil of none: the first in full, the others by number.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	text, hint := ps[0].String(), ps[0].Hint
	if n := len(ps) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
		if !slices.ContainsFunc(ps, func(p Problem) bool { return p.File == "" }) { // the others can be looked up
			hint = strings.TrimPrefix(hint+"; `cairn config validate` lists all", "; ")
		}
	}
	return api.Errorf(api.CodeUsage, "%s", text).WithHint("%s", hint).Because(ps)
}

// WithoutPaths returns the problems with the file's name alone, for callers who are not told paths of this machine.
func (ps Problems) WithoutPaths() Problems {
	out := slices.Clone(ps)
	for i := range out {
		if out[i].File != "" {
			out[i].File = filepath.Base(out[i].File)
		}
	}
	return out
}

// problemOf puts an error of a check into the words of its place.
func problemOf(at Problem, err error) Problem {
	at.Message = err.Error()
	if x, ok := errors.AsType[*api.Error](err); ok {
		at.Message, at.Hint = x.Message, x.Hint
	}
	return at
}

// unknown says that there is no such key, and which was probably meant.
func unknown(at Problem, name string) Problem {
	at.Key, at.Message, at.Hint = "", "unknown key "+quote(name), "`cairn config doc` lists the keys"
	var all []string
	for _, k := range Keys() {
		all = append(all, k.Name)
		if k.Alias != "" {
			all = append(all, k.Alias)
		}
	}
	if c := closest(name, all); c != "" {
		at.Hint = fmt.Sprintf("did you mean %q?", c)
	}
	return at
}

// Unknown is the error for a key that is not in the table.
func Unknown(name string) error {
	p := unknown(Problem{}, name)
	return api.Errorf(api.CodeNotFound, "%s", p.Message).WithHint("%s", p.Hint)
}

// closest returns the one of words that was probably meant by a text, "" when none is near. The same last part counts
// as near: "level" for "log.level".
func closest(text string, words []string) string {
	if len(text) > 64 {
		return ""
	}
	text = strings.ToLower(text)
	best, at := "", max(2, len(text)/4)+1 // a text that differs more is another word
	for _, w := range words {
		d := distance(text, w)
		if strings.HasSuffix(w, "."+text) || strings.NewReplacer("-", "_", ".", "_").Replace(text) == strings.ReplaceAll(w, ".", "_") {
			d = 0
		}
		if d < at {
			best, at = w, d
		}
	}
	return best
}

// distance is the number of letters to put in, take out, change or swap with their neighbour that make a of b.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			change := row[j]
			if a[i] != b[j] {
				change++
			}
			next[j+1] = min(change, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
