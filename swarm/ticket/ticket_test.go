package ticket

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
)

var update = flag.Bool("update", false, "write testdata/vectors.txt anew")

// testPeer returns the peer id of a fixed key.
func testPeer(n byte) peer.ID {
	k, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{n}, 64)))
	if err != nil {
		panic(err)
	}
	id, err := peer.IDFromPrivateKey(k)
	if err != nil {
		panic(err)
	}
	return id
}

// sum returns the CIDv1 of data under a codec.
func sum(codec uint64, data []byte) cid.Cid {
	c, err := cid.NewPrefixV1(codec, multihash.SHA2_256).Sum(data)
	if err != nil {
		panic(err)
	}
	return c
}

func addrs(s ...string) (out []multiaddr.Multiaddr) {
	for _, a := range s {
		out = append(out, multiaddr.StringCast(a))
	}
	return out
}

func secret(n byte) (s [16]byte) {
	for i := range s {
		s[i] = n + byte(i)
	}
	return s
}

// vectors are the tickets whose text and key material are fixed for ever by testdata/vectors.txt.
func vectors() []Ticket {
	return []Ticket{
		{Root: sum(cid.Raw, []byte("hello")), Name: "hello.txt", Size: 5, Peer: testPeer(1), Secret: secret(0),
			Addrs: addrs("/ip4/192.168.1.20/tcp/4748", "/ip4/192.168.1.20/udp/4748/quic-v1")},
		{Root: sum(cid.DagProtobuf, []byte("tree")), Name: "holiday photos", Size: 1 << 40, Peer: testPeer(2), Secret: secret(100),
			Expires: time.Unix(1893456000, 0).UTC(),
			Addrs:   addrs("/ip4/10.0.0.1/udp/4748/quic-v1", "/ip4/10.0.0.1/tcp/4748", "/ip6/2001:db8::1/tcp/4748", "/ip6/2001:db8::2/udp/1/quic-v1", "/dns4/peer.example.org/tcp/443")},
		{Root: sum(cid.Raw, nil), Peer: testPeer(3), Secret: secret(200)},
	}
}

