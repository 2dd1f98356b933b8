package adaptertest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/updateage/session"
)

// Several middlewares in one request, several requests at once.

var sharing = []row{
	{"the same manager nested passes the session on", func(t *testing.T, build Build) {
		s := newSite(t)
		var outer *session.Session
		s.serve(build, App{Manager: s.m, Nested: s.m, Before: func(s *session.Session) { outer = s },
			Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
				if s != outer {
					t.Error("the inner middleware has a session of its own")
				}
				check(t, "Set", name.Set(s, "x"), nil)
				return write(w, "page")
			}})
		cookie := s.signedIn("alice")
		s.store.loads.Store(0)
		s.store.writes.Store(0)
		s.get(cookie).wants(t, http.StatusOK, "page")
		if s.store.loads.Load() != 1 || s.store.writes.Load() != 1 || s.read(cookie, name) != "x" {
			t.Errorf("got %d loads and %d writes, want one each", s.store.loads.Load(), s.store.writes.Load())
		}
	}},
	{"a nested manager is a guard for an outage that Optional let through", func(t *testing.T, build Build) {
		s := newSite(t)
		s.serve(build, App{Manager: s.m, Optional: true, Nested: s.m, Page: func(http.ResponseWriter, *http.Request, *session.Session) error {
			t.Error("the page ran")
			return nil
		}})
		cookie := s.signedIn("alice")
		s.store.noLoad.Store(true)
		s.get(cookie).wants(t, http.StatusServiceUnavailable, "Service Unavailable\n")
	}},
	{"two managers keep their sessions apart", func(t *testing.T, build Build) {
		s := newSite(t)
		admin := manager(t, newStore(), "__Host-admin-session")
		s.serve(build, App{Manager: s.m, Nested: admin,
			Before: func(s *session.Session) { check(t, "Set", name.Set(s, "outer"), nil) },
			Page: func(w http.ResponseWriter, r *http.Request, s *session.Session) error {
				if s.UserID() != "" {
					return write(w, s.UserID())
				}
				return s.SignIn(r.Context(), "root", session.SignInOptions{})
			}})
		res := s.do(http.MethodPost, "/page", "")
		var cookies []string
		for _, c := range res.Cookies() {
			cookies = append(cookies, c.Name+"="+c.Value)
		}
		all := strings.Join(cookies, "; ")
		s.get(all).wants(t, http.StatusOK, "root")
		if len(cookies) != 2 || s.read(all, name) != "outer" || s.user(all) != "" {
			t.Errorf("got %d cookies; the site's user is %q", len(cookies), s.user(all))
		}
	}},
	{"neither of two nested managers lets a page out that the other could not store", func(t *testing.T, build Build) {
		for i := range 2 {
			s := newSite(t)
			inner := newStore()
			s.serve(build, App{Manager: s.m, Nested: manager(t, inner, "__Host-admin-session"),
				Before: func(s *session.Session) { check(t, "Set", name.Set(s, "outer"), nil) },
				Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
					check(t, "Set", name.Set(s, "inner"), nil)
					w.WriteHeader(http.StatusCreated)
					return write(w, "SECRET PAGE")
				}})
			[]*store{s.store, inner}[i].noSave.Store(true)
			s.get("").wants(t, http.StatusServiceUnavailable, "Service Unavailable\n")
			s.wantsLog(http.StatusServiceUnavailable)
		}
	}},
	{"parallel requests see their own users and lose no value", func(t *testing.T, build Build) {
		// Of two keys, gin-contrib and gorilla lose one.
		s := open(t, build, App{Page: func(w http.ResponseWriter, r *http.Request, s *session.Session) error {
			key := session.Key[string](r.URL.Query().Get("key"))
			check(t, "Set", key.Set(s, "x"), nil)
			return write(w, s.UserID())
		}})
		var requests sync.WaitGroup
		cookies := map[string]string{"alice": s.signedIn("alice"), "bob": s.signedIn("bob")}
		for user, cookie := range cookies {
			for i := range 10 {
				requests.Go(func() {
					if res := s.do(http.MethodGet, fmt.Sprint("/page?key=", i), cookie); res.body != user {
						t.Errorf("%s sees the page of %q", user, res.body)
					}
				})
			}
		}
		requests.Wait()
		for user, cookie := range cookies {
			for i := range 10 {
				if s.read(cookie, session.Key[string](fmt.Sprint(i))) != "x" {
					t.Errorf("%s has lost value %d", user, i)
				}
			}
		}
	}},
}
