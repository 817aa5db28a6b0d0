package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cairn/web/api"
)

const (
	auditName = "audit.log"
	auditHead = "audit.head" // id and hash of the newest record: shows that the log's end was cut off
	auditOld  = "audit-"     // audit-ID.log: files that are full, ID is that of the first record after them

	maxAuditLine = 16 << 10 // bytes; what is longer is no record
)

// auditLine is one line of the log: a record, and the SHA-256 of the line before in hex.
type auditLine struct {
	api.AuditRecord
	Prev string `json:"prev"`
}

// auditLog is the file of the log and those that are full. Lines are JSON, each holds the hash of the one before, through all
// files, so that a line that was changed or taken out breaks the chain; the end is in audit.head. This is no seal: who
// can write the home can write all of it anew. Not safe for concurrent use.
type auditLog struct {
	dir  string
	seal fileSeal
	now  func() time.Time
	keep auditLimits
	each int64 // bytes of one file

	f    *os.File
	size int64  // of what is known to be whole in f
	id   uint64 // of the newest record
	hash string // of its line
	torn bool   // f may hold more than size, after an error
}

func noHash() string { return strings.Repeat("0", 2*sha256.Size) }

func hashOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// openAuditLog opens or begins the log of a home. A last line that a crash cut short is removed. notes says in words what else is not as it should
// be.
func openAuditLog(dir string, seal fileSeal, keep auditLimits, now func() time.Time) (_ *auditLog, notes []string, err error) {
	l := &auditLog{dir: dir, seal: seal, now: now, hash: noHash()}
	l.limit(keep)
	path := filepath.Join(dir, auditName)
	if l.f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, nil, fmt.Errorf("open audit log: %w", err)
	}
	defer func() {
		if err != nil {
			_ = l.f.Close() // the first error is the one to tell
		}
	}()
	if err := private(path); err != nil {
		return nil, nil, err
	}
	if err := l.before(); err != nil {
		return nil, nil, err
	}
	if notes, err = l.scan(); err != nil {
		return nil, nil, err
	}
	return l, notes, nil
}

// before sets id and hash to those of the newest line of the files that are full.
func (l *auditLog) before() error {
	old, err := l.old()
	if err != nil || len(old) == 0 {
		return err
	}
	f, err := os.Open(old[len(old)-1])
	if err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	defer f.Close()
	for line, err := range backwards(f) {
		if err != nil {
			return err
		}
		l.follow(line)
		return nil
	}
	return nil
}

// follow takes a line as the newest.
func (l *auditLog) follow(line []byte) (prev string, ok bool) {
	var x auditLine
	ok = l.decode(line, &x) == nil && x.ID > l.id
	if ok {
		l.id = x.ID
	}
	l.hash = hashOf(line)
	return x.Prev, ok
}

// scan reads the open file to its end, checks its chain, and removes an unfinished last line.
func (l *auditLog) scan() (notes []string, err error) {
	data, err := io.ReadAll(l.f)
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	told := map[string]bool{}
	first := l.hash == noHash() // older files may have been removed
	for len(data) > 0 {
		line, rest, whole := bytes.Cut(data, []byte{'\n'})
		if !whole {
			notes = append(notes, fmt.Sprintf("an unfinished record of %d bytes after record %d was removed", len(line), l.id))
			break
		}
		was := l.hash
		prev, ok := l.follow(line)
		var r api.AuditRecord
		switch {
		case !ok:
			notes = append(notes, fmt.Sprintf("what follows a record %d is no record", l.id))
		case prev != was && !first:
			notes = append(notes, fmt.Sprintf("the chain is broken before record %d: what is before was changed or removed", l.id))
		case l.decode(line, &r) == nil && r.Action == "audit.damaged":
			told[r.Detail] = true
		}
		first = false
		l.size += int64(len(line)) + 1
		data = rest
	}
	if err := l.cut(); err != nil {
		return nil, err
	}
	if id, hash, ok := l.head(); ok && (id > l.id || id == l.id && hash != l.hash) {
		notes = append(notes, fmt.Sprintf("it ended with record %d, and now ends with another: %d", id, l.id))
		l.id = max(l.id, id) // ids are never used twice
	}
	return slices.DeleteFunc(notes, func(n string) bool { return told[n] }), nil
}

