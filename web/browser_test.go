package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cairn/web"
	"cairn/web/api"
)

func decode[T any](t *testing.T, a answer) (out T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.StatusCode != 200 {
		t.Fatalf("status %d: %s", a.StatusCode, a.body)
	}
	return out
}

var b64 = base64.RawURLEncoding

// page is a browser's page: a key that stays in it, and what login gave it.
type page struct {
	key            *ecdsa.PrivateKey
	cookie, secret string
}

func newPage(t *testing.T, b *bench) *page {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	code, _ := b.sessions.NewCode()
	a := b.request(t, false, b.raw("POST /v1/login", `{"code":"`+code+`","public_key":"`+b64.EncodeToString(pub)+`"}`))
	c := a.Cookies()[0]
	if !c.HttpOnly || c.SameSite != 3 /* strict */ || c.Path != "/" || !strings.HasSuffix(c.Name, b.URL()[strings.LastIndex(b.URL(), ":")+1:]) {
		t.Errorf("cookie %v", c)
	}
	return &page{key, "Cookie: " + c.Name + "=" + c.Value, "Cairn-Secret: " + decode[api.LoginResult](t, a).Secret}
}

func (p *page) sign(t *testing.T, text string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	var raw [64]byte
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return b64.EncodeToString(raw[:])
}

// TestResume: a page that was reloaded has the cookie and its key, and gets a secret of its own; whoever stole
// the cookie has no key and gets none.
func TestResume(t *testing.T) {
	b := start(t, nil)
	p := newPage(t, b)
	s := decode[api.Session](t, b.request(t, false, b.raw("GET /v1/session", "", p.cookie)))
	if s.Access != "none" || s.Challenge == "" {
		t.Fatalf("session after a reload: %+v", s)
	}
	if strings.Contains(s.Challenge, strings.TrimPrefix(p.secret, "Cairn-Secret: ")) {
		t.Error("the session tells the secret")
	}
	resume := func(challenge, signature string) answer {
		return b.request(t, false, b.raw("POST /v1/resume", `{"challenge":"`+challenge+`","signature":"`+signature+`"}`, p.cookie))
	}
	thief := newPage(t, b)
	if a := resume(s.Challenge, thief.sign(t, "cairn-resume-1:"+s.Challenge)); a.StatusCode != 401 {
		t.Errorf("another key: %d %s", a.StatusCode, a.body)
	}
	good := p.sign(t, "cairn-resume-1:"+s.Challenge)
	if a := resume(s.Challenge, good); a.StatusCode != 401 {
		t.Errorf("a challenge that was tried once: %d", a.StatusCode)
	}
	s = decode[api.Session](t, b.request(t, false, b.raw("GET /v1/session", "", p.cookie)))
	if a := resume(s.Challenge, p.sign(t, s.Challenge)); a.StatusCode != 401 {
		t.Errorf("a signature without its prefix: %d", a.StatusCode)
	}
	s = decode[api.Session](t, b.request(t, false, b.raw("GET /v1/session", "", p.cookie)))
	second := "Cairn-Secret: " + decode[api.LoginResult](t, resume(s.Challenge, p.sign(t, "cairn-resume-1:"+s.Challenge))).Secret
	for _, secret := range []string{p.secret, second} { // both tabs go on
		got := decode[api.Session](t, b.request(t, false, b.raw("GET /v1/session", "", p.cookie, secret)))
		if got.Access != "session" || got.Expires == nil || got.Challenge != "" {
			t.Errorf("session with a secret: %+v", got)
		}
	}
	if second == p.secret {
		t.Error("a secret was given out twice")
	}
	if a := b.request(t, false, b.raw("GET /v1/status", "", thief.cookie, p.secret)); a.StatusCode != 401 {
		t.Errorf("a secret with the cookie of another session: %d", a.StatusCode)
	}
	if got := decode[api.Session](t, b.request(t, true, b.raw("GET /v1/session", ""))); got.Access != "local" {
		t.Errorf("session over the socket: %+v", got)
	}
	cookie, _ := b.login(t) // no key
	if got := decode[api.Session](t, b.request(t, false, b.raw("GET /v1/session", "", cookie))); got.Challenge != "" {
		t.Error("a session without a key got a challenge")
	}
}

