package storage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"os"

	"github.com/dgraph-io/badger/v4"

	"cairn/storage/block"
)

// refs yields the known places of d in files of the user.
func (s *Store) refs(d digest) iter.Seq2[ref, error] {
	return func(yield func(ref, error) bool) {
		all, err := s.listRefs(d)
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(ref{}, err)
		}
	}
}

// maxRefs bounds how many places of one block are tried: the zero leaf may be in every file.
const maxRefs = 16

func (s *Store) listRefs(d digest) (all []ref, err error) {
	defer recoverAs(&err)
	defer faultsPanic()()
	txn := s.read()
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: refPrefix(d)})
	defer it.Close()
	for it.Rewind(); it.Valid() && len(all) < maxRefs; it.Next() {
		v, err := it.Item().ValueCopy(nil)
		if err != nil {
			return all, err
		}
		_, r, err := decodeRef(it.Item().Key(), v)
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

// fileRecord reads what is known of a referenced file.
func (s *Store) fileRecord(id uint64) (f fileRecord, err error) {
	if f, ok := s.files.record(id); ok {
		return f, nil
	}
	key := fileKey(id)
	v, err := s.value(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return f, fmt.Errorf("find file record: %w", block.ErrNotFound)
	}
	if err == nil {
		err = s.keys.openJSON(key, v, &f)
	}
	if err == nil {
		s.files.remember(id, f)
	}
	return f, err
}

// getReferenced reads d from the first of its places that still has it. Errors: block.ErrNotFound when there is
// none, else that of the first place.
func (s *Store) getReferenced(d digest, dst []byte, hash bool) (data []byte, at ref, err error) {
	var first error
	for r, err := range s.refs(d) {
		if err == nil {
			var data []byte
			if data, err = s.readRef(d, r, dst, hash); err == nil {
				return data, r, nil
			}
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = block.ErrNotFound
	}
	return nil, ref{}, first
}

// matches tells whether data is what was referenced: by its hash, or where that is good enough by its checksum.
func (r ref) matches(d digest, data []byte, hash bool) bool {
	if !hash && r.summed {
		return crc32.Checksum(data, castagnoli) == r.sum
	}
	return sha256.Sum256(data) == d
}

// readRef reads one place and verifies it.
func (s *Store) readRef(d digest, r ref, dst []byte, hash bool) ([]byte, error) {
	rec, err := s.fileRecord(r.file)
	if err != nil {
		return nil, err
	}
	h, err := s.files.open(r.file, rec)
	if err != nil {
		return nil, err
	}
	defer h.release()
	if cap(dst) < r.length {
		dst = make([]byte, r.length)
	}
	dst = dst[:r.length]
	if _, err := h.f.ReadAt(dst, r.offset); errors.Is(err, io.EOF) {
		return nil, &FileError{Path: rec.Path, Reason: Changed}
	} else if err != nil {
		return nil, &FileError{Path: rec.Path, Reason: Unreadable, Err: err}
	}
	if !r.matches(d, dst, hash) {
		return nil, &FileError{Path: rec.Path, Reason: Changed}
	}
	return dst, nil
}

// openReference opens the file of rec and checks that it is still the one that was referenced.
func openReference(rec fileRecord) (*os.File, fs.FileInfo, error) {
	fail := func(err error) (*os.File, fs.FileInfo, error) {
		return nil, nil, fileErrorOf(rec.Path, err)
	}
	// Asked before it is opened, because opening some devices has effects; and again after, because of races.
	info, err := os.Stat(rec.Path)
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, &FileError{Path: rec.Path, Reason: NotRegular}
	}
	f, err := openNoBlock(rec.Path)
	if err != nil {
		return fail(err)
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return fail(err)
	}
	if err := rec.check(info); err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// check compares a file as it is now with the guard.
func (f fileRecord) check(info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return &FileError{Path: f.Path, Reason: NotRegular}
	case info.Size() != f.Size || info.ModTime().UnixNano() != f.MTime:
		return &FileError{Path: f.Path, Reason: Changed}
	}
	return nil
}

func fileErrorOf(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &FileError{Path: path, Reason: Missing, Err: err}
	}
	return &FileError{Path: path, Reason: Unreadable, Err: err}
}
