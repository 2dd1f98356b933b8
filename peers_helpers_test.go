package session_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

const (
	pxName  = session.Key[string]("name")
	pxColor = session.Key[string]("color")
	pxCount = session.Key[int]("count")
)

// errStoreDown is an outage: no answer that the contract knows.
var errStoreDown = errors.New("connection refused")

// pxManager returns a manager that logs nothing.
func pxManager(t testing.TB, store session.Store, cfg session.Config) *session.Manager {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := session.New(store, cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return m
}

// pxFunc is a handler that is handed its session.
type pxFunc func(w http.ResponseWriter, r *http.Request, s *session.Session)

func (f pxFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f(w, r, session.FromContext(r.Context()))
}

// pxDo serves one request with the cookie through m.Handler. A handler that
// calls pxDo again runs another request while its own is in flight.
func pxDo(m *session.Manager, cookie string, fn pxFunc, edits ...func(*http.Request)) *http.Response {
	return pxServe(m.Handler(fn), cookie, edits...)
}

// pxServe serves one request with the cookie.
func pxServe(h http.Handler, cookie string, edits ...func(*http.Request)) *http.Response {
	r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	for _, edit := range edits {
		edit(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// pxHeader sets a header of a request.
func pxHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// pxSet returns the session cookie of a response, or nil.
func pxSet(res *http.Response) *http.Cookie {
	for _, c := range res.Cookies() {
		if strings.HasSuffix(c.Name, "session") {
			return c
		}
	}
	return nil
}

// pxSent returns the session cookie of a response as a client sends it back.
func pxSent(t testing.TB, res *http.Response) string {
	t.Helper()
	c := pxSet(res)
	if c == nil || c.Value == "" {
		t.Fatalf("response %s sets no session cookie: %v", res.Status, res.Header)
	}
	return c.Name + "=" + c.Value
}

// pxNoCookie fails if the response touches the session cookie.
func pxNoCookie(t testing.TB, res *http.Response) {
	t.Helper()
	if c := pxSet(res); c != nil {
		t.Errorf("response sets or clears the session cookie: max age %d, empty %t", c.MaxAge, c.Value == "")
	}
}

// pxID returns the session ID in a cookie.
func pxID(cookie string) string {
	_, value, _ := strings.Cut(cookie, "=")
	return value[:24]
}

// pxIs fails unless got wraps want.
func pxIs(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// pxOK fails on an error.
func pxOK(t testing.TB, what string, err error) {
	t.Helper()
	pxIs(t, what, err, nil)
}

// pxSignIn signs a user in from a fresh client and returns the cookie.
func pxSignIn(t testing.TB, m *session.Manager, user string) string {
	t.Helper()
	return pxSignInWith(t, m, "", user, session.SignInOptions{})
}

func pxSignInWith(t testing.TB, m *session.Manager, cookie, user string, opts session.SignInOptions) string {
	t.Helper()
	return pxSent(t, pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "SignIn", s.SignIn(r.Context(), user, opts))
	}))
}

// pxAnonymous starts an anonymous session that has a name, and returns the cookie.
func pxAnonymous(t testing.TB, m *session.Manager, name string) string {
	t.Helper()
	return pxSent(t, pxDo(m, "", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		pxOK(t, "Set", pxName.Set(s, name))
	}))
}

// pxSignOut signs the session of a cookie out in a request of its own.
func pxSignOut(t testing.TB, m *session.Manager, cookie string) *http.Response {
	t.Helper()
	return pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "SignOut", s.SignOut(r.Context()))
	})
}

// pxUser returns whom a cookie signs in.
func pxUser(m *session.Manager, cookie string) (user string) {
	pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { user = s.UserID() })
	return user
}

// pxGet returns a value in the session of a cookie, "none" if there is none.
func pxGet(m *session.Manager, cookie string, key session.Key[string]) (value string) {
	pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		var ok bool
		if value, ok = key.Get(s); !ok {
			value = "none"
		}
	})
	return value
}

// pxPut sets a value in a request of its own.
func pxPut(t testing.TB, m *session.Manager, cookie string, key session.Key[string], value string) *http.Response {
	t.Helper()
	return pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		pxOK(t, "Set", key.Set(s, value))
	})
}

// pxRead is a handler that only reads.
func pxRead(_ http.ResponseWriter, _ *http.Request, s *session.Session) { _, _ = pxName.Get(s) }

// pxBody returns the body of a response.
func pxBody(t testing.TB, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("read body: %v", err)
	}
	return string(b)
}

// pxEvents collects events.
type pxEvents struct {
	mu   sync.Mutex
	list []session.Event // guarded by mu
}

func (e *pxEvents) hook(_ context.Context, event session.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
}

// take returns the events since the last call.
func (e *pxEvents) take() []session.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	e.list = nil
	return list
}

