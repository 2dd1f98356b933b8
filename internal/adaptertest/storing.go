package adaptertest

import (
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
)

// What pages set is stored, and the cookie is sent, in whatever way the page
// answers.

var storing = []row{
	{"what a page sets is stored without a call to save", func(t *testing.T, build Build) {
		// gin-contrib/sessions and echo-contrib/session lose it.
		s := open(t, build, App{Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			check(t, "Set", name.Set(s, "x"), nil)
			return write(w, "page")
		}})
		res := s.get("")
		res.wants(t, http.StatusOK, "page")
		if s.read(res.sent(), name) != "x" {
			t.Error("the value is lost")
		}
	}},
	{"a value set after the first byte is an error and not silence", func(t *testing.T, build Build) {
		// gin-contrib's and gorilla's Save return nil.
		s := open(t, build, App{Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			check(t, "write", write(w, "page"), nil)
			check(t, "Set", name.Set(s, "x"), session.ErrCommitted)
			return nil
		}})
		s.get("").wants(t, http.StatusOK, "page")
	}},
	{"the cookie leaves with every kind of answer", everyAnswer},
	{"a page that changes nothing writes nothing and sets no cookie", func(t *testing.T, build Build) {
		s := open(t, build, App{Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			return write(w, s.UserID())
		}})
		cookie := s.signedIn("alice")
		s.store.writes.Store(0)
		for user, cookie := range map[string]string{"": "", "alice": cookie} {
			res := s.get(cookie)
			if res.body != user || res.sent() != "" || s.store.writes.Load() != 0 {
				t.Errorf("got page of %q, cookie %q and %d writes", res.body, res.sent(), s.store.writes.Load())
			}
		}
	}},
	{"caches are told what depends on the session", func(t *testing.T, build Build) {
		// CVE-2023-30861; neither gin-contrib nor echo-contrib says it.
		s := open(t, build, App{Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			return write(w, s.UserID())
		}})
		res := s.get(s.signedIn("alice"))
		if res.Header.Get("Vary") != "Cookie" || res.Header.Get("Cache-Control") != "private" {
			t.Errorf("got Vary %q and Cache-Control %q", res.Header.Values("Vary"), res.Header.Values("Cache-Control"))
		}
	}},
	{"a sign-in and a sign-out reach the browser", signInAndOut},
	{"access logs see status and size", func(t *testing.T, build Build) {
		s := open(t, build, App{Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			check(t, "Set", name.Set(s, "x"), nil)
			w.WriteHeader(http.StatusCreated)
			return write(w, "five!")
		}})
		s.get("").wants(t, http.StatusCreated, "five!")
		if got := s.wantsLog(http.StatusCreated); got.size != 5 {
			t.Errorf("the access log has size %d, want 5", got.size)
		}
	}},
	{"404 and 405 are the framework's own", func(t *testing.T, build Build) {
		page := func(w http.ResponseWriter, _ *http.Request, _ *session.Session) error { return write(w, "page") }
		with, without := open(t, build, App{Page: page}), newSite(t)
		without.serve(build, App{Page: page})
		cookie := with.signedIn("alice")
		for _, ask := range [][2]string{{http.MethodGet, "/nowhere"}, {http.MethodPut, "/page"}} {
			got, want := with.do(ask[0], ask[1], cookie), without.do(ask[0], ask[1], "")
			got.wants(t, want.StatusCode, want.body)
			for _, header := range []string{"Allow", "Content-Type"} {
				got, want := got.Header.Values(header), want.Header.Values(header)
				slices.Sort(got) // chi's order is that of a map
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("%s %s: %s is %q, want %q", ask[0], ask[1], header, got, want)
				}
			}
		}
	}},
}

func everyAnswer(t *testing.T, build Build) {
	for _, answer := range []struct {
		name, method string
		status       int
		body         string
		page         func(w http.ResponseWriter, r *http.Request) error
	}{
		{"nothing", "GET", 200, "", func(http.ResponseWriter, *http.Request) error { return nil }},
		{"bytes", "GET", 200, "page", func(w http.ResponseWriter, _ *http.Request) error {
			_, err := w.Write([]byte("page"))
			return err
		}},
		{"a status and no body", "POST", 204, "", func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}},
		{"a redirect with no body", "POST", 303, "", func(w http.ResponseWriter, r *http.Request) error {
			http.Redirect(w, r, "/page", http.StatusSeeOther)
			return nil
		}},
		{"a HEAD request", "HEAD", 200, "", func(w http.ResponseWriter, _ *http.Request) error { return write(w, "page") }},
		{"a file", "GET", 200, "file", func(w http.ResponseWriter, r *http.Request) error {
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader("file"))
			return nil
		}},
		{"a copy", "GET", 200, "copy", func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.Copy(w, io.LimitReader(strings.NewReader("copy"), 4))
			return err
		}},
		{"an early hint first", "GET", 200, "page", func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusOK)
			return write(w, "page")
		}},
		{"an error", "GET", 418, "", func(http.ResponseWriter, *http.Request) error { return ErrPage }},
	} {
		s := open(t, build, App{Page: func(w http.ResponseWriter, r *http.Request, s *session.Session) error {
			check(t, "Set", name.Set(s, answer.name), nil)
			return answer.page(w, r)
		}})
		res := s.do(answer.method, "/page", "")
		if res.StatusCode != answer.status || answer.body != "" && res.body != answer.body {
			t.Errorf("%s: got %d %q", answer.name, res.StatusCode, res.body)
		}
		if s.read(res.sent(), name) != answer.name {
			t.Errorf("%s: cookie %q, and the value is lost", answer.name, res.sent())
		}
		s.wantsLog(answer.status)
	}
	compressed(t, build)
}

// compressed has a writer of the application's own around the session's.
func compressed(t *testing.T, build Build) {
	s := open(t, build, App{Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		check(t, "Set", name.Set(s, "zip"), nil)
		check(t, "write", write(zip, "page"), nil)
		return zip.Close()
	}})
	res := s.get("")
	if res.body != "page" || s.read(res.sent(), name) != "zip" { // the client unpacks it
		t.Errorf("compressed: got %q, cookie %q", res.body, res.sent())
	}
}

func signInAndOut(t *testing.T, build Build) {
	s := open(t, build, App{Page: func(w http.ResponseWriter, r *http.Request, s *session.Session) error {
		if s.UserID() == "" {
			check(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}), nil)
		} else {
			check(t, "SignOut", s.SignOut(r.Context()), nil)
		}
		return write(w, "done")
	}})
	res := s.do(http.MethodPost, "/page", "")
	cookie := res.sent()
	if c := res.Cookies(); len(c) != 1 || !c[0].HttpOnly || !c[0].Secure || c[0].SameSite != http.SameSiteLaxMode {
		t.Fatalf("signing in: got cookies without attributes, or not one: %d", len(c))
	}
	if s.user(cookie) != "alice" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the cookie signs in %q, Cache-Control is %q", s.user(cookie), res.Header.Get("Cache-Control"))
	}
	res = s.do(http.MethodPost, "/page", cookie)
	if c := res.Cookies(); len(c) != 1 || c[0].MaxAge >= 0 {
		t.Errorf("signing out: the cookie is not deleted")
	}
	if s.user(cookie) != "" {
		t.Error("the cookie is still good after signing out")
	}
}
