//go:build unix

package config

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestPipe: what can not be read without waiting is refused at once.
func TestPipe(t *testing.T) {
	s := Source{Home: t.TempDir()}
	if err := syscall.Mkfifo(s.Path(), 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := s.Load(); err == nil || !strings.HasSuffix(err.Error(), "it is not a regular file") {
		t.Errorf("load: %v", err)
	}
	if _, err := s.Set(t.Context(), "name", "a"); err == nil {
		t.Error("set replaced a pipe")
	}
	if err := os.Remove(s.Path()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", s.Path()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(); err == nil || !strings.HasSuffix(err.Error(), "it is not a regular file") {
		t.Errorf("device: %v", err)
	}
}
