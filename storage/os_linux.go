package storage

import (
	"io/fs"
	"syscall"
)

// changeTime is when a file's data, mode or owner last changed, in nanoseconds: a permission that was taken
// away shows here.
func changeTime(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ctim.Nano()
	}
	return 0
}
