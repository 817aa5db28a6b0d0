package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newVersion(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Print the version of this command, of its API and of what it was built with. "cairn status"
tells the version of the running peer.`,
		Example: `  cairn version`,
		GroupID: groupPeer,
		Args:    wantArgs(0, 0),
		RunE:    func(*cobra.Command, []string) error { return runVersion(e) },
	}
}

type versionLine struct {
	Version    string `json:"version"`
	APIVersion string `json:"api_version"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
}

func runVersion(e *env) error {
	v := versionLine{buildVersion(), api.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if e.json {
		return e.line(v)
	}
	return e.printf("cairn %s (API %s, %s, %s)\n", v.Version, v.APIVersion, v.Platform, v.Go)
}

// buildVersion is the version stamped by the linker, else the commit that the binary was built from.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "development"
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "-changed"
		}
	}
	if revision == "" {
		return "development"
	}
	return "development-" + revision + changed
}
