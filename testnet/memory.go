package testnet

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is what a process holds, in bytes.
type Memory struct {
	Anon int64 // its own pages (RssAnon)
	File int64 // pages of mapped files (RssFile), which the kernel takes back when it needs them
}

// ReadMemory asks the kernel about a process. It fails where there is no /proc.
func ReadMemory(pid int) (Memory, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("read memory: %w", err)
	}
	defer f.Close()
	var m Memory
	found := false
	for s := bufio.NewScanner(f); s.Scan(); {
		name, rest, _ := strings.Cut(s.Text(), ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch name {
		case "RssAnon":
			m.Anon, found = n<<10, true
		case "RssFile":
			m.File = n << 10
		}
	}
	if !found {
		return m, fmt.Errorf("read memory: process %d has none", pid)
	}
	return m, nil
}
