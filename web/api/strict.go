package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

const (
	maxJSONDepth  = 16
	maxJSONNumber = 32 // characters; 2^63 has 19
)

// CheckJSON refuses JSON that two readers may understand differently, or that costs more than it says: anything
// but exactly one value, duplicate keys, keys in another form than a_b1 (Go's decoder would take "Path" and even
// "ſize" for a field), invalid UTF-8, nesting beyond 16, numbers of more than 32 characters. The errors are for users and quote nothing of the text but keys.
func CheckJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	type level struct {
		keys    map[string]bool // nil in an array
		wantKey bool
	}
	var stack []level
	for n := 0; ; n++ {
		if n > 0 && len(stack) == 0 {
			if _, err := d.Token(); !errors.Is(err, io.EOF) {
				return errors.New("the body goes on after the JSON value")
			}
			return nil
		}
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("the body is not JSON (at byte %d)", d.InputOffset())
		}
		top := len(stack) - 1
		if top >= 0 && stack[top].keys != nil {
			if key, ok := t.(string); ok && stack[top].wantKey {
				if stack[top].keys[key] {
					return fmt.Errorf("the key %s appears twice", quote(key))
				}
				if !snake(key) {
					return fmt.Errorf("the key %s is not known; keys are lower case", quote(key))
				}
				stack[top].keys[key] = true
				stack[top].wantKey = false
				continue
			}
			stack[top].wantKey = true
		}
		switch t := t.(type) {
		case json.Number:
			if len(t) > maxJSONNumber {
				return errors.New("a number in the body is too long")
			}
		case json.Delim:
			switch t {
			case '{':
				stack = append(stack, level{keys: map[string]bool{}, wantKey: true})
			case '[':
				stack = append(stack, level{})
			default:
				stack = stack[:top]
			}
			if len(stack) > maxJSONDepth {
				return fmt.Errorf("the body is nested deeper than %d levels", maxJSONDepth)
			}
		}
	}
}

func snake(key string) bool {
	for _, c := range []byte(key) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
