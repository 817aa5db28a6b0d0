package api

import (
	"context"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

type memberIn struct {
	Ref string `path:"ref" minLength:"1" maxLength:"256" doc:"A member's id, the beginning of it, or its name"`
}

// network registers what concerns the peer's network: itself, its members and the invites into it.
func (s *service) network() {
	ask(s, op("GET", "/v1/network", "network", "network", "The network that the peer is in"),
		func(ctx context.Context, n Network, _ *none) (NetworkStatus, error) { return n.Network(ctx) })
	ask(s, op("POST", "/v1/network", "init-network", "network", "Make a network; its root key comes back as words, once"),
		func(ctx context.Context, n Network, in *struct{ Body InitRequest }) (InitResult, error) {
			if in.Body.RecoveryFile != "" || in.Body.Passphrase != "" {
				return InitResult{}, Errorf(CodeNotPermitted, "a recovery file can be named on the peer's own machine only, through its socket").
					WithHint("leave recovery_file and passphrase out, or use cairn init there")
			}
			return n.Init(ctx, in.Body)
		})
	ask(s, op("POST", "/v1/local/network/init", "local-init-network", "local", "Make a network; its root key may go into a file of this machine"),
		func(ctx context.Context, n Network, in *struct{ Body InitRequest }) (InitResult, error) {
			if err := checkInit(in.Body); err != nil {
				return InitResult{}, err
			}
			return n.Init(ctx, in.Body)
		})
	ask(s, op("POST", "/v1/network/join", "join-network", "network", "Become a member by an invite"),
		func(ctx context.Context, n Network, in *struct{ Body JoinRequest }) (NetworkStatus, error) {
			return n.Join(ctx, in.Body)
		})
	leave := op("DELETE", "/v1/network", "leave-network", "network", "Leave the network; this peer's id never returns to it")
	describe(s.api, &leave)
	huma.Register(s.api, leave, func(ctx context.Context, _ *none) (*struct{}, error) {
		n, err := s.theNetwork()
		if err == nil {
			err = n.Leave(ctx)
		}
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		return nil, nil
	})
	ask(s, op("POST", "/v1/local/network/recover", "local-recover-network", "local", "Use the root key: become an administrator, settle revocations"),
		func(ctx context.Context, n Network, in *struct{ Body RecoverRequest }) (RecoverResult, error) {
			if err := checkRecover(in.Body); err != nil {
				return RecoverResult{}, err
			}
			return n.Recover(ctx, in.Body)
		})
	s.members()
	s.invites()
}

func (s *service) members() {
	ask(s, op("GET", "/v1/members", "members", "network", "Everybody who is or was in the network, this peer first"),
		func(ctx context.Context, n Network, _ *none) ([]Member, error) { return n.Members(ctx) })
	ask(s, op("GET", "/v1/members/{ref}", "member", "network", "One member"),
		func(ctx context.Context, n Network, in *memberIn) (Member, error) { return n.Member(ctx, in.Ref) })
	// Its choices are in the query: proxies and libraries drop the body of a DELETE.
	ask(s, op("DELETE", "/v1/members/{ref}", "revoke-member", "network", "End a membership for good"),
		func(ctx context.Context, n Network, in *struct {
			Ref    string `path:"ref" minLength:"1" maxLength:"256" doc:"A member's id, the beginning of it, or its name"`
			Void   bool   `query:"void" doc:"Of an administrator: what it issued ends too. Otherwise this peer takes it over"`
			Reason string `query:"reason" maxLength:"200"`
		}) (RevokeResult, error) {
			return n.RevokeMember(ctx, in.Ref, RevokeRequest{Void: in.Void, Reason: in.Reason})
		})
	ask(s, op("PUT", "/v1/members/{ref}/name", "rename-member", "network", "Change the name of a member"),
		func(ctx context.Context, n Network, in *struct {
			Ref  string `path:"ref" minLength:"1" maxLength:"256" doc:"A member's id, the beginning of it, or its name"`
			Body RenameRequest
		}) (Member, error) {
			return n.Rename(ctx, in.Ref, in.Body.Name)
		})
}

func (s *service) invites() {
	ask(s, op("GET", "/v1/invites", "invites", "network", "The invites that this peer made, newest first"),
		func(ctx context.Context, n Network, _ *none) ([]Invite, error) { return n.Invites(ctx) })
	ask(s, op("POST", "/v1/invites", "create-invite", "network", "Make an invite"),
		func(ctx context.Context, n Network, in *struct{ Body InviteRequest }) (Invite, error) {
			return n.Invite(ctx, in.Body)
		})
	ask(s, op("DELETE", "/v1/invites/{ref}", "revoke-invite", "network", "End an invite; who joined by it stays"),
		func(ctx context.Context, n Network, in *struct {
			Ref string `path:"ref" minLength:"1" maxLength:"1024" doc:"An invite's id or text"`
		}) (Invite, error) {
			return n.RevokeInvite(ctx, in.Ref)
		})
	qr := op("GET", "/v1/invites/{id}/qr.svg", "invite-qr", "network", "An invite as a QR code")
	describe(s.api, &qr)
	describeBytes(&qr, "image/svg+xml", "The code, black on white with its quiet zone; it has no size of its own")
	huma.Register(s.api, qr, func(ctx context.Context, in *idIn) (*huma.StreamResponse, error) {
		svg, err := s.inviteQR(ctx, in.ID)
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			_, w := humago.Unwrap(c)
			w.Header().Set("Content-Type", "image/svg+xml")
			_, _ = w.Write(svg)
		}}, nil
	})
}

