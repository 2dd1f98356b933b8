package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
)

func forwardAuth(tb testing.TB, m *session.Manager, cfg gateway.Config) http.Handler {
	tb.Helper()
	return must[http.Handler](tb)(gateway.ForwardAuth(m, cfg))
}

func TestForwardAuthVerdicts(t *testing.T) {
	s := &store{}
	m := newManager(t, s, session.Config{HeaderTransport: true})
	alice, _ := signIn(t, m, "alice", session.SignInOptions{Level: session.AAL1})
	pending, _ := signIn(t, m, "alice", session.SignInOptions{Pending: true})
	_, app := signIn(t, m, "bob", session.SignInOptions{Header: true})
	page := headers("Accept", "text/html,application/xhtml+xml")
	login := gateway.Config{LoginURL: loginURL}

	for _, row := range []struct {
		name   string
		cfg    gateway.Config
		header http.Header
		status int
		reason string
	}{
		{"a session passes", login, withCookie(alice), 200, ""},
		{"a session in a header passes", login, headers("X-Session-Id", app), 200, ""},
		{"a bearer token passes", login, headers("Authorization", "Bearer "+app), 200, ""},
		{"nobody does not", gateway.Config{}, nil, 401, "session"},
		{"nobody with a browser, and no sign-in page", gateway.Config{}, page, 401, "session"},
		{"nobody with a browser", login, page, 302, "session"},
		{"nobody with a browser, for nginx", gateway.Config{LoginURL: loginURL, StatusOnly: true}, page, 401, "session"},
		{"a script that takes anything", login, headers("Accept", "*/*"), 401, "session"},
		{"a script of a page", login, headers("Accept", "text/html", "Sec-Fetch-Mode", "cors"), 401, "session"},
		{"a navigation that takes anything", login, headers("Sec-Fetch-Mode", "navigate"), 302, "session"},
		{"a second factor outstanding", login, withCookie(pending), 401, "session"},
		{"a level that suffices", gateway.Config{Level: session.AAL1}, withCookie(alice), 200, ""},
		{"a level that does not", gateway.Config{Level: session.AAL2}, withCookie(alice), 403, "level"},
		{"a level that does not, of a browser", gateway.Config{Level: session.AAL2, LoginURL: loginURL},
			headers("Cookie", cookieName+"="+alice, "Accept", "text/html"), 403, "level"},
		{"nobody where a level is asked for", gateway.Config{Level: session.AAL2}, nil, 401, "session"},
		{"cookie and header of two users", login, headers("Cookie", cookieName+"="+alice, "X-Session-Id", app), 401, "session"},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp := ask(forwardAuth(t, m, row.cfg), row.header)
			wantStatus(t, resp, row.status)
			wantHeader(t, resp.Header, gateway.HeaderReason, row.reason)
			if row.status != http.StatusOK {
				wantHeader(t, resp.Header, "Cache-Control", "no-store")
				wantHeader(t, resp.Header, gateway.HeaderReuse, "0")
				wantHeader(t, resp.Header, gateway.HeaderUserID, "")
			}
			if got := resp.Header.Get("Location"); (got != "") != (row.status == 302 || row.cfg.StatusOnly) {
				t.Errorf("Location is %q", got)
			}
		})
	}
}

func TestForwardAuthFreshness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, &store{}, session.Config{FreshAge: time.Hour, UpdateAge: session.EveryRequest})
		h := forwardAuth(t, m, gateway.Config{Fresh: true, MaxReuse: time.Hour})
		cookie, _ := signIn(t, m, "alice", session.SignInOptions{})
		time.Sleep(time.Hour - time.Millisecond)
		wantStatus(t, ask(h, withCookie(cookie)), http.StatusOK)
		time.Sleep(time.Millisecond)
		resp := ask(h, withCookie(cookie))
		wantStatus(t, resp, http.StatusForbidden) // although it was refreshed a moment ago
		wantHeader(t, resp.Header, gateway.HeaderReason, "freshness")
	})
}

