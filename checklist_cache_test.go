package session_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/updateage/session"
)

func TestChecklistCaching(t *testing.T) {
	t.Run("item-34 what sets the cookie is not cached, whatever the handler says", clNothingCachesTheCookie)
	t.Run("item-34 error answers are not cached", clNothingCachesAnError)
	t.Run("item-35 every answer that might depend on the session varies", clEverythingVaries)
	t.Run("item-35 the handler's Vary is kept", clVaryIsKept)
}

// clPublic is a handler that asks every cache to keep its answer, and then does
// what step says.
func clPublic(step func(ctx context.Context, s *session.Session)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Cache-Control", "CDN-Cache-Control", "Surrogate-Control"} {
			w.Header().Set(name, "public, max-age=600")
		}
		w.Header().Set("Expires", "Wed, 21 Oct 2099 07:28:00 GMT")
		step(r.Context(), session.FromContext(r.Context()))
		w.WriteHeader(http.StatusOK)
	})
}

// clNothingCachesTheCookie is CVE-2025-48947 and CVE-2025-64762.
func clNothingCachesTheCookie(t *testing.T) {
	l := newClLab(t, session.Config{UpdateAge: session.EveryRequest})
	for name, step := range map[string]func(ctx context.Context, s *session.Session){
		"sign-in":   func(ctx context.Context, s *session.Session) { _ = s.SignIn(ctx, "bob", session.SignInOptions{}) },
		"rotation":  func(ctx context.Context, s *session.Session) { _ = s.Rotate(ctx) },
		"a refresh": func(context.Context, *session.Session) {},
		"sign-out":  func(ctx context.Context, s *session.Session) { _ = s.SignOut(ctx) },
	} {
		c := l.signIn("alice", session.SignInOptions{})
		clCheckNoStore(t, name, c.send(l.m.Handler(clPublic(step)), c.request(http.MethodGet)))
	}
	visitor := l.visitor()
	clCheckNoStore(t, "an anonymous session", visitor.send(l.m.Handler(clPublic(func(_ context.Context, s *session.Session) {
		_ = clNote.Set(s, "x")
	})), visitor.request(http.MethodGet)))
}

func clCheckNoStore(t *testing.T, name string, res *http.Response) {
	t.Helper()
	if res.Header.Get("Set-Cookie") == "" {
		t.Errorf("%s sets no cookie", name)
	}
	if got := strings.Join(res.Header["Cache-Control"], ", "); got != "no-store" {
		t.Errorf("%s: Cache-Control %q, want no-store", name, got)
	}
	for _, other := range []string{"CDN-Cache-Control", "Surrogate-Control", "Expires"} {
		if got := res.Header.Get(other); got != "" {
			t.Errorf("%s: %s is still %q", name, other, got)
		}
	}
}

func clNothingCachesAnError(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	l.store.breaks(clDown)
	res := c.read()
	if got := res.Header.Get("Cache-Control"); res.StatusCode != http.StatusServiceUnavailable || got != "no-store" {
		t.Errorf("outage: status %d, Cache-Control %q, want 503 and no-store", res.StatusCode, got)
	}
	l.store.breaks(nil)
	visitor := l.visitor()
	res = visitor.send(l.m.Handler(l.m.RequireUser(http.NotFoundHandler())), visitor.request(http.MethodGet))
	if got := res.Header.Get("Cache-Control"); res.StatusCode != http.StatusUnauthorized || got != "no-store" {
		t.Errorf("nobody: status %d, Cache-Control %q, want 401 and no-store", res.StatusCode, got)
	}
}

// clEverythingVaries is CVE-2023-30861, CVE-2026-27205 and CVE-2026-35192: the
// handler of these requests never touches the session.
func clEverythingVaries(t *testing.T) {
	for _, headers := range []bool{false, true} {
		l := newClLab(t, session.Config{HeaderTransport: headers})
		refreshing := newClNode(t, session.Config{HeaderTransport: headers, UpdateAge: session.EveryRequest}, l.store)
		c := l.signIn("alice", session.SignInOptions{})
		garbage, unknown := l.visitor(), l.visitor()
		garbage.cookie, unknown.cookie = "garbage", strings.Repeat("A", 64)
		want := "Cookie"
		if headers {
			want = "Cookie, X-Session-ID, Authorization"
		}
		for name, res := range map[string]*http.Response{
			"no cookie":       l.visitor().read(),
			"a session":       c.read(),
			"a refresh":       c.on(refreshing).read(),
			"a bad cookie":    garbage.read(),
			"an unknown one":  unknown.read(),
			"RequireUser":     garbage.send(l.m.Handler(l.m.RequireUser(http.NotFoundHandler())), garbage.request(http.MethodGet)),
			"an outage":       clDuringOutage(l, c, l.m.Handler(http.NotFoundHandler())),
			"Optional":        clDuringOutage(l, c, l.m.Optional(http.NotFoundHandler())),
			"an empty answer": c.send(l.m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), c.request(http.MethodHead)),
		} {
			if got := strings.Join(res.Header["Vary"], ", "); got != want {
				t.Errorf("%s: Vary %q, want %q", name, got, want)
			}
		}
	}
}

func clDuringOutage(l *clLab, c *clClient, h http.Handler) *http.Response {
	l.store.breaks(clDown)
	defer l.store.breaks(nil)
	return c.send(h, c.request(http.MethodGet))
}

func clVaryIsKept(t *testing.T) {
	l := newClLab(t, session.Config{})
	for _, row := range []struct {
		lines []string
		want  string
	}{
		{[]string{"Accept-Encoding"}, "Accept-Encoding; Cookie"},
		{[]string{"Accept-Encoding", "Origin"}, "Accept-Encoding; Origin; Cookie"},
		{[]string{"cookie"}, "cookie"},
		{[]string{"Accept,Cookie ,Origin"}, "Accept,Cookie ,Origin"},
		{[]string{"*"}, "*"},
		{[]string{"X-Cookie"}, "X-Cookie; Cookie"},
		{[]string{""}, "; Cookie"},
	} {
		c := l.visitor()
		res := c.send(l.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Vary"] = row.lines
		})), c.request(http.MethodGet))
		if got := strings.Join(res.Header["Vary"], "; "); got != row.want {
			t.Errorf("Vary %q of the handler becomes %q, want %q", row.lines, got, row.want)
		}
	}
}
