package endpoints_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
	"github.com/updateage/session/memstore"
)

const (
	invalidSession = `{"success":false,"error":"Invalid session"}`
	sessionExpired = `{"success":false,"error":"Session expired"}`
)

func TestFlowfull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{LoadUser: loadNamed})
		ada := s.signInByHeader("ada")
		const valid = `{"success":true,"user":{"id":"ada","name":"ADA"},"expires_at":"2000-01-08T00:00:00.000Z"}`
		ada.want(ada.do("GET", "/auth/me", ""), 200, `{"success":true,"data":{"id":"ada","name":"ADA"}}`)
		ada.want(ada.do("GET", "/auth/validation", ""), 200, valid)
		ada.want(ada.do("GET", "/auth/validate-session", "", "Content-Type: application/json"), 200, valid)
		ada.want(ada.do("POST", "/auth/refresh", `{}`), 200, valid)
		ada.want(ada.do("POST", "/auth/logout", `{}`), 200, `{"success":true}`)
		ada.want(ada.do("GET", "/auth/me", ""), 401, invalidSession)
		ada.want(ada.do("POST", "/auth/logout", ""), 200, `{"success":true}`)
	})
}

func TestFlowfullRefreshExtendsOnlyWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{})
		ada := s.signInByHeader("ada")
		time.Sleep(23 * time.Hour)
		ada.want(ada.do("POST", "/auth/refresh", `{}`), 200, `{"success":true,"user":{"id":"ada"},"expires_at":"2000-01-08T00:00:00.000Z"}`)
		time.Sleep(time.Hour)
		a := ada.do("POST", "/auth/refresh", `{}`)
		ada.want(a, 200, `{"success":true,"user":{"id":"ada"},"expires_at":"2000-01-09T00:00:00.000Z"}`)
		if a.header["Set-Cookie"] != nil {
			t.Errorf("a client that keeps its token got a cookie: %v", a.header)
		}
	})
}

func TestFlowfullWithoutASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{LoadUser: loadNamed})
		token := func(c *client, token string) *client { c.token = token; return c }
		pending := s.visitor()
		pending.token = get(pending.do("POST", "/login?pending&header&user=ada", ""), "session_id")
		long := s.signInByHeader("ada")
		for _, path := range []string{"GET /auth/validation", "GET /auth/validate-session", "POST /auth/refresh", "GET /auth/me"} {
			method, path, _ := strings.Cut(path, " ")
			for why, c := range map[string]*client{
				"no token":            s.visitor(),
				"malformed":           token(s.visitor(), "null"),
				"unknown":             token(s.visitor(), strings.Repeat("x", 64)),
				"a session ID":        token(s.visitor(), long.id()),
				"wrong secret":        token(s.visitor(), long.id()+strings.Repeat("x", 40)),
				"pending":             pending,
				"user does not exist": s.signInByHeader("gone"),
			} {
				if a := c.do(method, path, ""); a.status != 401 || a.body != invalidSession {
					t.Errorf("%s: %s %s answers %d %s", why, method, path, a.status, a.body)
				}
			}
		}
		expired := s.signInByHeader("ada")
		time.Sleep(7 * 24 * time.Hour)
		expired.want(expired.do("GET", "/auth/validation", ""), 401, sessionExpired)
		expired.want(expired.do("GET", "/auth/validation", ""), 401, invalidSession)
		long.want(long.do("GET", "/auth/me", ""), 401, invalidSession)
	})
}

func TestWriteLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{})
		ada := s.visitor()
		a := ada.do("POST", "/login?header&user=ada", "")
		token := get(a, "session_id")
		ada.want(a, 200, `{"success":true,"session_id":"`+token+`","expires_at":"2000-01-08T00:00:00.000Z","user":{"id":"ada"}}`)
		if len(token) != 64 || a.header["Set-Cookie"] != nil || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
			t.Errorf("got a token of %d characters and the headers %v", len(token), a.header)
		}
	})
}

// What WriteLogin refuses it has not begun to answer.
func TestWriteLoginRefuses(t *testing.T) {
	m := must(session.New(&memstore.Store{}, session.Config{HeaderTransport: true, Logger: slog.New(slog.DiscardHandler)}))
	for _, tt := range []struct {
		name string
		opts *session.SignInOptions
		user any
	}{
		{"without a session", nil, nil},
		{"a session with a cookie", &session.SignInOptions{}, nil},
		{"a session whose second factor is outstanding", &session.SignInOptions{Header: true, Pending: true}, nil},
		{"a user that is no JSON", &session.SignInOptions{Header: true}, make(chan int)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s := session.FromContext(r.Context())
				if tt.opts != nil {
					if err := s.SignIn(r.Context(), "ada", *tt.opts); err != nil {
						t.Fatal(err)
					}
				}
				if err := endpoints.WriteLogin(w, s, tt.user); err == nil {
					t.Error("got no error")
				}
				if tt.opts != nil && tt.opts.Header {
					if _, ok := s.Token(); !ok {
						t.Error("the token is lost")
					}
				}
				w.WriteHeader(http.StatusTeapot)
			})).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
			if w.Code != http.StatusTeapot || w.Body.Len() != 0 {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
	if err := endpoints.WriteLogin(httptest.NewRecorder(), nil, nil); err == nil {
		t.Error("a nil session got no error")
	}
}

