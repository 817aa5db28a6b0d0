package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"
)

// maxTable bounds a table file that is read whole to be checked; Badger makes them of a few MiB.
const maxTable = 256 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkIndexFiles reads the index's files before Badger opens them. Badger reads tables in goroutines of its
// own, where a length that makes no sense ends the process; and it takes a manifest record with a wrong length
// for the end of the manifest and deletes the tables that came after. Errors: ErrDamaged.
func checkIndexFiles(dir string) error {
	manifest, err := os.ReadFile(filepath.Join(dir, "MANIFEST"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = checkManifest(manifest)
	}
	if err != nil {
		return fmt.Errorf("%w: MANIFEST: %v", ErrDamaged, err)
	}
	ids, err := namedTables(manifest)
	if err != nil {
		return fmt.Errorf("%w: MANIFEST: %v", ErrDamaged, err)
	}
	// Other tables are what a crash left half written, or not yet removed. Badger removes them.
	for _, id := range ids {
		name := fmt.Sprintf("%06d.sst", id)
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err == nil && info.Size() > maxTable {
			err = errors.New("too large")
		}
		var data []byte
		if err == nil {
			data, err = os.ReadFile(path)
		}
		if err == nil {
			err = checkTable(data)
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %v", ErrDamaged, name, err)
		}
	}
	return nil
}

// removeEmptyLogs takes away logs without a byte: a process was killed between making one and giving it its size, before anything
// in it could be acknowledged. Badger fails to open with one.
func removeEmptyLogs(dir string) error {
	for _, kind := range []string{"*.mem", "*.vlog"} {
		logs, err := filepath.Glob(filepath.Join(dir, kind))
		if err != nil {
			return err
		}
		for _, path := range logs {
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > 0 {
				continue
			}
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// namedTables lists the tables that a manifest, which checkManifest has passed, leaves in being.
func namedTables(b []byte) ([]uint64, error) {
	live := make(map[uint64]bool)
	for b = b[8:]; ; {
		n := manifestRecord(b)
		if n == 0 {
			return slices.Sorted(maps.Keys(live)), nil
		}
		var set pb.ManifestChangeSet
		if err := proto.Unmarshal(b[8:n], &set); err != nil {
			return nil, errors.New("a record is not readable")
		}
		for _, c := range set.Changes {
			if c.Op == pb.ManifestChange_DELETE {
				delete(live, c.Id)
			} else {
				live[c.Id] = true
			}
		}
		b = b[n:]
	}
}

// checkManifest knows magic(8), then records of length(4) ‖ crc32c(4) ‖ bytes. A torn last record is what a crash leaves
// and Badger cuts it off; a whole one behind it, or under another length, is not.
func checkManifest(b []byte) error {
	if len(b) < 8 || string(b[:4]) != "Bdgr" {
		return errors.New("not a manifest")
	}
	for b = b[8:]; len(b) > 0; {
		if n := manifestRecord(b); n > 0 {
			b = b[n:]
			continue
		}
		if len(b) > 8 && crc32.Checksum(b[8:], castagnoli) == binary.BigEndian.Uint32(b[4:]) {
			return errors.New("the length of its last record is wrong")
		}
		for i := 1; i < len(b); i++ {
			if manifestRecord(b[i:]) > 8 { // zeros look like an empty one
				return errors.New("damaged between its records")
			}
		}
		if len(b) >= 8 && int(binary.BigEndian.Uint32(b)) <= len(b)-8 {
			return errors.New("its last record does not fit its checksum")
		}
		return nil
	}
	return nil
}

// manifestRecord returns the length of the record that b begins with; 0 if none.
func manifestRecord(b []byte) int {
	if len(b) < 8 {
		return 0
	}
	n := int64(binary.BigEndian.Uint32(b))
	if n > int64(len(b)-8) || crc32.Checksum(b[8:8+n], castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return 0
	}
	return int(8 + n)
}

// checkTable knows blocks ‖ index ‖ index length(4) ‖ checksum ‖ its length(4), each block ending as the file does.
func checkTable(b []byte) (err error) {
	defer func() {
		if r := recover(); r != nil { // flatbuffers, behind a checksum that was right
			err = fmt.Errorf("its index is not readable: %v", r)
		}
	}()
	body, sum, err := cutChecksum(b)
	if err != nil {
		return err
	}
	if len(body) < 4 {
		return errors.New("too short")
	}
	n := int64(binary.BigEndian.Uint32(body[len(body)-4:]))
	body = body[:len(body)-4]
	if n == 0 || n > int64(len(body)) {
		return errors.New("wrong index length")
	}
	blocks, index := body[:int64(len(body))-n], body[int64(len(body))-n:]
	if err := verifySum(index, sum); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	t := fb.GetRootAsTableIndex(index, 0)
	if t.OffsetsLength() == 0 {
		return errors.New("it has no blocks")
	}
	for i := range t.OffsetsLength() {
		var o fb.BlockOffset
		if !t.Offsets(&o, i) {
			return errors.New("its index is not readable")
		}
		from, size := int64(o.Offset()), int64(o.Len())
		if from+size > int64(len(blocks)) {
			return fmt.Errorf("block %d is outside of it", i)
		}
		data, sum, err := cutChecksum(blocks[from : from+size])
		if err == nil {
			err = verifySum(data, sum)
		}
		if err != nil {
			return fmt.Errorf("block %d: %w", i, err)
		}
	}
	return nil
}

// cutChecksum splits what ends in a checksum and its length.
func cutChecksum(b []byte) (data []byte, sum *pb.Checksum, err error) {
	if len(b) < 4 {
		return nil, nil, errors.New("too short")
	}
	n := int64(binary.BigEndian.Uint32(b[len(b)-4:]))
	b = b[:len(b)-4]
	if n > int64(len(b)) {
		return nil, nil, errors.New("wrong checksum length")
	}
	at := int64(len(b)) - n
	sum = new(pb.Checksum)
	if err := proto.Unmarshal(b[at:], sum); err != nil {
		return nil, nil, errors.New("its checksum is not readable")
	}
	return b[:at], sum, nil
}

func verifySum(b []byte, sum *pb.Checksum) error {
	if sum.Algo != pb.Checksum_CRC32C { // what Badger writes; it panics on some others
		return errors.New("unknown kind of checksum")
	}
	if uint64(crc32.Checksum(b, castagnoli)) != sum.Sum {
		return errors.New("wrong checksum")
	}
	return nil
}