func TestVectors(t *testing.T) {
	const file = "testdata/vectors.txt"
	var b strings.Builder
	b.WriteString("# ticket, key id, key; the tickets are those of vectors() in ticket_test.go\n")
	for _, v := range vectors() {
		text, err := v.Encode()
		if err != nil {
			t.Fatal(err)
		}
		k := v.Key()
		fmt.Fprintf(&b, "%s %s %s\n", text, k.ID(), hex.EncodeToString(k[:]))
		got, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if !same(got, v) {
			t.Errorf("%s parsed as %v", v, got)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("text or keys changed; tickets in use would break. Have:\n%s", b.String())
	}
}

func same(a, b Ticket) bool {
	if a.Root != b.Root || a.Name != b.Name || a.Size != b.Size || a.Peer != b.Peer || a.Secret != b.Secret || !a.Expires.Equal(b.Expires) || len(a.Addrs) != len(b.Addrs) {
		return false
	}
	for i := range a.Addrs {
		if !a.Addrs[i].Equal(b.Addrs[i]) {
			return false
		}
	}
	return true
}

func TestLength(t *testing.T) {
	largest := Ticket{
		Root: sum(cid.DagProtobuf, nil), Name: strings.Repeat("n", 40), Size: 1<<63 - 1, Peer: testPeer(1), Secret: secret(9),
		Expires: time.Unix(maxExpiry, 0),
	}
	for i := range 4 { // four addresses, each over TCP and QUIC, in the order in which hosts list them
		largest.Addrs = append(largest.Addrs, multiaddr.StringCast(fmt.Sprintf("/ip6/2001:db8::%d/tcp/65535", i+1)))
	}
	for i := range 4 {
		largest.Addrs = append(largest.Addrs, multiaddr.StringCast(fmt.Sprintf("/ip6/2001:db8::%d/udp/65535/quic-v1", i+1)))
	}
	text, err := largest.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 400 {
		t.Errorf("largest usual ticket has %d characters, at most 400 are allowed", len(text))
	}
	t.Logf("%d characters", len(text))

	largest.Addrs = nil
	for i := range MaxAddrs {
		a, err := multiaddr.NewMultiaddr("/dns4/" + strings.Repeat("a", MaxAddrLen-6) + fmt.Sprintf("%c", 'a'+i) + "/tcp/1")
		if err != nil {
			t.Fatal(err)
		}
		largest.Addrs = append(largest.Addrs, a)
	}
	largest.Name = strings.Repeat("n", MaxName)
	if text, err = largest.Encode(); err != nil {
		t.Fatal(err)
	}
	if len(text) > MaxText {
		t.Errorf("largest ticket of all has %d characters, more than MaxText", len(text))
	}
	if _, err := Parse(text); err != nil {
		t.Error(err)
	}
}

func TestParseForgives(t *testing.T) {
	v := vectors()[0]
	text, _ := v.Encode()
	for name, in := range map[string]string{
		"upper case":   strings.ToUpper(text),
		"line breaks":  text[:40] + "\r\n   " + text[40:80] + "\n" + text[80:] + "\n",
		"inside brand": "ca irn\n1" + text[6:],
		"invisible":    "\ufeff" + text[:50] + "\u200b" + text[50:],
	} {
		got, err := Parse(in)
		if err != nil || !same(got, v) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	text, _ := vectors()[0].Encode()
	flip := func(s string, i int) string {
		c := byte('a')
		if s[i] == 'a' {
			c = 'b'
		}
		return s[:i] + string(c) + s[i+1:]
	}
	reseal := func(f func([]byte) []byte) string {
		p, _ := vectors()[0].payload()
		return encodeText(seal(f(p)))
	}
	for _, tc := range []struct {
		name, in string
		err      error
		pos      int
	}{
		{"empty", " \n ", ErrNotTicket, 0},
		{"a CID", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", ErrNotTicket, 1},
		{"other word", "cairo1abc", ErrNotTicket, 5},
		{"only the brand", "cairn", ErrTruncated, 5},
		{"part of the brand", "cai", ErrTruncated, 3},
		{"no version", "cairnx", ErrNotTicket, 6},
		{"version 0", "cairn0aaaa", ErrNotTicket, 6},
		{"newer", "  cairn2" + text[6:], ErrNewer, 8},
		{"newer flag", reseal(func(p []byte) []byte { p[0] |= 0x80; return p }), ErrNewer, 0},
		{"nothing after the version", "cairn1", ErrTruncated, 6},
		{"first half", text[:len(text)/2], ErrTruncated, len(text) / 2},
		{"last character gone", text[:len(text)-1], ErrTruncated, len(text) - 1},
		{"one in the middle gone", text[:60] + text[61:], ErrTruncated, len(text) - 1},
		{"character 7", flip(text, 6), ErrChecksum, 7},
		{"character 100", flip(text, 99), ErrChecksum, 100},
		{"character 100 behind spaces", "  " + flip(text, 99), ErrChecksum, 102},
		{"last character", flip(text, len(text)-1), ErrChecksum, len(text)},
		{"two characters", flip(flip(text, 50), 99), ErrChecksum, 0},
		{"character of no ticket", text[:30] + "8" + text[31:], ErrMalformed, 31},
		{"punctuation", text[:30] + "." + text[30:], ErrMalformed, 31},
		{"other script", text[:30] + "ж" + text[31:], ErrMalformed, 31},
		{"punctuation in the brand", "cai.rn1" + text[6:], ErrNotTicket, 4},
		{"twice", text + text[6:], ErrMalformed, 0},
		{"endless", "cairn1" + strings.Repeat("a", 1<<20), ErrMalformed, MaxText + 1},
		{"content ends early", reseal(func(p []byte) []byte { return p[:20] }), ErrMalformed, 0},
		{"content too long", reseal(func(p []byte) []byte { return append(p, 0) }), ErrMalformed, 0},
	} {
		_, err := Parse(tc.in)
		var pe *ParseError
		if !errors.As(err, &pe) || !errors.Is(err, tc.err) || pe.Pos != tc.pos {
			t.Errorf("%s: %v, want %v at %d", tc.name, err, tc.err, tc.pos)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: error has control characters: %q", tc.name, err)
		}
	}
}

// TestOneWrongCharacter replaces every character by every other one: the error names its place.
func TestOneWrongCharacter(t *testing.T) {
	text, _ := vectors()[2].Encode()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := len(prefix); i < len(text); i++ {
		c := alphabet[rng.IntN(len(alphabet))]
		if c == text[i] {
			continue
		}
		_, err := Parse(text[:i] + string(c) + text[i+1:])
		var pe *ParseError
		if !errors.As(err, &pe) || pe.Pos != i+1 {
			t.Fatalf("character %d: %v", i+1, err)
		}
	}
}

func TestHostileContent(t *testing.T) {
	base := vectors()[0]
	for _, name := range []string{"../x", "a/b", `a\b`, "a\x00b", "a\x1b[31m", "..", ".", "a\nb", "exe.\u202efdp", "\xff"} {
		p, _ := base.payload()
		i := bytes.Index(p, []byte(base.Name))
		p = append(append(append(append([]byte{}, p[:i-1]...), byte(len(name))), name...), p[i+len(base.Name):]...)
		if got, err := Parse(encodeText(seal(p))); !errors.Is(err, ErrMalformed) {
			t.Errorf("name %q was accepted: %v", name, got)
		}
	}
	p, _ := base.payload()
	for what, entries := range map[string][]byte{
		"too many":      append([]byte{17}, bytes.Repeat([]byte{1, 10, 0, 0, 1, 0, 1}, 17)...),
		"pairs":         append([]byte{9}, bytes.Repeat([]byte{3, 10, 0, 0, 1, 0, 1}, 9)...),
		"unknown kind":  {1, 9, 0, 0, 0, 0, 0, 0},
		"huge count":    {0xff, 0xff, 0xff, 0xff, 0x7f},
		"overlong":      {0x81, 0x00},
		"long raw":      {1, 0, 0xff, 0x7f},
		"bad raw":       {1, 0, 2, 0xff, 0xff},
		"empty raw":     {1, 0, 0},
		"ends too soon": {2, 1, 10, 0, 0, 1, 0, 1},
	} {
		q := append(append([]byte{}, p[:bytes.Index(p, []byte(base.Name))+len(base.Name)]...), entries...)
		if got, err := Parse(encodeText(seal(q))); !errors.Is(err, ErrMalformed) {
			t.Errorf("addresses %s were accepted: %v", what, got.Addrs)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	good := vectors()[0]
	for name, f := range map[string]func(*Ticket){
		"no root":       func(v *Ticket) { v.Root = cid.Undef },
		"CIDv0":         func(v *Ticket) { v.Root = cid.NewCidV0(v.Root.Hash()) },
		"other hash":    func(v *Ticket) { v.Root = cid.NewCidV1(cid.Raw, []byte{0x13, 0}) },
		"other codec":   func(v *Ticket) { v.Root = cid.NewCidV1(cid.DagCBOR, v.Root.Hash()) },
		"negative size": func(v *Ticket) { v.Size = -1 },
		"no peer":       func(v *Ticket) { v.Peer = "" },
		"junk peer":     func(v *Ticket) { v.Peer = "junk" },
		"17 addresses":  func(v *Ticket) { v.Addrs = make([]multiaddr.Multiaddr, 17) },
		"long address":  func(v *Ticket) { v.Addrs = addrs("/dns4/" + strings.Repeat("a", 200) + "/tcp/1") },
		"ancient":       func(v *Ticket) { v.Expires = time.Unix(-5, 0) },
	} {
		v := good
		f(&v)
		if text, err := v.Encode(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestOtherPeerIDs(t *testing.T) {
	k, _, err := crypto.GenerateKeyPair(crypto.ECDSA, 0)
	if err != nil {
		t.Fatal(err)
	}
	v := vectors()[0]
	v.Peer, _ = peer.IDFromPrivateKey(k)
	text, err := v.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Parse(text); err != nil || got.Peer != v.Peer {
		t.Errorf("%v, %v", got, err)
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	v := vectors()[0]
	text, _ := v.Encode()
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "ticket", v, "key", v.Key())
	js, err := json.Marshal(v)
	if err == nil {
		t.Errorf("a ticket was marshalled: %s", js)
	}
	k := v.Key()
	out := fmt.Sprint(v, &v, k) + fmt.Sprintf("%v %+v %#v %s %q %x %d %v %+v", v, v, v, v, v, v, v, k, &v) + log.String()
	for what, leak := range map[string]string{
		"text": text[6:30], "hex": hex.EncodeToString(v.Secret[:4]), "decimal": "0 1 2 3", "key": hex.EncodeToString(k[:4]),
	} {
		if strings.Contains(out, leak) {
			t.Errorf("secret printed as %s: %s", what, out)
		}
	}
}

func TestExpired(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, tc := range []struct {
		expires, now time.Time
		want         bool
	}{{time.Time{}, at, false}, {at, at.Add(-1), false}, {at, at, true}, {at, at.Add(time.Hour), true}} {
		if got := (Ticket{Expires: tc.expires}).Expired(tc.now); got != tc.want {
			t.Errorf("expires %v, now %v: %v", tc.expires, tc.now, got)
		}
	}
}
