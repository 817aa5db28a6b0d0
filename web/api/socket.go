package api

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
)

// maxSocketPath is what every system takes: sun_path has 104 bytes on macOS, 108 on Linux and Windows.
const maxSocketPath = 100

// SocketPath returns where the peer of a home listens: in the home, or, when that path is too long for a socket,
// in a directory of this user under a name made from the home's path. It looks at nothing but the home's path, so
// peer and client find each other whatever their environment. It makes nothing: package web checks the directory.
func SocketPath(home string) (string, error) {
	abs, err := filepath.Abs(home)
	if err != nil {
		return "", Errorf(CodeUsage, "the path of the data directory cannot be made absolute")
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real // two names of one home must lead to one socket
	}
	if p := filepath.Join(abs, "peer.sock"); len(p) <= maxSocketPath {
		return p, nil
	}
	dir, err := runtimeDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(dir, hex.EncodeToString(sum[:12])+".sock"), nil
}

// CheckSocketDir makes sure that the directory of a socket is this user's alone, making it when it is missing and
// not the home itself.
func CheckSocketDir(socket string) error {
	dir := filepath.Dir(socket)
	if filepath.Base(socket) == "peer.sock" {
		return nil // the home, whose owner made it 0700
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return Errorf(CodeFailed, "the directory %s for the socket cannot be made", quote(dir))
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || !ownedPrivately(info) {
		return Errorf(CodeNotPermitted, "the directory %s belongs to someone else or is open to others", quote(dir)).
			WithHint("remove it, or use a data directory with a shorter path")
	}
	return nil
}
