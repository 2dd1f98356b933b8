package cachestore_test

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
)

const user = "alice"

// newRecord returns a record of the user as the core makes them.
func newRecord(userID string) *session.Record {
	var b [18]byte
	rand.Read(b[:])
	now := time.Now().UTC().Truncate(time.Millisecond)
	r := &session.Record{
		ID: base64.RawURLEncoding.EncodeToString(b[:]), UserID: userID, State: session.StateAnonymous,
		CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(24 * time.Hour), ExpiresIn: 24 * time.Hour, Version: 1,
	}
	if userID != "" {
		tag := session.RoutingTag(userID)
		r.ID, r.State, r.AuthenticatedAt = tag+r.ID[len(tag):], session.StateSignedIn, now
	}
	return r
}

// next returns a changed copy of the record.
func next(r *session.Record) *session.Record {
	c := *r
	c.Version++
	return &c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, s session.Store, userID string) *session.Record {
	t.Helper()
	r := newRecord(userID)
	must(t, s.Create(t.Context(), r))
	return r
}

func update(t testing.TB, s session.Store, r *session.Record) *session.Record {
	t.Helper()
	n := next(r)
	must(t, s.Update(t.Context(), n, r.Version))
	return n
}

func load(t testing.TB, s session.Store, id string) *session.Record {
	t.Helper()
	r, err := s.Load(t.Context(), id)
	must(t, err)
	return r
}

// wantVersion checks which version of a record the store finds; 0 is none.
func wantVersion(t testing.TB, when string, s session.Store, id string, want uint64) {
	t.Helper()
	r, err := s.Load(t.Context(), id)
	switch {
	case want == 0 && !errors.Is(err, session.ErrNotFound):
		t.Errorf("%s: Load: got %v and error %v, want %v", when, r, err, session.ErrNotFound)
	case want != 0 && err != nil:
		t.Errorf("%s: Load: got error %v, want version %d", when, err, want)
	case want != 0 && r.Version != want:
		t.Errorf("%s: Load: got version %d, want %d", when, r.Version, want)
	}
}

// wantLoads checks how many loads reached the server since the last time.
func wantLoads(t testing.TB, when string, l *link, want int64) {
	t.Helper()
	if got := l.loads.Swap(0); got != want {
		t.Errorf("%s: got %d loads from the store, want %d", when, got, want)
	}
}

// wantStats checks all counts.
func wantStats(t testing.TB, when string, c cachestore.Store, want cachestore.Stats) {
	t.Helper()
	if got := c.Stats(); got != want {
		t.Errorf("%s: got  %+v,\nwant %+v", when, got, want)
	}
}

// node is a process that serves sessions.
type node struct {
	*testing.T
	link  *link
	cache cachestore.Store
	*session.Manager
}

// nodes returns two nodes of one server.
func nodes(t *testing.T, cfg session.Config, opts cachestore.Options) (a, b *node) {
	s := newServer()
	return newNode(t, s.connect(), cfg, opts), newNode(t, s.connect(), cfg, opts)
}

func newNode(t *testing.T, l *link, cfg session.Config, opts cachestore.Options) *node {
	return nodeOf(t, l, cached(t, l, l, opts), cfg)
}

func nodeOf(t *testing.T, l *link, c cachestore.Store, cfg session.Config) *node {
	cfg.Logger = slog.New(slog.DiscardHandler)
	m, err := session.New(c, cfg)
	must(t, err)
	return &node{t, l, c, m}
}

// do serves a request with the cookie and returns the cookie that it sets.
func (n *node) do(cookie string, fn func(r *http.Request, s *session.Session)) (set string) {
	n.Helper()
	req := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	n.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fn(r, session.FromContext(r.Context()))
	})).ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		n.Errorf("request: got status %d, want 200", w.Code)
	}
	for _, c := range w.Result().Cookies() {
		set = c.Name + "=" + c.Value
	}
	return set
}

func (n *node) signIn(opts ...func(*http.Request, *session.Session)) (cookie string) {
	n.Helper()
	return n.do("", func(r *http.Request, s *session.Session) {
		must(n, s.SignIn(r.Context(), user, session.SignInOptions{}))
		for _, opt := range opts {
			opt(r, s)
		}
	})
}

// user returns whom a request with the cookie is of.
func (n *node) user(cookie string) (userID string) {
	n.Helper()
	n.do(cookie, func(_ *http.Request, s *session.Session) { userID = s.UserID() })
	return userID
}

// wantUser checks whom a request with the cookie is of.
func (n *node) wantUser(when, cookie, want string) {
	n.Helper()
	if got := n.user(cookie); got != want {
		n.Errorf("%s: got user %q, want %q", when, got, want)
	}
}
