package ticket

import (
	"testing"
	"unicode/utf8"
)

// FuzzParse: no text makes Parse panic, and what it accepts is written and read again the same.
func FuzzParse(f *testing.F) {
	for _, v := range vectors() {
		text, err := v.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(text[:len(text)/2])
		f.Add(text + "a")
	}
	f.Add("cairn2")
	f.Add("\x00\xff\ufeffCAIRN1 aaaa")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := Parse(text)
		if err != nil {
			if pe, ok := err.(*ParseError); !ok || pe.Err == nil || pe.Pos < 0 || pe.Pos > utf8.RuneCountInString(text) {
				t.Fatalf("%#v", err)
			}
			return
		}
		checkTicket(t, v)
	})
}

// FuzzPayload gets past the checksum.
func FuzzPayload(f *testing.F) {
	for _, v := range vectors() {
		b, err := v.payload()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > MaxText/2 {
			return
		}
		if v, err := Parse(encodeText(seal(b))); err == nil {
			checkTicket(t, v)
		}
	})
}

func checkTicket(t *testing.T, v Ticket) {
	text, err := v.Encode()
	if err != nil {
		t.Fatalf("accepted ticket can not be encoded: %v", err)
	}
	again, err := Parse(text)
	if err != nil {
		t.Fatalf("own text is refused: %v", err)
	}
	if text2, err := again.Encode(); err != nil || text2 != text {
		t.Fatalf("text is not stable: %q, %q", text, text2)
	}
	if len(v.Addrs) > MaxAddrs || len(v.Name) > MaxName || v.Size < 0 {
		t.Fatal("limits are not kept")
	}
}
