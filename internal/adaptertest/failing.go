package adaptertest

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
)

// While the store is away nobody is treated as somebody else or as nobody, and
// nothing of a page leaves whose session could not be stored.

var failing = []row{
	{"a request with a token gets 503 while the store is down", func(t *testing.T, build Build) {
		// gin-contrib/sessions answers 200, and the user is silently nobody.
		ran := false
		s := open(t, build, App{Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			ran = true
			return write(w, "page of "+s.UserID())
		}})
		cookie := s.signedIn("alice")
		s.store.noLoad.Store(true)
		res := s.get(cookie)
		res.wants(t, http.StatusServiceUnavailable, "Service Unavailable\n")
		if ran || len(res.Cookies()) != 0 || res.Header.Get("Retry-After") == "" {
			t.Errorf("page ran %t, %d cookies, Retry-After %q", ran, len(res.Cookies()), res.Header.Get("Retry-After"))
		}
		s.wantsLog(http.StatusServiceUnavailable)
		s.get("").wants(t, http.StatusOK, "page of ")
		s.store.noLoad.Store(false)
		s.get(cookie).wants(t, http.StatusOK, "page of alice")
	}},
	{"Optional goes on without a session while the store is down", func(t *testing.T, build Build) {
		s := newSite(t)
		s.serve(build, App{Manager: s.m, Optional: true, Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			check(t, "Set", name.Set(s, "x"), session.ErrUnavailable)
			return write(w, "page of "+s.UserID())
		}})
		cookie := s.signedIn("alice")
		s.store.noLoad.Store(true)
		res := s.get(cookie)
		res.wants(t, http.StatusOK, "page of ")
		if len(res.Cookies()) != 0 {
			t.Error("the cookie was touched")
		}
	}},
	{"a guard inside Optional tells an outage from nobody", func(t *testing.T, build Build) {
		s := newSite(t)
		s.serve(build, App{Manager: s.m, Optional: true, Guard: RequireUser, Page: func(w http.ResponseWriter, _ *http.Request, _ *session.Session) error {
			return write(w, "page")
		}})
		cookie := s.signedIn("alice")
		s.get("").wants(t, http.StatusUnauthorized, "")
		s.store.noLoad.Store(true)
		s.get(cookie).wants(t, http.StatusServiceUnavailable, "")
	}},
	{"nothing of the page leaves if the session cannot be stored", func(t *testing.T, build Build) {
		for _, way := range ways {
			s := open(t, build, App{Page: func(w http.ResponseWriter, r *http.Request, s *session.Session) error {
				check(t, way.name+": Set", name.Set(s, "x"), nil)
				return way.page(t, w, r)
			}})
			s.store.noSave.Store(true)
			res := s.do(http.MethodPost, "/page", "")
			res.wants(t, http.StatusServiceUnavailable, "Service Unavailable\n")
			for _, header := range []string{"Location", "Etag", "Set-Cookie"} {
				if res.Header.Get(header) != "" {
					t.Errorf("%s: the answer has %s", way.name, header)
				}
			}
			s.wantsLog(http.StatusServiceUnavailable)
		}
	}},
	{"an ErrorHandler of the application's own answers in every framework", func(t *testing.T, build Build) {
		for _, broken := range []func(*store){
			func(s *store) { s.noLoad.Store(true) },
			func(s *store) { s.noSave.Store(true) },
		} {
			s := newSite(t)
			cookie := s.signedIn("alice")
			cfg := s.m.Config()
			cfg.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
				w.Header().Set("Content-Type", "application/json")
				check(t, "SetWriteDeadline", http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour)), nil)
				w.WriteHeader(session.Status(err))
				check(t, "write", write(w, `{"message":"later"}`), nil)
			}
			m, err := session.New(s.store, cfg)
			check(t, "New", err, nil)
			s.serve(build, App{Manager: m, Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
				check(t, "Set", name.Set(s, "x"), nil)
				w.Header().Set("Content-Type", "text/html")
				return write(w, "SECRET PAGE")
			}})
			broken(s.store)
			res := s.get(cookie)
			res.wants(t, http.StatusServiceUnavailable, `{"message":"later"}`)
			if res.Header.Get("Content-Type") != "application/json" {
				t.Errorf("Content-Type is %q", res.Header.Get("Content-Type"))
			}
		}
	}},
	{"an ErrorHandler that only gives a status is heard", func(t *testing.T, build Build) {
		s := newSite(t)
		cfg := s.m.Config()
		cfg.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {}
		m, err := session.New(s.store, cfg)
		check(t, "New", err, nil)
		s.serve(build, App{Manager: m, Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			check(t, "Set", name.Set(s, "x"), nil)
			check(t, "write", write(w, "SECRET PAGE"), session.ErrUnavailable)
			w.WriteHeader(http.StatusOK)
			return ErrPage
		}})
		s.store.noSave.Store(true)
		if res := s.get(""); res.StatusCode != http.StatusServiceUnavailable || res.body != "" {
			t.Errorf("got %d %q", res.StatusCode, res.body)
		}
	}},
	{"an ErrorHandler that writes no status has answered all the same", func(t *testing.T, build Build) {
		s := newSite(t)
		cfg := s.m.Config()
		cfg.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) {
			check(t, "write", write(w, "sorry"), nil)
		}
		m, err := session.New(s.store, cfg)
		check(t, "New", err, nil)
		s.serve(build, App{Manager: m, Page: func(_ http.ResponseWriter, _ *http.Request, s *session.Session) error {
			check(t, "Set", name.Set(s, "x"), nil)
			return ErrPage
		}})
		s.store.noSave.Store(true)
		s.get("").wants(t, http.StatusOK, "sorry")
		s.wantsLog(http.StatusOK)
	}},
	{"what a page set is stored although the client hung up", func(t *testing.T, build Build) {
		// scs with goredisstore and gin-contrib with Redis lose it.
		done := make(chan struct{})
		s := open(t, build, App{Page: func(w http.ResponseWriter, r *http.Request, s *session.Session) error {
			defer close(done)
			w.WriteHeader(http.StatusOK) // in most frameworks the response has begun: SignOut works all the same
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			check(t, "SignOut", s.SignOut(r.Context()), nil)
			return nil
		}})
		cookie := s.signedIn("alice")
		s.begin(http.MethodGet, "/page", cookie).Body.Close()
		<-done
		if s.user(cookie) != "" {
			t.Error("the sign-out is lost")
		}
	}},
}

