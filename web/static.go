package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"cairn/web/api"
)

// contentTypes are those that the dashboard has; the system's table would make answers depend on the machine.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".webp":
		return "image/webp"
	case ".ico":
		return "image/x-icon"
	case ".woff2":
		return "font/woff2"
	case ".json", ".map", ".webmanifest":
		return "application/json"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

type staticFile struct {
	data []byte
	etag string
	kind string
	keep bool // the name changes with the content
}

// loadStatic reads the dashboard. It is small and embedded, so that holding it costs little, and no request can
// then name a file that is not one of it.
func loadStatic(dist fs.FS) (map[string]staticFile, error) {
	files := map[string]staticFile{}
	if dist == nil {
		return files, nil
	}
	add := func(name string) error {
		data, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		files[name] = staticFile{data, `"` + hex.EncodeToString(sum[:16]) + `"`, contentType(name), strings.HasPrefix(name, "assets/")}
		return nil
	}
	err := fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return add(name)
	})
	if _, ok := files["index.html"]; err == nil && !ok {
		// A placeholder may answer to the name without being listed under it.
		if err = add("index.html"); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read dashboard: %w", err)
	}
	return files, nil
}

// serveStatic answers with a file of the dashboard; a path that is none and has no extension is a page of the
// application, which index.html finds its way to.
func (s *Server) serveStatic(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	f, ok := s.static[name]
	if !ok && path.Ext(name) == "" {
		f, ok = s.static["index.html"]
	}
	if !ok {
		err := api.Errorf(api.CodeNotFound, "there is no such page").WithHint("the dashboard is at %s/", s.URL())
		if len(s.static) == 0 {
			err = err.WithHint("this binary was built without the dashboard")
		}
		api.WriteError(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache")
	if f.keep {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
}
