package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cairn/web/api"
)

// auditClock is a time that a test moves.
type auditClock struct{ t time.Time }

func (c *auditClock) now() time.Time { return c.t }

func openTestAudit(t *testing.T, dir string, keep int64) (*audit, *auditClock) {
	t.Helper()
	c := &auditClock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	a, err := openAudit(dir, fileSeal{}, auditLimits{size: keep}, c.now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

func all(t *testing.T, a *audit) (out []api.AuditRecord) {
	t.Helper()
	for r, err := range a.records(0) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestAuditKeepsWhatWasNoted(t *testing.T) {
	dir := t.TempDir()
	a, _ := openTestAudit(t, dir, 0)
	a.note("local", "", "token.create", "ab12 x", "done", "")
	a.note("nobody", "10.0.0.1", "login", "", "denied", "line\nbreak \x1b[31m \u202e\u009b")
	a.note("session", "10.0.0.1", "config.set", strings.Repeat("x", 10000), "done", "")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, auditName))
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(filepath.Join(dir, auditName)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", fi, err)
	}
	prev := noHash()
	lines := strings.SplitAfter(strings.TrimSuffix(string(raw), "\n"), "\n")
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\n")
		var x auditLine
		if err := json.Unmarshal([]byte(line), &x); err != nil || x.ID != uint64(i+1) || x.Prev != prev {
			t.Errorf("line %d: %v, id %d, prev %s, want %s", i+1, err, x.ID, x.Prev, prev)
		}
		if strings.ContainsAny(line, "\x1b\u202e\u009b") {
			t.Errorf("line %d has control characters: %q", i+1, line)
		}
		prev = hashOf([]byte(line))
	}
	b, _ := openTestAudit(t, dir, 0)
	defer b.close()
	got := all(t, b)
	if len(got) != 3 || got[0].ID != 3 || got[2].Subject != "ab12 x" || len([]rune(got[0].Subject)) != maxSubject {
		t.Errorf("%+v", got)
	}
	for r := range b.records(2) {
		if r.ID != 1 {
			t.Errorf("before 2 comes %d", r.ID)
		}
	}
}

