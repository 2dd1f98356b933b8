package endpoints_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
	"github.com/updateage/session/memstore"
)

// described is the document that OpenAPI serves, and what of it these tests read.
type described struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct {
		SecuritySchemes map[string]struct{ Name string }
	}
}

type operation struct {
	OperationID string
	Responses   map[string]any
}

func document(t *testing.T, handlers ...*endpoints.Handler) (doc described, text string) {
	t.Helper()
	h, err := endpoints.OpenAPI(handlers...)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %v", w.Code, w.Header())
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc, w.Body.String()
}

func (d described) operations() (list []string) {
	for path, methods := range d.Paths {
		for method := range methods {
			list = append(list, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(list)
	return list
}

func TestOpenAPIDescribesWhatIsServed(t *testing.T) {
	m := must(session.New(&memstore.Store{}, session.Config{HeaderTransport: true}))
	o := endpoints.Options{BridgeSecrets: [][]byte{[]byte(secret)}, SignIn: func(*http.Request, endpoints.Credentials) (string, session.SignInOptions, error) {
		return "", session.SignInOptions{}, nil
	}}
	handlers := []*endpoints.Handler{must(endpoints.New(m, o)), must(endpoints.NewFlowfull(m, o)), must(endpoints.NewBetterAuth(m, o))}
	doc, text := document(t, handlers...)
	if doc.OpenAPI != "3.1.0" || doc.Components.SecuritySchemes["cookie"].Name != cookieName {
		t.Errorf("version %s, cookie %v", doc.OpenAPI, doc.Components.SecuritySchemes)
	}
	want := []string{
		"DELETE /auth/sessions", "DELETE /auth/sessions/{id}",
		"GET /api/auth/get-session", "GET /api/auth/list-sessions", "GET /api/auth/ok",
		"GET /auth/me", "GET /auth/session", "GET /auth/sessions", "GET /auth/validate-session", "GET /auth/validation",
		"POST /api/auth/revoke-other-sessions", "POST /api/auth/revoke-session", "POST /api/auth/revoke-sessions",
		"POST /api/auth/sign-in/email", "POST /api/auth/sign-out",
		"POST /auth/bridge/validate", "POST /auth/logout", "POST /auth/refresh", "POST /auth/sign-out",
	}
	if got := doc.operations(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if strings.Contains(text, secret) {
		t.Error("the document contains a secret")
	}
	referencesResolve(t, text)
}

// referencesResolve checks that everything a document refers to is in it.
func referencesResolve(t *testing.T, text string) {
	t.Helper()
	var root any
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && lookUp(root, ref) == nil {
				t.Errorf("%s is missing", ref)
			}
			for _, item := range v {
				walk(item)
			}
		}
	}
	walk(root)
}

func lookUp(root any, ref string) any {
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		object, _ := root.(map[string]any)
		root = object[name]
	}
	return root
}

// At other prefixes and with nothing turned on, what is described is there, and
// what is not there is not described.
func TestOpenAPIFollowsTheOptions(t *testing.T) {
	m := must(session.New(&memstore.Store{}, session.Config{HeaderTransport: true, Cookie: session.Cookie{Name: "__Host-mine"}}))
	native := must(endpoints.New(m, endpoints.Options{Prefix: "/a b"}))
	flowfull := must(endpoints.NewFlowfull(m, endpoints.Options{Prefix: "/"}))
	better := must(endpoints.NewBetterAuth(m, endpoints.Options{Prefix: "/b"}))
	doc, _ := document(t, native, flowfull, better)
	if doc.Components.SecuritySchemes["cookie"].Name != "__Host-mine" {
		t.Errorf("the cookie is %v", doc.Components.SecuritySchemes["cookie"])
	}
	for path, methods := range doc.Paths {
		for method, operation := range methods {
			h := better
			if strings.HasPrefix(path, "/a%20b/") {
				h = native
			} else if !strings.HasPrefix(path, "/b/") {
				h = flowfull
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(strings.ToUpper(method), strings.ReplaceAll(path, "{id}", "x"), nil))
			if w.Code == 404 || w.Code == 405 {
				t.Errorf("%s %s answers %d", method, path, w.Code)
			}
			if operation.Responses[strconv.Itoa(w.Code)] == nil || operation.OperationID == "" {
				t.Errorf("%s %s answers %d, which %v does not know", method, path, w.Code, operation)
			}
		}
	}
	for _, absent := range []string{"/bridge/validate", "/b/sign-in/email", "/auth/session", "/api/auth/ok"} {
		if doc.Paths[absent] != nil {
			t.Errorf("%s is described, and not served", absent)
		}
	}
}

func TestOpenAPIRefusesTwoOfAKind(t *testing.T) {
	m := must(session.New(&memstore.Store{}, session.Config{}))
	one, two := must(endpoints.New(m, endpoints.Options{})), must(endpoints.New(m, endpoints.Options{Prefix: "/b"}))
	if _, err := endpoints.OpenAPI(one, two); err == nil {
		t.Error("got no error")
	}
}

func TestOpenAPIIsReadOnly(t *testing.T) {
	h := must(endpoints.OpenAPI())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
}
