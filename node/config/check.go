package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cairn/web/api"

	"github.com/dustin/go-humanize"
	ma "github.com/multiformats/go-multiaddr"
)

func bad(format string, args ...any) *api.Error { return api.Errorf(api.CodeUsage, format, args...) }

// quote shows a value in a message; what is long is cut.
func quote(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:77], "") + "..."
	}
	return strconv.Quote(s)
}

// items splits the value of a list. Spaces around items and empty items are nothing.
func items(value string) []string {
	var out []string
	for s := range strings.SplitSeq(value, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// each makes the check of a list from that of an item.
func each(check func(string) (string, error)) func(string) (string, error) {
	return func(value string) (string, error) {
		all := items(value)
		for i, s := range all {
			v, err := check(s)
			if err != nil {
				return "", err
			}
			if slices.Contains(all[:i], v) {
				return "", bad("%s stands twice in the list", quote(v)).WithHint("take one of the two out")
			}
			all[i] = v
		}
		return strings.Join(all, ","), nil
	}
}

func checkName(s string) (string, error) {
	if utf8.RuneCountInString(s) > 64 {
		return "", bad("the name has more than 64 characters").WithHint("choose a shorter one")
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || strings.TrimSpace(s) != s {
		return "", bad("%s has spaces at its ends or characters that can not be seen", quote(s)).WithHint("choose a name of letters, digits, spaces and dashes")
	}
	return s, nil
}

func checkMultiaddr(s string) (string, error) {
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		return "", bad("%s is not a multiaddr", quote(s)).WithHint("write it like /ip4/0.0.0.0/tcp/4748")
	}
	return a.String(), nil
}

func checkAddress(s string) (string, error) {
	if s == "off" {
		return s, nil
	}
	wrong := bad("%s is not an address with a port", quote(s)).WithHint("write it like 127.0.0.1:4747, or off for no dashboard")
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", wrong
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", bad("%s: the port is not a number from 0 to 65535", quote(s)).WithHint("write it like 127.0.0.1:4747; port 0 takes any free one")
	}
	if host == "" {
		return s, nil // every address of the machine, as :4747 means to people
	}
	if _, err := checkHost(host); err != nil {
		return "", wrong
	}
	return s, nil
}

// loopback tells whether only this machine reaches an address that checkAddress took.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// checkHost takes a host name or an IP address.
func checkHost(s string) (string, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.String(), nil
	}
	if !isHostName(s) {
		return "", bad("%s is neither a host name nor an address", quote(s)).WithHint("write it without port and slashes, such as attic.home.arpa or 192.168.1.5")
	}
	return strings.ToLower(s), nil
}

func checkDomain(s string) (string, error) {
	if _, err := netip.ParseAddr(s); err == nil || !isHostName(s) || !strings.Contains(s, ".") {
		return "", bad("%s is not a domain name", quote(s)).WithHint("write it like attic.example.com; a public authority vouches for no other names")
	}
	return strings.ToLower(s), nil
}

// isHostName checks the form of RFC 1123, section 2.1; the underscore is taken because people use it.
func isHostName(s string) bool {
	if len(s) > 253 || strings.Trim(s, "0123456789.") == "" { // digits and dots alone are an address that is none
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

func checkPath(s string) (string, error) {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", bad("%s holds characters that can not be seen", quote(s)).WithHint("write the path as it is")
	}
	if !filepath.IsAbs(s) {
		return "", bad("%s is not an absolute path", quote(s)).WithHint("write it from the root of the file system on")
	}
	return filepath.Clean(s), nil
}

func checkEmail(s string) (string, error) {
	if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
		return "", bad("%s is not a mail address", quote(s)).WithHint("write it like me@example.com")
	}
	return s, nil
}

func checkURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return "", bad("%s is not a URL", quote(s)).WithHint("write it like https://acme.example.com/directory")
	case u.User != nil || u.Fragment != "":
		return "", bad("the URL holds a user name, a password or a fragment").WithHint("write it like https://acme.example.com/directory")
	case u.Scheme != "https":
		return "", bad("%s does not begin with https://", quote(s)).WithHint("certificates are asked for over https only")
	}
	return s, nil
}

func checkSwitch(s string) (string, error) {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return "", bad("%s is neither true nor false", quote(s)).WithHint("write true or false")
	}
	return strconv.FormatBool(v), nil
}

