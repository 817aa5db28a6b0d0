// Package dag turns files and directories into UnixFS DAGs and back.
//
// It imports in parallel ([ImportPaths], [ImportReader]), flattens an object into a list of leaves and items
// ([Walk], [Tree]), reads a file with ranges ([NewReader]), lists and resolves without walking everything
// ([ListDir], [Resolve]), and reads and writes CAR files.
//
// It promises the CIDs of the public unixfs-v1-2025 profile (IPIP-499: CIDv1, sha2-256, raw leaves of 1 MiB, balanced
// dag-pb nodes of 1024 links, HAMT directories over 256 KiB), memory bounded by a window and not by the size of what
// is imported, and that no bytes from outside make it panic or spend more than the [Budget] says.
//
// It does not store anything (a [Sink] does), does not fetch (a [NodeSource] or block.Getter does), and writes
// nothing to the file system. Goroutines that it starts end before the function that started them returns; those of
// a reader end with its Close.
package dag

import (
	"context"
	"errors"
	"io/fs"
	"iter"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// Shape of the profile.
const (
	// LeafSize is the size in bytes of every leaf of a file but the last.
	LeafSize = 1 << 20
	// Width is the number of links of a full file node.
	Width = 1024
	// maxPlainDir is the largest encoded directory block in bytes that is not sharded.
	maxPlainDir = 256 << 10
	// maxName is the longest name of a directory entry in bytes (NAME_MAX of every common file system).
	maxName = 255
	// maxTarget is the longest target of a symbolic link in bytes (PATH_MAX).
	maxTarget = 4096
)

// Conditions that callers branch on.
var (
	// ErrBadDAG: the DAG is malformed, contradicts itself, or exceeds a budget. The text says where.
	ErrBadDAG = errors.New("malformed DAG")
	// ErrChanged: a source file changed while it was read. Comes inside an fs.PathError.
	ErrChanged = errors.New("file changed while it was read")
	// ErrUnsupported: well formed, but of a kind that Cairn does not read.
	ErrUnsupported = errors.New("unsupported DAG")
	// ErrSpecial: a FIFO, socket or device was named where a file or directory is needed. Comes inside an fs.PathError.
	ErrSpecial = errors.New("is not a regular file, directory or symbolic link")
	// ErrDuplicate: two of the paths to import have the same base name.
	ErrDuplicate = errors.New("two paths have the same name")

	errLoop = errors.New("too many levels of symbolic links")
)

// Kind says what an object or entry is. The zero value means not known.
type Kind uint8

// Kinds of objects.
const (
	File Kind = iota + 1
	Directory
	Symlink
)

// String returns file, directory, symlink or unknown.
func (k Kind) String() string {
	switch k {
	case File:
		return "file"
	case Directory:
		return "directory"
	case Symlink:
		return "symlink"
	}
	return "unknown"
}

// Sink takes what an import makes. All methods are called from several goroutines at once. An error from any of
// them ends the import with that error.
type Sink interface {
	// File begins a source file: absolute path and what fstat said when it was opened. The id goes with its leaves.
	// It is not called for imports from a reader or a CAR, whose leaves have id 0.
	File(path string, info fs.FileInfo) (id uint64, err error)
	// Leaf is a raw leaf at byte offset off of file id. data is valid only during the call. Leaves that lie in holes
	// of a sparse file are all alike: only the first of them in a file is handed over.
	Leaf(ctx context.Context, id uint64, off int64, c cid.Cid, data []byte) error
	// Node is an inner dag-pb block: file node, directory, HAMT shard or symbolic link. data is valid only during
	// the call. Equal nodes may come more than once.
	Node(ctx context.Context, c cid.Cid, data []byte) error
}

// Options of an import. The zero value is good.
type Options struct {
	// Workers is the number of goroutines that read and hash. 0: GOMAXPROCS.
	Workers int
	// Preserve records mode and mtime of files and directories (UnixFS 1.5), and the mtime of symbolic links. It
	// changes CIDs.
	Preserve bool
	// Progress is told the totals so far, from one goroutine at a time. May be nil.
	Progress func(bytes, files int64)
	// Warn is told, from one goroutine at a time, what was left out: FIFOs, sockets and devices inside a tree. May be nil.
	Warn func(text string)
}

// Summary of an import.
type Summary struct {
	Root cid.Cid
	Kind Kind
	// Size is the sum of the sizes of all files in bytes, Files their number, Leaves the number of leaves in the
	// sense of the leaf index (duplicates counted).
	Size, Files, Leaves int64
	// Skipped is the number of special files that were left out.
	Skipped int
}

// NodeSource fetches inner nodes, many at once.
type NodeSource interface {
	// Nodes yields the blocks of cs, each once, in any order. Data is valid until the next iteration. Nothing needs
	// to be verified: the caller does. An error ends the iteration.
	Nodes(ctx context.Context, cs []cid.Cid) iter.Seq2[block.Block, error]
}

// Budget bounds what a DAG from outside may cost. All limits are inclusive; zero means zero.
type Budget struct {
	// MaxNodes is the number of distinct inner nodes fetched.
	MaxNodes int
	// MaxLeaves and MaxItems bound the flattened object: duplicates counted.
	MaxLeaves, MaxItems int
	// MaxDepth is the number of nodes on the longest path from the root.
	MaxDepth int
	// MaxBytes is the sum of the sizes of all files.
	MaxBytes int64
	// MaxPath is the length in bytes of the longest path of an item.
	MaxPath int
}

// DefaultBudget allows objects of 4 Mi leaves (4 TiB) and 1 Mi items: at most about 128 MiB of leaf digests and
// 300 MiB of items at once.
func DefaultBudget() Budget {
	return Budget{MaxNodes: 1 << 20, MaxLeaves: 4 << 20, MaxItems: 1 << 20, MaxDepth: 256, MaxBytes: 8 << 40, MaxPath: 4096}
}