func TestForwardAuthOutage(t *testing.T) {
	s := &store{}
	// An application's page for outages must not open the gate.
	m := newManager(t, s, session.Config{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
		w.WriteHeader(http.StatusOK)
	}})
	cookie, _ := signIn(t, m, "alice", session.SignInOptions{})
	s.down.Store(true)
	for _, header := range []http.Header{withCookie(cookie), headers("Cookie", cookieName+"="+cookie, "Accept", "text/html")} {
		resp := ask(forwardAuth(t, m, gateway.Config{LoginURL: loginURL}), header)
		wantStatus(t, resp, http.StatusServiceUnavailable)
		wantHeader(t, resp.Header, "Cache-Control", "no-store")
		wantHeader(t, resp.Header, "Retry-After", "5")
		wantHeader(t, resp.Header, "Set-Cookie", "")
		wantHeader(t, resp.Header, "Location", "")
	}
}

// The verdict is the token's: whatever else a request says leaves it as it is.
func TestForwardAuthIgnoresTheRest(t *testing.T) {
	m := newManager(t, &store{}, session.Config{})
	h := forwardAuth(t, m, gateway.Config{})
	cookie, _ := signIn(t, m, "alice", session.SignInOptions{})
	for _, signedIn := range []bool{true, false} {
		for _, row := range [][]string{
			{"X-Forwarded-Uri", "/public/"}, {"X-Forwarded-Method", "OPTIONS"}, {"X-Original-URL", "/login"},
			{"X-Http-Method-Override", "OPTIONS"}, {"User-Agent", "kube-probe/1.30"}, {"X-Forwarded-For", "127.0.0.1"},
			{"Upgrade", "websocket"}, {"Origin", "https://evil.example"}, {"Accept", "text/html"}, {"X-User-Id", "mallory"},
		} {
			for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "CONNECT", "PROPFIND"} {
				r := httptest.NewRequest(method, "http://"+host+"/public/../auth", strings.NewReader("x"))
				r.Header.Set(row[0], row[1])
				want := http.StatusUnauthorized
				if signedIn {
					r.Header.Set("Cookie", cookieName+"="+cookie)
					want = http.StatusOK
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != want {
					t.Errorf("%s with %q, signed in %t: status is %d, want %d", method, row, signedIn, w.Code, want)
				}
			}
		}
	}
}

func TestForwardAuthCleansCredentials(t *testing.T) {
	m := newManager(t, &store{}, session.Config{HeaderTransport: true})
	h := forwardAuth(t, m, gateway.Config{})
	cookie, token := signIn(t, m, "alice", session.SignInOptions{})
	own := cookieName + "=" + cookie
	hexadecimal := strings.Repeat("0123456789abcdef", 4)
	for _, row := range []struct {
		name                  string
		header                http.Header
		cookie, authorization string
	}{
		{"the only cookie", headers("Cookie", own), "", ""},
		{"one of three", headers("Cookie", "a=1; "+own+"; b=2"), "a=1; b=2", ""},
		{"the same twice", headers("Cookie", own+"; a=1; "+own), "a=1", ""},
		{"in a second line", headers("Cookie", "a=1", "Cookie", own+";b=2"), "a=1; b=2", ""},
		{"beside names that are alike", headers("Cookie", "x"+own+"; __host-session=1; "+own+"; __Host-session2=2"),
			"x" + own + "; __host-session=1; __Host-session2=2", ""},
		{"beside one without a value", headers("Cookie", cookieName+"; "+own+"; flag"), "flag", ""},
		{"a cookie and a bearer token", headers("Cookie", own, "Authorization", "Bearer "+token), "", ""},
		{"a bearer token alone", headers("Authorization", "bearer  "+token, "X-Session-Id", token), "", ""},
		{"beside a password", headers("Cookie", own, "Authorization", "Basic YTpi"), "", "Basic YTpi"},
		{"beside somebody else's bearer token", headers("Cookie", own, "Authorization", "Bearer "+hexadecimal), "", "Bearer " + hexadecimal},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp := ask(h, row.header)
			wantStatus(t, resp, http.StatusOK)
			for name, want := range map[string]string{"Cookie": row.cookie, "Authorization": row.authorization, "X-Session-Id": ""} {
				if got, there := resp.Header[name]; !there || len(got) != 1 || got[0] != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestForwardAuthReuse(t *testing.T) {
	for _, row := range []struct {
		name     string
		sessions session.Config
		cfg      gateway.Config
		after    time.Duration
		want     string
	}{
		{"is off by default", session.Config{}, gateway.Config{}, 0, "0"},
		{"is what is configured", session.Config{}, gateway.Config{MaxReuse: 20 * time.Second}, 0, "20"},
		{"ends with half of the assertion's life", session.Config{}, gateway.Config{MaxReuse: time.Hour, Signer: newSigner(t), Audience: audience}, 0, "30"},
		{"ends with half of the assertion's life, which was signed a while ago", session.Config{},
			gateway.Config{MaxReuse: time.Hour, Signer: newSigner(t), Audience: audience}, 20 * time.Second, "10"},
		{"ends before that of an assertion which ends with the session", session.Config{ExpiresIn: time.Minute, UpdateAge: time.Minute},
			gateway.Config{MaxReuse: time.Hour, Signer: newSigner(t), Audience: audience}, 25 * time.Second, "5"},
		{"ends when a refresh is due", session.Config{UpdateAge: time.Minute}, gateway.Config{MaxReuse: time.Hour}, 15 * time.Second, "45"},
		{"ends with the session", session.Config{ExpiresIn: time.Minute, UpdateAge: time.Minute}, gateway.Config{MaxReuse: time.Hour}, 15 * time.Second, "45"},
		{"ends with freshness", session.Config{FreshAge: time.Minute}, gateway.Config{MaxReuse: time.Hour, Fresh: true}, 15 * time.Second, "45"},
		{"is none with a cookie", session.Config{UpdateAge: session.EveryRequest}, gateway.Config{MaxReuse: time.Hour}, 0, "0"},
		{"is rounded down", session.Config{UpdateAge: time.Minute}, gateway.Config{MaxReuse: time.Hour}, time.Second / 2, "59"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newManager(t, &store{}, row.sessions)
				h := forwardAuth(t, m, row.cfg)
				cookie, _ := signIn(t, m, "alice", session.SignInOptions{})
				ask(h, withCookie(cookie)) // signs the assertion
				time.Sleep(row.after)
				resp := ask(h, withCookie(cookie))
				wantStatus(t, resp, http.StatusOK)
				wantHeader(t, resp.Header, gateway.HeaderReuse, row.want)
				if !strings.Contains(resp.Header.Get("Vary"), "Cookie") {
					t.Errorf("Vary is %q, want Cookie in it", resp.Header.Get("Vary"))
				}
			})
		})
	}
}

