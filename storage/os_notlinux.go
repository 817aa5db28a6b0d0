//go:build !linux

package storage

import "io/fs"

// changeTime is not looked at here: mode and modification time stand in for it.
func changeTime(info fs.FileInfo) int64 {
	return info.ModTime().UnixNano() ^ int64(info.Mode())
}
