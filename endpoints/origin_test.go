package endpoints_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
)

func TestOrigins(t *testing.T) {
	const (
		crossOrigin = "CROSS_ORIGIN"
		missing     = "MISSING_OR_NULL_ORIGIN"
		invalid     = "INVALID_ORIGIN"
	)
	header := func(site, origin, referer string) []string {
		return []string{"Sec-Fetch-Site:" + site, "Origin:" + origin, "Referer:" + referer}
	}
	for _, tt := range []struct {
		name    string
		headers []string
		// with a cookie and without, in the native contract and in Better Auth's: "" passes
		native, better, nativeBare, betterBare string
	}{
		{"a page of the application", header("same-origin", origin, ""), "", "", "", ""},
		{"the same, without a referrer policy", header("same-origin", origin, origin+"/page"), "", "", "", ""},
		{"a page that hides its origin", header("same-origin", "null", ""), "", "", "", ""},
		{"an old browser", header("", origin, ""), "", "", "", ""},
		{"an older one", header("", "", origin+"/page"), "", "", "", ""},
		{"a program", header("", "", ""), "", missing, "", ""},
		{"a typed address", header("none", "", ""), "", missing, "", ""},
		{"a trusted origin", header("cross-site", trusted, ""), "", "", "", ""},
		{"a trusted origin in an old browser", header("", trusted, ""), "", "", "", ""},
		{"another site", header("cross-site", "https://evil.example", ""), crossOrigin, invalid, crossOrigin, invalid},
		{"another site in an old browser", header("", "https://evil.example", ""), crossOrigin, invalid, crossOrigin, invalid},
		{"another host of the site", header("same-site", "https://blog.app.example", ""), crossOrigin, invalid, crossOrigin, invalid},
		{"another port", header("same-site", origin+":8443", ""), crossOrigin, invalid, crossOrigin, invalid},
		{"a trusted host by another scheme", header("cross-site", "http://front.example", ""), crossOrigin, invalid, crossOrigin, invalid},
		{"a trusted host in capitals", header("cross-site", "https://FRONT.example", ""), crossOrigin, invalid, crossOrigin, invalid},
		{"a name that begins like a trusted one", header("cross-site", trusted+".evil.example", ""), crossOrigin, invalid, crossOrigin, invalid},
		{"a sandboxed frame", header("cross-site", "null", ""), crossOrigin, missing, crossOrigin, missing},
		{"a sandboxed frame in an old browser", header("", "null", ""), crossOrigin, missing, crossOrigin, missing},
		{"another site's link", header("", "", "https://evil.example/page"), "", invalid, "", ""},
		{"another site without an origin", header("cross-site", "", ""), crossOrigin, missing, crossOrigin, invalid},
		{"a trusted site's link", header("", "", trusted+"/page"), "", "", "", ""},
		{"no URL for a referrer", header("", "", "about:client"), "", missing, "", ""},
		{"an unknown value", header("other", origin, ""), crossOrigin, invalid, crossOrigin, invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for path, want := range map[string]string{"/auth/sign-out": tt.native, "/auth/logout": tt.native, "/api/auth/sign-out": tt.better} {
				s := newSite(t, session.Config{}, endpoints.Options{})
				ada := s.signIn("ada")
				a := ada.do("POST", path, "", tt.headers...)
				refused(t, path+" with a cookie", a, want)
				if alive := ada.do("GET", "/auth/session", "").body != "null"; alive != (want != "") {
					t.Errorf("%s with a cookie: the session lives: %t", path, alive)
				}
			}
			for path, want := range map[string]string{"/auth/sign-out": tt.nativeBare, "/auth/logout": tt.nativeBare, "/api/auth/sign-out": tt.betterBare} {
				s := newSite(t, session.Config{}, endpoints.Options{})
				refused(t, path+" without a cookie", s.visitor().do("POST", path, "", tt.headers...), want)

				// A token in a header proves that no other site made the browser send it.
				keeper := s.signInByHeader("ada")
				refused(t, path+" with a token in a header", keeper.do("POST", path, "", tt.headers...), "")

				unknown := s.visitor()
				unknown.token = strings.Repeat("x", 64)
				refused(t, path+" with an unknown token", unknown.do("POST", path, "", tt.headers...), want)
			}
		})
	}
}

