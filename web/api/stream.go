package api

import (
	"context"
	"iter"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	progressEvery = 100 * time.Millisecond // a bar needs no more
	maxWarnings   = 1000                   // kept for a client that is slow to read; later ones are counted
)

// work registers an operation that takes long: its answer is a stream of progress and warnings that ends with a
// result or an error. What check refuses is answered like any bad request, before the stream. The work stops when
// the client goes away.
func work[I, R any](s *service, op huma.Operation, stream string, check func(*I) error, f func(context.Context, *I, Sink) (R, error)) {
	describe(s.api, &op)
	describeStream(s.api, &op, stream, map[string]*huma.Schema{
		"progress": schemaOf[Progress](s.api),
		"warning":  schemaOf[Warning](s.api),
		"result":   schemaOf[R](s.api),
		"error":    schemaOf[Error](s.api),
	})
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		if check != nil {
			if err := check(in); err != nil {
				return nil, s.fault(ctx, err)
			}
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			s.runWork(c, func(ctx context.Context, sink Sink) (any, error) { return f(ctx, in, sink) })
		}}, nil
	})
}

// follow registers an operation whose answer is a stream of values for as long as the client likes.
func follow[I, V any](s *service, op huma.Operation, stream string, data map[string]*huma.Schema,
	f func(context.Context, *I) iter.Seq2[V, error], event func(V) (id uint64, name string)) {
	describe(s.api, &op)
	data["error"] = schemaOf[Error](s.api)
	describeStream(s.api, &op, stream, data)
	huma.Register(s.api, op, func(_ context.Context, in *I) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(c huma.Context) {
			s.runFollow(c, func(ctx context.Context, send func(uint64, string, any) bool) error {
				for v, err := range f(ctx, in) {
					if err != nil {
						return err
					}
					id, name := event(v)
					if !send(id, name, v) {
						return nil
					}
				}
				return nil
			})
		}}, nil
	})
}

// sink collects what the work reports. It never blocks the work: of progress only the newest counts, warnings
// are kept up to a bound.
type sink struct {
	notify chan struct{} // capacity 1

	mu       sync.Mutex
	progress *Progress
	warnings []Warning
	dropped  int
}

func (k *sink) Progress(p Progress) {
	k.mu.Lock()
	k.progress = &p
	k.mu.Unlock()
	k.wake()
}

func (k *sink) Warn(w Warning) {
	k.mu.Lock()
	if len(k.warnings) < maxWarnings {
		k.warnings = append(k.warnings, w)
	} else {
		k.dropped++
	}
	k.mu.Unlock()
	k.wake()
}

func (k *sink) wake() {
	select {
	case k.notify <- struct{}{}:
	default:
	}
}

// flush sends what was collected since the last time.
func (k *sink) flush(ctx context.Context, w *sseWriter) {
	k.mu.Lock()
	p, ws, dropped := k.progress, k.warnings, k.dropped
	k.progress, k.warnings, k.dropped = nil, nil, 0
	k.mu.Unlock()
	for _, warning := range ws {
		warning.Message = printable(warning.Message)
		w.event(0, "warning", warning)
	}
	if dropped > 0 {
		w.event(0, "warning", *tooManyWarnings(dropped))
	}
	if p != nil {
		w.event(0, "progress", redact(ctx, *p))
	}
}

func tooManyWarnings(n int) *Warning {
	return &Warning{Message: Errorf(CodeFailed, "and %d more warnings", n).Message}
}

// runWork runs f beside the stream that tells of it. It returns when both have ended.
func (s *service) runWork(c huma.Context, f func(context.Context, Sink) (any, error)) {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	w := startSSE(c)
	k := &sink{notify: make(chan struct{}, 1)}
	var result any
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				err = panicError(p)
			}
		}()
		result, err = f(ctx, k)
	}()
	beat := time.NewTicker(s.Heartbeat)
	defer beat.Stop()
	notify, stopping := k.notify, s.Stopping
	var pause <-chan time.Time // while set, progress waits
	for {
		select {
		case <-done:
			k.flush(ctx, w)
			if err != nil {
				s.sendError(ctx, w, s.stopped(err))
				return
			}
			w.event(0, "result", redact(ctx, result))
			return
		case <-notify:
			k.flush(ctx, w)
			notify, pause = nil, time.After(progressEvery)
		case <-pause:
			notify, pause = k.notify, nil
		case <-beat.C:
			w.comment()
		case <-stopping:
			stopping = nil
			cancel()
		}
		if w.failed() {
			cancel()
		}
	}
}

// runFollow runs f beside a heartbeat. f's values wait in a small queue; a client that does not take them within
// the write timeout of the connection is dropped.
func (s *service) runFollow(c huma.Context, f func(context.Context, func(uint64, string, any) bool) error) {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	w := startSSE(c)
	type item struct {
		id   uint64
		name string
		v    any
	}
	queue := make(chan item, 64)
	var err error
	go func() {
		defer close(queue)
		defer func() {
			if p := recover(); p != nil {
				err = panicError(p)
			}
		}()
		err = f(ctx, func(id uint64, name string, v any) bool {
			select {
			case queue <- item{id, name, v}:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	beat := time.NewTicker(s.Heartbeat)
	defer beat.Stop()
	stopping := s.Stopping
	for {
		select {
		case it, ok := <-queue:
			if !ok {
				if stopping == nil && s.Stopping != nil {
					err = errStopping()
				}
				if err != nil {
					s.sendError(ctx, w, err)
				}
				return
			}
			w.event(it.id, it.name, redact(ctx, it.v))
		case <-beat.C:
			w.comment()
		case <-stopping:
			stopping = nil
			cancel()
		}
		if w.failed() {
			cancel()
		}
	}
}

// stopped puts the reason in place of the cancellation that it caused.
func (s *service) stopped(err error) error {
	select {
	case <-s.Stopping:
		if FaultOf(context.Background(), err).Err.Code == CodeCancelled {
			return errStopping()
		}
	default:
	}
	return err
}

func errStopping() error {
	return Errorf(CodeHandover, "the peer is stopping").WithHint("try again when it runs")
}

func (s *service) sendError(ctx context.Context, w *sseWriter, err error) {
	w.event(0, "error", s.fault(ctx, err).Body(ctx).Error) // fault tells the audit log, whose answer had begun well
}

// startSSE sends the head of a stream at once, so that the client knows that the peer is alive.
func startSSE(c huma.Context) *sseWriter {
	_, rw := humago.Unwrap(c)
	h := rw.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	rw.WriteHeader(http.StatusOK)
	w := &sseWriter{w: rw, flush: http.NewResponseController(rw).Flush}
	w.comment()
	return w
}
