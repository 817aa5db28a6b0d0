package dashboard

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// inline finds what the Content-Security-Policy of the dashboard would block, and addresses of other hosts.
var inline = regexp.MustCompile(`(?i)<style|\sstyle=|<script[^>]*>\s*[^<\s]|\son[a-z]+=|javascript:|(src|href)="(https?:|//|data:)`)

func TestPagesKeepToThePolicy(t *testing.T) {
	t.Parallel()
	for _, name := range []string{index, placeholder} {
		page, err := fs.ReadFile(FS(), name)
		if err != nil {
			t.Fatalf("read %s: %v", name, err)
		}
		if found := inline.Find(page); found != nil {
			t.Errorf("%s holds %q, which the policy blocks", name, found)
		}
	}
}

func TestIndexLoadsOnlyFilesThatAreThere(t *testing.T) {
	t.Parallel()
	page, err := fs.ReadFile(FS(), index)
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`(?:src|href)="/([^"]+)"`).FindAllSubmatch(page, -1)
	if len(links) == 0 {
		t.Error("the page loads no file at all")
	}
	for _, link := range links {
		if _, err := fs.Stat(FS(), string(link[1])); err != nil {
			t.Errorf("the page loads /%s: %v", link[1], err)
		}
	}
}

func TestPlaceholder(t *testing.T) {
	t.Parallel()
	const stub = "make build"
	tests := []struct {
		name  string
		files fstest.MapFS
		want  string
	}{
		{"no build", fstest.MapFS{placeholder: {Data: []byte(stub)}}, stub},
		{"build", fstest.MapFS{placeholder: {Data: []byte(stub)}, index: {Data: []byte("app")}}, "app"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := fs.ReadFile(withPlaceholder{test.files}, index)
			if err != nil || string(got) != test.want {
				t.Errorf("index.html is %q, %v; want %q", got, err, test.want)
			}
			if _, err := fs.Stat(withPlaceholder{test.files}, "assets/none.js"); err == nil {
				t.Error("a missing file was answered with a page")
			}
		})
	}
	page, err := fs.ReadFile(sub(), placeholder)
	if err != nil || !strings.Contains(string(page), stub) {
		t.Errorf("the placeholder does not say %q: %v", stub, err)
	}
}
