package endpoints_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
	"github.com/updateage/session/memstore"
)

// The items of the security checklist that endpoints prove, see SECURITY.md.
func TestChecklistEndpoints(t *testing.T) {
	t.Run("item-50", usersSeeAndEndTheirSessionsWhenFresh)
	t.Run("item-51", anotherUsersSessionLooksLikeNone)
	t.Run("item-54", signingOutIsNoGET)
	t.Run("item-56", signingOutErasesTheCookie)
	t.Run("item-57", signingOutIsReadyMade)
	t.Run("item-60", pendingIsNotSignedIn)
	t.Run("item-63", simpleContentTypesAreRefused)
	t.Run("item-64", safeMethodsChangeNothing)
	t.Run("item-66", errorsTellNothing)
}

func usersSeeAndEndTheirSessionsWhenFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{})
		ada, phone := s.signIn("ada"), s.signIn("ada")
		if a := ada.do("GET", "/auth/sessions", ""); !strings.Contains(a.body, phone.id()) {
			t.Errorf("the phone is not listed: %s", a.body)
		}
		time.Sleep(24 * time.Hour)
		ends := []struct{ method, path, body string }{
			{"DELETE", "/auth/sessions/" + phone.id(), ""}, {"DELETE", "/auth/sessions", ""},
			{"POST", "/api/auth/revoke-session", `{"token":"` + phone.id() + `"}`},
			{"POST", "/api/auth/revoke-sessions", ""}, {"POST", "/api/auth/revoke-other-sessions", ""},
		}
		for _, end := range ends {
			if a := ada.do(end.method, end.path, end.body); a.status != 403 {
				t.Errorf("%s %s by a stale session: %d", end.method, end.path, a.status)
			}
		}
		for _, end := range ends {
			ada.do("POST", "/login?user=ada", "") // authenticates again
			if a := ada.do(end.method, end.path, end.body); a.status != 200 {
				t.Errorf("%s %s by a fresh session: %d", end.method, end.path, a.status)
			}
		}
		phone.want(phone.do("GET", "/auth/session", ""), 200, `null`)
	})
}

func anotherUsersSessionLooksLikeNone(t *testing.T) { TestForeignSessionsLookLikeUnknownOnes(t) }

func signingOutIsNoGET(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	ada := s.signIn("ada")
	for path, status := range map[string]int{"/auth/sign-out": 405, "/auth/logout": 405, "/auth/sessions/" + ada.id(): 405, "/api/auth/sign-out": 404, "/api/auth/revoke-sessions": 404} {
		for _, method := range []string{"GET", "HEAD"} {
			if a := ada.do(method, path, ""); a.status != status {
				t.Errorf("%s %s answers %d, want %d", method, path, a.status, status)
			}
		}
	}
	if a := ada.do("GET", "/auth/session", ""); a.body == "null" {
		t.Error("a GET ended the session")
	}
}

// jarSite is a site for a real cookie jar.
func jarSite(t *testing.T) (server *httptest.Server, u *url.URL) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	server = httptest.NewTLSServer(s.handler)
	t.Cleanup(server.Close)
	server.Client().Jar = must(cookiejar.New(nil))
	return server, must(url.Parse(server.URL))
}

func signingOutErasesTheCookie(t *testing.T) {
	for _, path := range []string{"/auth/sign-out", "/auth/logout", "/api/auth/sign-out"} {
		server, u := jarSite(t)
		c := server.Client()
		for _, step := range []struct {
			path    string
			cookies int
		}{{"/login?user=ada", 1}, {path, 0}} {
			r := must(http.NewRequest("POST", server.URL+step.path, nil))
			r.Header.Set("Origin", server.URL)
			must(c.Do(r)).Body.Close()
			if got := c.Jar.Cookies(u); len(got) != step.cookies {
				t.Errorf("after %s the jar has %v", step.path, got)
			}
		}
	}
}