// kinds returns the kinds of the events since the last call.
func (e *pxEvents) kinds() string {
	var kinds []string
	for _, event := range e.take() {
		kinds = append(kinds, event.Kind.String())
	}
	return strings.Join(kinds, ", ")
}

// pxOp is an operation of a store.
type pxOp struct {
	name string // Create, Load, Update, Delete, ListUser, DeleteUser, Patch, CreateLimited
	n    int    // the how-manieth of its name, from 1
	id   string
	rec  *session.Record // what is written
}

// pxFault is a store that can fail. It has none of the optional capabilities,
// whatever the store in it has: what the core does by itself is tested with it.
type pxFault struct {
	session.Store
	before func(ctx context.Context, op pxOp) error // an error keeps the operation from happening
	after  func(ctx context.Context, op pxOp) error // an error replaces the reply of what has happened

	mu    sync.Mutex
	calls map[string]int // guarded by mu
	good  map[string]int // guarded by mu
}

func pxFaulty() *pxFault { return &pxFault{Store: memstore.New(memstore.Options{})} }

// reset forgets what was counted.
func (f *pxFault) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.good = nil, nil
}

// called returns how often the operation was called, and how often it succeeded.
func (f *pxFault) called(name string) (calls, good int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[name], f.good[name]
}

// writes returns the number of calls that could have changed something.
func (f *pxFault) writes() (n int) {
	for _, name := range []string{"Create", "Update", "Delete", "DeleteUser", "Patch", "CreateLimited"} {
		calls, _ := f.called(name)
		n += calls
	}
	return n
}

func (f *pxFault) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls, f.good = map[string]int{}, map[string]int{}
	}
	f.calls[name]++
	return f.calls[name]
}

// do runs an operation between the hooks.
func (f *pxFault) do(ctx context.Context, op pxOp, run func() error) error {
	op.n = f.count(op.name)
	if f.before != nil {
		if err := f.before(ctx, op); err != nil {
			return err
		}
	}
	err := run()
	if err == nil {
		f.mu.Lock()
		f.good[op.name]++
		f.mu.Unlock()
	}
	if f.after != nil {
		if lost := f.after(ctx, op); lost != nil {
			return lost
		}
	}
	return err
}

func (f *pxFault) Create(ctx context.Context, r *session.Record) error {
	return f.do(ctx, pxOp{name: "Create", id: r.ID, rec: r}, func() error { return f.Store.Create(ctx, r) })
}

func (f *pxFault) Load(ctx context.Context, id string) (r *session.Record, err error) {
	err = f.do(ctx, pxOp{name: "Load", id: id}, func() error {
		r, err = f.Store.Load(ctx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (f *pxFault) Update(ctx context.Context, r *session.Record, version uint64) error {
	return f.do(ctx, pxOp{name: "Update", id: r.ID, rec: r}, func() error { return f.Store.Update(ctx, r, version) })
}

func (f *pxFault) Delete(ctx context.Context, id string) error {
	return f.do(ctx, pxOp{name: "Delete", id: id}, func() error { return f.Store.Delete(ctx, id) })
}

func (f *pxFault) ListUser(ctx context.Context, userID string, now time.Time) (list []*session.Record, err error) {
	err = f.do(ctx, pxOp{name: "ListUser"}, func() error {
		list, err = f.Store.ListUser(ctx, userID, now)
		return err
	})
	return list, err
}

func (f *pxFault) DeleteUser(ctx context.Context, userID string, now time.Time, except ...string) (n int, err error) {
	err = f.do(ctx, pxOp{name: "DeleteUser"}, func() error {
		n, err = f.Store.DeleteUser(ctx, userID, now, except...)
		return err
	})
	return n, err
}

// pxFaultAll is a pxFault with the capabilities of the store in it.
type pxFaultAll struct{ *pxFault }

func pxFaultyAll() pxFaultAll { return pxFaultAll{pxFaulty()} }

func (f pxFaultAll) Patch(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
	return f.do(ctx, pxOp{name: "Patch", id: id}, func() error {
		return f.Store.(session.Patcher).Patch(ctx, id, changes, version, now)
	})
}

func (f pxFaultAll) CreateLimited(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) (evicted []string, err error) {
	err = f.do(ctx, pxOp{name: "CreateLimited", id: r.ID, rec: r}, func() error {
		evicted, err = f.Store.(session.LimitedCreator).CreateLimited(ctx, r, limit, now)
		return err
	})
	return evicted, err
}

// pxStores are a store that leaves merging to the core, and one that merges.
var pxStores = []struct {
	name string
	make func() (session.Store, *pxFault)
}{
	{"compare and set", func() (session.Store, *pxFault) { f := pxFaulty(); return f, f }},
	{"patch", func() (session.Store, *pxFault) { f := pxFaultyAll(); return f, f.pxFault }},
}

// pxParallel runs fn n times at once and waits.
func pxParallel(n int, fn func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wg.Wait()
}
