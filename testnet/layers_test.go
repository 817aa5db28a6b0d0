package testnet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layers is the order of the packages: arrows point down only. A package that is not named belongs to the longest
// path above it that is.
var layers = map[string]int{
	"cairn/cmd":     5,
	"cairn/testnet": 5,

	"cairn/node": 4,

	"cairn/web": 3,

	"cairn/swarm": 2,

	"cairn/storage":   1,
	"cairn/dht":       1,
	"cairn/consensus": 1,

	"cairn/storage/block":        0,
	"cairn/swarm/ticket":         0,
	"cairn/dht/placement":        0,
	"cairn/consensus/membership": 0,
	"cairn/consensus/access":     0,
}

// apart lists packages that must not know each other although their layers would allow it. A name that ends with
// /... stands for all below it too.
var apart = []struct{ from, to, instead string }{
	{"cairn/storage/dag", "cairn/storage", "declare what it needs as an interface; package node hands the store in"},
	{"cairn/storage", "cairn/storage/dag", "let package node join the two"},
	{"cairn/swarm/...", "cairn/storage", "declare what it needs as an interface (storage/block and storage/dag are allowed)"},
	{"cairn/web/...", "cairn/storage", "declare what it needs of a peer in web/api.Peer; package node implements it"},
	{"cairn/web/...", "cairn/swarm/exchange", "declare what it needs of a peer in web/api.Peer; package node implements it"},
	{"cairn/web/...", "cairn/swarm/fetch", "declare what it needs of a peer in web/api.Peer; package node implements it"},
	{"cairn/cmd/...", "cairn/testnet/...", "keep what tests need out of the commands"},
	{"cairn/cmd/cairn", "cairn/storage", "ask the peer through web/client"},
}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
	GoFiles    []string
}

// packages lists those of the module as they are built for one system.
func packages(t *testing.T, root, goos string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Doc,Imports,GoFiles", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(p.ImportPath, "/node_modules/") {
			all = append(all, p)
		}
	}
}

// group is the named path that a package belongs to.
func group(path string) (string, bool) {
	for p := path; p != "cairn" && p != "."; p = p[:max(strings.LastIndexByte(p, '/'), 0)] {
		if _, ok := layers[p]; ok {
			return p, true
		}
	}
	return "", false
}

// matches tells whether a name of the table above stands for a package.
func matches(name, path string) bool {
	dir, below := strings.CutSuffix(name, "/...")
	return path == dir || below && strings.HasPrefix(path, dir+"/")
}

func TestRulesImportsPointDown(t *testing.T) {
	root := moduleRoot(t)
	for _, goos := range []string{"linux", "darwin", "windows"} {
		for _, p := range packages(t, root, goos) {
			from, ok := group(p.ImportPath)
			if !ok {
				t.Errorf("%s belongs to no layer: name it in the table of %s", p.ImportPath, t.Name())
				continue
			}
			for _, to := range p.Imports {
				if matches("cairn/...", to) {
					if why := wrong(p.ImportPath, from, to); why != "" {
						t.Errorf("%s: %s imports %s: %s", goos, p.ImportPath, to, why)
					}
				}
			}
		}
	}
}

// wrong says what to do in the place of an import; "" when it is right.
func wrong(path, from, to string) string {
	target, ok := group(to)
	if !ok {
		return "that belongs to no layer"
	}
	for _, a := range apart {
		if matches(a.from, path) && matches(a.to, to) {
			return a.instead
		}
	}
	switch {
	case layers[target] > layers[from]:
		return "arrows point down only: declare a small interface here, and let package node hand the real thing in"
	case layers[target] == layers[from] && target != from:
		return "siblings do not know each other: declare a small interface here, and let package node hand the real thing in"
	case layers[from] == 0 && !matches(to+"/...", path) && !matches(path+"/...", to):
		return "the vocabularies at the bottom import nothing of ours"
	}
	return ""
}

