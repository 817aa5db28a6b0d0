package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newVerify(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Read everything again and check it",
		Long: `Read every byte of the store and every file that the library refers to, and check each
against its CID. Damaged content of the store makes exit code 5. Files of yours that changed
or went away since they were added are listed apart; they are no damage.

With --json each finding is a line with the event "finding", and the last line is "result".`,
		Example: `  cairn verify`,
		GroupID: groupLibrary,
		Args:    wantArgs(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runVerify(cmd.Context(), e) },
	}
}

type findingEvent struct {
	Event string `json:"event"`
	api.Finding
}

type verifyEvent struct {
	Event        string `json:"event"`
	Blocks       int64  `json:"blocks"`
	Bytes        int64  `json:"bytes"`
	Damaged      int64  `json:"damaged"`
	ChangedFiles int64  `json:"changed_files"`
}

func runVerify(ctx context.Context, e *env) error {
	var res api.VerifyResult
	err := e.withPeer(ctx, peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		r := e.newReporter()
		defer r.close()
		res, err = p.Verify(ctx, r.Progress, r.Warn)
		return err
	})
	if err != nil {
		return err
	}
	if err := e.printVerify(res); err != nil {
		return err
	}
	if res.Damaged > 0 {
		return api.Errorf(api.CodeIntegrity, "verify: %s of the store damaged or missing", count(res.Damaged, "block")).
			WithHint("fetch the objects named above again from a peer that has them, then remove the damaged entries")
	}
	return nil
}

func (e *env) printVerify(res api.VerifyResult) error {
	if e.json {
		for _, f := range res.Findings {
			if err := e.line(findingEvent{"finding", f}); err != nil {
				return err
			}
		}
		return e.line(verifyEvent{"result", res.Blocks, res.Bytes, res.Damaged, res.ChangedFiles})
	}
	for _, group := range []struct {
		title string
		owned bool
	}{{"damaged content of the store:", true}, {"files that changed, went away or can not be read:", false}} {
		first := true
		for _, f := range res.Findings {
			if owned := f.Kind == "corrupt" || f.Kind == "missing"; owned != group.owned {
				continue
			}
			if first {
				if err := e.printf("%s\n", group.title); err != nil {
					return err
				}
				first = false
			}
			if err := e.printf("  %s\n", clean(findingText(f))); err != nil {
				return err
			}
		}
	}
	more := ""
	if shown := int64(len(res.Findings)); shown < res.Damaged+res.ChangedFiles {
		more = fmt.Sprintf(" (%d shown)", shown)
	}
	return e.printf("checked %s, %s: %d damaged, %s changed%s\n", count(res.Blocks, "block"), size(res.Bytes), res.Damaged,
		count(res.ChangedFiles, "file"), more)
}

// findingText names the thing and says what is wrong with it.
func findingText(f api.Finding) string {
	what := firstOf(f.Path, f.CID)
	if f.Name != "" && f.Path == "" {
		what = f.Name + " " + what
	}
	if f.EntryID != "" {
		what += " (entry " + f.EntryID + ")"
	}
	return what + ": " + firstOf(f.Message, f.Kind)
}
