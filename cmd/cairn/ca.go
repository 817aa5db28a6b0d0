package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type caOptions struct {
	out  string
	help bool
}

func newCA(e *env) *cobra.Command {
	var o caOptions
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Print the authority behind the dashboard's certificate",
		Long: `Print the certificate of the authority that signs the dashboard's certificate (http.tls
network), in PEM form. A browser that is told to trust it opens the dashboard without a
warning. The authority can vouch for private names and addresses only, such as nas.local and
192.168.1.5: whoever steals its key still cannot pretend to be any other site.`,
		Example: `  cairn ca > cairn-ca.crt
  cairn ca --install-help`,
		GroupID: groupPeer,
		Args:    wantArgs(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runCA(cmd.Context(), e, o) },
	}
	cmd.Flags().StringVar(&o.out, "out", "", "write it to a new `FILE`")
	cmd.Flags().BoolVar(&o.help, "install-help", false, "say how browsers and systems are told to trust it")
	return cmd
}

func runCA(ctx context.Context, e *env, o caOptions) error {
	if o.help {
		return e.printf("%s", caHelp)
	}
	var ca api.CertificateAuthority
	err := e.withPeer(ctx, peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		ca, err = p.CA(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if o.out != "" {
		if err := writeNew(o.out, ca.PEM); err != nil {
			return err
		}
	}
	if e.json {
		return e.line(ca)
	}
	e.note("%s, until %s", clean(ca.Name), ca.Expires.Local().Format("2006-01-02"))
	e.note("SHA-256 %s", clean(ca.Fingerprint))
	e.note("vouches for %s", clean(strings.Join(ca.Permitted, ", ")))
	if o.out != "" {
		return nil
	}
	return e.printf("%s", ca.PEM)
}

// writeNew writes a file that must not be there.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return api.Errorf(api.CodeConflict, "%s is there already", clean(path)).WithHint("choose another name, or remove it first")
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

const caHelp = `Save the certificate first:  cairn ca --out cairn-ca.crt
Compare the SHA-256 that this prints with what the other machine shows before it trusts the file.

Debian, Ubuntu   sudo cp cairn-ca.crt /usr/local/share/ca-certificates/ && sudo update-ca-certificates
Fedora, RHEL     sudo cp cairn-ca.crt /etc/pki/ca-trust/source/anchors/ && sudo update-ca-trust
Arch             sudo trust anchor cairn-ca.crt
macOS            sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain cairn-ca.crt
Windows          certutil -addstore -user Root cairn-ca.crt
Firefox          Settings, Privacy & Security, View Certificates, Authorities, Import
Chrome, Linux    Settings, Privacy and security, Security, Manage certificates, Custom, Import
Android          Settings, Security, Encryption & credentials, Install a certificate, CA certificate
iOS              open the file, install the profile, then Settings, General, About, Certificate Trust Settings
`
