package endpoints_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
)

// FuzzBodyIsReadAsOtherParsersDo sends bodies to the routes that read one. None
// fails, none is accepted that another parser would refuse, and what is accepted
// means the same to encoding/json.
func FuzzBodyIsReadAsOtherParsersDo(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"token":"x"}`, `{"token":"x","token":"y"}`, `{"Token":"x"}`, `{"token":5}`, `[]`, `null`, `"`, "\x00", `{"token":"\u0000"}`,
		`{"session_id":"x","ip_address":"::1","user_agent":null}`, `{"email":"a","password":"b","rememberMe":false}`, `{"a":{"b":[{}]}} `, `{} x`, "{\"\xff\":1}",
	} {
		f.Add([]byte(seed))
	}
	var seen endpoints.Credentials
	hooked := false
	s := newSite(f, session.Config{}, endpoints.Options{SignIn: func(_ *http.Request, c endpoints.Credentials) (string, session.SignInOptions, error) {
		seen, hooked = c, true
		return "", session.SignInOptions{}, nil
	}})
	ada := s.signIn("ada")
	f.Fuzz(func(t *testing.T, body []byte) {
		s.TB = t
		for _, path := range []string{"/api/auth/revoke-session", "/auth/bridge/validate", "/api/auth/sign-in/email"} {
			hooked = false
			a := ada.do("POST", path, string(body), "Content-Type: application/json", "X-Bridge-Secret: "+secret)
			switch a.status {
			case 200, 400, 401, 413:
			default:
				t.Fatalf("%s answers %d %s", path, a.status, a.body)
			}
			if !json.Valid([]byte(a.body)) {
				t.Fatalf("%s answers %s", path, a.body)
			}
			if (a.status == 200 || hooked) && !json.Valid(body) {
				t.Fatalf("%s accepted %q", path, body)
			}
			if !hooked {
				continue
			}
			var other map[string]any
			if err := json.NewDecoder(bytes.NewReader(body)).Decode(&other); err != nil || other["email"] != seen.Email || other["password"] != seen.Password {
				t.Fatalf("%q was read as %q and %q", body, seen.Email, seen.Password)
			}
		}
		if a := ada.do("GET", "/auth/session", ""); a.body == "null" {
			t.Fatalf("%q ended the session", body)
		}
	})
}

// FuzzPathEndsOnlyTheSessionItNames deletes below /auth/sessions/. Whatever the
// path is, other sessions live on.
func FuzzPathEndsOnlyTheSessionItNames(f *testing.F) {
	s := newSite(f, session.Config{}, endpoints.Options{})
	ada, grace := s.signIn("ada"), s.signIn("grace")
	for _, seed := range []string{"", "x", "..", "../session", grace.id(), grace.id() + "/", "%00", "{id}", "a/b", strings.Repeat("A", 24), "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		s.TB = t
		if id == ada.id() {
			t.Skip()
		}
		r := httptest.NewRequest("DELETE", origin+"/auth/sessions/", nil)
		r.URL = &url.URL{Path: "/auth/sessions/" + id}
		r.Header.Set("Cookie", cookieName+"="+ada.cookie)
		w := httptest.NewRecorder()
		must(endpoints.New(s.m, endpoints.Options{})).ServeHTTP(w, r)
		if w.Code != 404 {
			t.Fatalf("%q: %d %s", id, w.Code, w.Body)
		}
		for _, c := range []*client{ada, grace} {
			if a := c.do("GET", "/auth/session", ""); a.body == "null" {
				t.Fatalf("%q ended a session", id)
			}
		}
	})
}

// FuzzOriginHeaders lets a request with a cookie pass only from the application's
// own host or a trusted origin, or if a browser vouches for it.
func FuzzOriginHeaders(f *testing.F) {
	for _, seed := range [][3]string{
		{"", "", ""}, {"same-origin", origin, ""}, {"cross-site", trusted, ""}, {"", "null", ""}, {"", "", origin + "/x"},
		{"cross-site", "https://evil.example", ""}, {"", "https://app.example@evil.example", ""}, {"", "https://evil.example#app.example", ""},
		{"", "https://evil.example\\app.example", ""}, {"", "//app.example", ""}, {"", "https://app.example.", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	s := newSite(f, session.Config{}, endpoints.Options{})
	f.Fuzz(func(t *testing.T, site, from, referer string) {
		s.TB = t
		r := httptest.NewRequest("POST", origin+"/api/auth/sign-out", nil)
		r.Header["Cookie"] = []string{"a=b"}
		r.Header["Sec-Fetch-Site"], r.Header["Origin"], r.Header["Referer"] = []string{site}, []string{from}, []string{referer}
		a := s.visitor().send(r)
		stated := from
		if stated == "" {
			stated = referer
		}
		u, err := url.Parse(stated)
		own := err == nil && u.Host == "app.example"
		listed := stated == trusted || from == "" && strings.HasPrefix(referer, trusted)
		if a.status == 200 && !own && !listed && site != "same-origin" {
			t.Fatalf("%q %q %q passed", site, from, referer)
		}
		if a.status != 200 && a.status != 403 {
			t.Fatalf("got %d %s", a.status, a.body)
		}
	})
}
