package config

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cairn/web/api"
)

// Edit returns the text of a file with one key changed, or taken out when the value is empty. Every other byte stays
// as it is. It refuses a file that is wrong: what it means is then not known. Its errors are *api.Error.
func Edit(path string, data []byte, name, value string) ([]byte, error) {
	k, ok := Find(name)
	if !ok {
		return nil, Unknown(name)
	}
	v, err := k.Check(value)
	if err != nil {
		p := problemOf(Problem{}, err)
		return nil, api.Errorf(api.CodeUsage, "%s: %s", k.Name, p.Message).WithHint("%s", p.Hint)
	}
	d := parse(path, data)
	if err := d.probs.Err(); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(d.entries, func(e entry) bool { return e.key == k.Name })
	var out []byte
	switch {
	case i < 0 && v == "":
		return data, nil
	case i >= 0 && v == "":
		out, err = d.remove(d.entries[i])
	case i >= 0:
		if d.entries[i].text == v {
			return data, nil
		}
		e := d.entries[i]
		out = splice(data, e.value, literal(k, v))
	default:
		out, err = d.insert(k, v)
	}
	if err != nil {
		return nil, err
	}
	if len(out) > MaxFile {
		return nil, api.Errorf(api.CodeUsage, "%s would be larger than %s", path, sizeText(MaxFile)).WithHint("take out what you do not need")
	}
	// What was written has to mean what was asked for, whatever else stands in the file.
	after := parse(path, out)
	if err := after.probs.Err(); err != nil {
		return nil, err
	}
	if got := after.text(k.Name); got != v {
		return nil, api.Errorf(api.CodeFailed, "%s can not be changed by program", path).WithHint("write %s = %s into it by hand", k.Name, literal(k, v))
	}
	return out, nil
}

// text is the value of a key, "" when it is not there.
func (d *document) text(key string) string {
	for _, e := range d.entries {
		if e.key == key {
			if k, ok := Find(key); ok {
				if v, err := k.Check(e.text); err == nil {
					return v
				}
			}
			return e.text
		}
	}
	return ""
}

func splice(data []byte, s span, text string) []byte {
	return slices.Concat(data[:s.from], []byte(text), data[s.to:])
}