// ask sends a bridge request as another service does.
func (s *site) ask(body string, headers ...string) answer {
	service := s.visitor()
	service.agent, service.addr = "service/1", "10.1.2.3:9"
	return service.do("POST", "/auth/bridge/validate", body,
		append([]string{"Origin:", "Sec-Fetch-Site:", "X-Bridge-Secret: " + secret}, headers...)...)
}

func TestBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{LoadUser: loadNamed})
		ada := s.signInByHeader("ada")
		browser := s.signIn("ada")
		want := func(c *client) string {
			return `{"success":true,"user":{"id":"ada","name":"ADA"},"expires_at":"2000-01-08T00:00:00.000Z","session":{"id":"` + c.id() + `"}}`
		}
		token := `{"session_id":"` + ada.token + `"}`
		ada.want(s.ask(token), 200, want(ada))
		ada.want(s.ask(token, "X-Bridge-Secret: "+oldSecret), 200, want(ada))
		ada.want(s.ask(`{"session_id":"`+browser.cookie+`","ip_address":null,"user_agent":"x","more":[1]}`), 200, want(browser))
	})
}

func TestBridgeRefuses(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	ada := s.signInByHeader("ada")
	pending := s.visitor()
	pending.token = get(pending.do("POST", "/login?pending&header&user=ada", ""), "session_id")
	token := `{"session_id":"` + ada.token + `"}`
	const unauthorized = `{"success":false,"error":"Unauthorized"}`
	problem := func(text string) string { return `{"success":false,"error":"` + text + `"}` }
	for _, tt := range []struct {
		name    string
		body    string
		headers []string
		status  int
		want    string
	}{
		{"no secret", token, []string{"X-Bridge-Secret:"}, 401, unauthorized},
		{"a wrong secret", token, []string{"X-Bridge-Secret: " + secret[1:]}, 401, unauthorized},
		{"a part of the secret", token, []string{"X-Bridge-Secret: " + secret[:32]}, 401, unauthorized},
		{"both secrets in one", token, []string{"X-Bridge-Secret: " + secret + ", " + oldSecret}, 401, unauthorized},
		{"a session ID", `{"session_id":"` + ada.id() + `"}`, nil, 401, invalidSession},
		{"a session ID and a wrong secret", `{"session_id":"` + ada.id() + strings.Repeat("A", 40) + `"}`, nil, 401, invalidSession},
		{"a pending session", `{"session_id":"` + pending.token + `"}`, nil, 401, invalidSession},
		{"an unknown token", `{"session_id":"` + strings.Repeat("A", 64) + `"}`, nil, 401, invalidSession},
		{"no token", `{"session_id":""}`, nil, 401, invalidSession},
		{"NUL", `{"session_id":"\u0000"}`, nil, 401, invalidSession},
		{"two tokens in one", `{"session_id":"` + ada.token + `\n` + ada.token + `"}`, nil, 401, invalidSession},
		{"the service's own header is no token", `{"session_id":""}`, []string{"X-Session-ID: " + ada.token}, 401, invalidSession},
		{"the service's own bearer is no token", `{"session_id":""}`, []string{"Authorization: Bearer " + ada.token}, 401, invalidSession},
		{"no session_id", `{}`, nil, 400, problem("[body.session_id] Invalid input: expected string, received undefined")},
		{"another spelling", `{"SESSION_ID":"x"}`, nil, 400, problem("[body.session_id] Invalid input: expected string, received undefined")},
		{"null", `{"session_id":null}`, nil, 400, problem("[body.session_id] Invalid input: expected string, received null")},
		{"a number", `{"session_id":7}`, nil, 400, problem("[body.session_id] Invalid input: expected string, received number")},
		{"an address that is an object", `{"session_id":"x","ip_address":{}}`, nil, 400, problem("[body.ip_address] Invalid input: expected string, received object")},
		{"no body", ``, nil, 400, problem("[body] Invalid input: expected object, received undefined")},
		{"twice", `{"session_id":"x","session_id":"y"}`, nil, 400, problem("Invalid JSON in request body")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := s.store.calls.Load()
			ada.want(s.ask(tt.body, tt.headers...), tt.status, tt.want)
			if asked := s.store.calls.Load() - before; tt.want == unauthorized && asked != 0 {
				t.Errorf("the store was asked %d times", asked)
			}
		})
	}
	r := httptest.NewRequest("POST", origin+"/auth/bridge/validate", strings.NewReader(token))
	r.Header["X-Bridge-Secret"] = []string{secret, "another"} // two headers: a proxy may have checked the other one
	r.Header.Set("Content-Type", "application/json")
	ada.want(s.visitor().send(r), 401, unauthorized)

	a := s.visitor().do("POST", "/auth/bridge/validate?session_id="+strings.Repeat("A", 64), `{"session_id":"`+ada.token+`"}`, "X-Bridge-Secret: "+secret)
	if a.status != 200 {
		t.Errorf("a query string changed the answer: %d %s", a.status, a.body)
	}
}

