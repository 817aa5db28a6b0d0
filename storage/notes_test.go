package storage

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"cairn/storage/block"
)

// TestNotes: what was put is there after a restart, sealed; a damaged one does not hide the others.
func TestNotes(t *testing.T) {
	s := newFixture(t)
	for _, id := range []string{"b", "a", "c"} {
		if err := s.PutNotes(t.Context(), Note{ID: id, Data: []byte(`{"secret":"` + id + `"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteNotes(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteNotes(t.Context(), "none"); err != nil {
		t.Error(err)
	}
	if v, err := s.value(noteKey("a")); err != nil || bytes.Contains(v, []byte("secret")) {
		t.Errorf("on disk %q, %v", v, err)
	}
	if err := s.PutNotes(t.Context(), Note{ID: "d", Data: bytes.Repeat([]byte("1"), maxEntry+1)}); !errors.Is(err, block.ErrTooLarge) {
		t.Errorf("a large note: %v", err)
	}
	v, err := s.value(noteKey("c"))
	if err != nil {
		t.Fatal(err)
	}
	v[len(v)-1] ^= 1
	if err := s.writes.sync(t.Context(), nil, []op{{key: noteKey("c"), val: v}}); err != nil {
		t.Fatal(err)
	}
	s.reopen()
	var got []string
	for n, err := range s.Notes("") {
		if bad := errors.Is(err, block.ErrCorrupt); bad != (n.ID == "c") {
			t.Errorf("%s: %v", n.ID, err)
		}
		got = append(got, n.ID+string(n.Data))
	}
	if want := []string{`a{"secret":"a"}`, "c"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
