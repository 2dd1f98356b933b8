package adaptertest

import (
	"context"
	"net/http"
	"testing"

	"github.com/updateage/session"
)

// A panic is the framework's to recover from. What no response will tell the
// client is undone, and what was answered already stands.

var recovering = []row{
	{"a panic drops what was set and undoes the sign-in", func(t *testing.T, build Build) {
		s := open(t, build, App{Page: func(_ http.ResponseWriter, r *http.Request, s *session.Session) error {
			check(t, "Set", name.Set(s, "x"), nil)
			check(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}), nil)
			check(t, "Set", color.Set(s, "red"), nil)
			panic("boom")
		}})
		res := s.do(http.MethodPost, "/page", "")
		res.wants(t, http.StatusInternalServerError, "")
		if len(res.Cookies()) != 0 || s.store.records.Len() != 0 {
			t.Errorf("%d cookies and %d sessions are left", len(res.Cookies()), s.store.records.Len())
		}
		s.wantsLog(http.StatusInternalServerError)
	}},
	{"a panic leaves an existing session as it was", func(t *testing.T, build Build) {
		s := open(t, build, App{Page: func(_ http.ResponseWriter, _ *http.Request, s *session.Session) error {
			check(t, "Set", name.Set(s, "x"), nil)
			panic("boom")
		}})
		cookie := s.signedIn("alice")
		res := s.get(cookie)
		res.wants(t, http.StatusInternalServerError, "")
		if len(res.Cookies()) != 0 || s.user(cookie) != "alice" || s.read(cookie, name) != "" {
			t.Errorf("%d cookies, user %q, value %q", len(res.Cookies()), s.user(cookie), s.read(cookie, name))
		}
	}},
	{"a sign-out stands although the page panics", func(t *testing.T, build Build) {
		s := open(t, build, App{Page: func(_ http.ResponseWriter, r *http.Request, s *session.Session) error {
			check(t, "SignOut", s.SignOut(r.Context()), nil)
			panic("boom")
		}})
		cookie := s.signedIn("alice")
		s.get(cookie).wants(t, http.StatusInternalServerError, "")
		if s.user(cookie) != "" {
			t.Error("the session lives")
		}
	}},
	{"a panic after the first byte takes nothing back", func(t *testing.T, build Build) {
		s := open(t, build, App{Page: func(w http.ResponseWriter, r *http.Request, s *session.Session) error {
			check(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}), nil)
			check(t, "write", write(w, "page"), nil)
			check(t, "Flush", http.NewResponseController(w).Flush(), nil)
			panic("boom")
		}})
		res := s.begin(http.MethodPost, "/page", "")
		defer res.Body.Close()
		if cookie := (response{Response: res}).sent(); s.user(cookie) != "alice" {
			t.Errorf("the cookie signs in %q", s.user(cookie))
		}
	}},
	{"the session of an earlier request may be read", func(t *testing.T, build Build) {
		// fiber's session is pooled: there, alice's stream saw bob.
		kept := make(chan *session.Session, 2)
		s := open(t, build, App{Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			kept <- s
			return write(w, s.UserID())
		}})
		alice, bob := s.signedIn("alice"), s.signedIn("bob")
		s.get(alice).wants(t, http.StatusOK, "alice")
		s.get(bob).wants(t, http.StatusOK, "bob")
		first := <-kept
		if first.UserID() != "alice" {
			t.Errorf("alice's session is %q's", first.UserID())
		}
		check(t, "Set", name.Set(first, "x"), session.ErrCommitted)
		check(t, "SignIn", first.SignIn(context.Background(), "alice", session.SignInOptions{}), session.ErrCommitted)
	}},
}
