package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// MaxFile is the largest configuration file in bytes.
const MaxFile = 1 << 20

// span is a part of the text, in bytes.
type span struct{ from, to int }

// entry is one key with its value as the file has them.
type entry struct {
	key    string // name of the table's row
	text   string // the value as Key.Check takes it
	name   span   // of the key as it is written here, without the table around it
	value  span
	whole  span // from the key to the end of the value
	line   int
	column int
	inline bool // inside of { }
}

// table is a [header] of the file.
type table struct {
	name string
	end  int // where the text after its line begins
}

// document is the text of a file and what stands where. Its entries are those of known keys.
type document struct {
	path    string
	data    []byte
	entries []entry
	tables  []table
	begun   map[string]begun // tables by name
	probs   Problems
}

// begun says how and where a table began, because TOML allows only some ways to come back to one.
type begun struct {
	how  string // header, dotted, inline
	line int
}

// parse reads a file. What is wrong is in probs, and then the rest is what could be understood.
func parse(path string, data []byte) *document {
	d := &document{path: path, data: data, begun: map[string]begun{}}
	if len(data) > MaxFile {
		d.report(Problem{File: path}, fmt.Sprintf("the file is larger than %s", sizeText(MaxFile)), "a configuration is a few lines; move the file away")
		return d
	}
	if i := firstInvalid(data); i >= 0 {
		d.report(d.at(i), "this is not UTF-8 text", "save the file as UTF-8")
		return d
	}
	text := bytes.TrimPrefix(data, []byte("\ufeff")) // as some editors put it before UTF-8
	base := len(data) - len(text)
	var p unstable.Parser
	p.Reset(text[:len(text):len(text)])
	prefix, known := "", true // the table that holds what follows
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			prefix, known = d.header(e, base)
		case unstable.KeyValue:
			if known {
				d.keyValue(&p, e, prefix, base, false)
			}
		}
	}
	if err := p.Error(); err != nil {
		d.syntax(err, text, base)
	}
	return d
}

