package endpoints_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
)

func loadUser(_ context.Context, id string) (any, error) {
	return endpoints.User{
		ID: id, Name: "Ada", Email: "ada@example.com", EmailVerified: true,
		CreatedAt: endpoints.Time{Time: time.Date(1999, 1, 2, 3, 4, 5, 678_999_999, time.FixedZone("", 3600))},
	}, nil
}

const adaJSON = `{"id":"ada","name":"Ada","email":"ada@example.com","emailVerified":true,"createdAt":"1999-01-02T02:04:05.678Z","updatedAt":null}`

func TestBetterAuthGetSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{LoadUser: loadUser})
		ada := s.signIn("ada")
		want := `{"session":{"id":"` + ada.id() + `","userId":"ada","expiresAt":"2000-01-08T00:00:00.000Z",` +
			`"createdAt":"2000-01-01T00:00:00.000Z","updatedAt":"2000-01-01T00:00:00.000Z","ipAddress":"203.0.113.1",` +
			`"userAgent":"agent/1","token":"` + ada.id() + `"},"user":` + adaJSON + `}`
		ada.want(ada.do("GET", "/api/auth/get-session", ""), 200, want)
		ada.want(ada.do("GET", "/api/auth/get-session?disableCookieCache=true", ""), 200, want)
	})
}

func TestBetterAuthDisableRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{})
		ada := s.signIn("ada")
		time.Sleep(25 * time.Hour)
		for _, query := range []string{"disableRefresh=true", "disableRefresh=false"} { // as the original: any text is true
			a := ada.do("GET", "/api/auth/get-session?"+query, "")
			if a.header["Set-Cookie"] != nil || !strings.Contains(a.body, `"updatedAt":"2000-01-01T00:00:00.000Z"`) {
				t.Errorf("%s: refreshed: %v %s", query, a.header, a.body)
			}
		}
		a := ada.do("GET", "/api/auth/get-session?disableRefresh=", "")
		if a.header["Set-Cookie"] == nil || !strings.Contains(a.body, `"updatedAt":"2000-01-02T01:00:00.000Z"`) {
			t.Errorf("not refreshed: %v %s", a.header, a.body)
		}
	})
}

func TestBetterAuthSessions(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	ada, phone, grace := s.signIn("ada"), s.signIn("ada"), s.signIn("grace")
	var list []map[string]any
	a := ada.do("GET", "/api/auth/list-sessions", "")
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != 200 || len(list) != 2 || len(list[0]) != 8 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	for _, shown := range list {
		if id := shown["token"]; id != shown["id"] || id != ada.id() && id != phone.id() {
			t.Errorf("got %v", shown)
		}
	}
	const done = `{"status":true}`
	revoke := func(id string) answer { return ada.do("POST", "/api/auth/revoke-session", `{"token":"`+id+`"}`) }
	ada.want(revoke(grace.id()), 200, done)
	ada.want(revoke("unknown"), 200, done)
	ada.want(revoke(`\u0000`), 200, done)
	if a := grace.do("GET", "/auth/sessions", ""); a.status != 200 {
		t.Fatal("revoke-session ended another user's session")
	}
	ada.want(revoke(phone.id()), 200, done)
	ada.want(phone.do("GET", "/api/auth/get-session", ""), 200, `null`)
	phone = s.signIn("ada")
	ada.want(ada.do("POST", "/api/auth/revoke-other-sessions", `{}`), 200, done)
	ada.want(phone.do("GET", "/api/auth/get-session", ""), 200, `null`)
	phone = s.signIn("ada")
	for _, end := range []func() answer{
		func() answer { return ada.do("POST", "/api/auth/revoke-sessions", "") },
		func() answer { ada = s.signIn("ada"); return revoke(ada.id()) },
		func() answer { ada = s.signIn("ada"); return ada.do("POST", "/api/auth/sign-out", `{}`) },
	} {
		a := end()
		if a.status != 200 || !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") {
			t.Errorf("got %d %s %v", a.status, a.body, a.header)
		}
	}
	ada.want(phone.do("GET", "/api/auth/get-session", ""), 200, `null`)
	ada.want(ada.do("GET", "/api/auth/ok", ""), 200, `{"ok":true}`)
}

func TestBetterAuthErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{})
		ada, stale, visitor, pending := s.signIn("ada"), s.signIn("ada"), s.visitor(), s.visitor()
		pending.do("POST", "/login?pending&user=ada", "")
		time.Sleep(time.Minute)
		const (
			unauthorized = `{"message":"Unauthorized","code":"UNAUTHORIZED"}`
			notFresh     = `{"message":"Session is not fresh","code":"SESSION_NOT_FRESH"}`
		)
		invalid := func(text string) string { return `{"message":"` + text + `","code":"VALIDATION_ERROR"}` }
		const token = "/api/auth/revoke-session"
		for _, tt := range []struct {
			c            *client
			method, path string
			body         string
			status       int
			want         string
		}{
			{visitor, "GET", "/api/auth/list-sessions", "", 401, unauthorized},
			{visitor, "POST", "/api/auth/revoke-sessions", "{}", 401, unauthorized},
			{visitor, "POST", "/api/auth/revoke-other-sessions", "", 401, unauthorized},
			{visitor, "POST", token, `{"token":"x"}`, 401, unauthorized},
			{pending, "GET", "/api/auth/list-sessions", "", 401, unauthorized},
			{pending, "POST", token, `{"token":"x"}`, 401, unauthorized},
			{ada, "POST", token, `{}`, 400, invalid("[body.token] Invalid input: expected string, received undefined")},
			{ada, "POST", token, `{"token":5}`, 400, invalid("[body.token] Invalid input: expected string, received number")},
			{ada, "POST", token, `{"token":null}`, 400, invalid("[body.token] Invalid input: expected string, received null")},
			{ada, "POST", token, `{"token":["x"]}`, 400, invalid("[body.token] Invalid input: expected string, received array")},
			{ada, "POST", token, `["x"]`, 400, invalid("[body] Invalid input: expected object, received array")},
			{ada, "POST", token, ``, 400, invalid("[body] Invalid input: expected object, received undefined")},
			{ada, "POST", "/api/auth/sign-out", `true`, 400, invalid("[body] Invalid input: expected object, received boolean")},
			{ada, "GET", "/api/auth/get-session/", "", 404, ""},
			{ada, "POST", "/api/auth/get-session", "{}", 404, ""},
			{ada, "HEAD", "/api/auth/get-session", "", 404, ""},
			{ada, "OPTIONS", "/api/auth/get-session", "", 404, ""},
			{ada, "GET", "/api/auth/sign-out", "", 404, ""},
			{ada, "GET", "/api/auth/", "", 404, ""},
			{ada, "GET", "/api/auth/sign-in/email", "", 404, ""},
			{ada, "POST", "/api/auth/sign-in/email", "{}", 404, ""}, // there is no hook
		} {
			if a := tt.c.do(tt.method, tt.path, tt.body); a.status != tt.status || a.body != tt.want {
				t.Errorf("%s %s %s\n got %d %s\nwant %d %s", tt.method, tt.path, tt.body, a.status, a.body, tt.status, tt.want)
			}
		}
		time.Sleep(24 * time.Hour)
		stale.want(stale.do("GET", "/api/auth/list-sessions", ""), 403, notFresh)
		stale.want(stale.do("POST", "/api/auth/revoke-sessions", "{}"), 403, notFresh)
		stale.want(stale.do("POST", "/api/auth/revoke-other-sessions", "{}"), 403, notFresh)
		stale.want(stale.do("POST", token, `{"token":"unknown"}`), 403, notFresh)
		stale.want(stale.do("POST", token, `{"token":"`+ada.id()+`"}`), 403, notFresh)
		stale.want(stale.do("POST", token, `{"token":"`+stale.id()+`"}`), 200, `{"status":true}`)
	})
}

// signInSite has a user "ada" with the password "right".
func signInSite(t *testing.T, seen *endpoints.Credentials) *site {
	return newSite(t, session.Config{}, endpoints.Options{
		LoadUser: loadUser,
		SignIn: func(r *http.Request, c endpoints.Credentials) (string, session.SignInOptions, error) {
			*seen = c
			switch c.Password {
			case "right":
				return "ada", session.SignInOptions{Method: "password", Header: true}, nil
			case "half":
				return "ada", session.SignInOptions{Pending: true}, nil
			case "wrong":
				return "", session.SignInOptions{}, fmt.Errorf("sign in %s: %w", c.Email, endpoints.ErrCredentials)
			case "outage":
				return "", session.SignInOptions{}, fmt.Errorf("%w: no connection", session.ErrUnavailable)
			case "broken":
				return "", session.SignInOptions{}, errors.New("pq: relation users does not exist")
			}
			return "", session.SignInOptions{}, nil
		},
	})
}

