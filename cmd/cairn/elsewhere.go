package main

import (
	"context"
	"crypto/x509"
	"io"
	"net/url"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/pflag"

	"cairn/web/api"
	"cairn/web/client"
)

// elsewhere is a peer on another machine: the dashboard's address, a token, and the authority to trust.
type elsewhere struct{ url, tokenFile, caFile string }

func (x *elsewhere) flags(f *pflag.FlagSet) {
	f.StringVar(&x.url, "at", "", "ask the peer at this https `URL` and not one of this machine; needs --token-file")
	f.StringVar(&x.tokenFile, "token-file", "", "`FILE` with the token for --at (cairn token create, on that machine)")
	f.StringVar(&x.caFile, "ca", "", "`FILE` with the authority to trust for --at (cairn ca, on that machine; default: the system's)")
}

func (x *elsewhere) given() bool { return x.url != "" || x.tokenFile != "" || x.caFile != "" }

const maxSmallFile = 64 << 10

// target reads the files that are named.
func (x *elsewhere) target() (client.Target, error) {
	switch {
	case x.url == "":
		return client.Target{}, usagef("--token-file and --ca are for --at").WithHint("name the peer: --at https://attic.local:4747")
	case x.tokenFile == "":
		return client.Target{}, usagef("--at needs --token-file").WithHint("`cairn token create` on that machine prints a token; write it into a file")
	}
	u, err := url.Parse(x.url)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return client.Target{}, usagef("--at %q: not the address of a peer", clean(x.url)).WithHint("such as https://attic.local:4747")
	}
	if u.Scheme != "https" {
		return client.Target{}, usagef("--at %q: only https keeps the token from others", clean(x.url)).WithHint("such as https://attic.local:4747")
	}
	token, err := smallFile(x.tokenFile)
	if err != nil {
		return client.Target{}, err
	}
	if fi, err := os.Stat(x.tokenFile); err == nil && runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
		return client.Target{}, api.Errorf(api.CodeNotPermitted, "%s can be read by others, and it holds a token", clean(x.tokenFile)).
			WithHint("chmod 600 it")
	}
	text := strings.TrimSpace(string(token))
	if !strings.HasPrefix(text, api.TokenPrefix) || strings.ContainsAny(text, " \t\r\n") {
		return client.Target{}, usagef("%s holds no token", clean(x.tokenFile)).WithHint("a token is one line that begins with %s", api.TokenPrefix)
	}
	var roots *x509.CertPool
	if x.caFile != "" {
		b, err := smallFile(x.caFile)
		if err != nil {
			return client.Target{}, err
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(b) {
			return client.Target{}, usagef("%s holds no certificate in PEM form", clean(x.caFile)).WithHint("`cairn ca` on that machine prints it")
		}
	}
	return client.Remote("https://"+u.Host, text, roots), nil
}

// smallFile reads a file that is no larger than what it may hold.
func smallFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() || fi.Size() > maxSmallFile {
		return nil, usagef("%s is not a small file", clean(path))
	}
	return io.ReadAll(io.LimitReader(f, maxSmallFile))
}

// withElsewhere runs work with a peer on another machine. Work is done once: what became of it when the connection breaks is
// unknown.
func (e *env) withElsewhere(ctx context.Context, work func(ctx context.Context, p remote, st api.Status) error) error {
	t, err := e.elsewhere.target()
	if err != nil {
		return err
	}
	p := socket{client.New(t)}
	defer p.Close()
	hello, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	st, err := p.Status(hello)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case hello.Err() != nil:
		return api.Errorf(api.CodeUnavailable, "%s does not answer", clean(e.elsewhere.url)).WithHint("is it up, and is this its dashboard's address?")
	case err != nil:
		return err
	}
	return work(ctx, p, st)
}
