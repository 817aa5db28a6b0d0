package storage

import (
	"errors"
	"fmt"

	"cairn/storage/block"
)

// Conditions that callers branch on. Those of blocks (not found, corrupt, no space, ...) are block's.
var (
	// ErrWrongKey: the key file does not belong to this store, or the store to another peer.
	ErrWrongKey = errors.New("the key file does not belong to this store")
	// ErrOldKeys: the store was sealed under newer data keys since these were copied. It is an ErrWrongKey.
	ErrOldKeys = fmt.Errorf("%w: they are older than it", ErrWrongKey)
	// ErrStoreLost: a store existed here and its data is gone. It is never re-created in place.
	ErrStoreLost = errors.New("the store that existed here is gone")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("the store is in use by another process")
	// ErrDamaged: the store's own files are damaged or a write to them failed. Reads may go on; nothing more is accepted.
	ErrDamaged = errors.New("the store is damaged")
	// ErrFormat: the store or key file was written by a newer version.
	ErrFormat = errors.New("unknown format")
	// ErrNoEntry: no library entry has this id.
	ErrNoEntry = errors.New("no such entry")
	// ErrReference: a block is known only by reference into a file of the user, and that file cannot be used.
	ErrReference = errors.New("referenced file is not usable")
	// ErrChangedFile: the file is not the one that was referenced: changed, truncated, replaced or gone.
	ErrChangedFile = errors.New("referenced file has changed")
	// ErrClosed: the store or writer was closed.
	ErrClosed = errors.New("closed")
)

// Reason says what is wrong with a referenced file.
type Reason string

// Reasons.
const (
	Changed    Reason = "changed since it was added"
	Missing    Reason = "no longer there"
	Unreadable Reason = "not readable"
	NotRegular Reason = "not a regular file any more"
)

// FileError names a referenced file that cannot be used. It is ErrReference, block.ErrNotFound (this store
// cannot give the block), for all reasons but Unreadable ErrChangedFile, and the system's error if there is one.
type FileError struct {
	Path   string
	Reason Reason
	Err    error
}

func (e *FileError) Error() string {
	// The path is the user's, but may hold control characters.
	return fmt.Sprintf("referenced file %q is %s", e.Path, e.Reason)
}

// Unwrap returns the sentinels that e stands for.
func (e *FileError) Unwrap() []error {
	errs := []error{ErrReference, block.ErrNotFound}
	if e.Reason != Unreadable {
		errs = append(errs, ErrChangedFile)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}
