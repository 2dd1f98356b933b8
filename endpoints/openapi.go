package endpoints

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/updateage/session"
)

// openAPI describes all contracts at their default prefixes.
//
//go:embed openapi.json
var openAPI []byte

// document is an OpenAPI document, as far as OpenAPI changes it.
type document struct {
	OpenAPI    string                                `json:"openapi"`
	Info       json.RawMessage                       `json:"info"`
	Tags       json.RawMessage                       `json:"tags"`
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components map[string]map[string]any             `json:"components"`
}

// OpenAPI returns a handler that serves an OpenAPI 3.1 document of what the given
// handlers answer, at their prefixes and with what their options turn on: for
// people who generate clients, or who want to look. The document is public. The
// error is that two handlers have the same contract.
func OpenAPI(handlers ...*Handler) (http.Handler, error) {
	var all document
	if err := json.Unmarshal(openAPI, &all); err != nil {
		return nil, fmt.Errorf("endpoints: OpenAPI: %w", err)
	}
	served := all
	served.Paths = make(map[string]map[string]json.RawMessage)
	seen := make(map[*contract]bool)
	for _, h := range handlers {
		if seen[h.contract] {
			return nil, fmt.Errorf("endpoints: OpenAPI: two handlers of the %s contract", h.contract.name)
		}
		seen[h.contract] = true
		if err := served.add(h, all.Paths); err != nil {
			return nil, err
		}
		served.security(h.m.Config())
	}
	data, err := json.MarshalIndent(served, "", " ")
	if err != nil {
		return nil, fmt.Errorf("endpoints: OpenAPI: %w", err)
	}
	return documentHandler(data), nil
}

// add adds the routes of a handler, as they are described at the default prefix.
func (d *document) add(h *Handler, described map[string]map[string]json.RawMessage) error {
	prefix := (&url.URL{Path: h.prefix}).EscapedPath()
	for _, rt := range h.routes {
		method := strings.ToLower(rt.method)
		operation := described[h.contract.mount+rt.path][method]
		if operation == nil {
			return fmt.Errorf("endpoints: OpenAPI: %s %s is not described", rt.method, rt.path)
		}
		path := prefix + rt.path
		if d.Paths[path] == nil {
			d.Paths[path] = make(map[string]json.RawMessage)
		}
		d.Paths[path][method] = operation
	}
	return nil
}

// security names the cookie as it is configured.
func (d *document) security(cfg session.Config) {
	d.Components["securitySchemes"]["cookie"] = map[string]string{"type": "apiKey", "in": "cookie", "name": cfg.Cookie.Name}
}

// documentHandler serves the document.
type documentHandler []byte

// ServeHTTP answers with the document.
func (d documentHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	_ = send(w, http.StatusOK, d)
}
