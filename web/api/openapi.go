package api

import (
	"bytes"
	"encoding/json"
	"net/http"
)

//go:generate go test -run ^TestOpenAPI$ -update .

// OpenAPI returns the OpenAPI 3.1 description of the API, indented, as it is kept in openapi.json.
func OpenAPI() ([]byte, error) {
	// No operation runs, so none of what they need has to be there.
	raw, err := json.Marshal(Register(http.NewServeMux(), Config{}))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