func firstInvalid(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// at is the place of a byte.
func (d *document) at(offset int) Problem {
	before := d.data[:min(offset, len(d.data))]
	line := bytes.Count(before, []byte("\n")) + 1
	start := bytes.LastIndexByte(before, '\n') + 1
	column := utf8.RuneCount(bytes.TrimPrefix(before[start:], []byte("\ufeff"))) + 1
	return Problem{File: d.path, Line: line, Column: column}
}

func (d *document) report(at Problem, message, hint string) {
	at.Message, at.Hint = message, hint
	d.probs = append(d.probs, at)
}

// syntax reports that the text is no TOML.
func (d *document) syntax(err error, text []byte, base int) {
	offset, message := len(text), err.Error()
	if pe, ok := errors.AsType[*unstable.ParserError](err); ok {
		// The highlight is a part of the text, up to whose end its capacity goes.
		offset = min(max(len(text)-cap(pe.Highlight), 0), len(text))
		message = pe.Message
	}
	line, _, _ := strings.Cut(message, "\n")
	d.report(d.at(base+offset), "this is not TOML: "+line, "correct the file, or move it away to run with defaults")
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// nameOf joins the parts of a key. A part that has to be quoted stays so, and is then no key of ours.
func nameOf(it unstable.Iterator) (name string, first, last *unstable.Node) {
	var parts []string
	for it.Next() {
		n := it.Node()
		if first == nil {
			first = n
		}
		last = n
		part := string(n.Data)
		if !bareKey.MatchString(part) {
			part = strconv.Quote(part)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "."), first, last
}

// isTable tells whether keys of ours begin with the name.
func isTable(name string) bool {
	for _, k := range Keys() {
		if strings.HasPrefix(k.Name, name+".") {
			return true
		}
	}
	return false
}

// header opens a table; known is false where nothing in it can be ours.
func (d *document) header(e *unstable.Node, base int) (prefix string, known bool) {
	name, first, _ := nameOf(e.Key())
	from := base + int(first.Raw.Offset)
	at := d.at(from)
	k, isKey := Find(name)
	switch {
	case !isTable(name) && isKey:
		d.report(at, fmt.Sprintf("%s is a key and no table", name), fmt.Sprintf("write %s = ... without brackets around it", k.Name))
		return "", false
	case !isTable(name):
		d.probs = append(d.probs, unknown(at, name))
		return "", false
	case e.Kind == unstable.ArrayTable:
		d.report(at, fmt.Sprintf("[[%s]] is a list of tables, and %s is one table", name, name), fmt.Sprintf("write [%s]", name))
		return "", false
	}
	if !d.begin(name, "header", at) {
		return name + ".", true
	}
	end := len(d.data)
	if i := bytes.IndexByte(d.data[from:], '\n'); i >= 0 {
		end = from + i + 1
	}
	d.tables = append(d.tables, table{name: name, end: end})
	return name + ".", true
}

// begin notes how a table begins, and reports one that began before in a way that does not allow it.
func (d *document) begin(name, how string, at Problem) bool {
	b, there := d.begun[name]
	if there && (how != "dotted" || b.how != "dotted") {
		d.report(at, fmt.Sprintf("the table %s is already there, on line %d", name, b.line), "write all of it in one place")
		return false
	}
	if !there {
		d.begun[name] = begun{how, at.Line}
	}
	return true
}

// keyValue notes one line, or one pair inside of { }.
func (d *document) keyValue(p *unstable.Parser, e *unstable.Node, prefix string, base int, inline bool) {
	name, first, last := nameOf(e.Key())
	from := base + int(first.Raw.Offset)
	at := d.at(from)
	if table, _, dotted := strings.Cut(name, "."); dotted && prefix == "" && isTable(table) && !d.begin(table, "dotted", at) {
		return
	}
	name = prefix + name
	v := e.Value()
	if isTable(name) && v.Kind == unstable.InlineTable {
		if d.begin(name, "inline", at) {
			for it := v.Children(); it.Next(); {
				d.keyValue(p, it.Node(), name+".", base, true)
			}
		}
		return
	}
	k, ok := Find(name)
	if !ok {
		d.probs = append(d.probs, unknown(at, name))
		return
	}
	if name == k.Alias && isTable(name) && !d.begin(name, "inline", at) { // http = "..." takes the table's place
		return
	}
	for _, other := range d.entries {
		if other.key == k.Name {
			d.report(at, fmt.Sprintf("%s is set twice, first on line %d", k.Name, other.line), "take one of the two lines out")
			return
		}
	}
	x := entry{key: k.Name, line: at.Line, column: at.Column, inline: inline}
	x.name = span{from, base + int(last.Raw.Offset+last.Raw.Length)}
	x.whole = span{from, base + int(e.Raw.Offset+e.Raw.Length)}
	x.value = span{afterEquals(d.data, x.name.to), x.whole.to}
	for x.value.to > x.value.from && (d.data[x.value.to-1] == ' ' || d.data[x.value.to-1] == '\t') {
		x.value.to--
	}
	x.whole.to = x.value.to
	text, err := textOf(v, k.Kind)
	if err != nil {
		at = d.at(x.value.from)
		at.Key = k.Name
		at = problemOf(at, err)
		at.Message = k.Name + ": " + at.Message
		d.probs = append(d.probs, at)
		return
	}
	x.text = text
	d.entries = append(d.entries, x)
}

// afterEquals finds where the value begins whose key ends at i.
func afterEquals(data []byte, i int) int {
	for i < len(data) && data[i] != '=' {
		i++
	}
	for i++; i < len(data) && (data[i] == ' ' || data[i] == '\t'); {
		i++
	}
	return min(i, len(data))
}

// textOf makes a text of a value, or says that it is of the wrong kind.
func textOf(v *unstable.Node, want Kind) (string, error) {
	switch {
	case v.Kind == unstable.String:
		return string(v.Data), nil // that of a list has commas, as in a variable
	case v.Kind == unstable.Bool && want == Switch:
		return string(v.Data), nil
	case v.Kind == unstable.Integer && (want == Number || want == Size):
		n, err := integer(string(v.Data))
		if err != nil {
			return "", err
		}
		return strconv.FormatInt(n, 10), nil
	case v.Kind == unstable.Array && want == List:
		var all []string
		for it := v.Children(); it.Next(); {
			n := it.Node()
			if n.Kind != unstable.String {
				return "", bad("the list holds %s", kindText(n.Kind)).WithHint("put every item between quotation marks")
			}
			if s := string(n.Data); strings.Contains(s, ",") {
				return "", bad("%s holds a comma", quote(s)).WithHint("write the items of a list apart: [\"a\", \"b\"]")
			}
			all = append(all, string(n.Data))
		}
		return strings.Join(all, ","), nil
	}
	wants := map[Kind][2]string{
		Text:   {"a text", "put it between quotation marks"},
		List:   {"a list of texts", "write it like [\"a\", \"b\"]"},
		Switch: {"true or false", "write true or false"},
		Number: {"a whole number", "write digits alone"},
		Size:   {"a size", "write it like \"2GiB\""},
	}[want]
	return "", bad("this has to be %s, and is %s", wants[0], kindText(v.Kind)).WithHint("%s", wants[1])
}

func kindText(k unstable.Kind) string {
	switch k {
	case unstable.String:
		return "a text"
	case unstable.Bool:
		return "true or false"
	case unstable.Integer:
		return "a whole number"
	case unstable.Float:
		return "a number with a fraction"
	case unstable.Array:
		return "a list"
	case unstable.InlineTable:
		return "a table"
	}
	return "a date or time"
}

// integer reads TOML's whole numbers: 10, 1_000, 0x0a, 0o12, 0b1010.
func integer(s string) (int64, error) {
	digits := strings.TrimLeft(s, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return 0, bad("%s begins with a zero", quote(s)).WithHint("write it without")
	}
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		return 0, bad("%s is not a whole number", quote(s)).WithHint("write digits alone")
	}
	return n, nil
}
