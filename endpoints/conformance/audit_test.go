package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/updateage/session/endpoints"
)

// audit looks at every exchange of every test: whether it is what the OpenAPI
// document says, and whether a token is in it.
type audit struct {
	report func(format string, args ...any)
	doc    *openapi3.T
	router routers.Router

	mu   sync.Mutex // guards what follows
	seen map[exchange]int
}

// exchange is what the document tells apart.
type exchange struct {
	method, path string // the path is the document's
	status       int
}

// newAudit loads the document of the contracts, as they serve it.
//
// kin-openapi reads it: it knows OpenAPI 3.1 (its schemas are checked by the JSON
// Schema 2020-12 of santhosh-tekuri/jsonschema), checks requests and responses,
// and works with the oldest Go that we do.
func newAudit(t *testing.T, all contracts) *audit {
	t.Helper()
	handler, err := endpoints.OpenAPI(all.native, all.flowfull, all.better)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		t.Fatalf("load the document: %v", err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("the document is not valid: %v", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &audit{report: t.Errorf, doc: doc, router: router, seen: make(map[exchange]int)}
}

// watch lets requests through and looks at them.
func (a *audit) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			a.report("%s %s: %v", r.Method, r.URL, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		recorded := httptest.NewRecorder()
		next.ServeHTTP(recorded, r)
		a.inspect(r, body, recorded.Result(), recorded.Body.Bytes())
		for name, values := range recorded.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(recorded.Body.Bytes()) // it fails if the client has gone
	})
}

// inspect checks an exchange.
func (a *audit) inspect(r *http.Request, sent []byte, res *http.Response, got []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inspectTokens(r, res.Header, got)
	route, parameters, err := a.router.FindRoute(r)
	if err != nil {
		if res.StatusCode == http.StatusOK && r.URL.Path != "/auth/login" {
			a.report("%s %s is answered, and the document does not have it", r.Method, r.URL.Path)
		}
		return
	}
	a.seen[exchange{r.Method, route.Path, res.StatusCode}]++
	clone := r.Clone(context.WithoutCancel(r.Context()))
	clone.Body = io.NopCloser(bytes.NewReader(sent))
	input := &openapi3filter.RequestValidationInput{
		Request: clone, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc, // that is what the handlers are for
			IncludeResponseStatus: true,
		},
	}
	if len(sent) == 0 || route.Operation.RequestBody != nil { // the document is silent about a body of GET
		a.inspectRequest(input, res.StatusCode)
	}
	err = openapi3filter.ValidateResponse(clone.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: res.StatusCode, Header: res.Header,
		Body: io.NopCloser(bytes.NewReader(got)), Options: input.Options,
	})
	if err != nil {
		a.report("%s %s answers %d %s: %v", r.Method, r.URL.Path, res.StatusCode, got, err)
	}
}

// inspectRequest checks that document and handler agree on which requests are
// well-formed. Who may not ask at all is told nothing about that.
func (a *audit) inspectRequest(input *openapi3filter.RequestValidationInput, status int) {
	err := openapi3filter.ValidateRequest(input.Request.Context(), input)
	malformed := status == http.StatusBadRequest || status == http.StatusUnsupportedMediaType
	switch r := input.Request; {
	case err != nil && status == http.StatusOK:
		a.report("%s %s is answered, but the document forbids it: %v", r.Method, r.URL, err)
	case err == nil && malformed:
		a.report("%s %s is refused with %d, but the document allows it", r.Method, r.URL, status)
	}
}

var tokenLike = regexp.MustCompile(`[A-Za-z0-9_-]{64,}`)

// inspectTokens checks that no answer has a token in it, but for the session
// cookie and the answer to a Flowfull client's login.
func (a *audit) inspectTokens(r *http.Request, header http.Header, body []byte) {
	shown := header.Clone()
	shown.Del("Set-Cookie")
	text := string(must(json.Marshal(shown)))
	if !strings.HasSuffix(r.URL.Path, "/auth/login") {
		text += string(body)
	}
	if found := tokenLike.FindString(text); found != "" {
		a.report("%s %s shows what looks like a token: %s", r.Method, r.URL.Path, found)
	}
}

// count returns how many requests a path has got.
func (a *audit) count(path string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for e, times := range a.seen {
		if e.path == path {
			n += times
		}
	}
	return n
}

// unseen returns what the document has and no request got.
func (a *audit) unseen() (missing []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for path, item := range a.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				code, err := strconv.Atoi(status)
				if err == nil && a.seen[exchange{method, path, code}] == 0 {
					missing = append(missing, method+" "+path+" "+status)
				}
			}
		}
	}
	return missing
}

func decode(r io.Reader, v any) error { return json.NewDecoder(r).Decode(v) }
