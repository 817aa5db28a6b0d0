package api

import (
	"context"
	"io"
	"net/http"
	"path"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

type contentIn struct {
	Ref   string `path:"ref" minLength:"1" maxLength:"8192" doc:"A CID, an entry or a ticket"`
	Path  string `query:"path" maxLength:"4096" doc:"A file below it"`
	Range string `header:"Range" doc:"As in RFC 9110; at most 16 ranges"`
}

// rawBody hands the body to the operation as it comes.
type rawBody struct {
	r    io.Reader
	size int64 // -1: not told
}

// Resolve is called by huma before the operation.
func (b *rawBody) Resolve(c huma.Context) []error {
	r, _ := humago.Unwrap(c)
	b.r, b.size = r.Body, r.ContentLength
	return nil
}

type uploadIn struct {
	Name string `query:"name" required:"true" minLength:"1" maxLength:"255" doc:"Name of the file"`
	rawBody
}

// content registers what carries the bytes of objects.
func (s *service) content() {
	p := s.Peer
	call(s, op("GET", "/v1/list/{ref}", "list", "content", "The names in a directory, or the one file itself"),
		func(ctx context.Context, in *struct {
			Ref  string `path:"ref" minLength:"1" maxLength:"8192"`
			Path string `query:"path" maxLength:"4096"`
		}) (Listing, error) {
			if err := checkPath(in.Path); err != nil {
				return Listing{}, err
			}
			return p.List(ctx, in.Ref, in.Path)
		})

	get := op("GET", "/v1/content/{ref}", "content", "content", "The bytes of a file, whole or in ranges")
	head := op("HEAD", "/v1/content/{ref}", "content-head", "content", "Size and name of a file")
	for _, o := range []huma.Operation{get, head} {
		describe(s.api, &o)
		describeBytes(&o, "application/octet-stream", "The file, as an attachment; 206 for ranges")
		huma.Register(s.api, o, func(_ context.Context, in *contentIn) (*huma.StreamResponse, error) {
			return s.serve(in.Ref, in.Path, attached), nil
		})
	}
	link := op("GET", "/v1/downloads/{token}", "download", "content", "The file that a download link stands for")
	describe(s.api, &link)
	describeBytes(&link, "application/octet-stream", "The file, as an attachment")
	huma.Register(s.api, link, func(ctx context.Context, in *struct {
		Token string `path:"token" minLength:"1" maxLength:"128"`
	}) (*huma.StreamResponse, error) {
		l, err := s.Access.UseLink(ctx, in.Token)
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		return s.serve(l.Ref, l.Path, attached), nil
	})

	s.inPlace()

	upload := op("POST", "/v1/uploads", "upload", "content", "Put a file into the library; the body is the file")
	rawRequest(&upload, "application/octet-stream")
	call(s, upload, func(ctx context.Context, in *uploadIn) (AddResult, error) {
		if err := checkName(in.Name); err != nil {
			return AddResult{}, err
		}
		return p.Upload(ctx, in.Name, in.size, in.r)
	})
	imp := op("POST", "/v1/car", "import-car", "content", "Put the object of a CAR file into the library; the body is the CAR")
	rawRequest(&imp, "application/vnd.ipld.car")
	call(s, imp, func(ctx context.Context, in *uploadIn) (AddResult, error) {
		if err := checkName(in.Name); err != nil {
			return AddResult{}, err
		}
		return p.ImportCAR(ctx, in.Name, in.r)
	})
	exp := op("GET", "/v1/car/{ref}", "export-car", "content", "An object as a CAR file")
	describe(s.api, &exp)
	describeBytes(&exp, "application/vnd.ipld.car", "CARv1; the connection breaks off when the export fails")
	huma.Register(s.api, exp, func(_ context.Context, in *refIn) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(c huma.Context) { s.export(c, in.Ref) }}, nil
	})
}

// inPlace registers what a page plays or shows without a download, as with <video>: such a request carries a cookie
// and no header, so its URL is a handle, and never a ticket.
func (s *service) inPlace() {
	call(s, op("POST", "/v1/open", "open", "content", "Open an object for reading in place"),
		func(ctx context.Context, in *struct{ Body OpenRequest }) (Opened, error) { return s.open(ctx, in.Body) })
	get := op("GET", "/v1/opened/{token}", "opened", "content", "The bytes of what was opened, whole or in ranges")
	head := op("HEAD", "/v1/opened/{token}", "opened-head", "content", "Size and type of what was opened")
	for _, o := range []huma.Operation{get, head} {
		describe(s.api, &o)
		describeBytes(&o, "application/octet-stream", "The file, with its media type if a browser can play or show it; 206 for ranges")
		huma.Register(s.api, o, func(ctx context.Context, in *struct {
			Token string `path:"token" minLength:"1" maxLength:"128"`
			Path  string `query:"path" maxLength:"4096" doc:"A file below it"`
			Range string `header:"Range" doc:"As in RFC 9110; at most 16 ranges"`
		}) (*huma.StreamResponse, error) {
			l, err := s.Access.UseHandle(ctx, in.Token)
			if err != nil {
				return nil, s.fault(ctx, err)
			}
			if err := checkPath(in.Path); err != nil {
				return nil, s.fault(ctx, err)
			}
			return s.serve(l.Ref, path.Join(l.Path, in.Path), inline), nil
		})
	}
}

func (s *service) open(ctx context.Context, r OpenRequest) (o Opened, err error) {
	if err := checkPath(r.Path); err != nil {
		return o, err
	}
	if o.Listing, err = s.Peer.List(ctx, r.Ref, r.Path); err != nil {
		return o, err
	}
	if o.Kind == "file" {
		f, err := s.Peer.Open(ctx, r.Ref, r.Path)
		if err != nil {
			return o, err
		}
		f.Close()
		o.Name, o.Type = printable(f.Name), mediaType(f.Name)
	}
	l, err := s.Access.NewHandle(ctx, LinkRequest(r))
	o.URL, o.Expires = l.URL, l.Expires
	return o, err
}

// export streams a CAR. An error before the first byte is answered in words, a later one by breaking off: the
// chunked body then lacks its end, so nobody takes half a CAR for a whole one.
func (s *service) export(c huma.Context, ref string) {
	r, w := humago.Unwrap(c)
	ctx := c.Context()
	w.Header().Set("Content-Type", "application/vnd.ipld.car")
	w.Header().Set("Content-Disposition", attachment(ref+".car"))
	w.Header().Set("Content-Security-Policy", "sandbox")
	lw := &lazyWriter{w: w}
	err := s.Peer.ExportCAR(ctx, ref, lw)
	switch {
	case err == nil:
	case !lw.begun:
		WriteError(w, r, s.fault(ctx, err))
	default:
		s.Log.ErrorContext(ctx, "export broke off", "request", CallerOf(ctx).RequestID, "err", err)
		panic(http.ErrAbortHandler)
	}
}

// lazyWriter remembers whether anything was written.
type lazyWriter struct {
	w     io.Writer
	begun bool
}

func (l *lazyWriter) Write(p []byte) (int, error) {
	l.begun = true
	return l.w.Write(p)
}
