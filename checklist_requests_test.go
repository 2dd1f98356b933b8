package session_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
)

func TestChecklistRequests(t *testing.T) {
	t.Run("item-62 behind CrossOriginProtection no other site changes anything", clOtherSitesChangeNothing)
	t.Run("item-62 another site cannot replace a login by a session of nobody", clOtherSitesStartNothing)
	t.Run("item-64 a GET moves the expiry and changes nothing else", clInBubble(clGetKeepsTheRecord))
	t.Run("item-64 a HEAD or GET within UpdateAge writes nothing", clGetWritesNothing)
	t.Run("item-65 an outage is neither nobody nor anybody", clOutageFailsClosed)
	t.Run("item-65 an outage changes no cookie", clOutageKeepsTheCookie)
	t.Run("item-65 Optional goes on as nobody and refuses changes", clOptionalIsNobody)
	t.Run("item-65 an outage in the middle of several cookies is an outage", clHalfAnOutage)
	t.Run("item-66 error answers tell nothing", clErrorsTellNothing)
}

// clOtherSitesChangeNothing is the documented use: CrossOriginProtection around
// Handler, so that a forged request is refused before the session is looked up.
func clOtherSitesChangeNothing(t *testing.T) {
	l := newClLab(t, session.Config{Cookie: session.Cookie{SameSite: http.SameSiteNoneMode}})
	c := l.signIn("alice", session.SignInOptions{})
	h := http.NewCrossOriginProtection().Handler(l.m.Handler(clStep(func(ctx context.Context, s *session.Session) { _ = clNote.Set(s, "forged") })))
	for _, row := range []struct {
		method, site, origin string
		want                 int
	}{
		{http.MethodPost, "cross-site", "https://evil.example", http.StatusForbidden},
		{http.MethodPost, "same-site", "https://sub.example.com", http.StatusForbidden},
		{http.MethodDelete, "cross-site", "", http.StatusForbidden},
		{http.MethodPut, "cross-site", "null", http.StatusForbidden},
		{http.MethodPost, "", "https://evil.example", http.StatusForbidden},
		{http.MethodPost, "", "null", http.StatusForbidden},
		{http.MethodPost, "same-origin", "https://example.com", http.StatusOK},
		{http.MethodPost, "none", "", http.StatusOK},
		{http.MethodPost, "", "https://example.com", http.StatusOK},
		{http.MethodPost, "", "", http.StatusOK}, // no browser
	} {
		r := c.request(row.method)
		clSetUnlessEmpty(r.Header, "Sec-Fetch-Site", row.site)
		clSetUnlessEmpty(r.Header, "Origin", row.origin)
		l.store.take()
		res := c.send(h, r)
		if calls := len(l.store.take()); res.StatusCode != row.want || (calls > 0) != (row.want == http.StatusOK) {
			t.Errorf("%s from %q, %q: status %d and %d store calls, want %d", row.method, row.site, row.origin, res.StatusCode, calls, row.want)
		}
	}
}

func clSetUnlessEmpty(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}

// clOtherSitesStartNothing: the browser withholds the SameSite cookie, and an
// answer with a cookie of a new session would replace it.
func clOtherSitesStartNothing(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.visitor()
	c.header.Set("Sec-Fetch-Site", "cross-site")
	res, err := c.try(func(_ context.Context, s *session.Session) error { return clNote.Set(s, "x") })
	if !errors.Is(err, session.ErrCrossSite) || res.Header["Set-Cookie"] != nil {
		t.Errorf("got %v and Set-Cookie %q, want ErrCrossSite and none", err, res.Header["Set-Cookie"])
	}
	if res = c.signOut(); res.Header["Set-Cookie"] != nil {
		t.Errorf("another site makes the browser forget its cookie: %q", res.Header["Set-Cookie"])
	}
}

func clGetKeepsTheRecord(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{Method: "password"})
	c.set("x")
	before := *l.store.record(c.cookie[:24])
	time.Sleep(25 * time.Hour)
	c.header.Set("User-Agent", "another")
	c.read()
	after := *l.store.record(c.cookie[:24])
	if !after.ExpiresAt.After(before.ExpiresAt) || !after.UpdatedAt.After(before.UpdatedAt) {
		t.Error("a GET that is due does not refresh")
	}
	after.ExpiresAt, after.UpdatedAt, after.Version = before.ExpiresAt, before.UpdatedAt, before.Version
	if !reflect.DeepEqual(before, after) {
		t.Errorf("a GET changes the record: %+v, was %+v", after, before)
	}
}

func clGetWritesNothing(t *testing.T) {
	l := newClLab(t, session.Config{})
	for name, c := range map[string]*clClient{"a user": l.signIn("alice", session.SignInOptions{}), "nobody": l.visitor()} {
		l.store.take()
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
			res := c.send(l.m.Handler(http.NotFoundHandler()), c.request(method))
			for _, call := range l.store.take() {
				if !strings.HasPrefix(call, "Load ") {
					t.Errorf("%s of %s: the store is asked to %s", method, name, call)
				}
			}
			if got := res.Header["Set-Cookie"]; got != nil {
				t.Errorf("%s of %s: Set-Cookie %q", method, name, got)
			}
		}
	}
}

