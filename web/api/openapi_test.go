package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// TestOpenAPI fails when openapi.json is not what the types and operations say. Clients are generated from it.
func TestOpenAPI(t *testing.T) {
	got, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("openapi.json is out of date: run go generate ./web/api, and then what generates the TypeScript types")
	}
}

// TestOpenAPIRefs fails when a reference names a schema that is not there, or a schema hides behind huma's own.
func TestOpenAPIRefs(t *testing.T) {
	raw, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI    string
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("OpenAPI version %s", doc.OpenAPI)
	}
	const prefix = "#/components/schemas/"
	for _, part := range strings.Split(string(raw), `"$ref": "`)[1:] {
		ref, _, _ := strings.Cut(part, `"`)
		if doc.Components.Schemas[strings.TrimPrefix(ref, prefix)] == nil {
			t.Errorf("%s is not there", ref)
		}
	}
	if strings.Contains(string(raw), `"null"`) {
		t.Error("a schema allows null; lists are always lists")
	}
	for _, name := range []string{"Progress", "Warning", "ShareResult", "GetStream", "Event", "EventStream", "ErrorBody"} {
		if doc.Components.Schemas[name] == nil {
			t.Errorf("no schema %s", name)
		}
	}
}

// TestNoReadDeadline: huma would leave five seconds on the connection after the body, which ends the context of
// every operation that takes longer.
func TestNoReadDeadline(t *testing.T) {
	n := 0
	for path, item := range Register(http.NewServeMux(), Config{}).Paths {
		for _, op := range []*huma.Operation{item.Get, item.Head, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			if n++; op.BodyReadTimeout >= 0 {
				t.Errorf("%s %s: %v", op.Method, path, op.BodyReadTimeout)
			}
		}
	}
	if n < 35 {
		t.Errorf("only %d operations", n)
	}
}

// TestPathParametersAreDeclared: one that is not would reach its operation empty.
func TestPathParametersAreDeclared(t *testing.T) {
	for path, item := range Register(http.NewServeMux(), Config{}).Paths {
		for _, op := range []*huma.Operation{item.Get, item.Head, item.Post, item.Put, item.Delete} {
			if op == nil {
				continue
			}
			for _, part := range strings.Split(path, "/") {
				name, ok := strings.CutPrefix(part, "{")
				if !ok {
					continue
				}
				name, _, _ = strings.Cut(name, "}")
				if !slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "path" && p.Name == name }) {
					t.Errorf("%s %s does not declare {%s}", op.Method, path, name)
				}
			}
		}
	}
}
