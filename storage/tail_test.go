package storage

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cairn/storage/block/blocktest"
)

// logEntry writes an entry as Badger does.
func logEntry(key, val []byte) []byte {
	b := []byte{0, 0}
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = binary.AppendUvarint(b, uint64(len(val)))
	b = binary.AppendUvarint(b, 0)
	b = append(append(b, key...), val...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func TestScanLog(t *testing.T) {
	key := func(s string) []byte { return append([]byte(s), 0, 0, 0, 0, 0, 0, 0, 1) }
	head := make([]byte, logHead)
	a, b, c := logEntry(key("b/a"), blocktest.Data(1, 5000)), logEntry(key("b/b"), blocktest.Data(2, 2<<20)), logEntry(key("e/c"), blocktest.Data(3, 900))
	bad := bytes.Clone(b)
	bad[1<<20]++
	badHead := bytes.Clone(b)
	badHead[3] = 0xff
	for _, tc := range []struct {
		name  string
		parts [][]byte
		after string
	}{
		{"empty", nil, ""},
		{"whole", [][]byte{a, b, c}, ""},
		{"torn", [][]byte{a, b, c[:500]}, ""},
		{"unwritten rest", [][]byte{a, b, c, make([]byte, 9<<20)}, ""},
		{"torn with rest", [][]byte{a, b[:1<<20], make([]byte, 9<<20)}, ""},
		{"damaged", [][]byte{a, bad, c, a}, "e/c b/a"},
		{"damaged head", [][]byte{a, badHead, c}, "e/c"},
		{"damaged, far from the next", [][]byte{a, bad, bad, bad, a, c}, "b/a e/c"},
		{"lost pages", [][]byte{a, make([]byte, 5<<20), c, make([]byte, 1<<20)}, "e/c"},
		{"damaged last", [][]byte{a, c, bad}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := filepath.Join(t.TempDir(), "x.vlog")
			if err := os.WriteFile(p, bytes.Join(append([][]byte{head}, tc.parts...), nil), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := scanLog(p)
			if err != nil || s.damaged != (tc.after != "") || string(bytes.Join(s.after, []byte(" "))) != tc.after {
				t.Fatalf("%v %q, %v", s.damaged, s.after, err)
			}
		})
	}
}

// TestScanKnowsBadger reads a log that Badger wrote.
func TestScanKnowsBadger(t *testing.T) {
	f := newFixture(t)
	bs := someBlocks(3)
	f.must(f.Put(t.Context(), bs...))
	data, err := os.ReadFile(valueLogPath(f.dir, 1))
	f.must(err)
	n := 0
	for b := data[logHead:]; ; n++ {
		key, size := parseLogEntry(b)
		if size == 0 {
			break
		}
		if _, ok := digestOf(key); !ok || len(key) != len(prefBlock)+mhLen {
			t.Fatalf("key %q", key)
		}
		b = b[size:]
	}
	if n != 3 {
		t.Fatalf("%d entries", n)
	}
}

// badgerSource finds Badger's source.
func badgerSource(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dgraph-io/badger/v4").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	return strings.TrimSpace(string(out))
}
