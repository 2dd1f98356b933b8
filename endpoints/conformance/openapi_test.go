package conformance

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
)

// visitor sends single requests, as Ada or as nobody.
type visitor struct {
	*site
	token string // in a cookie
}

// visitor signs Ada in. Her first session is the other one that is there.
func (s *site) visitor() *visitor {
	s.Helper()
	v := &visitor{site: s}
	for range 2 {
		v.token = ""
		res, _ := v.do("POST", "/api/auth/sign-in/email", `{"email":"ada@example.com","password":"`+password+`"}`)
		for _, c := range res.Cookies() {
			v.token = c.Value
		}
	}
	return v
}

// do sends a request as a page of the application does. Each header is "Name: value".
func (v *visitor) do(method, path, body string, headers ...string) (*http.Response, string) {
	v.Helper()
	r := must(http.NewRequestWithContext(v.Context(), method, v.url+path, strings.NewReader(body)))
	r.Header.Set("Origin", v.url)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if v.token != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-session", Value: v.token})
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	res, err := v.server.Client().Do(r)
	if err != nil {
		v.Fatal(err)
	}
	defer res.Body.Close()
	return res, string(must(io.ReadAll(res.Body)))
}

// body returns a body that the operation takes, or "".
func (v *visitor) body(path string) string {
	switch path {
	case "/api/auth/revoke-session":
		return `{"token":"` + v.token[:24] + `"}`
	case "/api/auth/sign-in/email":
		return `{"email":"ada@example.com","password":"` + password + `"}`
	case "/auth/bridge/validate":
		return `{"session_id":"` + v.token + `"}`
	}
	return ""
}

