package fetch

import (
	"fmt"
	"path"
	"runtime"
	"strings"

	"cairn/storage/dag"
)

// checkTree refuses trees whose names could lead outside the destination (dag checks them too; this is the last
// gate before the disk), or that this system cannot keep. fold says that the file system takes names that
// differ only in case for the same.
func checkTree(items []dag.Item, fold bool) error {
	dirs := map[string]bool{"": true}
	seen := make(map[string]string)
	for i := range items {
		it := &items[i]
		if i == 0 {
			continue
		}
		dir, name := path.Split(it.Path)
		dir = strings.TrimSuffix(dir, "/")
		if !plainName(name) || !dirs[dir] {
			return fmt.Errorf("%w: path %q", dag.ErrBadDAG, it.Path)
		}
		if err := checkName(name); err != nil {
			return fmt.Errorf("%w: %q: %w", ErrNames, it.Path, err)
		}
		if it.Kind == dag.Directory {
			dirs[it.Path] = true
		}
		if fold {
			low := strings.ToLower(it.Path)
			if other, ok := seen[low]; ok {
				return fmt.Errorf("%w: %q and %q would be one file", ErrNames, other, it.Path)
			}
			seen[low] = it.Path
		}
	}
	return nil
}

// plainName tells whether name is one path element that stays where it is.
func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

// checkName says why this operating system cannot keep a file of that name.
func checkName(name string) error {
	if runtime.GOOS == "windows" {
		return checkWindowsName(name)
	}
	return nil
}

// checkWindowsName applies the rules of "Naming Files, Paths, and Namespaces" (Microsoft).
func checkWindowsName(name string) error {
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || strings.ContainsRune(`<>:"/\|?*`, r) }) {
		return fmt.Errorf("it has a character that Windows does not allow")
	}
	if strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return fmt.Errorf("windows does not allow a dot or space at the end")
	}
	stem, _, _ := strings.Cut(name, ".")
	switch stem = strings.ToUpper(strings.TrimRight(stem, " ")); stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return fmt.Errorf("windows reserves this name")
	}
	if rest, ok := strings.CutPrefix(stem, "COM"); ok || strings.HasPrefix(stem, "LPT") {
		if !ok {
			rest = strings.TrimPrefix(stem, "LPT")
		}
		switch rest {
		case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
			return fmt.Errorf("windows reserves this name")
		}
	}
	return nil
}

// linkStays tells whether the symbolic link of an item, followed through all other links of the tree, never leaves
// it. byPath maps paths to items. What is not in the tree is taken for a missing file; going up from there is
// refused, because on a file system that folds case or accents it might be a link after all.
func linkStays(items []dag.Item, byPath map[string]int, link int) bool {
	hops, steps := 0, 0
	var walk func(at []string, target string) ([]string, bool)
	// walk returns where target leads from directory at.
	walk = func(at []string, target string) ([]string, bool) {
		if target == "" || strings.HasPrefix(target, "/") || strings.ContainsRune(target, 0) || !systemTarget(target) {
			return nil, false
		}
		for part := range strings.SplitSeq(target, "/") {
			if steps++; steps > 1<<14 {
				return nil, false
			}
			switch part {
			case "", ".":
				continue
			case "..":
				i, ok := byPath[strings.Join(at, "/")]
				if len(at) == 0 || !ok || items[i].Kind != dag.Directory {
					return nil, false
				}
				at = at[:len(at)-1]
				continue
			}
			next := append(at[:len(at):len(at)], part)
			if i, ok := byPath[strings.Join(next, "/")]; ok && items[i].Kind == dag.Symlink {
				if hops++; hops > maxHops {
					return nil, false
				}
				var stays bool
				if at, stays = walk(at, items[i].Target); !stays {
					return nil, false
				}
				continue
			}
			at = next
		}
		return at, true
	}
	var dir []string
	if d := path.Dir(items[link].Path); d != "." {
		dir = strings.Split(d, "/")
	}
	_, stays := walk(dir, items[link].Target)
	return stays || hops > maxHops
}

// maxHops is above the number of links in a row that any system follows (Linux 40, macOS 32, Windows 63): a loop
// leads nowhere, thus not out of the tree.
const maxHops = 64

// systemTarget refuses link targets that mean something else to Windows than to everybody else.
func systemTarget(target string) bool {
	return runtime.GOOS != "windows" || !strings.ContainsAny(target, `\:`)
}