// TestAuditTornTail: a crash leaves any part of the last line. The rest stays, and the repair is on record.
func TestAuditTornTail(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, auditName)
	a, _ := openTestAudit(t, dir, 0)
	for i := range 3 {
		a.note("local", "", "token.create", fmt.Sprint(i), "done", "")
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := end + 1; cut < len(whole); cut += 17 {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(filepath.Join(dir, auditHead)) // a crash before the line was synced leaves the older one, tested below
		a, _ := openTestAudit(t, dir, 0)
		got := all(t, a)
		if len(got) != 3 || got[0].Action != "audit.damaged" || !strings.Contains(got[0].Detail, "unfinished") || got[1].Subject != "1" {
			t.Fatalf("cut at %d: %+v", cut, got)
		}
		if err := a.close(); err != nil {
			t.Fatal(err)
		}
		a, _ = openTestAudit(t, dir, 0)
		if got := all(t, a); len(got) != 3 {
			t.Fatalf("cut at %d, opened again: %+v", cut, got)
		}
		if err := a.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAuditTampering: a line that was changed or taken out, and an end that was cut off, are noticed, and told of once.
func TestAuditTampering(t *testing.T) {
	lines := func(b []byte) [][]byte { return bytes.SplitAfter(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")) }
	for name, change := range map[string]func([]byte) []byte{
		"changed": func(b []byte) []byte { return bytes.Replace(b, []byte(`"subject":"2"`), []byte(`"subject":"9"`), 1) },
		"removed": func(b []byte) []byte {
			l := lines(b)
			return bytes.Join(append(l[:2:2], l[3:]...), nil)
		},
		"cut":      func(b []byte) []byte { return bytes.Join(lines(b)[:3], nil) },
		"emptied":  func([]byte) []byte { return nil },
		"last one": func(b []byte) []byte { return bytes.Replace(b, []byte(`"subject":"4"`), []byte(`"subject":"8"`), 1) },
		"garbage": func(b []byte) []byte {
			l := lines(b)
			return bytes.Join(append(l[:2:2], append([][]byte{[]byte("{nonsense\n")}, l[3:]...)...), nil)
		},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, auditName)
		a, _ := openTestAudit(t, dir, 0)
		for i := range 5 {
			a.note("local", "", "token.create", fmt.Sprint(i), "done", "")
		}
		if err := a.close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b = change(b)
		if len(b) > 0 && b[len(b)-1] != '\n' {
			b = append(b, '\n')
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		damaged := func() (n int) {
			a, _ := openTestAudit(t, dir, 0)
			ids := map[uint64]bool{}
			for _, r := range all(t, a) {
				if r.Action == "audit.damaged" {
					n++
				}
				if ids[r.ID] {
					t.Errorf("%s: id %d is there twice", name, r.ID)
				}
				ids[r.ID] = true
			}
			if err := a.close(); err != nil {
				t.Fatal(err)
			}
			return n
		}
		first := damaged()
		if first == 0 {
			t.Errorf("%s: not noticed", name)
		}
		if again := damaged(); again != first {
			t.Errorf("%s: told of %d times, then of %d", name, first, again)
		}
	}
}

// TestAuditRotation: files are put aside when full and the oldest go; the chain and the ids go on through all.
func TestAuditRotation(t *testing.T) {
	dir := t.TempDir()
	keep := 4 * auditLeast
	a, _ := openTestAudit(t, dir, keep)
	const n = 3000
	for i := range n {
		a.note("local", "", "token.create", fmt.Sprint(i), "done", strings.Repeat("d", 100))
		if i%10 == 9 {
			if err := a.sync(); err != nil {
				t.Fatal(err)
			}
		}
		if i == n/2 {
			if err := a.close(); err != nil {
				t.Fatal(err)
			}
			a, _ = openTestAudit(t, dir, keep)
		}
	}
	defer a.close()
	var size int64
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		fi, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += fi.Size()
	}
	if size > keep+auditLeast || size < keep/2 || len(files) < 4 {
		t.Errorf("%d files of %d bytes where %d shall be kept", len(files), size, keep)
	}
	a.limit(auditLimits{age: time.Hour})
	past := time.Date(2026, 1, 2, 1, 0, 0, 0, time.UTC)
	oldest := filepath.Join(dir, files[0].Name())
	if err := os.Chtimes(oldest, past, past); err != nil {
		t.Fatal(err)
	}
	a.forget()
	if _, err := os.Stat(oldest); err == nil {
		t.Error("a file older than what is kept is there")
	}
	got := all(t, a)
	if got[0].ID != n || len(got) < 300 {
		t.Fatalf("%d records, the newest %d", len(got), got[0].ID)
	}
	for i, r := range got {
		if r.ID != uint64(n-i) || r.Action != "token.create" {
			t.Fatalf("record %d is %+v", n-i, r)
		}
	}
}

// TestAuditFlood: of many denials from one place the first are recorded and the rest counted; what was done is always recorded.
func TestAuditFlood(t *testing.T) {
	a, c := openTestAudit(t, t.TempDir(), 0)
	defer a.close()
	for i := range 100000 {
		a.note("nobody", "10.0.0.1", "http.denied", "GET /v1/status", "denied", "")
		if i%1000 == 0 {
			a.note("local", "", "token.create", "", "done", "")
		}
	}
	a.note("nobody", "10.0.0.2", "http.denied", "", "denied", "")
	c.t = c.t.Add(time.Minute)
	a.tell()
	var denied, done int
	var counted string
	for _, r := range all(t, a) {
		switch {
		case r.Action == "denials.counted":
			counted = r.Detail
		case r.Outcome == "denied":
			denied++
		case r.Outcome == "done":
			done++
		}
	}
	if denied != dampBurst+1 || done != 100 || !strings.HasPrefix(counted, fmt.Sprint(100000-dampBurst)) {
		t.Errorf("%d denials and %d deeds on record; counted: %q", denied, done, counted)
	}
}

// TestAuditDiskFull: what can not be written is kept and comes with the next group; nothing of a failed group stays behind.
func TestAuditDiskFull(t *testing.T) {
	dir := t.TempDir()
	a, _ := openTestAudit(t, dir, 0)
	a.note("local", "", "token.create", "0", "done", "")
	if err := a.sync(); err != nil {
		t.Fatal(err)
	}
	good := a.file.f
	broken, err := os.Open(filepath.Join(dir, auditName)) // read only: every write fails
	if err != nil {
		t.Fatal(err)
	}
	a.file.f = broken
	a.note("local", "", "token.create", "1", "done", "")
	if err := a.sync(); err == nil {
		t.Fatal("a write that can not have worked did")
	}
	if _, err := good.Seek(0, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if _, err := good.WriteString(`{"half":`); err != nil { // as a full disk leaves it
		t.Fatal(err)
	}
	a.file.f = good
	_ = broken.Close()
	a.note("local", "", "token.create", "2", "done", "")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	b, _ := openTestAudit(t, dir, 0)
	defer b.close()
	got := all(t, b)
	if len(got) != 3 || got[0].Subject != "2" || got[1].Subject != "1" || got[2].Subject != "0" {
		t.Errorf("%+v", got)
	}
}

// TestBackwards compares with reading forwards, for files around the size of a chunk.
func TestBackwards(t *testing.T) {
	for _, text := range []string{"", "a", "a\n", "a\nb", "a\nb\n", "\n\n", strings.Repeat("x", 65535) + "\n", strings.Repeat("y\n", 40000) + "rest",
		"1\n" + strings.Repeat("z", 70000) + "\n3\n"} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		if i := strings.LastIndexByte(text, '\n'); i >= 0 {
			want = strings.Split(text[:i], "\n")
		}
		i := len(want)
		for line, err := range backwards(f) {
			if i--; err != nil || i < 0 || len(want[i]) < maxAuditLine && string(line) != want[i] {
				t.Fatalf("%.20q: line %d is %.20q, %v", text, i, line, err)
			}
			if i == 0 {
				break
			}
		}
		_ = f.Close()
		if i > 0 {
			t.Errorf("%.20q: %d lines are missing", text, i)
		}
	}
}
