package endpoints_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
	"github.com/updateage/session/memstore"
)

// The three contracts say one error in three ways.
var tell = map[string]func(code, message string) string{
	"/auth/sign-out":     func(code, message string) string { return `{"code":"` + code + `","message":"` + message + `"}` },
	"/auth/logout":       func(_, message string) string { return `{"success":false,"error":"` + message + `"}` },
	"/api/auth/sign-out": func(code, message string) string { return `{"message":"` + message + `","code":"` + code + `"}` },
}

func TestBadBodies(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	const kib64 = 64 << 10
	padded := `{"a":"` + strings.Repeat("x", kib64-8) + `"}`
	deep := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
		code, message           string
	}{
		{"none", "text/plain", "", 200, "", ""},
		{"an object", "application/json", "{}", 200, "", ""},
		{"a charset", "Application/JSON; charset=utf-8", " {} \n", 200, "", ""},
		{"64 KiB", "application/json", padded, 200, "", ""},
		{"64 KiB + 1", "application/json", padded + " ", 413, "PAYLOAD_TOO_LARGE", "Payload Too Large"},
		{"64 KiB + 1 of whatever", "text/plain", strings.Repeat("x", kib64+1), 413, "PAYLOAD_TOO_LARGE", "Payload Too Large"},
		{"text", "text/plain", "{}", 415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"},
		{"a form", "application/x-www-form-urlencoded", "a=b", 415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"},
		{"several parts", "multipart/form-data; boundary=x", "--x--", 415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"},
		{"no type", "", "{}", 415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"},
		{"no type at all", "application/json/;", "{}", 415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"},
		{"text that mentions JSON", "text/plain; application/json", "{}", 415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"},
		{"broken", "application/json", "{", 400, "BAD_REQUEST", "Invalid JSON in request body"},
		{"trailing data", "application/json", "{} {}", 400, "BAD_REQUEST", "Invalid JSON in request body"},
		{"a key twice", "application/json", `{"a":1,"\u0061":2}`, 400, "BAD_REQUEST", "Invalid JSON in request body"},
		{"NUL in a string", "application/json", "{\"a\":\"\x00\"}", 400, "BAD_REQUEST", "Invalid JSON in request body"},
		{"NUL after it", "application/json", "{}\x00", 400, "BAD_REQUEST", "Invalid JSON in request body"},
		{"a byte order mark", "application/json", "\ufeff{}", 400, "BAD_REQUEST", "Invalid JSON in request body"},
		{"no UTF-8", "application/json", "{\"a\":\"\xff\"}", 400, "BAD_REQUEST", "Invalid JSON in request body"},
		{"deep", "application/json", deep(9000), 200, "", ""},
		{"too deep", "application/json", deep(30000), 400, "BAD_REQUEST", "Invalid JSON in request body"},
		{"an array", "application/json", "[]", 400, "VALIDATION_ERROR", "[body] Invalid input: expected object, received array"},
		{"null", "application/json", "null", 400, "VALIDATION_ERROR", "[body] Invalid input: expected object, received null"},
		{"a number", "application/json", " 1", 400, "VALIDATION_ERROR", "[body] Invalid input: expected object, received number"},
		{"a string", "application/json", `"{}"`, 400, "VALIDATION_ERROR", "[body] Invalid input: expected object, received string"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for path, tell := range tell {
				ada := s.signIn("ada")
				a := ada.do("POST", path, tt.body, "Content-Type: "+tt.contentType)
				want := `{"success":true}`
				if tt.status != 200 {
					want = tell(tt.code, tt.message)
				}
				if a.status != tt.status || a.body != want {
					t.Errorf("%s answers %d %s, want %d %s", path, a.status, a.body, tt.status, want)
				}
				if still := ada.do("GET", "/auth/session", ""); (still.body == "null") != (tt.status == 200) {
					t.Errorf("%s answers %d, and the session is %s", path, a.status, still.body)
				}
			}
		})
	}
}

func TestABodyOfUnknownLength(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	for body, status := range map[string]int{"": 200, "{}": 415, strings.Repeat(" ", 64<<10+1): 413} {
		r := httptest.NewRequest("POST", origin+"/auth/sign-out", struct{ *strings.Reader }{strings.NewReader(body)})
		if r.ContentLength != -1 {
			t.Fatalf("length %d", r.ContentLength)
		}
		if a := s.visitor().send(r); a.status != status {
			t.Errorf("%d bytes: %d, want %d", len(body), a.status, status)
		}
	}
}

func TestPathsAndMethods(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	ada := s.signIn("ada")
	const (
		notFound  = `{"code":"NOT_FOUND","message":"Not Found"}`
		notMethod = `{"code":"METHOD_NOT_ALLOWED","message":"Method Not Allowed"}`
		// The native handler passes what it does not know on to the Flowfull one.
		notFound2  = `{"success":false,"error":"Not Found"}`
		notMethod2 = `{"success":false,"error":"Method Not Allowed"}`
	)
	for _, tt := range []struct {
		method, path string
		status       int
		body, allow  string
	}{
		{"POST", "/auth/session", 405, notMethod, "GET, HEAD"},
		{"GET", "/auth/sign-out", 405, notMethod, "POST"},
		{"OPTIONS", "/auth/sign-out", 405, notMethod, "POST"},
		{"HEAD", "/auth/sign-out", 405, notMethod, "POST"},
		{"PUT", "/auth/sessions", 405, notMethod, "GET, HEAD, DELETE"},
		{"GET", "/auth/sessions/x", 405, notMethod, "DELETE"},
		{"get", "/auth/session", 405, notMethod, "GET, HEAD"},
		{"GET", "/auth/session/", 404, notFound2, ""},
		{"DELETE", "/auth/sessions/", 404, notFound2, ""},
		{"DELETE", "/auth/sessions/a/b", 404, notFound2, ""},
		{"GET", "/auth/", 404, notFound2, ""},
		{"GET", "/auth/Session", 404, notFound2, ""},
		{"GET", "/auth/logout", 405, notMethod2, "POST"},
		{"DELETE", "/auth/me", 405, notMethod2, "GET, HEAD"},
		{"GET", "/auth/bridge/validate", 405, notMethod2, "POST"},
	} {
		a := ada.do(tt.method, tt.path, "")
		if a.status != tt.status || a.body != tt.body || a.header.Get("Allow") != tt.allow {
			t.Errorf("%s %s\n got %d %s, Allow %q\nwant %d %s, Allow %q", tt.method, tt.path, a.status, a.body, a.header.Get("Allow"), tt.status, tt.body, tt.allow)
		}
	}
	h := must(endpoints.New(s.m, endpoints.Options{}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/auth/session/", nil))
	if w.Code != 404 || w.Body.String() != notFound {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestHeadAnswersAsGet(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	server := httptest.NewServer(s.handler)
	defer server.Close()
	for _, path := range []string{"/auth/session", "/auth/sessions", "/auth/me", "/auth/validation"} {
		get, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		get.Body.Close()
		head, err := server.Client().Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		head.Body.Close()
		if head.StatusCode != get.StatusCode || head.ContentLength != get.ContentLength {
			t.Errorf("HEAD %s: %d, %d bytes; GET: %d, %d bytes", path, head.StatusCode, head.ContentLength, get.StatusCode, get.ContentLength)
		}
	}
}

// Whose the session is and whether there is one makes no difference: the same
// answer after the same questions to the store.
func TestForeignSessionsLookLikeUnknownOnes(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	ada, grace := s.signIn("ada"), s.signIn("grace")
	unknown := grace.id()[:2] + strings.Repeat("x", 22)
	for _, request := range []func(id string) answer{
		func(id string) answer { return ada.do("DELETE", "/auth/sessions/"+id, "") },
		func(id string) answer { return ada.do("POST", "/api/auth/revoke-session", `{"token":"`+id+`"}`) },
	} {
		before := s.store.calls.Load()
		foreign := request(grace.id())
		between := s.store.calls.Load()
		none := request(unknown)
		after := s.store.calls.Load()
		if foreign.status != none.status || foreign.body != none.body || len(foreign.header) != len(none.header) {
			t.Errorf("a foreign session: %v\nan unknown one: %v", foreign, none)
		}
		if between-before != after-between || between == before {
			t.Errorf("the store was asked %d times for a foreign session, %d for an unknown one", between-before, after-between)
		}
	}
	if a := grace.do("GET", "/auth/sessions", ""); a.status != 200 {
		t.Errorf("the foreign session has ended: %d", a.status)
	}
}

func TestOutage(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{LoadUser: loadUser, SignIn: func(*http.Request, endpoints.Credentials) (string, session.SignInOptions, error) {
		return "ada", session.SignInOptions{}, nil
	}})
	browser, keeper := s.signIn("ada"), s.signInByHeader("ada")
	s.store.down.Store(true)
	body := map[string]string{
		"native":   `{"code":"SERVICE_UNAVAILABLE","message":"Service Unavailable"}`,
		"flowfull": `{"success":false,"error":"Service Unavailable"}`,
		"better":   `{"message":"Service Unavailable","code":"SERVICE_UNAVAILABLE"}`,
	}
	for _, tt := range []struct{ contract, method, path, body string }{
		{"native", "GET", "/auth/session", ""},
		{"native", "POST", "/auth/sign-out", ""},
		{"native", "GET", "/auth/sessions", ""},
		{"native", "DELETE", "/auth/sessions", ""},
		{"native", "DELETE", "/auth/sessions/" + browser.id(), ""},
		{"flowfull", "POST", "/auth/logout", "{}"},
		{"flowfull", "GET", "/auth/me", ""},
		{"flowfull", "GET", "/auth/validation", ""},
		{"flowfull", "GET", "/auth/validate-session", ""},
		{"flowfull", "POST", "/auth/refresh", "{}"},
		{"flowfull", "POST", "/auth/bridge/validate", `{"session_id":"` + keeper.token + `"}`},
		{"better", "GET", "/api/auth/get-session", ""},
		{"better", "GET", "/api/auth/list-sessions", ""},
		{"better", "POST", "/api/auth/revoke-session", `{"token":"x"}`},
		{"better", "POST", "/api/auth/revoke-sessions", "{}"},
		{"better", "POST", "/api/auth/revoke-other-sessions", "{}"},
		{"better", "POST", "/api/auth/sign-out", "{}"},
		{"better", "POST", "/api/auth/sign-in/email", `{"email":"a","password":"b"}`},
	} {
		c := *browser
		if tt.contract == "flowfull" {
			c = *keeper
		}
		a := c.do(tt.method, tt.path, tt.body, "X-Bridge-Secret: "+secret)
		if a.status != 503 || a.body != body[tt.contract] || a.header.Get("Retry-After") == "" || a.header["Set-Cookie"] != nil {
			t.Errorf("%s %s answers %d %s %v", tt.method, tt.path, a.status, a.body, a.header)
		}
	}
	visitor := s.visitor() // whose sign-in fails only when it is stored
	visitor.want(visitor.do("POST", "/api/auth/sign-in/email", `{"email":"a","password":"b"}`), 503, body["better"])
	visitor.want(visitor.do("GET", "/api/auth/get-session", ""), 200, `null`)
	browser.want(browser.do("GET", "/api/auth/ok", ""), 200, `{"ok":true}`)

	s.store.down.Store(false)
	if a := browser.do("GET", "/auth/session", ""); !strings.Contains(a.body, browser.id()) {
		t.Errorf("the outage signed the user out: %s", a.body)
	}
}

// An outage that begins between finding the session and ending it.
func TestOutageInTheMiddle(t *testing.T) {
	for _, path := range []string{"POST /auth/sign-out", "DELETE /auth/sessions", "DELETE /auth/sessions?include=current", "GET /auth/sessions", "POST /api/auth/revoke-sessions", "POST /api/auth/sign-out"} {
		t.Run(path, func(t *testing.T) {
			s := newSite(t, session.Config{}, endpoints.Options{})
			ada := s.signIn("ada")
			inner := s.handler
			s.handler = s.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s.store.down.Store(true)
				inner.ServeHTTP(w, r)
			}))
			method, path, _ := strings.Cut(path, " ")
			before := *ada
			a := ada.do(method, path, "")
			if a.status != 503 || a.header.Get("Retry-After") == "" || ada.cookie != before.cookie {
				t.Errorf("got %d %s %v", a.status, a.body, a.header)
			}
		})
	}
}

func TestMounts(t *testing.T) {
	m := must(session.New(&memstore.Store{}, session.Config{}))
	for _, tt := range []struct{ prefix, path, mount string }{
		{"", "/auth/session", "/auth"},
		{"/", "/session", ""},
		{"/a/b/c", "/a/b/c/session", "/a/b/c"},
		{"/a/", "/a/session", "/a"},
		{"/ü", "/%C3%BC/session", "/ü"},
		{"/a b;c", "/a%20b;c/session", "/a b;c"},
		{"/session", "/session/session", "/session"},
	} {
		h, err := endpoints.New(m, endpoints.Options{Prefix: tt.prefix})
		if err != nil {
			t.Errorf("%q: %v", tt.prefix, err)
			continue
		}
		mux := http.NewServeMux()
		mux.Handle((&url.URL{Path: h.Prefix()}).EscapedPath()+"/", h)
		for name, handler := range map[string]http.Handler{"in a ServeMux": mux, "alone": h, "in Handler": m.Handler(h), "in Optional": m.Optional(mux)} {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest("GET", tt.path, nil))
			if w.Code != 200 || w.Body.String() != "null" || h.Prefix() != tt.mount {
				t.Errorf("%q %s: %d %s", tt.prefix, name, w.Code, w.Body)
			}
			w = httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest("GET", "/elsewhere"+tt.path, nil))
			if w.Code != 404 {
				t.Errorf("%q %s: /elsewhere%s answers %d", tt.prefix, name, tt.path, w.Code)
			}
		}
	}
	stripped := must(endpoints.New(m, endpoints.Options{Prefix: "/"}))
	w := httptest.NewRecorder()
	http.StripPrefix("/x", stripped).ServeHTTP(w, httptest.NewRequest("GET", "/x/session", nil))
	if w.Code != 200 {
		t.Errorf("behind StripPrefix: %d", w.Code)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	m := must(session.New(&memstore.Store{}, session.Config{}))
	both := must(session.New(&memstore.Store{}, session.Config{HeaderTransport: true}))
	for _, tt := range []struct {
		name string
		make func(*session.Manager, endpoints.Options) (*endpoints.Handler, error)
		m    *session.Manager
		o    endpoints.Options
	}{
		{"no Manager", endpoints.New, nil, endpoints.Options{}},
		{"a relative prefix", endpoints.New, m, endpoints.Options{Prefix: "auth"}},
		{"a prefix that a router would clean", endpoints.New, m, endpoints.Options{Prefix: "/a/../b"}},
		{"two slashes", endpoints.New, m, endpoints.Options{Prefix: "//"}},
		{"a pattern", endpoints.New, m, endpoints.Options{Prefix: "/{tenant}"}},
		{"an origin with a path", endpoints.NewBetterAuth, m, endpoints.Options{TrustedOrigins: []string{"https://a.example/"}}},
		{"every origin", endpoints.New, m, endpoints.Options{TrustedOrigins: []string{"*"}}},
		{"the null origin", endpoints.New, m, endpoints.Options{TrustedOrigins: []string{"null"}}},
		{"Flowfull without header transport", endpoints.NewFlowfull, m, endpoints.Options{}},
		{"a short secret", endpoints.NewFlowfull, both, endpoints.Options{BridgeSecrets: [][]byte{[]byte("short")}}},
		{"a secret with a line break", endpoints.NewFlowfull, both, endpoints.Options{BridgeSecrets: [][]byte{[]byte(secret + "\n")}}},
		{"an empty secret", endpoints.NewFlowfull, both, endpoints.Options{BridgeSecrets: [][]byte{[]byte(secret), {}}}},
	} {
		h, err := tt.make(tt.m, tt.o)
		if err == nil || h != nil {
			t.Errorf("%s: got no error", tt.name)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the secret: %v", tt.name, err)
		}
	}
}

// In the handlers of two Managers, the endpoints of the outer one show its
// session, though the inner one's is nearer.
func TestTwoManagers(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	other := must(session.New(&memstore.Store{}, session.Config{Cookie: session.Cookie{Name: "__Host-other"}}))
	ada := s.signIn("ada")
	s.handler = s.m.Handler(other.Handler(s.handler))
	if a := ada.do("GET", "/auth/session", ""); !strings.Contains(a.body, ada.id()) {
		t.Errorf("got %s", a.body)
	}
}

func TestVaryIsKept(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	inner := s.handler
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Origin") // as CORS does
		inner.ServeHTTP(w, r)
	})
	for _, path := range []string{"/auth/session", "/auth/none", "/api/auth/none"} {
		a := s.visitor().do("GET", path, "")
		vary := strings.Join(a.header.Values("Vary"), ", ")
		if !strings.Contains(vary, "Origin") || strings.Count(vary, "Cookie") != 1 {
			t.Errorf("%s: Vary is %q", path, vary)
		}
	}
}

// While the store is down nobody knows whether a token in a header is good, so
// that there is no telling whether another origin may send it.
func TestOutageForHeaderClientsElsewhere(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	c := s.signInByHeader("ada")
	s.store.down.Store(true)
	for _, path := range []string{"/auth/logout", "/auth/refresh", "/auth/sign-out", "/api/auth/sign-out"} {
		if a := c.do("POST", path, "", "Origin: https://elsewhere.example", "Sec-Fetch-Site: cross-site"); a.status != 503 {
			t.Errorf("%s: got %d %s, want 503", path, a.status, a.body)
		}
	}
}
