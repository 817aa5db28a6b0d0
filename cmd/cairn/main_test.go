package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// beCairn in the environment makes the test binary the command itself: transcripts run the real main.
const beCairn = "CAIRN_TEST_BE_CAIRN"

func TestMain(m *testing.M) {
	if os.Getenv(beCairn) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// place is a directory for command lines, with a data directory of its own.
type place struct{ dir string }

func newPlace(t *testing.T) place {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return place{dir}
}

// command prepares a command line of the real program.
func (p place) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), beCairn+"=1", "CAIRN_HOME="+filepath.Join(p.dir, "home"),
		"CAIRN_LISTEN=/ip4/127.0.0.1/tcp/0", "CAIRN_MDNS=false")
	return cmd
}

// result is how a command line ended.
type result struct {
	code     int
	out, err string
}

func (p place) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	cmd := p.command(t, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// TestTranscripts runs the command lines of testdata/*.txt and compares exit codes and texts; -update writes them
// anew, for review as a diff. A line "$ cairn ..." is a command line with Go's quoting; "<<< text" is its stdin.
func TestTranscripts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the texts hold paths and errors of Unix")
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.furnish(t)
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := p.replay(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compareLines(t, file, got, string(want))
		})
	}
}

// furnish puts files into the place that transcripts name.
func (p place) furnish(t *testing.T) {
	t.Helper()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("hello.txt", "hello\n")
	write("empty", "")
	write("-dash", "a name that looks like a flag\n")
	write("two\nlines \x1b[31mred", "a hostile name\n")
	write("broken.car", "this is no CAR file")
	write("wrong.toml", "# mine\nnmae = \"x\"\nreserve = 5.5\n\n[http]\naddress = \"0.0.0.0:1\"\nadress = 1\n")
	write("spaced.ticket", "  \n cairn1 abcd\nefgh \n")
	if err := os.MkdirAll(filepath.Join(p.dir, "dir", "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	write("dir/a.txt", "a\n")
	write("dir/sub/b.txt", "b\n")
	if err := os.Symlink("loop", filepath.Join(p.dir, "loop")); err != nil {
		t.Fatal(err)
	}
	// A socket is the one special file that the standard library can make without system calls of one platform.
	l, err := net.Listen("unix", filepath.Join(p.dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := os.WriteFile(filepath.Join(p.dir, "file-home"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// replay runs the command lines of a transcript and writes the transcript that they make.
func (p place) replay(t *testing.T, script string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(script, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			fmt.Fprintf(&b, "%s\n\n", line)
		case strings.HasPrefix(line, "$ cairn"):
			args, stdin := parseCommand(t, line)
			r := p.run(t, stdin, args...)
			fmt.Fprintf(&b, "%s\nexit %d\n", line, r.code)
			p.quote(&b, "  ", r.out)
			p.quote(&b, "! ", r.err)
			b.WriteString("\n")
		}
	}
	return b.String()
}

// quote writes text with a mark before each line and without what differs from run to run.
func (p place) quote(b *strings.Builder, mark, text string) {
	text = strings.ReplaceAll(text, p.dir, "$PLACE")
	for line := range strings.Lines(text) {
		if mark == "! " && strings.HasPrefix(line, "time=") {
			continue // the log of the peer in the process is no part of the contract
		}
		line = changing.ReplaceAllString(line, "${1}XXXX")
		fmt.Fprintf(b, "%s%s\n", mark, strings.TrimSuffix(line, "\n"))
	}
}

// changing matches what differs from run to run.
var changing = regexp.MustCompile(`(request_id":"|request: |undo: cairn restore |\) as )[0-9a-z]+`)

// parseCommand cuts a transcript's command line into arguments and stdin.
func parseCommand(t *testing.T, line string) (args []string, stdin string) {
	t.Helper()
	rest := strings.TrimPrefix(line, "$ cairn")
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		word, after, _ := strings.Cut(rest, " ")
		if q, err := strconv.QuotedPrefix(rest); err == nil {
			word, err = strconv.Unquote(q)
			if err != nil {
				t.Fatal(err)
			}
			after = rest[len(q):]
		}
		args, rest = append(args, word), after
	}
	if i := slices.Index(args, "<<<"); i >= 0 {
		if i+2 != len(args) {
			t.Fatalf("%s: one text must follow <<<", line)
		}
		args, stdin = args[:i], args[i+1]
	}
	return args, stdin
}

func compareLines(t *testing.T, name, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(nothing)", "(nothing)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Errorf("%s:%d:\n got %s\nwant %s", name, i+1, a, b)
			return
		}
	}
}
