package adaptertest

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/updateage/session"
)

var guarding = []row{
	{"RequireUser lets only signed-in users pass", func(t *testing.T, build Build) {
		ran := 0
		s := open(t, build, App{Guard: RequireUser, Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			ran++
			return write(w, s.UserID())
		}})
		visitor := s.visit("", func(se *session.Session) { check(t, "Set", name.Set(se, "x"), nil) }).sent()
		for _, cookie := range []string{"", visitor} {
			s.get(cookie).wants(t, http.StatusUnauthorized, "Unauthorized\n")
			s.wantsLog(http.StatusUnauthorized)
		}
		s.get(s.signedIn("alice")).wants(t, http.StatusOK, "alice")
		if ran != 1 {
			t.Errorf("the page ran %d times, want 1", ran)
		}
	}},
	{"RequireFresh asks for a recent authentication", func(t *testing.T, build Build) {
		s := open(t, build, App{Guard: RequireFresh, Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			return write(w, s.UserID())
		}})
		cookie := s.signedIn("alice")
		s.get("").wants(t, http.StatusUnauthorized, "")
		s.get(cookie).wants(t, http.StatusOK, "alice")
		s.age(cookie, 25*time.Hour)
		s.get(cookie).wants(t, http.StatusForbidden, "Forbidden\n")
		s.wantsLog(http.StatusUnauthorized)
	}},
	{"a guard without sessions refuses everybody", func(t *testing.T, build Build) {
		s := newSite(t)
		s.serve(build, App{Guard: RequireUser, Page: func(w http.ResponseWriter, _ *http.Request, _ *session.Session) error {
			t.Error("the page ran")
			return nil
		}})
		s.get(s.signedIn("alice")).wants(t, http.StatusInternalServerError, "")
	}},
	{"without the middleware there is no session, and changing it says so", func(t *testing.T, build Build) {
		s := newSite(t)
		s.serve(build, App{Page: func(_ http.ResponseWriter, _ *http.Request, s *session.Session) error {
			if s != nil || s.UserID() != "" {
				t.Error("there is a session")
			}
			check(t, "Set", name.Set(s, "x"), session.ErrNoSession)
			return nil
		}})
		s.get("").wants(t, http.StatusOK, "")
	}},
}

// age makes a session's authentication older.
func (s *site) age(cookie string, by time.Duration) {
	s.t.Helper()
	var id string
	s.visit(cookie, func(se *session.Session) { id = se.ID() })
	rec, err := s.store.Load(context.Background(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	older := *rec
	older.AuthenticatedAt, older.Version = rec.AuthenticatedAt.Add(-by), rec.Version+1
	check(s.t, "Update", s.store.Update(context.Background(), &older, rec.Version), nil)
}
