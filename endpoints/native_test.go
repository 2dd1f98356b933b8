package endpoints_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
)

// named is an application's own user type.
type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func loadNamed(_ context.Context, id string) (any, error) {
	if id == "gone" {
		return nil, fmt.Errorf("users: %w", session.ErrNotFound)
	}
	return &named{id, strings.ToUpper(id)}, nil
}

func TestNativeSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{
			LoadUser:   loadNamed,
			DeviceName: func(agent string) string { return "device of " + agent },
		})
		ada := s.signIn("ada")
		time.Sleep(time.Hour)
		ada.want(ada.do("GET", "/auth/session", ""), 200, `{"session":{"id":"`+ada.id()+`","userId":"ada",`+
			`"expiresAt":"2000-01-08T00:00:00.000Z","createdAt":"2000-01-01T00:00:00.000Z","updatedAt":"2000-01-01T00:00:00.000Z",`+
			`"ipAddress":"203.0.113.1","userAgent":"agent/1","authenticatedAt":"2000-01-01T00:00:00.000Z","current":true,`+
			`"device":"device of agent/1"},"user":{"id":"ada","name":"ADA"}}`)
	})
}

func TestNativeSessionIsNull(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{LoadUser: loadNamed})
	pending := s.visitor()
	pending.do("POST", "/login?pending&user=ada", "")
	revoked := s.signIn("ada")
	if _, err := s.m.RevokeAll(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	pending2 := s.visitor()
	pending2.do("POST", "/login?pending&user=ada", "")
	bare := s.visitor()
	bare.cookie = s.signIn("ada").id()
	for why, c := range map[string]*client{
		"without a cookie":                  s.visitor(),
		"second factor outstanding":         pending2,
		"revoked elsewhere":                 revoked,
		"a session ID is no token":          bare,
		"the user does not exist any more":  s.signIn("gone"),
		"the pending session has ended too": pending,
	} {
		t.Run(why, func(t *testing.T) {
			c.want(c.do("GET", "/auth/session", ""), 200, `null`)
			c.want(c.do("GET", "/api/auth/get-session", ""), 200, `null`)
		})
	}
}

func TestNativeSignOut(t *testing.T) {
	s := newSite(t, session.Config{Cookie: session.Cookie{Path: "/", SameSite: http.SameSiteStrictMode}}, endpoints.Options{})
	ada := s.signIn("ada")
	replayed := *ada
	a := ada.do("POST", "/auth/sign-out", "")
	ada.want(a, 200, `{"success":true}`)
	const gone = cookieName + "=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"
	if got := a.header.Values("Set-Cookie"); len(got) != 1 || got[0] != gone {
		t.Errorf("Set-Cookie is %q, want %q", got, gone)
	}
	ada.want(replayed.do("GET", "/auth/session", ""), 200, `null`)
	ada.want(replayed.do("POST", "/auth/sign-out", `{}`), 200, `{"success":true}`)
	ada.want(s.visitor().do("POST", "/auth/sign-out", ""), 200, `{"success":true}`)
}

func TestSignOutEndsAPendingSession(t *testing.T) {
	for _, path := range []string{"/auth/sign-out", "/auth/logout", "/api/auth/sign-out"} {
		s := newSite(t, session.Config{}, endpoints.Options{})
		pending := s.visitor()
		pending.do("POST", "/login?pending&user=ada", "")
		pending.want(pending.do("POST", path, `{}`), 200, `{"success":true}`)
		if left, err := s.m.Sessions(t.Context(), "ada"); err != nil || len(left) != 0 {
			t.Errorf("%s left %v, %v", path, left, err)
		}
	}
}

func TestNativeSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{})
		first := s.signIn("ada")
		time.Sleep(time.Minute)
		second := s.signIn("ada")
		s.signIn("grace")
		a := first.do("GET", "/auth/sessions", "")
		var list []map[string]any
		if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != 200 || len(list) != 2 {
			t.Fatalf("got %d %s, want two sessions", a.status, a.body)
		}
		if list[0]["id"] != second.id() || list[0]["current"] != false || list[1]["id"] != first.id() || list[1]["current"] != true {
			t.Errorf("got %s, want the second session and then the current one", a.body)
		}
		if list[0]["device"] != "" || list[0]["updatedAt"] != "2000-01-01T00:01:00.000Z" || len(list[0]) != 10 {
			t.Errorf("got %v", list[0])
		}
		first.want(s.visitor().do("GET", "/auth/sessions", ""), 401, `{"code":"UNAUTHORIZED","message":"Unauthorized"}`)
	})
}

func TestNativeEndSession(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	ada, phone, grace := s.signIn("ada"), s.signIn("ada"), s.signIn("grace")
	const notFound = `{"code":"NOT_FOUND","message":"Not Found"}`

	ada.want(ada.do("DELETE", "/auth/sessions/"+grace.id(), ""), 404, notFound)
	ada.want(ada.do("DELETE", "/auth/sessions/"+strings.Repeat("x", 24), ""), 404, notFound)
	ada.want(ada.do("DELETE", "/auth/sessions/x%00y", ""), 404, notFound)
	ada.want(ada.do("DELETE", "/auth/sessions/"+phone.id(), ""), 200, `{"status":true}`)
	ada.want(ada.do("DELETE", "/auth/sessions/"+phone.id(), ""), 404, notFound)
	ada.want(phone.do("GET", "/auth/session", ""), 200, `null`)

	a := ada.do("DELETE", "/auth/sessions/"+ada.id(), "")
	ada.want(a, 200, `{"status":true}`)
	if !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("ending the own session left the cookie: %v", a.header)
	}
	if a := grace.do("GET", "/auth/sessions", ""); a.status != 200 {
		t.Errorf("another user's session answers %d now", a.status)
	}
}