// encode makes a line; decode reads one.
func (l *auditLog) encode(x auditLine) ([]byte, error) {
	b, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	return l.seal.wrap(auditName, b)
}

func (l *auditLog) decode(line []byte, v any) error {
	b, err := l.seal.unwrap(auditName, line)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// rewrite writes all files again, sealed or not as it is now, each aside and then in its place, with a chain that begins
// anew. A line that is no record stays as it is.
func (l *auditLog) rewrite() error {
	old, err := l.old()
	if err != nil {
		return err
	}
	hash := noHash()
	for _, path := range append(old, filepath.Join(l.dir, auditName)) {
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("rewrite audit log: %w", err)
		}
		var out bytes.Buffer
		for line := range bytes.Lines(data) {
			line = bytes.TrimSuffix(line, []byte{'\n'})
			var x auditLine
			if l.decode(line, &x) == nil {
				x.Prev = hash
				if line, err = l.encode(x); err != nil {
					return fmt.Errorf("rewrite audit log: %w", err)
				}
			}
			hash = hashOf(line)
			out.Write(append(bytes.Clone(line), '\n'))
		}
		if err := writeSecret(path, out.Bytes()); err != nil {
			return fmt.Errorf("rewrite audit log: %w", err)
		}
		l.size = int64(out.Len())
	}
	f, err := os.OpenFile(filepath.Join(l.dir, auditName), os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("rewrite audit log: %w", err)
	}
	_ = l.f.Close() // its file is not there any more
	l.f, l.hash = f, hash
	l.saveHead()
	return l.cut()
}

// finish rewrites what a passphrase that was set in the life of a process that died then should have sealed.
func (l *auditLog) finish() error {
	if !l.seal.on() {
		return nil
	}
	files, err := l.open()
	left := false
	for _, f := range files {
		b := make([]byte, 1)
		n, rerr := f.ReadAt(b, 0)
		left = left || n == 1 && b[0] != sealedText
		if rerr == io.EOF {
			rerr = nil // it is empty
		}
		err = errors.Join(err, rerr, f.Close())
	}
	if err != nil || !left {
		return err
	}
	return l.rewrite()
}

