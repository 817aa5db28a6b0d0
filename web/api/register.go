package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// MaxJSON is the largest JSON body in bytes.
const MaxJSON = 1 << 20

const seeAPI = "GET /v1/openapi.json describes every request"

// Mux is where the operations are registered. The server's own mux refuses a pattern without a right.
type Mux = humago.Mux

// Config is what the operations work with.
type Config struct {
	Peer     Peer
	Access   Access
	Network  Network // nil: this peer can be in none
	Keys     Keys    // nil: this peer keeps none
	Log      *slog.Logger
	Settings Settings // nil: this peer has no configuration
	// Heartbeat is the time between comments on a silent stream; 0: 10 s.
	Heartbeat time.Duration
	// Stopping is closed when the server begins to stop: streams end with an error event. nil: never.
	Stopping <-chan struct{}
}

type service struct {
	Config
	api huma.API
}

// Register adds all operations to m and returns the OpenAPI description of them. It starts nothing.
func Register(m Mux, cfg Config) *huma.OpenAPI {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 10 * time.Second
	}
	c := huma.DefaultConfig("Cairn peer", Version)
	c.Info.Description = "What a Cairn peer does for its user. Sizes are bytes, rates bytes per second, times RFC 3339 in UTC. " +
		"Long work is a POST answered with a stream of events: progress, warning, and at the end result or error. " +
		"Every failure is an ErrorBody. Operations tagged local exist on the peer's socket only."
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil
	format := huma.Format{Marshal: writeJSON, Unmarshal: huma.DefaultJSONFormat.Unmarshal}
	c.Formats = map[string]huma.Format{"application/json": format, "json": format}
	c.Transformers = []huma.Transformer{transform}
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"cookie": {Type: "apiKey", In: "cookie", Name: "cairn_session_PORT", Description: "Set by login; the name ends with the port"},
		"secret": {Type: "apiKey", In: "header", Name: "Cairn-Secret", Description: "From login or resume"},
		"token":  {Type: "http", Scheme: "bearer", Description: "From POST /v1/tokens or cairn token create; never in the address"},
	}
	c.Security = []map[string][]string{{"cookie": {}, "secret": {}}, {"token": {}}}
	s := &service{Config: cfg}
	s.api = humago.New(m, c)
	s.api.UseMiddleware(readBody)
	s.session()
	s.library()
	s.tickets()
	s.transfers()
	s.limits()
	s.content()
	s.network()
	s.keys()
	s.settings()
	s.local()
	s.security()
	finish(s.api.OpenAPI())
	return s.api.OpenAPI()
}

// transform is the last step before a body is written: failures of huma become ours, and what a browser may not
// see is taken out.
func transform(c huma.Context, _ string, v any) (any, error) {
	switch v := v.(type) {
	case *huma.ErrorModel:
		c.SetHeader("Content-Type", "application/json")
		return invalid(v).Body(c.Context()), nil
	case *Fault:
		return v.Body(c.Context()), nil
	}
	return redact(c.Context(), v), nil
}

// invalid says in one line what huma found wrong with a request. Values are not repeated: they may be secrets.
func invalid(m *huma.ErrorModel) *Fault {
	if m.Status >= 500 {
		return &Fault{m.Status, Errorf(CodeFailed, "the peer failed to do this").WithHint("the peer's log says more; look for the request id")}
	}
	var parts []string
	for _, d := range m.Errors {
		if d == nil {
			continue
		}
		where := strings.TrimPrefix(d.Location, "body.")
		if where == "" || where == "body" {
			parts = append(parts, readable(d.Message))
		} else {
			parts = append(parts, quote(where)+" "+readable(d.Message))
		}
		if len(parts) == 3 {
			break
		}
	}
	f := NewFault(m.Status, "the request is not valid")
	if len(parts) > 0 {
		f = NewFault(m.Status, "the request is not valid: %s", strings.Join(parts, "; "))
	}
	return f.WithHint(seeAPI)
}

