package api

import (
	"context"
	"strings"
	"unicode/utf8"
)

const auditPage = 100 // records of a page unless asked otherwise

// security registers tokens, the audit log and the certificate authority.
func (s *service) security() {
	p := s.Peer
	call(s, op("GET", "/v1/tokens", "tokens", "security", "Tokens of programs, without their secrets"),
		func(ctx context.Context, _ *none) ([]Token, error) { return p.Tokens(ctx) })
	call(s, op("POST", "/v1/tokens", "create-token", "security", "Make a token; its secret is told once"),
		func(ctx context.Context, in *struct{ Body TokenRequest }) (NewToken, error) {
			if err := checkLabel(in.Body.Name); err != nil {
				return NewToken{}, err
			}
			t, err := p.CreateToken(ctx, in.Body)
			About(ctx, strings.TrimSpace(t.ID+" "+in.Body.Name+" "+t.Scope))
			return t, err
		})
	call(s, op("DELETE", "/v1/tokens/{ref}", "revoke-token", "security", "End a token, by id, the beginning of it, or name"),
		func(ctx context.Context, in *refIn) (Token, error) {
			t, err := p.RevokeToken(ctx, in.Ref)
			if err == nil {
				About(ctx, t.ID+" "+t.Name)
			}
			return t, err
		})
	call(s, op("GET", "/v1/audit", "audit", "security", "Audit log, newest first"),
		func(ctx context.Context, in *struct {
			Before uint64 `query:"before" doc:"Only records before the one with this id; 0: from the newest"`
			Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
		}) (AuditPage, error) {
			return auditUpTo(ctx, p, in.Before, in.Limit)
		})
	call(s, op("GET", "/v1/ca", "ca", "public", "The certificate authority of the dashboard's own certificate"),
		func(ctx context.Context, _ *none) (CertificateAuthority, error) { return p.CA(ctx) })
}

func auditUpTo(ctx context.Context, a Audit, before uint64, limit int) (page AuditPage, err error) {
	if limit <= 0 {
		limit = auditPage
	}
	for r, err := range a.Audit(ctx, before) {
		if err != nil {
			return AuditPage{}, err
		}
		if len(page.Records) == limit {
			page.Next = page.Records[limit-1].ID
			break
		}
		page.Records = append(page.Records, r)
	}
	return page, nil
}

// checkLabel refuses a name for people that would disturb a list or a log; "" is none.
func checkLabel(s string) error {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) || strings.TrimSpace(s) != s {
		return Errorf(CodeUsage, "name %s cannot be a name", quote(s)).WithHint("letters, digits and punctuation on one line, without spaces around them")
	}
	return nil
}