// cut brings the file to what is known to be whole.
func (l *auditLog) cut() error {
	err := l.f.Truncate(l.size)
	if err == nil {
		_, err = l.f.Seek(l.size, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("repair audit log: %w", err)
	}
	l.torn = false
	return nil
}

// append writes records and syncs them. After an error none of them is there.
func (l *auditLog) append(records []api.AuditRecord) error {
	if l.torn {
		if err := l.cut(); err != nil {
			return err
		}
	}
	if l.size >= l.each {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	id, hash := l.id, l.hash
	var b bytes.Buffer
	for _, r := range records {
		id++
		r.ID = id
		line, err := l.encode(auditLine{r, hash})
		if err != nil {
			return fmt.Errorf("write audit log: %w", err)
		}
		hash = hashOf(line)
		b.Write(append(line, '\n'))
	}
	_, err := l.f.Write(b.Bytes())
	if err == nil {
		err = l.f.Sync()
	}
	if err != nil {
		l.torn = true
		return fmt.Errorf("write audit log: %w", err)
	}
	l.size += int64(b.Len())
	l.id, l.hash = id, hash
	l.saveHead()
	return nil
}

// saveHead is not synced: one that is older than the log says nothing, and it is never newer.
func (l *auditLog) saveHead() {
	path := filepath.Join(l.dir, auditHead)
	if os.WriteFile(path+".new", fmt.Appendf(nil, "%d %s\n", l.id, l.hash), 0o600) == nil {
		_ = os.Rename(path+".new", path)
	}
}

func (l *auditLog) head() (id uint64, hash string, ok bool) {
	b, err := os.ReadFile(filepath.Join(l.dir, auditHead))
	if err != nil {
		return 0, "", false
	}
	n, err := fmt.Sscanf(string(b), "%d %s\n", &id, &hash)
	return id, hash, n == 2 && err == nil && len(hash) == 2*sha256.Size
}

// rotate puts the full file aside under the id that follows, begins another, and removes the oldest that there is
// no more room for.
func (l *auditLog) rotate() error {
	path := filepath.Join(l.dir, auditName)
	aside := filepath.Join(l.dir, fmt.Sprintf("%s%016d.log", auditOld, l.id+1))
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("rotate audit log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return errors.Join(fmt.Errorf("rotate audit log: %w", err), os.Rename(aside, path))
	}
	_ = l.f.Close() // synced when it was written
	l.f, l.size = f, 0
	if err := syncDir(l.dir); err != nil {
		return fmt.Errorf("rotate audit log: %w", err)
	}
	return l.prune()
}

// limit says how much is kept. A quarter of the bytes is the file that is written.
func (l *auditLog) limit(keep auditLimits) {
	l.keep, l.each = keep, auditFile
	if keep.size > 0 {
		l.each = min(max(keep.size/4, auditLeast), auditFile)
	}
}

// prune removes full files, the oldest first, until what is left is no more and no older than what is kept.
func (l *auditLog) prune() error {
	old, err := l.old()
	if err != nil {
		return err
	}
	room := l.keep.size - l.each
	for _, p := range slices.Backward(old) {
		fi, err := os.Stat(p)
		if err != nil {
			return fmt.Errorf("look at old audit log: %w", err)
		}
		room -= fi.Size()
		if l.keep.size > 0 && room < 0 || l.keep.age > 0 && l.now().Sub(fi.ModTime()) > l.keep.age {
			if err := os.Remove(p); err != nil {
				return fmt.Errorf("remove old audit log: %w", err)
			}
		}
	}
	return nil
}

// old lists the files that are full, oldest first.
func (l *auditLog) old() ([]string, error) {
	all, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, fmt.Errorf("look for audit logs: %w", err)
	}
	var out []string
	for _, e := range all { // sorted by name, which is by id
		if strings.HasPrefix(e.Name(), auditOld) && strings.HasSuffix(e.Name(), ".log") && e.Type().IsRegular() {
			out = append(out, filepath.Join(l.dir, e.Name()))
		}
	}
	return out, nil
}

// open opens all files for reading, newest first.
func (l *auditLog) open() (files []*os.File, err error) {
	old, err := l.old()
	if err != nil {
		return nil, err
	}
	for _, p := range slices.Backward(append(old, filepath.Join(l.dir, auditName))) {
		f, err := os.Open(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, fmt.Errorf("read audit log: %w", err)
		}
		files = append(files, f)
	}
	return files, nil
}

func (l *auditLog) close() error { return l.f.Close() }

// backwards yields the whole lines of a file from the last to the first, without their ends. A line is good until the next.
func backwards(f *os.File) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		fi, err := f.Stat()
		if err != nil {
			yield(nil, fmt.Errorf("read audit log: %w", err))
			return
		}
		at := fi.Size()
		var tail []byte // from at on, up to the last line that was yielded
		begun := false  // tail begins after the end of a line that is whole
		for at > 0 {
			n := min(at, 64<<10)
			at -= n
			chunk := make([]byte, n, int(n)+len(tail))
			if _, err := f.ReadAt(chunk, at); err != nil {
				yield(nil, fmt.Errorf("read audit log: %w", err))
				return
			}
			if len(tail) > maxAuditLine {
				tail = tail[:0] // damaged: nothing that we wrote
			}
			tail = append(chunk, tail...)
			for {
				i := bytes.LastIndexByte(tail, '\n')
				if i < 0 {
					break
				}
				line := tail[i+1:]
				tail = tail[:i]
				if begun && !yield(line, nil) { // what follows the last end of a line is being written
					return
				}
				begun = true
			}
		}
		if begun {
			yield(tail, nil)
		}
	}
}
