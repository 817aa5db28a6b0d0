package api

import (
	"maps"
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

const jsonType = "application/json"

// describe completes an operation's description: every failure is an ErrorBody.
func describe(a huma.API, op *huma.Operation) {
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	op.Responses["default"] = &huma.Response{
		Description: "Failure",
		Content:     map[string]*huma.MediaType{jsonType: {Schema: schemaOf[ErrorBody](a)}},
	}
}

func schemaOf[T any](a huma.API) *huma.Schema {
	return a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
}

// describeStream sets the 200 response of a stream. The named schema is one event: its name and its data.
func describeStream(a huma.API, op *huma.Operation, name string, data map[string]*huma.Schema) {
	var kinds []*huma.Schema
	for _, event := range slices.Sorted(maps.Keys(data)) {
		kinds = append(kinds, &huma.Schema{
			Type: huma.TypeObject,
			Properties: map[string]*huma.Schema{
				"event": {Type: huma.TypeString, Enum: []any{event}},
				"data":  data[event],
			},
			Required:             []string{"event", "data"},
			AdditionalProperties: false,
		})
	}
	schemas := a.OpenAPI().Components.Schemas.Map()
	schemas[name] = &huma.Schema{OneOf: kinds, Description: "One server-sent event: its name and what its data decodes to"}
	op.Responses["200"] = &huma.Response{
		Description: "Server-sent events until the work ends",
		Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Ref: "#/components/schemas/" + name}},
		},
	}
}

// describeBytes sets the 200 response of an operation that answers with something else than JSON.
func describeBytes(op *huma.Operation, contentType, text string) {
	op.Responses["200"] = &huma.Response{
		Description: text,
		Content:     map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}
}

// rawRequest describes a body that is taken as it comes.
func rawRequest(op *huma.Operation, contentType string) {
	op.RequestBody = &huma.RequestBody{
		Required: true,
		Content:  map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}
	op.MaxBodyBytes = -1
}

// finish takes out of the description what is not true of this API: lists that may be null, huma's error model.
func finish(o *huma.OpenAPI) {
	delete(o.Components.Schemas.Map(), "ErrorModel")
	delete(o.Components.Schemas.Map(), "ErrorDetail")
	for _, s := range o.Components.Schemas.Map() {
		notNull(s)
	}
	for _, p := range o.Paths {
		for _, op := range []*huma.Operation{p.Get, p.Head, p.Post, p.Put, p.Delete} {
			if op == nil {
				continue
			}
			for _, r := range op.Responses {
				for _, m := range r.Content {
					notNull(m.Schema)
				}
			}
			if slices.Contains(op.Tags, "public") || slices.Contains(op.Tags, "local") {
				op.Security = []map[string][]string{}
			}
			if op.Method == http.MethodGet {
				op.RequestBody = nil
			}
		}
	}
}

func notNull(s *huma.Schema) {
	if s == nil {
		return
	}
	if s.Type == huma.TypeArray {
		s.Nullable = false
		notNull(s.Items)
	}
	for _, p := range s.Properties {
		notNull(p)
	}
	for _, o := range s.OneOf {
		notNull(o)
	}
}