func TestBetterAuthSignIn(t *testing.T) {
	var seen endpoints.Credentials
	s := signInSite(t, &seen)
	ada := s.visitor()
	a := ada.do("POST", "/api/auth/sign-in/email", `{"email":"ada@example.com","password":"right","callbackURL":"https://evil.example"}`)
	ada.want(a, 200, `{"redirect":false,"token":"`+ada.id()+`","user":`+adaJSON+`}`)
	if seen != (endpoints.Credentials{Email: "ada@example.com", Password: "right", RememberMe: true}) || a.header["Location"] != nil {
		t.Errorf("the hook saw %#v", seen)
	}
	if !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=604800") {
		t.Errorf("a remembered session has the cookie %q", a.header.Get("Set-Cookie"))
	}
	if a := ada.do("GET", "/auth/session", ""); !strings.Contains(a.body, ada.id()) {
		t.Errorf("not signed in: %s", a.body)
	}
	a = s.visitor().do("POST", "/api/auth/sign-in/email", `{"email":"a","password":"right","rememberMe":false}`)
	if cookie := a.header.Get("Set-Cookie"); a.status != 200 || strings.Contains(cookie, "Max-Age") || seen.RememberMe {
		t.Errorf("rememberMe false: %d, cookie %q", a.status, cookie)
	}
	half := s.visitor()
	half.want(half.do("POST", "/api/auth/sign-in/email", `{"email":"a","password":"half"}`), 200, `{"twoFactorRedirect":true}`)
	half.want(half.do("GET", "/api/auth/get-session", ""), 200, `null`)
}

func TestBetterAuthSignInRefuses(t *testing.T) {
	var seen endpoints.Credentials
	s := signInSite(t, &seen)
	const wrong = `{"message":"Invalid email or password","code":"INVALID_EMAIL_OR_PASSWORD"}`
	for _, tt := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"wrong credentials", `{"email":"a","password":"wrong"}`, 401, wrong},
		{"no user and no error", `{"email":"a","password":"nobody"}`, 401, wrong},
		{"an outage", `{"email":"a","password":"outage"}`, 503, `{"message":"Service Unavailable","code":"SERVICE_UNAVAILABLE"}`},
		{"an error", `{"email":"a","password":"broken"}`, 500, `{"message":"Internal Server Error","code":"INTERNAL_SERVER_ERROR"}`},
		{"no password", `{"email":"a"}`, 400, `{"message":"[body.password] Invalid input: expected string, received undefined","code":"VALIDATION_ERROR"}`},
		{"no address", `{"password":"right"}`, 400, `{"message":"[body.email] Invalid input: expected string, received undefined","code":"VALIDATION_ERROR"}`},
		{"rememberMe is text", `{"email":"a","password":"right","rememberMe":"no"}`, 400, `{"message":"[body.rememberMe] Invalid input: expected boolean, received string","code":"VALIDATION_ERROR"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := s.visitor()
			a := c.do("POST", "/api/auth/sign-in/email", tt.body)
			c.want(a, tt.status, tt.want)
			if a.header["Set-Cookie"] != nil {
				t.Errorf("it set a cookie: %v", a.header)
			}
		})
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	var seen endpoints.Credentials
	s := signInSite(t, &seen)
	o := endpoints.Options{BridgeSecrets: [][]byte{[]byte(secret)}}
	h := must(endpoints.NewFlowfull(s.m, o))
	c := endpoints.Credentials{Email: "ada@example.com", Password: "pass-word"}
	for _, v := range []any{o, &o, h, c, &c, struct{ C endpoints.Credentials }{c}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, "pass-word") || strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret[:8])) || strings.Contains(text, "98 114 105") {
				t.Errorf("%s of %T shows a secret: %s", verb, v, text)
			}
		}
	}
	if data, err := json.Marshal(c); err != nil || strings.Contains(string(data), "pass-word") {
		t.Errorf("JSON: %s, %v", data, err)
	}
}