// TestRulesCatchWhatTheyShould: a check that can not fail checks nothing.
func TestRulesCatchWhatTheyShould(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		bad      bool
	}{
		{"cairn/storage/dag", "cairn/storage", true},
		{"cairn/storage", "cairn/storage/dag", true},
		{"cairn/storage/dag", "cairn/storage/block", false},
		{"cairn/storage/block", "cairn/storage", true},
		{"cairn/storage/block/blocktest", "cairn/storage/block", false},
		{"cairn/storage/block", "cairn/swarm/ticket", true},
		{"cairn/consensus/membership", "cairn/consensus/membership/pb", false},
		{"cairn/consensus/membership", "cairn/consensus/access", true},
		{"cairn/consensus/membership", "cairn/consensus", true},
		{"cairn/swarm/exchange", "cairn/storage", true},
		{"cairn/swarm/exchange", "cairn/storage/dag", false},
		{"cairn/swarm/exchange", "cairn/swarm/ticket", false},
		{"cairn/swarm/fetch", "cairn/web/api", true},
		{"cairn/swarm/fetch", "cairn/dht", false},
		{"cairn/storage", "cairn/dht", true},
		{"cairn/web/...", "cairn/web/api", false},
		{"cairn/web/api", "cairn/node", true},
		{"cairn/web/api", "cairn/swarm/fetch", true},
		{"cairn/node", "cairn/web/api", false},
		{"cairn/node", "cairn/storage", false},
		{"cairn/cmd/cairn", "cairn/node", false},
		{"cairn/cmd/cairn", "cairn/storage", true},
		{"cairn/cmd/cairn", "cairn/testnet", true},
		{"cairn/testnet/bench", "cairn/testnet", false},
	} {
		from, _ := group(tt.from)
		if why := wrong(tt.from, from, tt.to); (why != "") != tt.bad {
			t.Errorf("%s imports %s: verdict %q", tt.from, tt.to, why)
		}
	}
}

func TestRulesEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t, moduleRoot(t), "linux") {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment: say what it is, what it promises, what it does not do, who owns its goroutines",
				p.ImportPath)
		}
	}
}

// topLevel is what may be at the top of the repository, besides names that begin with a dot.
var topLevel = []string{"cmd", "node", "dht", "swarm", "storage", "consensus", "web", "testnet",
	"Makefile", "README.md", "LICENSE", "go.mod", "go.sum"}

// tracked lists the files that are or would be in the repository.
func tracked(t *testing.T, root string) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("no repository to look at: git: %v", err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestRulesTopLevelIsFixed(t *testing.T) {
	for _, f := range tracked(t, moduleRoot(t)) {
		top, _, _ := strings.Cut(f, "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(topLevel, top) {
			t.Errorf("%s: %q is not one of the top level's names: put it below one of %v", f, top, topLevel)
		}
	}
}

// TestRulesFilesStaySmall: a file that has grown beyond what one reads in a sitting is to be cut.
func TestRulesFilesStaySmall(t *testing.T) {
	const most = 600
	root := moduleRoot(t)
	for _, f := range tracked(t, root) {
		if !strings.HasSuffix(f, ".go") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			continue // deleted but not yet committed
		}
		if n := bytes.Count(b, []byte("\n")); n > most && !bytes.Contains(b[:min(len(b), 2000)], []byte("DO NOT EDIT")) {
			t.Errorf("%s has %d lines: cut it where the subject changes (at most %d)", f, n, most)
		}
	}
}

// TestRulesNoTraceOfTheMachine: files that go to others name neither directories of this machine nor the package
// mirrors that it is set up with.
func TestRulesNoTraceOfTheMachine(t *testing.T) {
	root := moduleRoot(t)
	words := mirrors()
	if home, err := os.UserHomeDir(); err == nil && strings.Count(home, "/") > 1 { // not /root, which is everybody's
		words = append(words, home+"/")
	}
	words = append(words, root+"/")
	for _, f := range tracked(t, root) {
		b, err := os.ReadFile(filepath.Join(root, f))
		if err != nil || bytes.IndexByte(b[:min(len(b), 8000)], 0) >= 0 {
			continue
		}
		for i, line := range strings.Split(string(b), "\n") {
			for _, w := range words {
				if strings.Contains(line, w) {
					t.Errorf("%s:%d names something of this machine (%.6s...)", f, i+1, w)
				}
			}
		}
	}
}

// mirrors are the hosts that this machine takes packages from.
func mirrors() (hosts []string) {
	var urls []string
	for _, ask := range [][]string{{"go", "env", "GOPROXY"}, {"npm", "config", "get", "registry"}} {
		if out, err := exec.Command(ask[0], ask[1:]...).Output(); err == nil {
			urls = append(urls, strings.FieldsFunc(string(out), func(r rune) bool { return strings.ContainsRune(",|\n ", r) })...)
		}
	}
	for _, u := range urls {
		_, rest, ok := strings.Cut(u, "://")
		host, _, _ := strings.Cut(rest, "/")
		if i := strings.LastIndexByte(host, '@'); i >= 0 {
			host = host[i+1:]
		}
		if ok && host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := ModuleRoot()
	if err != nil {
		t.Fatal(fmt.Errorf("the rules are about the whole module: %w", err))
	}
	return root
}