// A cookie of a remembered session that lasts to the absolute end is for proxies
// that do not pass on those of refreshes.
func TestForwardAuthWithoutTheProxysHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, &store{}, session.Config{Cookie: session.Cookie{Absolute: true}})
		h := forwardAuth(t, m, gateway.Config{})
		cookie, _ := signIn(t, m, "alice", session.SignInOptions{})
		for range 29 { // days, in each of which a refresh is lost
			time.Sleep(24 * time.Hour)
			wantStatus(t, ask(h, withCookie(cookie)), http.StatusOK)
		}
		time.Sleep(24 * time.Hour)
		wantStatus(t, ask(h, withCookie(cookie)), http.StatusUnauthorized)
	})
}

// The session of another Manager in between says nothing.
func TestForwardAuthInsideAnotherManager(t *testing.T) {
	ours := newManager(t, &store{}, session.Config{})
	others := newManager(t, &store{}, session.Config{Cookie: session.Cookie{Name: "__Host-other"}})
	h := ours.Handler(others.Handler(forwardAuth(t, ours, gateway.Config{})))
	w := httptest.NewRecorder()
	others.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = session.FromContext(r.Context()).SignIn(r.Context(), "mallory", session.SignInOptions{})
	})).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	foreign := "__Host-other=" + w.Result().Cookies()[0].Value
	wantStatus(t, ask(h, headers("Cookie", foreign)), http.StatusUnauthorized)
	cookie, _ := signIn(t, ours, "alice", session.SignInOptions{})
	resp := ask(h, headers("Cookie", foreign+"; "+cookieName+"="+cookie))
	wantStatus(t, resp, http.StatusOK)
	wantHeader(t, resp.Header, gateway.HeaderUserID, "alice")
}