// TestOpenAPI sends every request of the document in every situation. What is
// asserted is in audit: that each is answered as the document says. In the end
// every status of the document has been seen.
func TestOpenAPI(t *testing.T) {
	type situation struct {
		name string
		// make changes the request, or the world, before it is sent.
		make func(v *visitor, request *request)
		// want returns the status, 0: whatever the document has.
		want func(operation) int
	}
	always := func(status int) func(operation) int { return func(operation) int { return status } }
	withBody := func(status int) func(operation) int {
		return func(o operation) int {
			if o.method == "GET" {
				return 0
			}
			return status
		}
	}
	situations := []situation{
		{"signed in", func(*visitor, *request) {}, always(200)},
		{"with an empty object", func(_ *visitor, r *request) { r.body = cmp.Or(r.body, "{}") }, withBody(200)},
		{"an ID of nobody", func(_ *visitor, r *request) { r.id = strings.Repeat("A", 24) }, func(o operation) int {
			return map[bool]int{true: 404, false: 200}[strings.HasSuffix(o.path, "{id}")]
		}},
		{"signed out", func(v *visitor, r *request) { v.token = "" }, func(o operation) int {
			return map[bool]int{true: 200, false: 401}[o.public() || o.path == "/auth/bridge/validate"]
		}},
		{"a wrong password", func(_ *visitor, r *request) { r.body = strings.Replace(r.body, password, "wrong", 1) }, func(o operation) int {
			return map[bool]int{true: 401, false: 200}[o.path == "/api/auth/sign-in/email"]
		}},
		{"not fresh", func(v *visitor, r *request) {
			r.id = v.other()
			r.body = strings.ReplaceAll(r.body, v.token[:24]+`"`, r.id+`"`)
			v.store.change(v.T, v.token[:24], func(r *session.Record) { r.AuthenticatedAt = time.Now().Add(-25 * time.Hour) })
		}, func(o operation) int { return map[bool]int{true: 403, false: 200}[o.fresh()] }},
		{"expired", func(v *visitor, _ *request) {
			v.store.change(v.T, v.token[:24], func(r *session.Record) { r.ExpiresAt = time.Now().Add(-time.Second) })
		}, func(o operation) int { return map[bool]int{true: 200, false: 401}[o.public()] }},
		{"store down", func(v *visitor, _ *request) { v.store.down.Store(true) }, func(o operation) int {
			return map[bool]int{true: 200, false: 503}[o.path == "/api/auth/ok"]
		}},
		{"another origin", func(_ *visitor, r *request) { r.headers = append(r.headers, "Origin: https://evil.example") }, withBody(403)},
		{"no secret", func(_ *visitor, r *request) { r.headers = append(r.headers, "X-Bridge-Secret: wrong") }, func(o operation) int {
			return map[bool]int{true: 401}[strings.HasSuffix(o.path, "/bridge/validate")]
		}},
		{"broken JSON", func(_ *visitor, r *request) { r.body = `{"token":` }, withBody(400)},
		{"no object", func(_ *visitor, r *request) { r.body = `["token"]` }, withBody(400)},
		{"nothing that is asked for", func(_ *visitor, r *request) { r.body = `{}` }, func(o operation) int {
			return map[bool]int{true: 400}[o.hasFields()]
		}},
		{"the wrong types", func(_ *visitor, r *request) {
			r.body = `{"token":1,"email":["a"],"password":{},"session_id":true}`
		}, func(o operation) int { return map[bool]int{true: 400}[o.hasFields()] }},
		{"an unknown query", func(_ *visitor, r *request) { r.query = "?include=everything" }, func(o operation) int {
			return map[bool]int{true: 400}[o == operation{"DELETE", "/auth/sessions"}]
		}},
		{"a query that it has", func(_ *visitor, r *request) { r.query = "?include=current&disableRefresh=true&disableCookieCache=true" }, always(200)},
		{"another type of body", func(_ *visitor, r *request) {
			r.body, r.headers = "token=1", append(r.headers, "Content-Type: application/x-www-form-urlencoded")
		}, withBody(415)},
		{"too much", func(_ *visitor, r *request) { r.body = `{"token":"` + strings.Repeat("x", 64<<10) + `"}` }, withBody(413)},
	}
	s := newSite(t, session.Config{})
	for _, o := range s.audit.operations() {
		for _, situation := range situations {
			s.store.down.Store(false)
			v := s.visitor()
			r := &request{body: v.body(o.path), id: v.token[:24], headers: []string{"X-Bridge-Secret: " + bridgeSecret}}
			situation.make(v, r)
			res, got := v.do(o.method, strings.ReplaceAll(o.path, "{id}", r.id)+r.query, r.body, r.headers...)
			if want := situation.want(o); want != 0 && res.StatusCode != want {
				t.Errorf("%s %s, %s: %d %s, want %d", o.method, o.path, situation.name, res.StatusCode, got, want)
			}
		}
	}
	if missing := s.audit.unseen(); len(missing) > 0 {
		slices.Sort(missing)
		t.Errorf("the document has answers that no handler gives:\n%s", strings.Join(missing, "\n"))
	}
}

// request is what a situation can change.
type request struct {
	id, query, body string
	headers         []string
}

// operation is a method of a path of the document.
type operation struct{ method, path string }

func (a *audit) operations() (all []operation) {
	for path, item := range a.doc.Paths.Map() {
		for method := range item.Operations() {
			all = append(all, operation{method, path})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.method, b.method)) })
	return all
}

// public says whether an operation succeeds without a session.
func (o operation) public() bool {
	switch o.path {
	case "/auth/session", "/auth/sign-out", "/auth/logout", "/api/auth/get-session", "/api/auth/sign-out",
		"/api/auth/sign-in/email", "/api/auth/ok":
		return true
	}
	return false
}

// fresh says whether an operation asks for a recent authentication.
func (o operation) fresh() bool {
	switch o.path {
	case "/auth/sessions":
		return o.method == "DELETE"
	case "/auth/sessions/{id}", "/api/auth/list-sessions", "/api/auth/revoke-session", "/api/auth/revoke-sessions", "/api/auth/revoke-other-sessions":
		return true
	}
	return false
}

// hasFields says whether an operation needs something in its body.
func (o operation) hasFields() bool {
	return (&visitor{token: strings.Repeat("x", 64)}).body(o.path) != ""
}

