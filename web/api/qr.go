package api

import (
	"bytes"
	"fmt"
	"strings"

	"rsc.io/qr"
)

// qrSVG draws a ticket or an invite. Both ignore case, and QR codes hold capitals more densely. The picture is one path
// without styles, so that a page with a strict content security policy can show it inline.
func qrSVG(text string) ([]byte, error) {
	code, err := qr.Encode(strings.ToUpper(text), qr.L)
	if err != nil {
		return nil, Errorf(CodeFailed, "this is too long for a QR code")
	}
	const quiet = 4 // modules of white around it (ISO/IEC 18004)
	var b bytes.Buffer
	side := code.Size + 2*quiet
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges">`, side, side)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="`, side, side)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			n := 0
			for code.Black(x+n, y) {
				n++
			}
			if n > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, n, n)
				x += n
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.Bytes(), nil
}