func TestNativeEndSessions(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	ada, grace := s.signIn("ada"), s.signIn("grace")
	s.signIn("ada")
	s.signIn("ada")
	ada.want(ada.do("DELETE", "/auth/sessions", ""), 200, `{"count":2}`)
	ada.want(ada.do("DELETE", "/auth/sessions", ""), 200, `{"count":0}`)
	for _, query := range []string{"include=all", "include=", "include=current&include=current", "include=%zz"} {
		ada.want(ada.do("DELETE", "/auth/sessions?"+query, ""), 400, `{"code":"BAD_REQUEST","message":"Invalid query"}`)
	}
	s.signIn("ada")
	replayed := *ada
	a := ada.do("DELETE", "/auth/sessions?include=current", "")
	ada.want(a, 200, `{"count":2}`)
	if !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("ending all sessions left the cookie: %v", a.header)
	}
	ada.want(replayed.do("DELETE", "/auth/sessions", ""), 401, `{"code":"UNAUTHORIZED","message":"Unauthorized"}`)
	if a := grace.do("GET", "/auth/sessions", ""); a.status != 200 {
		t.Errorf("another user's session answers %d now", a.status)
	}
}

func TestEndingOtherSessionsTakesAFreshOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const notFresh = `{"code":"SESSION_NOT_FRESH","message":"Session is not fresh"}`
		s := newSite(t, session.Config{}, endpoints.Options{})
		ada, phone := s.signIn("ada"), s.signIn("ada")
		time.Sleep(24 * time.Hour)
		ada.do("GET", "/auth/session", "") // a refresh makes nothing fresh
		for _, path := range []string{"/auth/sessions", "/auth/sessions?include=current", "/auth/sessions/" + phone.id(), "/auth/sessions/unknown"} {
			ada.want(ada.do("DELETE", path, ""), 403, notFresh)
		}
		ada.want(phone.do("DELETE", "/auth/sessions/"+phone.id(), ""), 200, `{"status":true}`)

		s = newSite(t, session.Config{}, endpoints.Options{AllowStale: true})
		ada, phone = s.signIn("ada"), s.signIn("ada")
		time.Sleep(24 * time.Hour)
		ada.want(ada.do("DELETE", "/auth/sessions/"+phone.id(), ""), 200, `{"status":true}`)
		ada.want(ada.do("DELETE", "/auth/sessions", ""), 200, `{"count":0}`)
		if a := ada.do("GET", "/api/auth/list-sessions", ""); a.status != 200 {
			t.Errorf("list-sessions answers %d", a.status)
		}
	})
}

func TestLoadUserFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		load   func(context.Context, string) (any, error)
		status int
		body   string // of the native contract
	}{
		{"an outage is no sign-out", func(context.Context, string) (any, error) {
			return nil, errors.New("no connection to db.internal")
		}, 503, `{"code":"SERVICE_UNAVAILABLE","message":"Service Unavailable"}`},
		{"no user is no session", func(context.Context, string) (any, error) { return nil, nil }, 200, `null`},
		{"a nil pointer is no user", func(context.Context, string) (any, error) { return (*named)(nil), nil }, 200, `null`},
		{"not found is no user", func(context.Context, string) (any, error) { return nil, session.ErrNotFound }, 200, `null`},
		{"what is no JSON is an error", func(context.Context, string) (any, error) {
			return func() {}, nil
		}, 500, `{"code":"INTERNAL_SERVER_ERROR","message":"Internal Server Error"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, session.Config{}, endpoints.Options{LoadUser: tt.load})
			ada := s.signIn("ada")
			a := ada.do("GET", "/auth/session", "")
			ada.want(a, tt.status, tt.body)
			if (a.header.Get("Retry-After") != "") != (tt.status == 503) {
				t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
			}
			want := tt.status
			if tt.body == "null" {
				want = 401
			}
			if a := ada.do("GET", "/auth/me", ""); a.status != want {
				t.Errorf("/auth/me answers %d %s, want %d", a.status, a.body, want)
			}
		})
	}
}

// What the client is not told is in the log.
func TestReasonsAreLogged(t *testing.T) {
	var log bytes.Buffer
	s := newSite(t, session.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, endpoints.Options{
		LoadUser: func(_ context.Context, id string) (any, error) {
			if id == "broken" {
				return func() {}, nil
			}
			return nil, errors.New("no connection to db.internal")
		},
	})
	s.signIn("ada").do("GET", "/auth/session", "")
	s.signIn("broken").do("GET", "/auth/session", "")
	for _, want := range []string{"load user", "no connection to db.internal", "unsupported type"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, log.String())
		}
	}
}

// Somebody who closes the page is no outage, and nothing to log.
func TestAClientThatHangsUp(t *testing.T) {
	var log bytes.Buffer
	ctx, hangUp := context.WithCancel(t.Context())
	s := newSite(t, session.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, endpoints.Options{
		LoadUser: func(ctx context.Context, _ string) (any, error) { hangUp(); return nil, ctx.Err() },
	})
	ada := s.signIn("ada")
	log.Reset()
	r := httptest.NewRequestWithContext(ctx, "GET", origin+"/auth/session", nil)
	r.Header.Set("Cookie", cookieName+"="+ada.cookie)
	if a := ada.send(r); a.status != 499 || log.Len() != 0 {
		t.Errorf("got %d %s, log %q", a.status, a.body, log.String())
	}
}