// other returns the ID of Ada's other session.
func (v *visitor) other() string {
	v.Helper()
	for _, info := range must(v.m.Sessions(v.Context(), "ada")) {
		if info.ID != v.token[:24] {
			return info.ID
		}
	}
	v.Fatal("there is no other session")
	return ""
}

// TestTheAuditNotices has a server answer what the document does not say.
func TestTheAuditNotices(t *testing.T) {
	const noStore, id = "no-store", "AAAAAAAAAAAAAAAAAAAAAAAA"
	token := strings.Repeat("A", 64)
	for _, tt := range []struct {
		name, method, path, sent string
		status                   int
		cacheControl, body       string
		noticed                  bool
	}{
		{"nothing", "GET", "/auth/session", "", 200, noStore, `null`, false},
		{"a missing field", "POST", "/auth/sign-out", "", 200, noStore, `{}`, true},
		{"a wrong value", "POST", "/auth/sign-out", "", 200, noStore, `{"success":false}`, true},
		{"a further field", "POST", "/auth/sign-out", "", 200, noStore, `{"success":true,"url":"/"}`, true},
		{"a wrong type", "GET", "/auth/sessions", "", 200, noStore, `{}`, true},
		{"a cacheable answer", "GET", "/auth/session", "", 200, "public", `null`, true},
		{"nine digits", "GET", "/auth/validation", "", 200, noStore, `{"success":true,"user":{"id":"ada"},"expires_at":"2026-01-02T03:04:05.123456789Z"}`, true},
		{"three digits", "GET", "/auth/validation", "", 200, noStore, `{"success":true,"user":{"id":"ada"},"expires_at":"2026-01-02T03:04:05.123Z"}`, false},
		{"another contract's error", "GET", "/auth/sessions", "", 401, noStore, `{"success":false,"error":"Unauthorized"}`, true},
		{"an outage without Retry-After", "GET", "/auth/session", "", 503, noStore, `{"code":"SERVICE_UNAVAILABLE","message":"x"}`, true},
		{"a token", "GET", "/auth/me", "", 200, noStore, `{"success":true,"data":{"id":"` + token + `"}}`, true},
		{"a path that it does not have", "GET", "/auth/secrets", "", 200, noStore, `null`, true},
		{"a malformed request that is taken", "POST", "/api/auth/revoke-session", `{"token":7}`, 200, noStore, `{"status":true}`, true},
		{"a good request that is refused", "POST", "/api/auth/revoke-session", `{"token":"` + id + `"}`, 400, noStore, `{"message":"x","code":"BAD_REQUEST"}`, true},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			a, reports := newSite(t, session.Config{}).audit, 0
			a.report = func(string, ...any) { reports++ }
			handler := a.watch(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", tt.cacheControl)
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.sent))
			r.Header.Set("Content-Type", "application/json")
			handler.ServeHTTP(httptest.NewRecorder(), r)
			if (reports > 0) != tt.noticed {
				t.Errorf("%d reports, want some: %t", reports, tt.noticed)
			}
		})
	}
}

// The document follows the prefixes and options of the handlers.
func TestOpenAPIFollowsTheOptions(t *testing.T) {
	s := newSite(t, session.Config{})
	o := endpoints.Options{Prefix: "/v1/me"}
	handler, err := endpoints.OpenAPI(must(endpoints.NewBetterAuth(s.m, o)), must(endpoints.NewFlowfull(s.m, endpoints.Options{})))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	var doc struct{ Paths map[string]any }
	if err := json.NewDecoder(bytes.NewReader(w.Body.Bytes())).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(slices.Sorted(maps.Keys(doc.Paths)))
	want := "[/auth/logout /auth/me /auth/refresh /auth/validate-session /auth/validation " +
		"/v1/me/get-session /v1/me/list-sessions /v1/me/ok /v1/me/revoke-other-sessions /v1/me/revoke-session /v1/me/revoke-sessions /v1/me/sign-out]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
