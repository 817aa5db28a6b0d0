package admission

import (
	"fmt"

	"cairn/consensus/membership"
)

func raws(docs []membership.Doc) [][]byte {
	out := make([][]byte, len(docs))
	for i, d := range docs {
		out[i] = d.Bytes()
	}
	return out
}

// parseDocs reads documents from outside; one that is wrong spoils all.
func parseDocs(raw [][]byte) ([]membership.Doc, error) {
	out := make([]membership.Doc, len(raw))
	for i, b := range raw {
		d, err := membership.ParseDoc(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		out[i] = d
	}
	return out, nil
}
