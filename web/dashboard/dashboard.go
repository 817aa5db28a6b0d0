// Package dashboard holds the built web dashboard of a peer.
//
// It embeds what Vite writes to dist. A checkout without Node has no build; then the committed placeholder page
// stands in, so that the Go module always builds and a browser is told what to do. The package serves nothing
// itself and starts no goroutines.
package dashboard

import (
	"embed"
	"errors"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Names inside dist.
const (
	index       = "index.html"
	placeholder = "placeholder.html"
)

// FS returns the files of the dashboard: index.html and what it loads. Without a build, index.html is the
// placeholder page.
func FS() fs.FS {
	return withPlaceholder{sub()}
}

// Built tells whether the binary holds a built dashboard.
func Built() bool {
	_, err := fs.Stat(sub(), index)
	return err == nil
}

// sub is dist as a root. The name is a constant that go:embed has checked, so that fs.Sub cannot fail.
func sub() fs.FS {
	f, err := fs.Sub(dist, "dist")
	if err != nil {
		return dist
	}
	return f
}

// withPlaceholder answers a missing index.html with the placeholder page.
type withPlaceholder struct{ fs.FS }

func (w withPlaceholder) Open(name string) (fs.File, error) {
	f, err := w.FS.Open(name)
	if name == index && errors.Is(err, fs.ErrNotExist) {
		return w.FS.Open(placeholder)
	}
	return f, err
}