func (s *service) inviteQR(ctx context.Context, id string) ([]byte, error) {
	n, err := s.theNetwork()
	if err != nil {
		return nil, err
	}
	all, err := n.Invites(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(v Invite) bool { return v.ID == id })
	if i < 0 {
		return nil, Errorf(CodeNotFound, "there is no invite %s", quote(id)).WithHint("cairn invite ls shows what there is")
	}
	if all[i].Text == "" {
		return nil, Errorf(CodeConflict, "nobody can join with the invite %s any more", quote(id)).WithHint("cairn invite makes another")
	}
	return qrSVG(all[i].Text)
}

// theNetwork fails for a peer that was built without one.
func (s *service) theNetwork() (Network, error) {
	if s.Network == nil {
		return nil, Errorf(CodeNotFound, "this peer is in no network").
			WithHint("cairn init NAME makes one, cairn join INVITE enters one")
	}
	return s.Network, nil
}

// ask registers an operation of the network.
func ask[I, O any](s *service, op huma.Operation, f func(context.Context, Network, *I) (O, error)) {
	call(s, op, func(ctx context.Context, in *I) (out O, err error) {
		n, err := s.theNetwork()
		if err != nil {
			return out, err
		}
		return f(ctx, n, in)
	})
}

func checkInit(r InitRequest) error {
	if (r.RecoveryFile == "") != (r.Passphrase == "") {
		return Errorf(CodeUsage, "a recovery file needs a passphrase, and a passphrase a recovery file").
			WithHint("set recovery_file and passphrase, or neither for words")
	}
	if r.RecoveryFile == "" {
		return nil
	}
	return absolute(r.RecoveryFile)
}

func checkRecover(r RecoverRequest) error {
	if (r.Words == "") == (r.File == "") {
		return Errorf(CodeUsage, "a recovery needs either the words or the recovery file").WithHint("set words, or file and passphrase")
	}
	if (r.File == "") != (r.Passphrase == "") {
		return Errorf(CodeUsage, "a recovery file needs its passphrase, and words need none").WithHint("set words, or file and passphrase")
	}
	if r.File == "" {
		return nil
	}
	return absolute(r.File)
}
