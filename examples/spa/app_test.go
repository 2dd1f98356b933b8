package main

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/updateage/session/memstore"
)

func TestApp(t *testing.T) {
	page := fstest.MapFS{
		"index.html":         {Data: []byte("<!doctype html>")},
		"assets/index-x1.js": {Data: []byte("'use strict'")},
	}
	app, err := newApp(&memstore.Store{}, page, config())
	if err != nil {
		t.Fatal(err)
	}
	const right, wrong = `{"email":"Ada@example.com","password":"analytical engine"}`, `{"email":"ada@example.com","password":"difference engine"}`
	for _, tt := range []struct {
		method, path, body  string
		status              int
		cacheControl, shows string
	}{
		{"GET", "/", "", 200, "no-cache", "<!doctype html>"},
		{"GET", "/assets/index-x1.js", "", 200, "public, max-age=31536000, immutable", "'use strict'"},
		{"GET", "/assets/index-x0.js", "", 404, "", "404"},
		{"GET", "/../go.mod", "", 307, "", ""},
		{"GET", "/api/auth/get-session", "", 200, "no-store", "null"},
		{"POST", "/api/auth/sign-in/email", right, 200, "no-store", `"name":"Ada Lovelace"`},
		{"POST", "/api/auth/sign-in/email", wrong, 401, "no-store", "INVALID_EMAIL_OR_PASSWORD"},
		{"POST", "/api/auth/sign-in/email", strings.Replace(right, "Ada", "eve", 1), 401, "no-store", "INVALID_EMAIL_OR_PASSWORD"},
	} {
		r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.shows) {
			t.Errorf("%s %s %s: %d %s, want %d %s", tt.method, tt.path, tt.body, w.Code, w.Body, tt.status, tt.shows)
		}
		if got := w.Header().Get("Cache-Control"); tt.cacheControl != "" && got != tt.cacheControl {
			t.Errorf("%s %s: Cache-Control %q, want %q", tt.method, tt.path, got, tt.cacheControl)
		}
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), "script-src 'self'") {
			t.Errorf("%s %s has no policy: %v", tt.method, tt.path, w.Header())
		}
	}
}

func TestOnlyAdaMayComeIn(t *testing.T) {
	if _, err := loadUser(t.Context(), "eve"); err == nil {
		t.Error("loadUser finds eve")
	}
	if user, err := loadUser(t.Context(), "ada"); err != nil || user != ada {
		t.Errorf("loadUser(ada) = %v, %v", user, err)
	}
}