func clOutageFailsClosed(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	l.took()
	l.store.breaks(clDown)
	res := c.send(l.m.Handler(clStep(func(context.Context, *session.Session) { t.Error("the handler runs") })), c.request(http.MethodGet))
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q; want 503 and a time", res.StatusCode, res.Header.Get("Retry-After"))
	}
	if got, want := l.kinds(), []session.EventKind{session.EventStoreError}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	if res := l.visitor().read(); res.StatusCode != http.StatusOK {
		t.Errorf("status %d for a request without a token, which needs no store; want 200", res.StatusCode)
	}
}

// clOutageKeepsTheCookie breaks every single call of the store in turn: a request
// may fail, but it never makes the browser forget its session.
func clOutageKeepsTheCookie(t *testing.T) {
	for _, call := range []string{"Load", "Update", "Patch", "Delete"} {
		l := newClLab(t, session.Config{UpdateAge: session.EveryRequest})
		c := l.signIn("alice", session.SignInOptions{})
		l.store.breaks(func(asked string) error {
			if strings.HasPrefix(asked, call) {
				return errClDown
			}
			return nil
		})
		kept := c.cookie
		for name, step := range map[string]func(ctx context.Context, s *session.Session) error{
			"reading":  func(context.Context, *session.Session) error { return nil },
			"writing":  func(_ context.Context, s *session.Session) error { return clNote.Set(s, "x") },
			"sign-out": func(ctx context.Context, s *session.Session) error { return s.SignOut(ctx) },
		} {
			if name == "sign-out" && call != "Delete" && call != "Load" {
				continue // it succeeds
			}
			_, err := c.try(step)
			if c.cookie != kept {
				t.Errorf("%s without %s: the cookie is gone", name, call)
			}
			if name == "sign-out" && call == "Delete" && !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("sign-out without Delete: %v, want ErrUnavailable", err)
			}
		}
		l.store.breaks(nil)
		if user := c.user(); user != "alice" {
			t.Errorf("without %s: after the outage the user is %q, want alice", call, user)
		}
	}
}

func clOptionalIsNobody(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	kept := c.cookie
	l.store.breaks(clDown)
	res := c.send(l.m.Optional(clStep(func(ctx context.Context, s *session.Session) {
		if s.UserID() != "" || s.ID() != "" {
			t.Errorf("during an outage the user is %q", s.UserID())
		}
		for name, err := range map[string]error{
			"Set": clNote.Set(s, "x"), "SignIn": s.SignIn(ctx, "alice", session.SignInOptions{}),
			"SignOut": s.SignOut(ctx), "Rotate": s.Rotate(ctx),
		} {
			if !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrUnavailable", name, err)
			}
		}
	})), c.request(http.MethodGet))
	if res.StatusCode != http.StatusOK || c.cookie != kept {
		t.Errorf("status %d, cookie kept %t; want 200 and the cookie untouched", res.StatusCode, c.cookie == kept)
	}
	res = c.send(l.m.Optional(l.m.RequireUser(http.NotFoundHandler())), c.request(http.MethodGet))
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("RequireUser inside Optional: status %d, want 503 and not 401", res.StatusCode)
	}
}

// clHalfAnOutage: of two cookies the store answers for one. Whose session the
// other is nobody knows, so that the answer cannot be the first one's.
func clHalfAnOutage(t *testing.T) {
	l := newClLab(t, session.Config{})
	good, other := l.signIn("alice", session.SignInOptions{}), l.signIn("bob", session.SignInOptions{})
	l.store.breaks(func(call string) error {
		if call == "Load "+other.cookie[:24] {
			return errClDown
		}
		return nil
	})
	for _, values := range [][2]string{{good.cookie, other.cookie}, {other.cookie, good.cookie}} {
		r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
		r.Header.Set("Cookie", "__Host-session="+values[0]+"; __Host-session="+values[1])
		user := "?"
		l.visitor().send(l.m.Optional(clStep(func(_ context.Context, s *session.Session) { user = s.UserID() + s.ID() })), r)
		if user != "" {
			t.Errorf("Optional: half an outage is %q, want nobody", user)
		}
		if res := l.visitor().send(l.m.Handler(http.NotFoundHandler()), r); res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("Handler: status %d, want 503", res.StatusCode)
		}
	}
}

func clErrorsTellNothing(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	guard := func(h func(http.Handler) http.Handler) http.Handler { return l.m.Handler(h(http.NotFoundHandler())) }
	nobody := l.visitor()
	answers := map[string]*http.Response{
		"Unauthorized\n":          nobody.send(guard(l.m.RequireUser), nobody.request(http.MethodGet)),
		"Internal Server Error\n": nobody.send(l.m.RequireUser(http.NotFoundHandler()), nobody.request(http.MethodGet)),
	}
	l.store.breaks(clDown)
	answers["Service Unavailable\n"] = c.read()
	for want, res := range answers {
		body, err := io.ReadAll(res.Body)
		if string(body) != want || err != nil {
			t.Errorf("got the body %q, want %q", body, want)
		}
		for name, values := range res.Header {
			if text := strings.Join(values, " "); strings.Contains(text, "hunter2") || strings.Contains(text, "alice") {
				t.Errorf("%q: the header %s tells %q", want, name, text)
			}
		}
	}
}