func checkChoice(choices []string) func(string) (string, error) {
	return func(s string) (string, error) {
		if slices.Contains(choices, s) {
			return s, nil
		}
		hint := "use " + strings.Join(choices, ", ")
		if c := closest(s, choices); c != "" {
			hint = fmt.Sprintf("did you mean %q? %s", c, hint)
		}
		return "", bad("%s is not known here", quote(s)).WithHint("%s", hint)
	}
}

func checkNumber(least, most int64) func(string) (string, error) {
	return func(s string) (string, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return "", bad("%s is not a whole number", quote(s)).WithHint("write a number from %d to %d", least, most)
		}
		if n < least || n > most {
			return "", bad("%d is not from %d to %d", n, least, most).WithHint("write a number from %d to %d", least, most)
		}
		return strconv.FormatInt(n, 10), nil
	}
}

func checkSize(least, most int64) func(string) (string, error) {
	return func(s string) (string, error) {
		n, err := parseSize(s)
		if err != nil {
			return "", err
		}
		if n < least || n > most {
			return "", bad("%s is not from %s to %s", quote(s), sizeText(least), sizeText(most)).WithHint("write a size such as %s", sizeText(max(least, 2<<30)))
		}
		return s, nil
	}
}

func parseSize(s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > 1<<60 {
		return 0, bad("%s is not a size such as 2GiB", quote(s)).WithHint("write a number with KiB, MiB, GiB, TiB, or KB, MB, GB, TB")
	}
	return int64(n), nil
}

// sizeText writes bytes so that parseSize gives them back.
func sizeText(n int64) string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if u := int64(1) << (40 - 10*i); n >= u && n%u == 0 {
			return strconv.FormatInt(n/u, 10) + unit
		}
	}
	return strconv.FormatInt(n, 10)
}

// maxKeep is the longest age of audit.keep: 100 years.
const maxKeep = 100 * 365 * 24 * time.Hour

func checkKeep(s string) (string, error) {
	if _, _, err := parseKeep(s); err != nil {
		return "", err
	}
	return strings.Join(items(s), ","), nil
}

// parseKeep reads an age, a size or both; 0: no bound.
func parseKeep(s string) (age time.Duration, size int64, err error) {
	wrong := bad("%s is neither an age such as 90d, nor a size such as 16MiB, nor both", quote(s)).WithHint("write it like 90d,16MiB, or none for no bound")
	all := items(s)
	if len(all) == 1 && all[0] == "none" {
		return 0, 0, nil
	}
	if len(all) == 0 || len(all) > 2 {
		return 0, 0, wrong
	}
	for _, item := range all {
		if days, isAge := strings.CutSuffix(item, "d"); isAge {
			n, err := strconv.ParseInt(days, 10, 32)
			if err != nil || n < 1 || time.Duration(n) > maxKeep/(24*time.Hour) || age > 0 {
				return 0, 0, wrong
			}
			age = time.Duration(n) * 24 * time.Hour
			continue
		}
		n, err := parseSize(item)
		if err != nil || size > 0 {
			return 0, 0, wrong
		}
		if n < 64<<10 {
			return 0, 0, bad("%s is less than 64KiB", quote(item)).WithHint("an audit log that small forgets before anybody has looked")
		}
		size = n
	}
	return age, size, nil
}

func checkLevels(s string) (string, error) {
	if _, err := ParseLevels(s); err != nil {
		return "", err
	}
	return strings.Join(items(s), ","), nil
}

// ParseLevels reads a level for all and levels for single parts, "info,swarm=debug". The key "" holds the first, which
// is warn unless it is named.
func ParseLevels(text string) (map[string]slog.Level, error) {
	levels := map[string]slog.Level{"": slog.LevelWarn}
	for _, item := range items(text) {
		part, name, named := strings.Cut(item, "=")
		if !named {
			part, name = "", part
		}
		level, ok := map[string]slog.Level{
			"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
		}[strings.ToLower(name)]
		if !ok || named && part == "" {
			return nil, bad("log level %q: not known", item).
				WithHint("use debug, info, warn or error, and PART=LEVEL for one part: info,swarm=debug")
		}
		levels[part] = level
	}
	return levels, nil
}
