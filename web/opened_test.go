package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cairn/web"
	"cairn/web/api"
)

// TestOpened: what <video> does with an object that was opened by its page: ranges, with the cookie alone.
func TestOpened(t *testing.T) {
	b := start(t, nil)
	b.peer.Kind, b.peer.Name = "file", "film.MP4"
	cookie, secret := b.login(t)
	other, _ := b.login(t)
	o := decode[api.Opened](t, b.request(t, false, b.raw("POST /v1/open", `{"ref":"e1"}`, cookie, secret)))
	if o.Kind != "file" || o.Name != "film.MP4" || o.Type != "video/mp4" || o.Size != int64(len(b.peer.File)) ||
		!strings.HasPrefix(o.URL, "/v1/opened/") || !o.Expires.After(time.Now()) {
		t.Fatalf("%+v", o)
	}
	for range 2 { // not a link that is used up
		a := b.request(t, false, b.raw("GET "+o.URL, "", cookie, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors", "Range: bytes=4-7"))
		if a.StatusCode != 206 || a.body != "4567" || a.Header.Get("Content-Range") != "bytes 4-7/16" || a.Header.Get("Content-Type") != "video/mp4" ||
			a.Header.Get("Content-Disposition") != `inline; filename="film.MP4"` || a.Header.Get("Content-Security-Policy") != "sandbox" {
			t.Errorf("a range: %d %q %v", a.StatusCode, a.body, a.Header)
		}
	}
	if a := b.request(t, false, b.raw("HEAD "+o.URL, "", cookie)); a.StatusCode != 200 || a.Header.Get("Content-Length") != "16" {
		t.Errorf("head: %d %v", a.StatusCode, a.Header)
	}
	if a := b.request(t, false, b.raw("GET "+o.URL, "")); a.StatusCode != 401 {
		t.Errorf("without the cookie: %d", a.StatusCode)
	}
	if a := b.request(t, false, b.raw("GET "+o.URL, "", other)); a.StatusCode != 404 {
		t.Errorf("from another session: %d", a.StatusCode)
	}
	if a := b.request(t, false, b.raw("GET "+o.URL+"?path=../x", "", cookie)); a.StatusCode != 422 {
		t.Errorf("a path that leaves the object: %d", a.StatusCode)
	}
	b.peer.Name = "page.html"
	a := b.request(t, false, b.raw("GET "+o.URL, "", cookie))
	if a.Header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment;") {
		t.Errorf("a page is not to be shown: %v", a.Header)
	}
	if strings.Contains(b.log.String(), o.URL) {
		t.Error("the handle is in the log")
	}
	b.request(t, false, b.raw("POST /v1/logout", "", cookie, secret))
	if a := b.request(t, false, b.raw("GET "+o.URL, "", cookie)); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("after logout: %d", a.StatusCode)
	}
}

// TestHandleLife: ten minutes after the last use it is over; of too many the one unused for longest goes.
func TestHandleLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := web.NewSessions(nil)
		text := web.NewHandle(s, "e1")
		for range 10 {
			time.Sleep(9 * time.Minute)
			if got, err := web.UseHandle(s, text); err != nil || got.Ref != "e1" {
				t.Fatalf("%v, %v", got, err)
			}
		}
		time.Sleep(10 * time.Minute)
		if _, err := web.UseHandle(s, text); err == nil {
			t.Error("a handle outlived its rest")
		}
		var texts []string
		for i := range 65 {
			texts = append(texts, web.NewHandle(s, fmt.Sprint(i)))
			time.Sleep(time.Second)
		}
		if _, err := web.UseHandle(s, texts[0]); err == nil {
			t.Error("there is no bound")
		}
		if _, err := web.UseHandle(s, texts[1]); err != nil {
			t.Error(err)
		}
	})
}
