package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Badger's logs (value logs *.vlog, memtable logs *.mem) are a 20-byte head (key id 8, zero without encryption,
// and a 12-byte IV) followed by entries:
//
//	meta 1 ‖ user meta 1 ‖ uvarint key length ‖ uvarint value length ‖ uvarint expiry ‖ key ‖ value ‖ crc32c 4
//
// It takes the first entry that does not fit its checksum for the end of the log: at open it truncates the last
// value log there, and its GC, having moved what came before, deletes the file. One flipped byte would so take
// everything behind it along. scanLog finds that case.
const (
	logHead      = 20
	maxLogEntry  = 3 << 20
	scanWindow   = 4 << 20
	minEntryHead = 5
	maxEntryHead = 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// logScan is what scanLog found.
type logScan struct {
	damaged bool     // a whole entry follows after bytes that are none
	after   [][]byte // keys (without version) of whole entries behind the first damage
}

// scanLog reads a log of Badger's. A torn tail is not damage.
func scanLog(path string) (s logScan, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	w := window{f: f, buf: make([]byte, 0, scanWindow)}
	for off, good := int64(logHead), true; ; {
		b, err := w.at(off)
		if err != nil {
			return s, err
		}
		if len(b) < minEntryHead {
			return s, nil
		}
		key, n := parseLogEntry(b)
		switch {
		case n > 0:
			if !good {
				s.damaged = true
				s.after = append(s.after, slices.Clone(key))
			}
			off += int64(n)
		case good && zero(b[:min(len(b), 64)]):
			// The unwritten rest of a file that was not closed; but a lost page looks the same: go on looking.
			good = false
			off++
		default:
			good = false
			skip := nextEntry(b)
			off += int64(skip)
		}
	}
}

// window reads a file forwards through one buffer.
type window struct {
	f    *os.File
	buf  []byte
	from int64
	end  bool // buf reaches the end of the file
}

// at returns the bytes from off on: at least maxLogEntry of them unless the file ends before.
func (w *window) at(off int64) ([]byte, error) {
	if off >= w.from && off <= w.from+int64(len(w.buf)) {
		if b := w.buf[off-w.from:]; w.end || len(b) >= maxLogEntry {
			return b, nil
		}
	}
	n, err := w.f.ReadAt(w.buf[:cap(w.buf)], off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	w.buf, w.from, w.end = w.buf[:n], off, err != nil
	return w.buf, nil
}

// parseLogEntry returns the key (without its version) and the length of the entry that b begins with; 0 if none.
func parseLogEntry(b []byte) (key []byte, n int) {
	if len(b) < minEntryHead {
		return nil, 0
	}
	at := 2
	var v [3]uint64 // key length, value length, expiry
	for i := range v {
		x, m := binary.Uvarint(b[at:])
		if m <= 0 {
			return nil, 0
		}
		v[i] = x
		at += m
	}
	if v[0] < 9 || v[0] > 1<<16 || v[1] > maxLogEntry {
		return nil, 0
	}
	end := at + int(v[0]) + int(v[1])
	if end+4 > len(b) || crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return nil, 0
	}
	return b[at : at+int(v[0])-8], end + 4
}

// nextEntry returns how far to go in b before another try: to the head of an entry of ours, or past all of b
// that can be judged.
func nextEntry(b []byte) int {
	for i := 1 + minEntryHead; i+1 < len(b); i++ {
		if b[i+1] != '/' || !strings.Contains("brfpe", string(b[i:i+1])) {
			continue
		}
		for h := minEntryHead; h <= maxEntryHead && h < i; h++ {
			if _, n := parseLogEntry(b[i-h:]); n > 0 {
				return i - h
			}
		}
	}
	// An entry may begin in the last bytes, or be cut off by the window's end.
	if len(b) > maxLogEntry {
		return len(b) - maxLogEntry
	}
	return len(b)
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// valueLogs lists the numbers of the value logs in dir, in order.
func valueLogs(dir string) ([]int, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var ids []int
	for _, n := range names {
		if id, err := strconv.Atoi(strings.TrimSuffix(n.Name(), ".vlog")); err == nil && strings.HasSuffix(n.Name(), ".vlog") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func valueLogPath(dir string, id int) string { return filepath.Join(dir, fmt.Sprintf("%06d.vlog", id)) }

// preserveTail keeps Badger from truncating a last value log that is damaged in the middle, by putting an
// empty one behind it. It is called before Badger opens dir.
func preserveTail(dir string) error {
	ids, err := valueLogs(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(ids) == 0 {
		return nil
	} else if err != nil {
		return err
	}
	last := ids[len(ids)-1]
	scan, err := scanLog(valueLogPath(dir, last))
	if err != nil || !scan.damaged {
		return err
	}
	head := make([]byte, logHead)
	iv, err := randomBytes(12)
	if err != nil {
		return err
	}
	copy(head[8:], iv)
	return writeFileSynced(valueLogPath(dir, last+1), head, false)
}