// literal writes a value as TOML.
func literal(k Key, v string) string {
	switch k.Kind {
	case Switch, Number:
		return v
	case List:
		var all []string
		for _, s := range items(v) {
			all = append(all, basicString(s))
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	return basicString(v)
}

// basicString is a text between quotation marks as TOML has it. The names of escapes differ from Go's.
func basicString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			b.WriteString(`\u` + fmt.Sprintf("%04X", r))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// remove takes a key's line out, with the comment behind the value on it.
func (d *document) remove(e entry) ([]byte, error) {
	if e.inline {
		return nil, api.Errorf(api.CodeUsage, "%s:%d: %s stands between braces, from which it is not taken out by program", d.path, e.line, e.key).
			WithHint("take it out by hand")
	}
	s := e.whole
	for s.from > 0 && d.data[s.from-1] != '\n' {
		if s.from--; !isBlank(d.data[s.from]) {
			s.from++ // a mark at the beginning of the file stays
			break
		}
	}
	if i := bytes.IndexByte(d.data[s.to:], '\n'); i >= 0 {
		s.to += i + 1
	} else {
		s.to = len(d.data)
	}
	return splice(d.data, s, ""), nil
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// insert adds a key that is not there: beside its table's other keys, or with a table of its own.
func (d *document) insert(k Key, v string) ([]byte, error) {
	nl := "\n"
	if bytes.Contains(d.data, []byte("\r\n")) {
		nl = "\r\n"
	}
	line := func(name string) string { return name + " = " + literal(k, v) + nl }
	prefix, last, inTable := strings.Cut(k.Name, ".")
	b, there := d.begun[prefix]
	switch {
	case !inTable:
		return d.addTop(line(k.Name), nl), nil
	case there && b.how == "header":
		return d.addBelow(prefix, line(last), nl), nil
	case there && b.how == "dotted":
		return d.addTop(line(k.Name), nl), nil
	case there: // http = "..." or http = { ... }
		return d.addInline(prefix, k, v, line(k.Name), nl)
	}
	out := withNewline(d.data, nl)
	if len(bytes.TrimSpace(out)) > 0 {
		out = append(out, nl...)
	}
	return append(out, "["+prefix+"]"+nl+line(last)...), nil
}

// withNewline is a copy of the text that ends with the end of a line.
func withNewline(data []byte, nl string) []byte {
	out := slices.Clone(data)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, nl...)
	}
	return out
}

// addTop adds a line behind the last of those that stand before the first table.
func (d *document) addTop(line, nl string) []byte {
	at := -1
	for _, e := range d.entries {
		if !e.inline && !d.inHeader(e) {
			at = max(at, d.lineEnd(e.whole.to))
		}
	}
	if at < 0 && len(d.tables) > 0 { // before the first table, and before the comment that belongs to it
		return d.addBefore(d.firstHeader(), line, nl)
	}
	if at < 0 || at == len(d.data) {
		return append(withNewline(d.data, nl), line...)
	}
	return splice(d.data, span{at, at}, line)
}

// addBelow adds a line behind the last key of a table with a header.
func (d *document) addBelow(name, line, nl string) []byte {
	at := 0
	for _, t := range d.tables {
		if t.name == name {
			at = t.end
		}
	}
	for _, e := range d.entries {
		if strings.HasPrefix(e.key, name+".") {
			at = max(at, d.lineEnd(e.whole.to))
		}
	}
	if at == len(d.data) {
		return append(withNewline(d.data, nl), line...)
	}
	return splice(d.data, span{at, at}, line)
}

// addBefore adds a line and an empty one before the line at i, in front of the comments right above it.
func (d *document) addBefore(i int, line, nl string) []byte {
	for i > 0 {
		start := bytes.LastIndexByte(d.data[:i-1], '\n') + 1
		if !bytes.HasPrefix(bytes.TrimSpace(d.data[start:i]), []byte("#")) {
			break
		}
		i = start
	}
	if i == 0 && bytes.HasPrefix(d.data, []byte("\ufeff")) {
		i = len("\ufeff")
	}
	return splice(d.data, span{i, i}, line+nl)
}

// addInline adds to a table that stands in one line.
func (d *document) addInline(prefix string, k Key, v, line, nl string) ([]byte, error) {
	for _, e := range d.entries {
		if a, _ := Find(e.key); a.Alias == prefix && !e.inline {
			// http = "..." leaves no room for http.tls: the short name becomes the long one.
			text := splice(d.data, e.name, e.key)
			at := d.lineEnd(e.whole.to) + len(e.key) - (e.name.to - e.name.from)
			if at >= len(text) {
				return append(withNewline(text, nl), line...), nil
			}
			return splice(text, span{at, at}, line), nil
		}
	}
	for _, e := range d.entries {
		if e.inline && strings.HasPrefix(e.key, prefix+".") {
			_, last, _ := strings.Cut(k.Name, ".")
			return splice(d.data, span{e.whole.to, e.whole.to}, ", "+last+" = "+literal(k, v)), nil
		}
	}
	return nil, api.Errorf(api.CodeUsage, "%s:%d: the table %s is empty and between braces", d.path, d.begun[prefix].line, prefix).
		WithHint("take that line out, or write %s into it by hand", strconv.Quote(k.Name))
}

// lineEnd is where the line after that of the byte at i begins, or the end of the text.
func (d *document) lineEnd(i int) int {
	if j := bytes.IndexByte(d.data[i:], '\n'); j >= 0 {
		return i + j + 1
	}
	return len(d.data)
}

// inHeader tells whether an entry stands below a [header].
func (d *document) inHeader(e entry) bool {
	return len(d.tables) > 0 && e.whole.from >= d.tables[0].end
}

// firstHeader is where the line of the first header begins.
func (d *document) firstHeader() int {
	end := d.tables[0].end
	if end > 0 && end <= len(d.data) && d.data[end-1] == '\n' {
		end--
	}
	return bytes.LastIndexByte(d.data[:end], '\n') + 1
}
