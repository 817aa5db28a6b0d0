//go:build !unix

package dag

import "os"

// openNonblock opens for reading. There are no FIFOs in the file tree here.
func openNonblock(path string, dir bool) (*os.File, error) { return os.Open(path) }

func isSwapped(error) bool { return false }
