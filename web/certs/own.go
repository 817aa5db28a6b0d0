package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	firstRetry = 10 * time.Second
	lastRetry  = time.Hour
	lookEvery  = 15 * time.Second // for names that have changed
)

// OwnConfig is what an Own works with.
type OwnConfig struct {
	// Obtain has a request (PKCS #10, DER) certified for names and addresses, and returns the chain in PEM form.
	Obtain func(ctx context.Context, csr []byte, names []string) (chain []byte, err error)
	// Names are what the certificate shall be good for, now.
	Names func() []string
	// Better tells that Obtain would now give one that is preferable to the present one. nil: never.
	Better func() bool
	// Kept returns what Keep was given last, and Keep keeps a chain and its key (PEM; nil: nothing) over a restart. Both may be nil.
	Kept func() (chain, key []byte)
	Keep func(chain, key []byte)
	Now  func() time.Time // nil: time.Now
	Log  *slog.Logger     // nil: none
}

// Own keeps a certificate of the peer's or its network's authority. Its key is made anew for every certificate and lives in memory,
// unless there is a Keep.
type Own struct {
	cfg OwnConfig

	mu    sync.Mutex
	cert  *tls.Certificate
	names []string // that it was asked for, sorted
	next  time.Time
}

// NewOwn makes a source with the certificate that was kept, if there is one and it has not ended. Refresh or Run obtains others.
func NewOwn(cfg OwnConfig) *Own {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	o := &Own{cfg: cfg}
	if cfg.Kept != nil {
		if chain, key := cfg.Kept(); len(chain) > 0 {
			if c, err := tls.X509KeyPair(chain, key); err == nil && cfg.Now().Before(c.Leaf.NotAfter) {
				o.take(&c, o.wanted())
			}
		}
	}
	return o
}

// wanted are the names that a certificate shall have now, sorted.
func (o *Own) wanted() []string {
	return slices.Compact(slices.Sorted(slices.Values(o.cfg.Names())))
}

func (o *Own) take(c *tls.Certificate, names []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cert, o.names = c, names
	o.next = c.Leaf.NotBefore.Add(c.Leaf.NotAfter.Sub(c.Leaf.NotBefore) * 2 / 3)
}

// Refresh obtains a certificate if there is none, if two thirds of its life are over, or if other names are wanted than it has. After an error
// the present one stays.
func (o *Own) Refresh(ctx context.Context) error {
	names := o.wanted()
	o.mu.Lock()
	fresh := o.cert != nil && o.cfg.Now().Before(o.next) && slices.Equal(names, o.names)
	o.mu.Unlock()
	if fresh && (o.cfg.Better == nil || !o.cfg.Better()) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make key of certificate: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return fmt.Errorf("make certificate request: %w", err)
	}
	chain, err := o.cfg.Obtain(ctx, csr, names)
	if err != nil {
		return fmt.Errorf("obtain certificate: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key of certificate: %w", err)
	}
	cert, err := tls.X509KeyPair(chain, toPEM("PRIVATE KEY", der))
	if err != nil {
		return fmt.Errorf("obtain certificate: %w", err)
	}
	o.take(&cert, names)
	if o.cfg.Keep != nil {
		o.cfg.Keep(chain, toPEM("PRIVATE KEY", der))
	}
	return nil
}

// Run refreshes until ctx ends. An authority that does not answer is asked again after pauses that double up to an hour.
func (o *Own) Run(ctx context.Context) error {
	pause := firstRetry
	for {
		wait := lookEvery
		if err := o.Refresh(ctx); err != nil && ctx.Err() == nil {
			o.cfg.Log.Warn("the certificate could not be renewed", "err", err, "again_in", pause)
			wait, pause = pause, min(2*pause, lastRetry)
		} else {
			pause = firstRetry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// GetCertificate is for crypto/tls.
func (o *Own) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cert == nil {
		return nil, ErrNone
	}
	return o.cert, nil
}

// NextRenewal is when two thirds of the certificate's life are over.
func (o *Own) NextRenewal() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.next
}

// Names are those of the certificate.
func (o *Own) Names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cert == nil {
		return nil
	}
	return namesOf(o.cert.Leaf)
}

// Trusted is false: a browser has to be told of the authority.
func (o *Own) Trusted() bool { return false }
