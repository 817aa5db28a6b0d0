package recovery

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/libp2p/go-libp2p/core/crypto"
)

// testWork keeps scrypt quick.
const testWork = 10

func TestWords(t *testing.T) {
	// The test vectors of BIP 39.
	for _, v := range []struct{ seed, last string }{
		{strings.Repeat("\x00", 32), "art"},
		{strings.Repeat("\x7f", 32), "title"},
		{strings.Repeat("\x80", 32), "bless"},
		{strings.Repeat("\xff", 32), "vote"},
	} {
		seed := [32]byte([]byte(v.seed))
		text := Words(seed)
		if ws := strings.Fields(text); len(ws) != WordCount || ws[23] != v.last {
			t.Errorf("words of %x: %s", seed, text)
		}
		got, err := FromWords(text)
		if err != nil || got != seed {
			t.Errorf("%s: %x, %v", text, got, err)
		}
	}
}

func TestWordsForgiving(t *testing.T) {
	seed := [32]byte{1, 2, 3}
	ws := strings.Fields(Words(seed))
	var b strings.Builder
	for i, w := range ws {
		b.WriteString("\n " + string(rune('0'+i%10)) + ". " + strings.ToUpper(w[:1]) + w[1:] + ",\t")
	}
	for _, text := range []string{strings.ToUpper(strings.Join(ws, "  ")), b.String(), "\u00a0" + strings.Join(ws, "\r\n")} {
		if got, err := FromWords(text); err != nil || got != seed {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWordsWrong(t *testing.T) {
	ws := strings.Fields(Words([32]byte{9, 8, 7}))
	change := func(i int, w string) string {
		c := append([]string(nil), ws...)
		c[i] = w
		return strings.Join(c, " ")
	}
	var we *WordError
	if _, err := FromWords(change(6, "abandonn")); !errors.As(err, &we) || we.At != 7 || we.Word != "abandonn" || we.Nearest != "abandon" || !errors.Is(err, ErrWords) {
		t.Error(err)
	}
	if _, err := FromWords(change(0, strings.Repeat("ж", 500))); !errors.As(err, &we) || we.At != 1 || len(err.Error()) > 120 {
		t.Error(err)
	}
	if _, err := FromWords(strings.Join(ws[:23], " ")); !errors.As(err, &we) || we.Word != "" || we.Count != 23 {
		t.Error(err)
	}
	if _, err := FromWords(""); !errors.As(err, &we) || we.Count != 0 {
		t.Error(err)
	}
	if _, err := FromWords(strings.Repeat("abandon ", 1000)); !errors.Is(err, ErrWords) {
		t.Error(err)
	}
	if _, err := FromWords(strings.Repeat("abandon ", 24)); !errors.Is(err, ErrChecksum) || errors.Is(err, ErrWords) {
		t.Error(err)
	}
	swapped := strings.Join(append([]string{ws[1], ws[0]}, ws[2:]...), " ")
	if _, err := FromWords(swapped); !errors.Is(err, ErrChecksum) {
		t.Error("swapped words:", err)
	}
}

func rootKey(t testing.TB) crypto.PrivKey {
	k, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestFile(t *testing.T) {
	root, charter, pass := rootKey(t), []byte("charter of a network"), []byte("a long passphrase")
	file, err := seal(root, charter, pass, testWork)
	if err != nil {
		t.Fatal(err)
	}
	if raw, _ := root.Raw(); bytes.Contains(file, charter) || bytes.Contains(file, raw) {
		t.Fatal("in the clear")
	}
	k, c, err := Open(append([]byte("\n"), file...), pass)
	if err != nil || !k.Equals(root) || !bytes.Equal(c, charter) {
		t.Fatal(k, c, err)
	}
	for _, wrong := range []string{"", "a long passphrasE"} {
		if _, _, err := Open(file, []byte(wrong)); !errors.Is(err, ErrWrongPassphrase) {
			t.Errorf("passphrase %q: %v", wrong, err)
		}
	}
	for i := range file {
		if _, _, err := Open(file[:i], pass); err == nil && len(bytes.TrimSpace(file[i:])) > 0 {
			t.Fatalf("%d bytes of %d open", i, len(file))
		}
	}
	if _, _, err := Open(bytes.Repeat([]byte("x"), MaxFile+1), pass); !errors.Is(err, ErrFile) {
		t.Error(err)
	}
	if _, _, err := Open([]byte("hello"), pass); !errors.Is(err, ErrFile) {
		t.Error(err)
	}
	if _, err := seal(root, charter, nil, testWork); err == nil {
		t.Error("sealed without a passphrase")
	}
}

// encrypted is an age file of any content and recipient.
func encrypted(t *testing.T, plain string, r age.Recipient) []byte {
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(plain)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestForeignFiles(t *testing.T) {
	pass := func(work int) age.Recipient {
		r, err := age.NewScryptRecipient("p")
		if err != nil {
			t.Fatal(err)
		}
		r.SetWorkFactor(work)
		return r
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"other content": {encrypted(t, "hello", pass(testWork)), ErrFile},
		"newer":         {encrypted(t, `{"format":"cairn-recovery","version":2}`, pass(testWork)), ErrNewer},
		"no key":        {encrypted(t, `{"format":"cairn-recovery","version":1,"key":"AAAA"}`, pass(testWork)), ErrFile},
		"for a key":     {encrypted(t, "hello", id.Recipient()), ErrFile},
	} {
		if _, _, err := Open(c.file, []byte("p")); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A file that asks for more memory than we give is refused before the work.
	greedy := encrypted(t, "hello", pass(testWork))
	text, err := armorBody(greedy)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte(" 10\n"), []byte(" 30\n"), 1)
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	if _, err := a.Write(text); err != nil || a.Close() != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(out.Bytes(), []byte("p")); !errors.Is(err, ErrFile) {
		t.Error("greedy:", err)
	}
}

func armorBody(file []byte) ([]byte, error) {
	var b bytes.Buffer
	_, err := b.ReadFrom(armor.NewReader(bytes.NewReader(file)))
	return b.Bytes(), err
}

func FuzzFromWords(f *testing.F) {
	f.Add(Words([32]byte{1}))
	f.Add("abandon ability")
	f.Fuzz(func(t *testing.T, text string) {
		seed, err := FromWords(text)
		if err != nil {
			return
		}
		if again, err := FromWords(Words(seed)); err != nil || again != seed {
			t.Fatal(err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"format":"cairn-recovery","version":1,"key":"AAAA","charter":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, _, err := decode(b); err == nil && k.Type() != crypto.Ed25519 {
			t.Fatal(k.Type())
		}
	})
}