// ways are how a page may answer whose session cannot be stored.
var ways = []struct {
	name string
	page func(t *testing.T, w http.ResponseWriter, r *http.Request) error
}{
	{"a body", func(t *testing.T, w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Etag", `"1"`)
		err := write(w, "SECRET PAGE")
		check(t, "write", err, session.ErrUnavailable)
		return err
	}},
	{"a body that goes on", func(t *testing.T, w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusCreated)
		for range 3 {
			check(t, "write", write(w, "SECRET PAGE"), session.ErrUnavailable)
			w.WriteHeader(http.StatusOK)
			w.Header().Set("Location", "/secret")
		}
		return nil
	}},
	{"nothing", func(*testing.T, http.ResponseWriter, *http.Request) error { return nil }},
	{"an error", func(*testing.T, http.ResponseWriter, *http.Request) error { return ErrPage }},
	{"a redirect", func(_ *testing.T, w http.ResponseWriter, r *http.Request) error {
		http.Redirect(w, r, "/secret", http.StatusSeeOther)
		return nil
	}},
	{"an early hint and a body", func(t *testing.T, w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusEarlyHints)
		check(t, "write", write(w, "SECRET PAGE"), session.ErrUnavailable)
		return nil
	}},
	{"a flush", func(t *testing.T, w http.ResponseWriter, _ *http.Request) error {
		_ = http.NewResponseController(w).Flush() // Echo v4's returns no error
		check(t, "write", write(w, "SECRET PAGE"), session.ErrUnavailable)
		return nil
	}},
	{"an upgrade", func(t *testing.T, w http.ResponseWriter, _ *http.Request) error {
		_, _, err := w.(http.Hijacker).Hijack()
		check(t, "Hijack", err, session.ErrUnavailable)
		return nil
	}},
	{"a large body", func(t *testing.T, w http.ResponseWriter, _ *http.Request) error {
		check(t, "write", write(w, strings.Repeat("SECRET", 10_000)), session.ErrUnavailable)
		return nil
	}},
}