// refused checks that a request was refused with the code, or not if that is "".
func refused(t *testing.T, what string, a answer, code string) {
	t.Helper()
	if code == "" {
		if a.status != 200 {
			t.Errorf("%s: refused: %d %s", what, a.status, a.body)
		}
		return
	}
	if a.status != 403 || !strings.Contains(a.body, code) && !strings.Contains(a.body, `"error":"Cross-origin request refused"`) {
		t.Errorf("%s: got %d %s, want 403 %s", what, a.status, a.body, code)
	}
}

// Whatever the header proves, a cookie beside it may be what authenticates.
func TestACookieIsNeverExemptFromTheOriginCheck(t *testing.T) {
	evil := []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}
	for _, path := range []string{"/auth/sign-out", "/auth/logout", "/api/auth/sign-out"} {
		for name, cookie := range map[string]string{
			"the same token":           "", // set below
			"a garbled cookie":         cookieName + `="`,
			"an empty cookie":          cookieName + "=",
			"a cookie without a value": cookieName,
			"among others":             "a=b;  " + cookieName + "=x ; c=d",
		} {
			s := newSite(t, session.Config{}, endpoints.Options{})
			ada := s.signInByHeader("ada")
			if cookie == "" {
				cookie = cookieName + "=" + ada.token
			}
			before := s.store.calls.Load()
			a := ada.do("POST", path, "", append(evil, "Cookie: "+cookie)...)
			if a.status != 403 || s.store.calls.Load() != before {
				t.Errorf("%s, %s: %d, the store was asked %d times", path, name, a.status, s.store.calls.Load()-before)
			}
		}
		s := newSite(t, session.Config{}, endpoints.Options{})
		ada := s.signInByHeader("ada")
		if a := ada.do("POST", path, "", append(evil, "Cookie: "+cookieName+"x=y")...); a.status != 200 {
			t.Errorf("%s: another cookie beside a token: %d %s", path, a.status, a.body)
		}
	}
}

func TestSafeMethodsNeedNoOrigin(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	ada := s.signIn("ada")
	for _, path := range []string{"/auth/session", "/auth/me", "/api/auth/get-session"} {
		if a := ada.do("GET", path, "", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"); a.status != 200 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestTheBridgeAndOrigins(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	ada := s.signInByHeader("ada")
	body := `{"session_id":"` + ada.token + `"}`
	evil := []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}
	if a := s.ask(body, evil...); a.status != 200 {
		t.Errorf("a service that authenticated is refused for its origin: %d %s", a.status, a.body)
	}
	if a := s.ask(body, append(evil, "Cookie: "+cookieName+"=x")...); a.status != 403 {
		t.Errorf("a browser with a cookie passes: %d %s", a.status, a.body)
	}
}

// Browsers send a remembered password with requests of other sites, too. Where
// somebody signs in by it on each request, that proves nothing.
func TestAPasswordIsNoTokenInAHeader(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	inner := s.handler
	s.handler = s.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := session.FromContext(r.Context()).SignIn(r.Context(), "ada", session.SignInOptions{}); err != nil {
			t.Error(err)
		}
		inner.ServeHTTP(w, r)
	}))
	for _, authorization := range []string{"Basic YTpi", "Basic Bearer", ""} {
		a := s.visitor().do("DELETE", "/auth/sessions", "", "Sec-Fetch-Site: cross-site", "Origin: https://evil.example", "Authorization: "+authorization)
		refused(t, authorization, a, "CROSS_ORIGIN")
	}
}

func TestABearerTokenIsATokenInAHeader(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	ada := s.signInByHeader("ada")
	bearer := "Authorization: bearer " + ada.token
	ada.token = ""
	a := ada.do("POST", "/auth/sign-out", "", "Sec-Fetch-Site: cross-site", "Origin: https://evil.example", bearer)
	refused(t, "a bearer token", a, "")
}
