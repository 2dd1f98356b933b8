package adaptertest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/updateage/session"
)

// Allocations fails if a signed-in user's or nobody's request allocates more than
// limit in the framework beyond what the session package needs for it in
// net/http, or if a guard allocates more than limit. It counts right without the
// race detector only.
func Allocations(t *testing.T, build Build, limit float64) {
	s := newSite(t)
	app := App{Guarded: s.m, Log: func(int, int64) {}, Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
		_ = s.UserID()
		_, err := w.Write(hello)
		return err
	}}
	with, guarded := app, app
	with.Manager, guarded.Manager, guarded.Guard = s.m, s.m, RequireUser
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = app.Page(w, r, session.FromContext(r.Context()))
	})
	bareEngine, engine, guardedEngine := build(app), build(with), build(guarded)
	for name, cookie := range map[string]string{"nobody": "", "signed in": s.signedIn("alice")} {
		core := allocations(s.m.Handler(page), cookie) - allocations(page, cookie)
		all := allocations(engine, cookie) - allocations(bareEngine, cookie)
		t.Logf("%s: %g allocations, of which %g are the session package's", name, all, core)
		if all-core > limit {
			t.Errorf("%s: the adapter adds %g allocations, want at most %g", name, all-core, limit)
		}
		if name == "signed in" {
			guard := allocations(guardedEngine, cookie) - allocations(engine, cookie)
			t.Logf("the guard: %g allocations", guard)
			if guard > limit {
				t.Errorf("the guard adds %g allocations, want at most %g", guard, limit)
			}
		}
	}
}

var hello = []byte("hello")

// allocations returns those of one request for the page.
func allocations(h http.Handler, cookie string) float64 {
	r := httptest.NewRequest(http.MethodGet, "/page", nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := &sink{header: make(http.Header)}
	return testing.AllocsPerRun(1000, func() {
		clear(w.header)
		h.ServeHTTP(w, r)
	})
}

// sink is a ResponseWriter that keeps nothing.
type sink struct{ header http.Header }

func (w *sink) Header() http.Header         { return w.header }
func (w *sink) Write(b []byte) (int, error) { return len(b), nil }
func (w *sink) WriteHeader(int)             {}
