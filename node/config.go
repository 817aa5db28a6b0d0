package node

import (
	"os"
	"path/filepath"
	"runtime"

	"cairn/node/config"
)

// Modes of a peer.
const (
	ModeUp      = "up"      // stays until it is told to end
	ModeCommand = "command" // ends with the commands that use it
)

// DefaultPort is where the door host listens unless configured, TCP and QUIC.
const DefaultPort = config.DoorPort

// Config is everything that decides how a peer runs. The zero value of each field means its default.
type Config = config.Config

// DefaultHome is CAIRN_HOME, or cairn in the user's data directory (XDG_DATA_HOME on Unix).
func DefaultHome() string {
	if h := os.Getenv("CAIRN_HOME"); h != "" {
		return h
	}
	if h := os.Getenv("XDG_DATA_HOME"); h != "" && filepath.IsAbs(h) {
		return filepath.Join(h, "cairn")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "cairn-home"
	}
	switch runtime.GOOS {
	case "windows":
		return filepath.Join(home, "AppData", "Local", "cairn")
	case "darwin":
		return filepath.Join(home, "Library", "Application Support", "cairn")
	}
	return filepath.Join(home, ".local", "share", "cairn")
}

// LoadConfig reads the configuration of a home: defaults, then config.toml, then CAIRN_* of the environment, then
// flags (by key name; only those that the user gave). Errors are *api.Error.
func LoadConfig(home string, flags map[string]string) (Config, []string, error) {
	s, err := config.NewSource(home, flags)
	if err != nil {
		return Config{}, nil, err
	}
	l, err := s.Load()
	if err != nil {
		return Config{}, nil, err
	}
	l.Config.Mode = ModeCommand
	return l.Config, l.Warnings, nil
}
