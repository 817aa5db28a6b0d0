package recovery

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tyler-smith/go-bip39"
	"github.com/tyler-smith/go-bip39/wordlists"
)

// WordCount is how many words stand for one key.
const WordCount = 24

// maxWords bounds the text that FromWords reads, in bytes: 24 words of 8 letters, numbered and spaced generously.
const maxWords = 4 << 10

var (
	// ErrWords: the text is not 24 words of the list; the error, a *WordError, says which one is wrong.
	ErrWords = errors.New("these are not recovery words")
	// ErrChecksum: every word is in the list, but together they are not what was printed: one is another word, or
	// two changed places.
	ErrChecksum = errors.New("the recovery words do not fit together: one is wrong, or their order is")
)

// WordError names the first thing that is wrong with recovery words. It is ErrWords.
type WordError struct {
	Word    string // "" where their number is wrong
	At      int    // counted from 1
	Nearest string // a word of the list that begins alike; may be ""
	Count   int    // how many words there are
}

func (e *WordError) Error() string {
	if e.Word == "" {
		return fmt.Sprintf("%d recovery words, not %d", e.Count, WordCount)
	}
	return fmt.Sprintf("word %d, %q, is not a recovery word", e.At, e.Word)
}

// Unwrap makes e an ErrWords.
func (e *WordError) Unwrap() error { return ErrWords }

// Words returns seed as 24 English words after BIP 39: lower case, a space between two of them. They hold a checksum of 8 bits.
func Words(seed [32]byte) string {
	text, err := bip39.NewMnemonic(seed[:])
	if err != nil { // only for other lengths
		panic("recovery words: " + err.Error())
	}
	return text
}

// FromWords reads what Words returned. White space, case, and numbers or punctuation around the words ("1. abandon,") are
// forgiven, letters are not. Errors: ErrWords (a *WordError), ErrChecksum.
func FromWords(text string) (seed [32]byte, err error) {
	if len(text) > maxWords {
		return seed, fmt.Errorf("%w: the text is too long", ErrWords)
	}
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return strings.ContainsRune(" \t\r\n\v\f.,;:()\u00a00123456789", r)
	})
	for i, w := range words {
		if _, ok := bip39.GetWordIndex(w); !ok {
			return seed, &WordError{Word: shorten(w), At: i + 1, Nearest: nearest(w), Count: len(words)}
		}
	}
	if len(words) != WordCount {
		return seed, &WordError{Count: len(words)}
	}
	b, err := bip39.EntropyFromMnemonic(strings.Join(words, " "))
	if errors.Is(err, bip39.ErrChecksumIncorrect) {
		return seed, ErrChecksum
	}
	if err != nil || len(b) != len(seed) {
		return seed, ErrWords
	}
	copy(seed[:], b)
	return seed, nil
}

// shorten keeps an error to one line, whatever was pasted.
func shorten(w string) string {
	if r := []rune(w); len(r) > 20 {
		return string(r[:20]) + "..."
	}
	return w
}

// nearest finds the word that was probably meant: the list is made so that four letters tell its words apart.
func nearest(w string) string {
	for n := min(4, len(w)); n >= 2; n-- {
		for _, known := range wordlists.English {
			if strings.HasPrefix(known, w[:n]) {
				return known
			}
		}
	}
	return ""
}