func TestUserIDsStayDistinct(t *testing.T) {
	m := newManager(t, &store{}, session.Config{})
	h := forwardAuth(t, m, gateway.Config{})
	server := httptest.NewServer(h)
	defer server.Close()
	seen := make(map[string]string)
	for _, id := range []string{"a", "A", "a ", " a", "a\n", "a\r", "a\t", "a%20", "a%", "a,a", "ä", "\u00a0a", "a\u2028", "😀", strings.Repeat("ü", 512)} {
		cookie, _ := signIn(t, m, id, session.SignInOptions{})
		resp, _ := fetch(t, server.Listener.Addr().String(), "GET", "/", withCookie(cookie))
		value := resp.Header.Get(gateway.HeaderUserID)
		if other, taken := seen[value]; taken {
			t.Errorf("%q and %q are both sent as %q", id, other, value)
		}
		seen[value] = id
		if got, err := gateway.DecodeUserID(value); err != nil || got != id {
			t.Errorf("%q is sent as %q, which decodes to %q, %v", id, value, got, err)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	m := newManager(t, &store{}, session.Config{})
	signer := newSigner(t)
	for _, row := range []struct {
		name string
		cfg  gateway.Config
		want string // "": none
	}{
		{"zero", gateway.Config{}, ""},
		{"everything", gateway.Config{Signer: signer, Audience: "a", Level: session.AAL3, Fresh: true, LoginURL: loginURL,
			ReturnParam: "next", Origins: []string{origin, "http://localhost:8080", "https://[::1]/"}, StatusOnly: true,
			MaxReuse: time.Second}, ""},
		{"a path as LoginURL", gateway.Config{LoginURL: "/sign-in?a=b"}, ""},
		{"no audience", gateway.Config{Signer: signer}, "Audience"},
		{"no signer", gateway.Config{Audience: "a"}, "Signer"},
		{"an unknown level", gateway.Config{Level: 4}, "Level"},
		{"half a second", gateway.Config{MaxReuse: time.Second / 2}, "MaxReuse"},
		{"less than nothing", gateway.Config{MaxReuse: -time.Second}, "MaxReuse"},
		{"a transport", gateway.Config{Transport: http.DefaultTransport}, "Transport"},
		{"a script as LoginURL", gateway.Config{LoginURL: "javascript:alert(1)"}, "LoginURL"},
		{"a host without a scheme as LoginURL", gateway.Config{LoginURL: "//evil.example/"}, "LoginURL"},
		{"a backslash in LoginURL", gateway.Config{LoginURL: `/\evil.example/`}, "LoginURL"},
		{"a fragment in LoginURL", gateway.Config{LoginURL: "/a#b"}, "LoginURL"},
		{"no URL as LoginURL", gateway.Config{LoginURL: "https://a b"}, "LoginURL"},
		{"a path as origin", gateway.Config{Origins: []string{"/a"}}, "Origins"},
		{"a URL as origin", gateway.Config{Origins: []string{origin + "/a"}}, "Origins"},
		{"an origin with a user", gateway.Config{Origins: []string{"https://u@app.example.com"}}, "Origins"},
		{"every origin", gateway.Config{Origins: []string{"*"}}, "Origins"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := gateway.ForwardAuth(m, row.cfg)
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("error is %v, want one about %q", err, row.want)
			}
		})
	}
	bound := newManager(t, &store{}, session.Config{Binding: session.BindIP})
	if _, err := gateway.ForwardAuth(bound, gateway.Config{MaxReuse: time.Second}); err == nil {
		t.Error("a verdict for one client, reused for others: no error")
	}
	if _, err := gateway.ForwardAuth(nil, gateway.Config{}); err == nil {
		t.Error("no Manager: no error")
	}
}

