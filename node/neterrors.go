package node

import (
	"errors"
	"fmt"
	"time"

	"cairn/consensus/admission"
	"cairn/consensus/membership"
	"cairn/web/api"
)

// explainMembership is explain for consensus/membership.
func explainMembership(err error) *api.Error {
	var pe *membership.ParseError
	if errors.As(err, &pe) {
		e := api.Errorf(api.CodeUsage, "%s", pe.Reason)
		if pe.Pos > 0 {
			e = api.Errorf(api.CodeUsage, "%s, at character %d", pe.Reason, pe.Pos)
		}
		if errors.Is(err, membership.ErrNewer) {
			e.Code = api.CodeUnavailable
			return e.WithHint("install a newer version of cairn")
		}
		return e.WithHint("copy the whole invite again, from `cairninvite1` to its end")
	}
	ask := "ask an administrator of the network for a new one"
	clocks := ""
	var refused *admission.RefusedError
	if errors.As(err, &refused) && refused.Skew.Abs() > time.Minute {
		way := "ahead of"
		if refused.Skew > 0 {
			way = "behind"
		}
		clocks = fmt.Sprintf("; the clock of this machine is %s %s that of the member that was asked", roughly(refused.Skew.Abs()), way)
	}
	for _, c := range []struct {
		is         error
		code       api.Code
		text, hint string
	}{
		{membership.ErrExpired, api.CodeNotPermitted, "the invite has expired" + clocks, ask},
		{membership.ErrUsed, api.CodeNotPermitted, "the invite has been used by another peer", ask},
		{membership.ErrRevoked, api.CodeNotPermitted, "an administrator has ended this invite or revoked this peer", ask},
		{membership.ErrNotFor, api.CodeNotPermitted, "the invite is for another peer", "`cairn id --member` prints the id of this one; ask for an invite made for it"},
		{membership.ErrForeign, api.CodeNotPermitted, "this is of another network", "check which network the other machine is in with `cairn network`"},
		{membership.ErrEarly, api.CodeNotPermitted, "what the network has signed is from the future: the clock of this machine or of the one that made it is wrong by more than a day" + clocks, "set the clocks and try again"},
		{membership.ErrAuthority, api.CodeNotPermitted, plainCause(err), "ask another administrator"},
		{membership.ErrNewer, api.CodeUnavailable, "the network speaks a newer version", "install a newer version of cairn"},
		{membership.ErrAltered, api.CodeIntegrity, "a document of the network was altered on its way", "try again, or ask for a new invite"},
		{membership.ErrMalformed, api.CodeIntegrity, "a document of the network can not be read", "try again, or ask for a new invite"},
		{membership.ErrUnknown, api.CodeNotPermitted, "this peer is no member of that network", ask},
		{membership.ErrFull, api.CodeNoSpace, "the network has no more room", fmt.Sprintf("it holds at most %d members, former ones counted", membership.MaxMembers)},
	} {
		if errors.Is(err, c.is) {
			return api.Errorf(c.code, "%s", c.text).WithHint("%s", c.hint)
		}
	}
	return nil
}

// plainCause is the text of an error of package membership, which is plain.
func plainCause(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// explainAdmission is explain for what consensus/admission says besides.
func explainAdmission(err error) *api.Error {
	switch {
	case errors.Is(err, admission.ErrRefused):
		return api.Errorf(api.CodeNotPermitted, "the network refuses this peer").WithHint("the invite may have been altered, or be of another network: ask for a new one")
	case errors.Is(err, admission.ErrBusy):
		return api.Errorf(api.CodeUnavailable, "the members that were asked are busy").WithHint("try again in a while")
	case errors.Is(err, admission.ErrUnreachable):
		return api.Errorf(api.CodeUnavailable, "none of the members that the invite names can be reached").
			WithHint("check that one of them runs (`cairn up`), and that both machines are on one network")
	case errors.Is(err, admission.ErrNoAdmin):
		return api.Errorf(api.CodeUnavailable, "no administrator of the network can be reached").WithHint("try again when one is up")
	case errors.Is(err, admission.ErrName):
		return api.Errorf(api.CodeUsage, "that name is not possible").WithHint("at most %d bytes, without control characters", membership.MaxName)
	case errors.Is(err, admission.ErrNotMember):
		return api.Errorf(api.CodeNotPermitted, "this peer's membership is not in force").WithHint("`cairn network` says why")
	case errors.Is(err, admission.ErrFailed):
		return api.Errorf(api.CodeUnavailable, "the member that was asked had an error of its own").WithHint("its log says more; try again, or ask another member for an invite")
	case errors.Is(err, admission.ErrProtocol):
		return api.Errorf(api.CodeIntegrity, "the other peer does not speak as a member does").WithHint("do not trust that peer")
	}
	return nil
}

// roughly writes a length of time for people, in one unit or two.
func roughly(d time.Duration) string {
	h, m := int(d.Hours()), int(d.Minutes())%60
	switch {
	case h >= 48:
		return fmt.Sprintf("%d days", (h+12)/24)
	case h > 0 && m > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case h > 0:
		return fmt.Sprintf("%d h", h)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", m)
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}
