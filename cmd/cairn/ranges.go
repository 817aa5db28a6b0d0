package main

import (
	"strconv"
	"strings"
)

// byteRange is a part of a file as HTTP writes it: "A-B" with both ends included, "A-" to the end, "-N" the last
// N bytes. The zero value is the whole file.
type byteRange struct {
	set   bool
	first int64 // -1: suffix of last bytes
	last  int64 // -1: to the end
}

// String, Set and Type make a flag of it.
func (r *byteRange) String() string {
	switch {
	case !r.set:
		return ""
	case r.first < 0:
		return "-" + strconv.FormatInt(r.last, 10)
	case r.last < 0:
		return strconv.FormatInt(r.first, 10) + "-"
	}
	return strconv.FormatInt(r.first, 10) + "-" + strconv.FormatInt(r.last, 10)
}

func (r *byteRange) Type() string { return "A-B" }

func (r *byteRange) Set(text string) error {
	const hint = "write A-B (both included), A- or -N, counted in bytes from 0"
	a, b, ok := strings.Cut(text, "-")
	if !ok || a == "" && b == "" {
		return usagef("not a range").WithHint(hint)
	}
	n := byteRange{set: true, first: -1, last: -1}
	for _, end := range []struct {
		text string
		to   *int64
	}{{a, &n.first}, {b, &n.last}} {
		if end.text == "" {
			continue
		}
		v, err := strconv.ParseUint(end.text, 10, 63)
		if err != nil {
			return usagef("%q is not a number of bytes", end.text).WithHint(hint)
		}
		*end.to = int64(v)
	}
	switch {
	case n.first >= 0 && n.last >= 0 && n.last < n.first:
		return usagef("it ends before it begins").WithHint(hint)
	case n.first < 0 && n.last == 0:
		return usagef("the last 0 bytes are nothing").WithHint(hint)
	}
	*r = n
	return nil
}

// within returns where the range lies in a file of size bytes: the first byte and the number of bytes.
func (r byteRange) within(size int64) (off, n int64, err error) {
	switch {
	case r.first < 0:
		n = min(r.last, size)
		return size - n, n, nil
	case r.first >= size:
		return 0, 0, usagef("--range %s: the file has only %d bytes", r.String(), size)
	case r.last < 0:
		return r.first, size - r.first, nil
	}
	return r.first, min(r.last, size-1) - r.first + 1, nil
}