func TestBridgeIsThereWithASecretOnly(t *testing.T) {
	m := must(session.New(&memstore.Store{}, session.Config{HeaderTransport: true}))
	h := must(endpoints.NewFlowfull(m, endpoints.Options{}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/auth/bridge/validate", nil))
	if w.Code != 404 {
		t.Errorf("got %d", w.Code)
	}
}

func TestBridgeAndMiddlewareBindAlike(t *testing.T) {
	type attributes struct{ ip, agent, device string }
	own := attributes{"203.0.113.1", "agent/1", "device-1"}
	for _, mode := range []string{"disabled", "standard", "advanced", "strict"} {
		binding := must(endpoints.ParseBinding(mode))
		s := newSite(t, session.Config{Binding: binding}, endpoints.Options{})
		ada := s.visitor()
		ada.token = get(ada.do("POST", "/login?header&user=ada", "", "X-Device-ID: "+own.device), "session_id")
		for _, tt := range []struct {
			name  string
			sent  attributes
			wants session.Binding // the bits that refuse it
		}{
			{"the same", own, 0},
			{"another address", attributes{"203.0.113.2", own.agent, own.device}, session.BindIP},
			{"an address and a port", attributes{"203.0.113.1:80", own.agent, own.device}, session.BindIP},
			{"another agent", attributes{own.ip, "agent/2", own.device}, session.BindUserAgent},
			{"another device", attributes{own.ip, own.agent, "device-2"}, session.BindDevice},
			{"no address", attributes{"", own.agent, own.device}, session.BindIP},
			{"no agent", attributes{own.ip, "", own.device}, session.BindUserAgent},
			{"no device", attributes{own.ip, own.agent, ""}, session.BindDevice},
			{"nothing", attributes{}, session.BindIP | session.BindUserAgent | session.BindDevice},
		} {
			want := 200
			if binding&tt.wants != 0 {
				want = 401
			}
			body := fmt.Sprintf(`{"session_id":%q,"ip_address":%q,"user_agent":%q,"device_id":%q}`, ada.token, tt.sent.ip, tt.sent.agent, tt.sent.device)
			// What the service's own request says of itself must not leak in.
			a := s.ask(body, "X-Device-ID: "+own.device, "User-Agent: "+own.agent, "X-Forwarded-For: "+own.ip)
			if a.status != want {
				t.Errorf("%s, %s: the bridge answers %d %s, want %d", mode, tt.name, a.status, a.body, want)
			}
			if tt.name == "an address and a port" {
				continue
			}
			direct := *ada
			direct.addr, direct.agent = tt.sent.ip+":1", tt.sent.agent
			if a := direct.do("GET", "/auth/me", "", "X-Device-ID: "+tt.sent.device); a.status != want {
				t.Errorf("%s, %s: the middleware answers %d, want %d", mode, tt.name, a.status, want)
			}
		}
	}
	if _, err := endpoints.ParseBinding("lax"); err == nil {
		t.Error("an unknown mode is no error")
	}
}

func TestBridgeInsideHandler(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	ada, service := s.signInByHeader("ada"), s.signInByHeader("service")
	s.handler = s.m.Handler(s.handler)
	body := `{"session_id":"` + ada.token + `"}`
	if a := service.do("POST", "/auth/bridge/validate", body, "X-Bridge-Secret: "+secret); !strings.Contains(a.body, `"id":"ada"`) {
		t.Errorf("the bridge took the service's session for the client's: %s", a.body)
	}
	a := service.do("POST", "/auth/bridge/validate", `{"session_id":"`+strings.Repeat("A", 64)+`"}`, "X-Bridge-Secret: "+secret)
	service.want(a, 401, invalidSession)
	service.want(service.do("GET", "/auth/me", ""), 200, `{"success":true,"data":{"id":"service"}}`)
}