func TestReturnURL(t *testing.T) {
	m := newManager(t, &store{}, session.Config{})
	h := forwardAuth(t, m, gateway.Config{
		LoginURL: "/sign-in?lang=en", ReturnParam: "next",
		Origins: []string{"https://App.Example.com:443", "http://app.example.com", "http://localhost:8080", "https://[::1]"},
	})
	const none = "/sign-in?lang=en"
	for _, row := range []struct{ name, host, uri, want string }{
		{"a page", "app.example.com", "/a?b=c&d", none + "&next=https%3A%2F%2Fapp.example.com%2Fa%3Fb%3Dc%26d"},
		{"a page with commas", "app.example.com", "/a,b?ids=1,2", none + "&next=https%3A%2F%2Fapp.example.com%2Fa%2Cb%3Fids%3D1%2C2"},
		{"two pages in a list", "app.example.com", "/a, /b", none},
		{"a host in capitals", "APP.example.com", "/", none + "&next=https%3A%2F%2Fapp.example.com%2F"},
		{"a host with its port", "app.example.com:443", "/", none + "&next=https%3A%2F%2Fapp.example.com%2F"},
		{"a host with another port", "app.example.com:8443", "/", none},
		{"a host with another scheme's port", "app.example.com:80", "/", none},
		{"a host with a port of its own", "localhost:8080", "/", none + "&next=http%3A%2F%2Flocalhost%3A8080%2F"},
		{"an IPv6 address", "[::1]", "/", none + "&next=https%3A%2F%2F%5B%3A%3A1%5D%2F"},
		{"an unknown host", "evil.example", "/", none},
		{"no host", "", "/", none},
		{"no path", "app.example.com", "", none},
		{"a path without a slash", "app.example.com", "a", none},
		{"a user", "app.example.com", "@evil.example/", none},
		{"a URL", "app.example.com", "https://evil.example/", none},
		{"a slash and a host", "app.example.com", "//evil.example/", none + "&next=https%3A%2F%2Fapp.example.com%2F%2Fevil.example%2F"},
		{"a backslash", "app.example.com", `/\evil.example/`, none},
		{"a line break", "app.example.com", "/\r\nSet-Cookie: a=b", none},
		{"a space", "app.example.com", "/a b", none},
		{"a bad escape", "app.example.com", "/%zz", none},
		{"a path that is too long", "app.example.com", "/" + strings.Repeat("a", 2048), none},
		{"two hosts", "app.example.com, evil.example", "/", none},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp := ask(h, headers("Accept", "text/html", "X-Forwarded-Host", row.host, "X-Forwarded-Uri", row.uri))
			wantHeader(t, resp.Header, "Location", row.want)
		})
	}
	for _, twice := range []string{"X-Forwarded-Host", "X-Forwarded-Uri"} {
		header := headers("Accept", "text/html", "X-Forwarded-Host", host, "X-Forwarded-Uri", "/")
		header[twice] = append(header[twice], header[twice][0])
		wantHeader(t, ask(h, header).Header, "Location", none)
	}
}

// FuzzReturnURL looks for a host and a path that lead out of the origins.
func FuzzReturnURL(f *testing.F) {
	m := newManager(f, &store{}, session.Config{})
	h := forwardAuth(f, m, gateway.Config{LoginURL: loginURL, Origins: []string{origin}})
	f.Add("app.example.com", "/a?b")
	f.Add("app.example.com@evil.example", "//evil.example")
	f.Add("app.example.com", `/\evil.example`)
	f.Fuzz(func(t *testing.T, host, uri string) {
		resp := ask(h, headers("Accept", "text/html", "X-Forwarded-Host", host, "X-Forwarded-Uri", uri))
		wantSafeLocation(t, resp.Header.Get("Location"))
	})
}

// A client that hangs up is no outage, and is not signed out either. One that had
// a deadline did not hang up.
func TestAClientThatHangsUpIsNoOutage(t *testing.T) {
	m := newManager(t, &store{}, session.Config{})
	cookie, _ := signIn(t, m, "alice", session.SignInOptions{})
	upstream := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	hungUp, hangUp := context.WithCancel(t.Context())
	hangUp()
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	for name, h := range map[string]http.Handler{
		"ForwardAuth": forwardAuth(t, m, gateway.Config{LoginURL: loginURL}),
		"NewProxy":    must[http.Handler](t)(gateway.NewProxy(m, upstream, gateway.Config{LoginURL: loginURL})),
	} {
		for _, row := range []struct {
			ctx           context.Context
			status        int
			reason, retry string
		}{
			{hungUp, session.Status(context.Canceled), "canceled", ""},
			{late, http.StatusServiceUnavailable, "unavailable", "5"},
		} {
			t.Run(name+" "+row.reason, func(t *testing.T) {
				r := httptest.NewRequestWithContext(row.ctx, "GET", "/", nil)
				r.Header = headers("Cookie", cookieName+"="+cookie, "Accept", "text/html")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				resp := w.Result()
				wantStatus(t, resp, row.status)
				wantHeader(t, resp.Header, gateway.HeaderReason, row.reason)
				wantHeader(t, resp.Header, "Retry-After", row.retry)
				wantHeader(t, resp.Header, "Set-Cookie", "")
				wantHeader(t, resp.Header, "Cache-Control", "no-store")
			})
		}
	}
}