// readable writes 1e+06 out, as huma's messages have it.
func readable(message string) string {
	words := strings.Fields(message)
	for i, w := range words {
		if n, err := strconv.ParseFloat(w, 64); err == nil && strings.Contains(w, "e+") {
			words[i] = strconv.FormatFloat(n, 'f', -1, 64)
		}
	}
	return strings.Join(words, " ")
}

// readBody reads JSON bodies before huma does, because huma neither notices duplicate keys nor tells a client
// that broke off from a failure of the server.
func readBody(c huma.Context, next func(huma.Context)) {
	op := c.Operation()
	if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil {
		next(c)
		return
	}
	data, fault := jsonBody(c)
	if fault != nil {
		writeFault(c, fault)
		return
	}
	next(&bodyContext{humaContext: c, body: bytes.NewReader(data)})
}

func jsonBody(c huma.Context) ([]byte, *Fault) {
	if t, _, err := mime.ParseMediaType(c.Header("Content-Type")); err != nil || t != "application/json" {
		return nil, NewFault(http.StatusUnsupportedMediaType, "the content type of this request must be application/json").
			WithHint("send the header Content-Type: application/json")
	}
	data, err := io.ReadAll(io.LimitReader(c.BodyReader(), MaxJSON+1))
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return nil, NewFault(http.StatusRequestTimeout, "the body of the request came too slowly").WithHint("send it within 10 seconds")
	}
	if err != nil {
		return nil, NewFault(http.StatusBadRequest, "the body of the request ended early").WithHint("send as many bytes as Content-Length says")
	}
	if len(data) > MaxJSON {
		return nil, NewFault(http.StatusRequestEntityTooLarge, "the body of the request is larger than 1 MiB").
			WithHint("files go to POST /v1/uploads")
	}
	if len(data) == 0 {
		return nil, NewFault(http.StatusBadRequest, "the request needs a JSON body").WithHint(seeAPI)
	}
	if err := CheckJSON(data); err != nil {
		return nil, NewFault(http.StatusBadRequest, "%s", err.Error()).WithHint(seeAPI)
	}
	return data, nil
}

type humaContext huma.Context

// bodyContext is a request whose body was read.
type bodyContext struct {
	humaContext
	body io.Reader
}

func (b *bodyContext) BodyReader() io.Reader { return b.body }
func (b *bodyContext) Unwrap() huma.Context  { return b.humaContext }

func writeFault(c huma.Context, f *Fault) {
	c.SetHeader("Content-Type", "application/json")
	c.SetStatus(f.Status)
	_ = writeJSON(c.BodyWriter(), f.Body(c.Context())) // the client is gone if this fails
}

// WriteError answers a request with err, in the one form that all errors have.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	f := FaultOf(r.Context(), err)
	CallerOf(r.Context()).Deed.Fail(f.Err)
	h := w.Header()
	h.Del("Content-Length")
	h.Del("Content-Disposition")
	h.Del("ETag")
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(f.Status)
	if r.Method != http.MethodHead {
		_ = writeJSON(w, f.Body(r.Context()))
	}
}

// fault logs what the user will not see of err and returns what he will.
func (s *service) fault(ctx context.Context, err error) *Fault {
	f := FaultOf(ctx, err)
	CallerOf(ctx).Deed.Fail(f.Err)
	if f.Err.Code == CodeFailed {
		if cause := f.Err.Unwrap(); cause != nil {
			err = cause
		}
		s.Log.ErrorContext(ctx, "request failed", "request", CallerOf(ctx).RequestID, "err", err)
	}
	return f
}

// reply is the output of an operation with a JSON body.
type reply[T any] struct {
	Body T
}

// call registers an operation that takes I and answers with O.
func call[I, O any](s *service, op huma.Operation, f func(context.Context, *I) (O, error)) {
	describe(s.api, &op)
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*reply[O], error) {
		v, err := f(ctx, in)
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		return &reply[O]{Body: v}, nil
	})
}

func op(method, path, id, tag, summary string) huma.Operation {
	// Without -1 huma leaves a deadline of five seconds on the connection after the body has been read, which ends
	// the context of every operation that takes longer. The server has deadlines of its own for reading.
	return huma.Operation{Method: method, Path: path, OperationID: id, Tags: []string{tag}, Summary: summary, BodyReadTimeout: -1}
}
