package client_test

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"cairn/web/api"
	"cairn/web/internal/fakepeer"
)

func TestOpen(t *testing.T) {
	b := start(t)
	data := make([]byte, 300_000)
	for i := range data {
		data[i] = byte(i * 7 / 5)
	}
	b.peer.File = data
	for _, c := range []struct{ off, length, from, to int64 }{
		{0, -1, 0, 300_000}, {0, 1, 0, 1}, {5, 10, 5, 15}, {299_990, 100, 299_990, 300_000}, {100, -1, 100, 300_000}, {7, 0, 7, 7},
	} {
		f, err := b.Open(t.Context(), "e1", "", c.off, c.length)
		if err != nil {
			t.Errorf("%v: %v", c, err)
			continue
		}
		got, err := io.ReadAll(iotest.OneByteReader(io.LimitReader(f, 50)))
		rest, err2 := io.ReadAll(f)
		if got = append(got, rest...); err != nil || err2 != nil || !bytes.Equal(got, data[c.from:c.to]) {
			t.Errorf("%v: %d bytes, %v %v", c, len(got), err, err2)
		}
		if f.Size != 300_000 || f.CID != fakepeer.CID || f.Name != "naïve _a___.txt" {
			t.Errorf("%+v", f)
		}
		_ = f.Close()
	}
	if _, err := b.Open(t.Context(), "e1", "", 400_000, -1); code(err) != api.CodeUsage {
		t.Errorf("beyond the end: %v", err)
	}
	if _, err := b.Open(t.Context(), "e1", "../x", 0, -1); code(err) != api.CodeUsage {
		t.Errorf("out of the object: %v", err)
	}
	// Damage in the middle has words, although the answer had begun.
	b.peer.FailAt = 200_000
	f, err := b.Open(t.Context(), "e1", "", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if len(got) != 200_000 || !bytes.Equal(got, data[:200_000]) || code(err) != api.CodeIntegrity {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, again := f.Read(make([]byte, 1)); again != err {
		t.Errorf("the error does not stay: %v", again)
	}
	b.peer.File, b.peer.FailAt = nil, 0
	f, err = b.Open(t.Context(), "e1", "", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); len(got) != 0 || err != nil {
		t.Errorf("empty file: %d bytes, %v", len(got), err)
	}
}
