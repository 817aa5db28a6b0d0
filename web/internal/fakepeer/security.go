package fakepeer

import (
	"context"
	"iter"
	"strings"

	"cairn/web/api"
)

// TheToken is the one token.
func TheToken() api.Token {
	return api.Token{ID: "ab12cd34", Name: "backup", Scope: "read", Created: when, Expires: when.AddDate(0, 0, 30), State: "active"}
}

func (p *Peer) CreateToken(_ context.Context, r api.TokenRequest) (api.NewToken, error) {
	p.note(r)
	return api.NewToken{Secret: "cairn_" + strings.Repeat("a", 49), Token: TheToken()}, nil
}

func (p *Peer) Tokens(context.Context) ([]api.Token, error) { return []api.Token{TheToken()}, nil }

func (p *Peer) RevokeToken(_ context.Context, ref string) (api.Token, error) {
	p.note("revoke token " + ref)
	t := TheToken()
	if ref != t.ID && ref != t.Name {
		return api.Token{}, notFound("token " + ref)
	}
	t.State = "revoked"
	return t, nil
}

// Audit yields three records.
func (p *Peer) Audit(_ context.Context, before uint64) iter.Seq2[api.AuditRecord, error] {
	return func(yield func(api.AuditRecord, error) bool) {
		for id := uint64(3); id > 0; id-- {
			if before > 0 && id >= before {
				continue
			}
			if !yield(api.AuditRecord{ID: id, Time: when, Actor: "local", Action: "token.create", Subject: "ab12cd34 backup", Outcome: "done"}, nil) {
				return
			}
		}
	}
}

func (p *Peer) CA(context.Context) (api.CertificateAuthority, error) {
	return api.CertificateAuthority{PEM: "-----BEGIN CERTIFICATE-----\n", Fingerprint: strings.Repeat("ab", 32), Name: "Cairn peer",
		Expires: when.AddDate(10, 0, 0), Permitted: []string{"local"}}, nil
}