func TestChecklistMonitoring(t *testing.T) {
	t.Run("item-69 every step of a session's life is an event", clInBubble(clLifeIsObservable))
	t.Run("item-69 the end of a session is told once", clEndIsToldOnce)
	t.Run("item-70 guesses can be counted by client", clGuessesAreCountable)
	t.Run("item-71 a request from another client is no session and an event", clOtherClientIsNoticed)
	t.Run("item-71 what is kept of a client is bounded", clClientDataIsBounded)
}

func clLifeIsObservable(t *testing.T) {
	l := newClLab(t, session.Config{RotateEvery: 48 * time.Hour, Binding: session.BindUserAgent})
	clLife(l)
	events := l.took()
	kinds := clKindsOf(events)
	for kind := session.EventCreated; kind <= session.EventStoreError; kind++ {
		if kinds[kind] == 0 {
			t.Errorf("no event tells %q", kind)
		}
	}
	for _, e := range events {
		if e.Time.IsZero() || e.Kind != session.EventRevoked && e.IPAddress == "" && e.Kind != session.EventStoreError {
			t.Errorf("event without time or client: %+v", e)
		}
		if e.Kind == session.EventRejectedToken && e.Err == nil {
			t.Errorf("a token is rejected for no reason: %+v", e)
		}
	}
}

// clEndIsToldOnce: the request brings the session's token, and the one before it.
func clEndIsToldOnce(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, s *session.Session) error{
		"sign-out": func(ctx context.Context, s *session.Session) error { return s.SignOut(ctx) },
		"another user's sign-in": func(ctx context.Context, s *session.Session) error {
			return s.SignIn(ctx, "bob", session.SignInOptions{})
		},
	} {
		l := newClLab(t, session.Config{})
		c := l.signIn("alice", session.SignInOptions{})
		c.header.Set("Cookie", "__Host-session="+c.cookie)
		c.rotate()
		l.took()
		c.must(name, end)
		if got := clKindsOf(l.took())[session.EventSignedOut]; got != 1 {
			t.Errorf("%s: %d events tell of the end of one session", name, got)
		}
	}
}

func clGuessesAreCountable(t *testing.T) {
	l := newClLab(t, session.Config{HeaderTransport: true})
	victim := l.signIn("alice", session.SignInOptions{})
	l.took()
	guesses := 0
	for _, guess := range []string{"garbage", strings.Repeat("A", 64), victim.cookie[:24] + strings.Repeat("A", 40), victim.cookie[:63]} {
		for _, thief := range clThieves(l, guess)[:2] {
			r := thief.request(http.MethodGet)
			r.RemoteAddr = "198.51.100.7:4711"
			thief.send(l.m.Handler(http.NotFoundHandler()), r)
			guesses++
		}
	}
	counted := 0
	for _, e := range l.took() {
		if e.Kind == session.EventRejectedToken && e.IPAddress == "198.51.100.7" {
			counted++
		}
	}
	if counted != guesses {
		t.Errorf("%d of %d guesses are events with the client's address", counted, guesses)
	}
}

func clOtherClientIsNoticed(t *testing.T) {
	for _, revoke := range []bool{false, true} {
		l := newClLab(t, session.Config{Binding: session.BindUserAgent, RevokeOnMismatch: revoke})
		c := l.visitor()
		c.header.Set("User-Agent", "Firefox")
		c.signIn("alice", session.SignInOptions{})
		thief := c.clone()
		thief.header.Set("User-Agent", "curl")
		l.took()
		if user := thief.user(); user != "" {
			t.Errorf("revoke %t: another client is %q", revoke, user)
		}
		want := []session.EventKind{session.EventBindingMismatch}
		if revoke {
			want = append(want, session.EventRevoked)
		}
		if got := l.kinds(); !slices.Equal(got, want) {
			t.Errorf("revoke %t: events %v, want %v", revoke, got, want)
		}
		if user := c.user(); (user == "") != revoke {
			t.Errorf("revoke %t: afterwards the user is %q", revoke, user)
		}
	}
}

func clClientDataIsBounded(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.visitor()
	c.header.Set("User-Agent", strings.Repeat("ü", 5000))
	c.header.Set("X-Device-ID", strings.Repeat("\x00\xff", 500)+strings.Repeat("d", 5000))
	c.header.Set("Accept-Language", "marker-of-language")
	c.header.Set("Referer", "https://marker.example/")
	c.signIn("alice", session.SignInOptions{})
	r := l.store.record(c.cookie[:24])
	if len(r.UserAgent) > 512 || len(r.DeviceID) > 128 || strings.ContainsRune(r.DeviceID, 0) {
		t.Errorf("User-Agent of %d bytes, device of %d", len(r.UserAgent), len(r.DeviceID))
	}
	if binary, err := r.AppendBinary(nil); err != nil || strings.Contains(string(binary), "marker") {
		t.Errorf("the record keeps more of the client than it says, %v", err)
	}
}
