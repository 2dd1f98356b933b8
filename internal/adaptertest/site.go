package adaptertest

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// The values that pages use.
const (
	name  session.Key[string] = "name"
	color session.Key[string] = "color"
)

// store is a store in memory that can be told to fail, and counts what it is
// asked. Of the optional abilities it has the feed.
type store struct {
	session.Store
	records        *memstore.Store
	loads, writes  atomic.Int64
	noLoad, noSave atomic.Bool
}

// errDown is an outage: no answer that the contract knows.
var errDown = errors.New("connection refused")

func newStore() *store {
	records := memstore.New(memstore.Options{})
	return &store{Store: records, records: records}
}

func (s *store) Load(ctx context.Context, id string) (*session.Record, error) {
	s.loads.Add(1)
	if s.noLoad.Load() {
		return nil, errDown
	}
	return s.Store.Load(ctx, id)
}

func (s *store) Create(ctx context.Context, r *session.Record) error {
	s.writes.Add(1)
	if s.noSave.Load() {
		return errDown
	}
	return s.Store.Create(ctx, r)
}

func (s *store) Update(ctx context.Context, r *session.Record, version uint64) error {
	s.writes.Add(1)
	if s.noSave.Load() {
		return errDown
	}
	return s.Store.Update(ctx, r, version)
}

// Follow makes Live immediate.
func (s *store) Follow(ctx context.Context, changed func(id string), healthy func(ok bool)) error {
	return s.records.Follow(ctx, changed, healthy)
}

// site is an application that is being served.
type site struct {
	t      *testing.T
	store  *store
	m      *session.Manager
	server *httptest.Server
	logged chan logged
}

// logged is a line of the access log.
type logged struct {
	status int
	size   int64
}

// open serves the application until the test is over. Where it names no manager
// it gets one.
func open(t *testing.T, build Build, app App) *site {
	t.Helper()
	s := newSite(t)
	app.Manager = s.m
	s.serve(build, app)
	return s
}

// newSite returns a site that has sessions and is not served yet.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, store: newStore(), logged: make(chan logged, 1000)}
	s.m = manager(t, s.store, "__Host-session")
	return s
}

func manager(t *testing.T, store session.Store, cookie string) *session.Manager {
	t.Helper()
	m, err := session.New(store, session.Config{
		Cookie: session.Cookie{Name: cookie},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (s *site) serve(build Build, app App) {
	if app.Guarded == nil {
		app.Guarded = s.m
	}
	app.Log = func(status int, size int64) { s.logged <- logged{status, size} }
	s.server = httptest.NewUnstartedServer(build(app))
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.server.Start()
	s.t.Cleanup(s.server.Close)
}

// response is a whole response.
type response struct {
	*http.Response
	body string
}

// get asks for the page.
func (s *site) get(cookie string) response {
	s.t.Helper()
	return s.do(http.MethodGet, "/page", cookie)
}

func (s *site) do(method, path, cookie string) response {
	s.t.Helper()
	res := s.begin(method, path, cookie)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return response{res, string(body)}
}

// begin returns a response whose body is still to be read.
func (s *site) begin(method, path, cookie string) *http.Response {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, s.server.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	res, err := s.server.Client().Transport.RoundTrip(r) // follows no redirect
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res
}

// sent returns the session cookie of a response as a browser sends it back, or "".
func (r response) sent() string {
	for _, c := range r.Cookies() {
		if strings.HasSuffix(c.Name, "session") && c.MaxAge >= 0 {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

// wants fails unless the response has the status, and the body if it is not "".
func (r response) wants(t *testing.T, status int, body string) {
	t.Helper()
	if r.StatusCode != status || body != "" && r.body != body {
		t.Errorf("got %d %q, want %d %q", r.StatusCode, r.body, status, body)
	}
}

// wantsLog fails unless the next line of the access log has the status.
func (s *site) wantsLog(status int) logged {
	s.t.Helper()
	select {
	case got := <-s.logged:
		if got.status != status {
			s.t.Errorf("the access log has status %d, want %d", got.status, status)
		}
		return got
	case <-time.After(time.Minute):
		s.t.Fatal("nothing was logged")
		return logged{}
	}
}

// read returns a value of the session that a cookie names, from the store.
func (s *site) read(cookie string, key session.Key[string]) string {
	s.t.Helper()
	var got string
	s.visit(cookie, func(se *session.Session) { got, _ = key.Get(se) })
	return got
}

// user returns whom a cookie signs in.
func (s *site) user(cookie string) string {
	s.t.Helper()
	var got string
	s.visit(cookie, func(se *session.Session) { got = se.UserID() })
	return got
}

// visit makes a request that no framework has to do with.
func (s *site) visit(cookie string, fn func(*session.Session)) response {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	s.m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fn(session.FromContext(r.Context()))
	})).ServeHTTP(w, r)
	return response{Response: w.Result()}
}

// signedIn returns the cookie of a signed-in user.
func (s *site) signedIn(user string) string {
	s.t.Helper()
	cookie := s.visit("", func(se *session.Session) {
		check(s.t, "SignIn", se.SignIn(context.Background(), user, session.SignInOptions{}), nil)
	}).sent()
	if cookie == "" {
		s.t.Fatal("signing in gave no cookie")
	}
	return cookie
}

// check fails unless got is the error that is wanted.
func check(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// write writes a body and returns what happened.
func write(w io.Writer, body string) error {
	_, err := io.WriteString(w, body)
	return err
}
