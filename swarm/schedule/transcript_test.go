package schedule

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/*.txt anew")

// TestTranscripts plays the scripts in testdata. A line is a comment (#), empty, or something that happens; indented
// lines below it are the actions that have to follow. Ranges are half-open, sizes in KiB:
//
//	config leaves=16 size=1024 order=rarest self=m    begins anew
//	+2s                                               time passes, with a tick every 100 ms
//	join 1 rank=0 | join 2 partial peer=x | left 1
//	has 2 0:4 | want 0:16 | unwant | kept 3 | bad 3 | forget 3
//	arrived 1 0:4        leaf after leaf; "got" says kept as well
//	missing 1 3 | skipped 1 3:5 | progress 1 | tick
//	show 1               prints the state of a source; "show" what is pending
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := transcribe(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want := strings.Split(string(text), "\n")
			for n, line := range strings.Split(got, "\n") {
				if n >= len(want) || line != want[n] {
					t.Fatalf("line %d is %q, in the file it is %q", n+1, line, want[min(n, len(want)-1)])
				}
			}
			if len(got) != len(text) {
				t.Fatal("the file goes on")
			}
		})
	}
}

// teller plays a script.
type teller struct {
	*world
	out strings.Builder
}

func transcribe(t *testing.T, script string) string {
	x := &teller{}
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "    ") {
			continue
		}
		x.out.WriteString(line + "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		switch {
		case f[0] == "config":
			x.world = newWorld(t, configOf(t, f[1:]))
		case f[0][0] == '+':
			d, err := time.ParseDuration(f[0][1:])
			if err != nil {
				t.Fatal(line, err)
			}
			for ; d > 0; d -= 100 * time.Millisecond {
				x.now = x.now.Add(min(d, 100*time.Millisecond))
				x.tell(Tick{}, true)
			}
		case f[0] == "show":
			x.show(f[1:])
		default:
			x.play(f)
		}
	}
	return x.out.String()
}

func configOf(t *testing.T, args []string) Config {
	size := 1024
	c := Config{Self: "m"}
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "leaves":
			c.Leaves = n
		case "size":
			size = n
		case "order":
			c.Order = map[string]Order{"inorder": InOrder}[value]
		case "self":
			c.Self = value
		default:
			t.Fatal("config", a)
		}
	}
	c.Size = func(int) int { return size << 10 }
	return c
}

// play does one line.
func (x *teller) play(f []string) {
	arg := func(n int) int {
		if len(f) <= n {
			return 0
		}
		v, err := strconv.Atoi(f[n])
		if err != nil {
			x.t.Fatal(f, err)
		}
		return v
	}
	span := func(n int) Span {
		var r Span
		if _, err := fmt.Sscanf(f[n], "%d:%d", &r.Lo, &r.Hi); err != nil {
			r = Span{arg(n), arg(n) + 1}
		}
		return r
	}
	switch f[0] {
	case "join":
		x.tell(joined(arg(1), f[2:]), false)
	case "left":
		x.tell(Left{arg(1)}, false)
	case "has":
		r := span(2)
		bits := make([]byte, r.Len()/8+1)
		for k := range r.Len() {
			bits[k/8] |= 1 << (k % 8)
		}
		x.tell(Has{arg(1), r.Lo, bits}, false)
	case "arrived", "got":
		for i := span(2).Lo; i < span(2).Hi; i++ {
			x.tell(Arrived{ID: arg(1), Leaf: i}, f[0] == "got")
			if f[0] == "got" {
				x.tell(Kept{i}, true)
			}
		}
	case "missing":
		x.tell(Missing{arg(1), arg(2)}, false)
	case "skipped":
		x.tell(Skipped{arg(1), span(2)}, false)
	case "progress":
		x.tell(Progress{arg(1)}, false)
	case "want":
		x.tell(Want{span(1)}, false)
	case "unwant":
		x.tell(Unwant{}, false)
	case "kept":
		x.tell(Kept{arg(1)}, false)
	case "bad":
		x.tell(Bad{arg(1)}, false)
	case "forget":
		x.tell(Forget{arg(1)}, false)
	case "tick":
		x.tell(Tick{}, false)
	default:
		x.t.Fatal("what is ", f)
	}
}

func joined(id int, args []string) Joined {
	e := Joined{ID: id, Peer: string(rune('a' + id - 1))}
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "partial":
			e.Partial = true
		case "peer":
			e.Peer = value
		case "rank":
			e.Rank, _ = strconv.Atoi(value)
		}
	}
	return e
}

// tell passes e on and writes down what follows; Keep is left out if the line says that all is well.
func (x *teller) tell(e Event, well bool) {
	x.t.Helper()
	for _, a := range append([]Action(nil), x.step(e)...) {
		var text string
		switch a := a.(type) {
		case Request:
			text = fmt.Sprintf("request %d %d:%d", a.ID, a.Lo, a.Hi)
		case Cancel:
			text = fmt.Sprintf("cancel %d %d:%d", a.ID, a.Lo, a.Hi)
		case Keep:
			if well {
				continue
			}
			text = fmt.Sprintf("keep %d", a.Leaf)
		case Discard:
			text = fmt.Sprintf("discard %d", a.Leaf)
		case Drop:
			text = fmt.Sprintf("drop %d: %v", a.ID, a.Err)
		}
		if _, tick := e.(Tick); tick {
			text += fmt.Sprintf("   # at %v", x.now.Sub(time.Unix(1e9, 0)))
		}
		x.out.WriteString("    " + text + "\n")
	}
}

func (x *teller) show(args []string) {
	if len(args) == 0 {
		fmt.Fprintf(&x.out, "    pending %d, stuck %v\n", x.s.Pending(), x.s.Stuck())
		return
	}
	id, _ := strconv.Atoi(args[0])
	src, ok := x.s.Source(id)
	if !ok {
		x.out.WriteString("    not there\n")
		return
	}
	fmt.Fprintf(&x.out, "    have %d, asked %d, %d KiB, %.0f KiB/s, stalled %v:", src.Have, src.Asked, src.Bytes>>10, src.Rate/1024, src.Stalled)
	x.s.Asked(id, func(r Span) bool {
		fmt.Fprintf(&x.out, " %d:%d", r.Lo, r.Hi)
		return true
	})
	x.out.WriteString("\n")
}