func signingOutIsReadyMade(t *testing.T) {
	for _, path := range []string{"/auth/sign-out", "/auth/logout", "/api/auth/sign-out"} {
		s := newSite(t, session.Config{}, endpoints.Options{})
		ada := s.signIn("ada")
		replayed := *ada
		ada.want(ada.do("POST", path, ""), 200, `{"success":true}`)
		replayed.want(replayed.do("GET", "/auth/session", ""), 200, `null`)
	}
}

func pendingIsNotSignedIn(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	pending := s.visitor()
	pending.do("POST", "/login?pending&user=ada", "")
	for path, status := range map[string]int{
		"GET /auth/session": 200, "GET /auth/sessions": 401, "DELETE /auth/sessions": 401, "DELETE /auth/sessions/" + pending.id(): 401,
		"GET /auth/me": 401, "GET /auth/validation": 401, "GET /auth/validate-session": 401, "POST /auth/refresh": 401,
		"GET /api/auth/get-session": 200, "GET /api/auth/list-sessions": 401, "POST /api/auth/revoke-sessions": 401, "POST /api/auth/revoke-other-sessions": 401,
	} {
		method, path, _ := strings.Cut(path, " ")
		if a := pending.do(method, path, ""); a.status != status || status == 200 && a.body != "null" {
			t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
		}
	}
}

func simpleContentTypesAreRefused(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{SignIn: func(*http.Request, endpoints.Credentials) (string, session.SignInOptions, error) {
		return "ada", session.SignInOptions{}, nil
	}})
	for _, path := range []string{
		"POST /auth/sign-out", "DELETE /auth/sessions", "POST /auth/logout", "POST /auth/refresh", "POST /auth/bridge/validate", "POST /api/auth/sign-out",
		"POST /api/auth/revoke-session", "POST /api/auth/revoke-sessions", "POST /api/auth/revoke-other-sessions", "POST /api/auth/sign-in/email",
	} {
		method, path, _ := strings.Cut(path, " ")
		for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", ""} {
			ada := s.signIn("ada")
			a := ada.do(method, path, `{"token":"x","session_id":"x","email":"a","password":"b"}`, "Content-Type: "+contentType, "X-Bridge-Secret: "+secret)
			if a.status != 415 {
				t.Errorf("%s %s with %q: %d %s", method, path, contentType, a.status, a.body)
			}
		}
	}
}

func safeMethodsChangeNothing(t *testing.T) {
	store := &memstore.Store{}
	s := newSite(t, session.Config{}, endpoints.Options{})
	s.store.Store = store
	ada := s.signIn("ada")
	before := must(store.Load(t.Context(), ada.id()))
	for _, path := range []string{
		"/auth/session", "/auth/sessions", "/auth/sign-out", "/auth/sessions/" + ada.id(), "/auth/me", "/auth/validation", "/auth/validate-session", "/auth/refresh",
		"/auth/logout", "/auth/bridge/validate", "/api/auth/get-session", "/api/auth/list-sessions", "/api/auth/sign-out", "/api/auth/revoke-sessions",
	} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			ada.do(method, path, "")
		}
	}
	if after := must(store.Load(t.Context(), ada.id())); after.Version != before.Version || store.Len() != 1 {
		t.Errorf("a safe method wrote: %d sessions, %v", store.Len(), after)
	}
}

func errorsTellNothing(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{LoadUser: loadNamed})
	ada, grace := s.signIn("ada"), s.signIn("grace")
	check := func(a answer) {
		t.Helper()
		for _, inner := range []string{errDown.Error(), "192.0.2.7", "session:", "endpoints:", "goroutine", ".go", grace.id(), "grace"} {
			if strings.Contains(a.body, inner) {
				t.Errorf("%d %s tells %q", a.status, a.body, inner)
			}
		}
	}
	check(ada.do("DELETE", "/auth/sessions/"+grace.id(), ""))
	check(ada.do("POST", "/api/auth/revoke-session", `{"token":7}`))
	check(ada.do("POST", "/auth/sign-out", `{"a":`))
	s.store.down.Store(true)
	for _, path := range []string{"/auth/session", "/auth/me", "/api/auth/get-session"} {
		a := ada.do("GET", path, "")
		check(a)
		if a.status != 503 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}
