package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	fileEvery = 5 * time.Second // between looks at the files
	maxFile   = 1 << 20         // bytes of one
)

// Files keeps a certificate that the user or his own ACME client puts into two files (PEM): the chain, the leaf first, and its key. They are
// looked at again while connections come in; new ones that are not usable are told of once, and the old certificate stays.
type Files struct {
	certPath, keyPath string
	now               func() time.Time
	log               *slog.Logger

	mu     sync.Mutex
	cert   *tls.Certificate
	looked time.Time
	stamp  [2]stamp
}

// stamp tells one state of a file from another.
type stamp struct {
	mod  time.Time
	size int64
}

// NewFiles reads the files. now and log may be nil. Errors wrap ErrBadFiles and name the file.
func NewFiles(certPath, keyPath string, now func() time.Time, log *slog.Logger) (*Files, error) {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &Files{certPath: certPath, keyPath: keyPath, now: now, log: log}
	var err error
	if f.stamp, err = f.stat(); err == nil {
		f.cert, err = f.load()
	}
	if err != nil {
		return nil, err
	}
	f.looked = now()
	return f, nil
}

// stat refuses a key that others can read.
func (f *Files) stat() (out [2]stamp, err error) {
	for i, path := range []string{f.certPath, f.keyPath} {
		fi, err := os.Stat(path)
		if err != nil {
			return out, fmt.Errorf("%w: %s: %w", ErrBadFiles, path, plainError(err))
		}
		switch {
		case !fi.Mode().IsRegular() || fi.Size() > maxFile:
			return out, fmt.Errorf("%w: %s is not a file of at most 1 MiB", ErrBadFiles, path)
		case i == 1 && runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0:
			return out, fmt.Errorf("%w: the key %s can be read by others: chmod 600 it", ErrBadFiles, path)
		}
		out[i] = stamp{fi.ModTime(), fi.Size()}
	}
	return out, nil
}

func (f *Files) load() (*tls.Certificate, error) {
	var text [2][]byte
	for i, path := range []string{f.certPath, f.keyPath} {
		var err error
		if text[i], err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrBadFiles, path, plainError(err))
		}
	}
	c, err := tls.X509KeyPair(text[0], text[1])
	if err != nil {
		return nil, fmt.Errorf("%w: %s and %s: %w", ErrBadFiles, f.certPath, f.keyPath, err)
	}
	if now := f.now(); !now.Before(c.Leaf.NotAfter) {
		return nil, fmt.Errorf("%w: the certificate in %s ended on %s", ErrBadFiles, f.certPath, c.Leaf.NotAfter.Format(time.DateOnly))
	}
	return &c, nil
}

// plainError is the innermost text of an error about a file, whose path has been named.
func plainError(err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err
	}
	return err
}

// GetCertificate is for crypto/tls.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	return f.cert, nil
}

// look reads the files again if they have changed: mu is held.
func (f *Files) look() {
	now := f.now()
	if since := now.Sub(f.looked); since >= 0 && since < fileEvery {
		return
	}
	f.looked = now
	s, err := f.stat()
	if err == nil && s == f.stamp {
		return
	}
	if err == nil {
		var c *tls.Certificate
		if c, err = f.load(); err == nil {
			f.cert = c
			f.log.Info("the certificate was read again", "file", f.certPath, "until", c.Leaf.NotAfter)
		}
	}
	if err != nil && s != f.stamp {
		f.log.Error("the new certificate is not used", "err", err)
	}
	f.stamp = s // a key may be written a moment after its certificate: then this differs again
}

// NextRenewal is nobody's knowledge.
func (f *Files) NextRenewal() time.Time { return time.Time{} }

// Names are those of the certificate.
func (f *Files) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return namesOf(f.cert.Leaf)
}

// Trusted is true: who has files has an authority.
func (f *Files) Trusted() bool { return true }

// Run waits for ctx to end: the files are looked at when connections come.
func (f *Files) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