func TestCodes(t *testing.T) {
	b := start(t, nil)
	try := func(code string) int {
		t.Helper()
		return b.request(t, false, b.raw("POST /v1/login", `{"code":"`+code+`"}`)).StatusCode
	}
	code, _ := b.sessions.NewCode()
	typed := " " + strings.ToLower(strings.NewReplacer("0", "o", "1", "l", "-", " – ").Replace(code)) + "_"
	if got := try(typed); got != 200 {
		t.Errorf("code %q typed as %q: %d", code, typed, got)
	}
	if got := try(code); got != 401 {
		t.Errorf("code used twice: %d", got)
	}
	code, _ = b.sessions.NewCode()
	if got := try("not a code"); got != 422 {
		t.Errorf("malformed code: %d", got)
	}
	for range 4 {
		try("0000-0000-0000")
	}
	if got := try(code); got != 200 {
		t.Errorf("right code after 4 wrong ones: %d", got)
	}
	code, _ = b.sessions.NewCode()
	for range 5 {
		try("0000-0000-0000")
	}
	if got := try(code); got != 401 {
		t.Errorf("right code after 5 wrong ones: %d", got)
	}
	seen := map[string]bool{}
	for range 20 {
		c, _ := b.sessions.NewCode()
		seen[c] = true
		if len(c) != 14 {
			t.Errorf("code %q", c)
		}
	}
	if len(seen) != 20 {
		t.Error("codes repeat")
	}
}

// TestExpiry runs the clock of codes, sessions and links.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := web.NewSessions(nil)
		code, expires := s.NewCode()
		if time.Until(expires) != 2*time.Minute {
			t.Errorf("code lives for %v", time.Until(expires))
		}
		time.Sleep(2 * time.Minute)
		if web.TryLogin(s, code) {
			t.Error("an expired code works")
		}
		code, _ = s.NewCode()
		cookie, secret := web.MustLogin(s, code)
		link := web.MustLink(s, cookie, secret)
		time.Sleep(time.Minute)
		if web.TryLink(s, cookie, link) {
			t.Error("an expired link works")
		}
		for range 20 { // used all the time, it lives for a week
			time.Sleep(8 * time.Hour)
			if !web.Alive(s, cookie, secret) {
				t.Fatal("a session in use ended early")
			}
		}
		time.Sleep(12 * time.Hour)
		if web.Alive(s, cookie, secret) {
			t.Error("an idle session lives")
		}
		code, _ = s.NewCode()
		cookie, secret = web.MustLogin(s, code)
		hours := 0
		for web.Alive(s, cookie, secret) && hours < 1000 {
			time.Sleep(time.Hour)
			hours++
		}
		if hours != 7*24 {
			t.Errorf("a session in use lived for %d hours", hours)
		}
	})
}

func TestDownloadLink(t *testing.T) {
	b := start(t, nil)
	cookie, secret := b.login(t)
	other, _ := b.login(t)
	mint := func() string {
		return decode[api.Link](t, b.request(t, false, b.raw("POST /v1/download-links", `{"ref":"e1"}`, cookie, secret))).URL
	}
	url := mint()
	if a := b.request(t, false, b.raw("GET "+url, "")); a.StatusCode != 401 {
		t.Errorf("link without the cookie: %d", a.StatusCode)
	}
	if a := b.request(t, false, b.raw("GET "+url, "", other)); a.StatusCode != 404 {
		t.Errorf("link of another session: %d", a.StatusCode)
	}
	a := b.request(t, false, b.raw("GET "+url, "", cookie, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate"))
	if a.StatusCode != 200 || a.body != string(b.peer.File) {
		t.Errorf("link: %d %q", a.StatusCode, a.body)
	}
	checkAttachment(t, a)
	if a := b.request(t, false, b.raw("GET "+url, "", cookie)); a.StatusCode != 404 {
		t.Errorf("link used twice: %d", a.StatusCode)
	}
	if strings.Contains(b.log.String(), url) {
		t.Error("the link is in the log")
	}
	b.request(t, false, b.raw("POST /v1/logout", "", cookie, secret))
	if a := b.request(t, false, b.raw("GET "+url, "", cookie)); a.StatusCode != 401 {
		t.Errorf("link after logout: %d", a.StatusCode)
	}
}

func checkAttachment(t *testing.T, a answer) {
	t.Helper()
	for k, want := range map[string]string{
		"Content-Security-Policy": "sandbox",
		"Content-Disposition":     `attachment; filename="na_ve _a___.txt"; filename*=UTF-8''na%C3%AFve%20_a___.txt`,
		"Content-Type":            "application/octet-stream",
		"X-Content-Type-Options":  "nosniff",
		"Etag":                    `"bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"`,
	} {
		if got := a.Header.Get(k); got != want {
			t.Errorf("%s: %q, want %q", k, got, want)
		}
	}
}

// FuzzParseCode: no text panics, and what is accepted is its own reading.
func FuzzParseCode(f *testing.F) {
	for _, s := range []string{"7ZKQ-0M4T-XP9B", "7zkq om4t–xp9b", "", "UUUU-UUUU-UUUU", "llll-iiii-oooo", "\xff", "0000-0000-0000-0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := web.ParseCode(s)
		if err != nil {
			return
		}
		again, err := web.ParseCode(got)
		if len(got) != 12 || err != nil || again != got {
			t.Errorf("%q reads as %q, that as %q, %v", s, got, again, err)
		}
	})
}
