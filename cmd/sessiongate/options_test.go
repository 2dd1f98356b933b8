package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
)

// TestEveryFieldOfTheApplicationHasASetting: of what an application configures,
// the gate has to know all that says when a session ends and how it is read. For
// what it does not know it has a default, by which it ends the application's
// sessions.
func TestEveryFieldOfTheApplicationHasASetting(t *testing.T) {
	o, err := parse([]string{
		"-store=memory", "-expires-in=2h", "-update-age=1h", "-max-lifetime=3h", "-fresh-age=1h", "-anonymous-expires-in=1h", "-aal=1",
		"-rotate-every=1h", "-rotation-grace=1m", "-tolerate-replay", "-binding=device", "-revoke-on-mismatch", "-header-transport",
		"-trusted-proxies=10.0.0.0/8", "-not-before=2026-01-31T12:00:00Z", "-cookie-name=x", "-cookie-domain=example.com", "-cookie-path=/x",
		"-cookie-same-site=strict", "-cookie-insecure", "-cookie-partitioned", "-cookie-absolute", "-cookie-accept-unsealed-until=2026-01-31T12:00:00Z",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	without := map[string]string{
		"Cookie":          "its fields have settings",
		"Keys":            "newGate reads them from -cookie-keys-file",
		"MaxSessions":     "only a sign-in counts sessions, and the gate has none but the trial's",
		"RefuseOverLimit": "the same",
		"ClearSiteData":   "the gate signs nobody out",
		"ErrorHandler":    "the gate's answers are gateway.ForwardAuth's",
		"OnEvent":         "newGate sets it",
		"Logger":          "newGate sets it",
	}
	for _, config := range []any{o.session, o.session.Cookie} {
		fields := reflect.ValueOf(config)
		for i := range fields.NumField() {
			name := fields.Type().Field(i).Name
			_, listed := without[name]
			if set := !fields.Field(i).IsZero(); set == listed && name != "Cookie" {
				t.Errorf("%v.%s: set by a setting: %t, listed as having none: %t", fields.Type(), name, set, listed)
			}
			delete(without, name)
		}
	}
	for name := range without {
		t.Errorf("%s is listed and no field", name)
	}
}

// TestIdleVisitorsAreLeftAlone: a gate that knows how long the application keeps
// visitors ends none before.
func TestIdleVisitorsAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := parse([]string{"-store=memory", "-anonymous-expires-in=168h"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		gate, err := newApp(o, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		shop, err := session.New(gate.store, session.Config{AnonymousExpiresIn: 168 * time.Hour, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		cart := session.Key[string]("cart")
		fill := shop.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := cart.Set(session.FromContext(r.Context()), "tea"); err != nil {
				t.Error(err)
			}
		}))
		look := shop.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			had, _ := cart.Get(session.FromContext(r.Context()))
			_, _ = io.WriteString(w, had)
		}))
		cookie := answerOf(fill, nil).Result().Cookies()[0]

		time.Sleep(25 * time.Hour)
		w := answerOf(gate, cookie)
		if kept := w.Result().Cookies(); w.Code != http.StatusUnauthorized || len(kept) != 1 || kept[0].Value != cookie.Value {
			t.Errorf("gate answers %d with the cookies %v, want 401 and a refresh", w.Code, kept)
		}
		if had := answerOf(look, cookie).Body.String(); had != "tea" {
			t.Errorf("the visitor has %q in his cart", had)
		}
	})
}

func answerOf(h http.Handler, cookie *http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, authPath, nil)
	if cookie != nil {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
