package conformance

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
)

// state is what useSession shows: the value of a nanostore.
type state struct {
	Data         json.RawMessage
	Error        *struct{ Status int }
	IsPending    bool
	IsRefetching bool
}

// String says what a page would.
func (s state) String() string {
	who := "nobody"
	if strings.Contains(string(s.Data), `"Ada Lovelace"`) {
		who = "ada"
	}
	if s.Error != nil {
		who += ", " + http.StatusText(s.Error.Status)
	}
	if s.IsPending {
		who += ", pending"
	}
	return who
}

// watched is a tab with a page that shows useSession. Each has a process of its
// own, because tabs share nothing but cookies and localStorage.
type watched struct {
	*client
	s *site
}

// watch opens a tab in a browser in which Ada is signed in.
func watch(t *testing.T, s *site, more object) *watched {
	t.Helper()
	w := &watched{startNode(t, s).open(s, more), s}
	w.signIn("ada")
	w.must("watch", object{"tab": w.tab})
	w.wait("ada")
	return w
}

func (w *watched) states() (states []state) {
	w.t.Helper()
	if err := json.Unmarshal(w.must("states", object{"tab": w.tab}), &states); err != nil {
		w.t.Fatal(err)
	}
	return states
}

// wait waits until the page says so and nothing is under way.
func (w *watched) wait(want string) {
	w.t.Helper()
	var last state
	if !eventually(func() bool {
		states := w.states()
		last = states[len(states)-1]
		return last.String() == want && !last.IsRefetching
	}) {
		w.t.Fatalf("the page says: %v, want %s", last, want)
	}
}

// asked returns how often the session was asked for.
func (w *watched) asked() int { return w.s.audit.count("/api/auth/get-session") }

func TestUseSession(t *testing.T) {
	t.Run("shows who signs in and out", func(t *testing.T) {
		s := newSite(t, session.Config{})
		w := &watched{startNode(t, s).open(s, nil), s}
		w.must("watch", object{"tab": w.tab})
		if first := w.states()[0]; first.String() != "nobody, pending" {
			t.Errorf("the first state is %v, want nobody, pending", first)
		}
		w.wait("nobody")
		w.signIn("ada")
		w.wait("ada")
		w.call("signOut")
		w.wait("nobody")
	})

	t.Run("shows the end of an expired session", func(t *testing.T) {
		s := newSite(t, session.Config{})
		w := watch(t, s, nil)
		s.store.change(t, w.id(), func(r *session.Record) { r.ExpiresAt = time.Now().Add(-time.Second) })
		w.must("refetch", object{"tab": w.tab})
		w.wait("nobody")
	})

	t.Run("keeps its state while the store is down", func(t *testing.T) {
		s := newSite(t, session.Config{})
		w := watch(t, s, nil)
		s.store.down.Store(true)
		w.must("refetch", object{"tab": w.tab})
		w.wait("ada, Service Unavailable")
		w.call("signOut") // fails, and asks for no session
		s.store.down.Store(false)
		w.must("refetch", object{"tab": w.tab})
		w.wait("ada")
		for _, state := range w.states() {
			if shown := state.String(); strings.HasPrefix(shown, "nobody") && !state.IsPending {
				t.Errorf("at some time it said: %v", state)
			}
		}
	})

	t.Run("opened while the store is down says so", func(t *testing.T) {
		s := newSite(t, session.Config{})
		n := startNode(t, s)
		before := n.open(s, nil)
		before.signIn("ada")
		s.store.down.Store(true)
		w := &watched{n.open(s, object{"jar": before.must("jar", object{"tab": before.tab})}), s}
		w.must("watch", object{"tab": w.tab})
		w.wait("nobody, Service Unavailable")
		s.store.down.Store(false)
		w.must("refetch", object{"tab": w.tab})
		w.wait("ada")
	})

	t.Run("asks again when its tab is shown", func(t *testing.T) {
		s := newSite(t, session.Config{})
		w := watch(t, s, nil)
		if _, err := s.m.RevokeAll(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		before := w.asked()
		w.must("show", object{})
		w.wait("nobody")
		if n := w.asked() - before; n != 1 {
			t.Errorf("one event, and it asked %d times", n)
		}
		for range 20 { // no flood: the client asks at most every 5 seconds
			w.must("show", object{})
		}
		w.must("refetch", object{"tab": w.tab})
		w.wait("nobody")
		if n := w.asked() - before; n != 2 {
			t.Errorf("after 20 further events it asked %d times, want twice: at the first, and by refetch", n)
		}
	})

	t.Run("does not if refetchOnWindowFocus is off", func(t *testing.T) {
		s := newSite(t, session.Config{})
		w := watch(t, s, object{"sessionOptions": object{"refetchOnWindowFocus": false}})
		before := w.asked()
		w.must("show", object{})
		w.must("refetch", object{"tab": w.tab})
		w.wait("ada")
		if n := w.asked() - before; n != 1 {
			t.Errorf("it asked %d times, want once: by refetch", n)
		}
	})

	t.Run("asks every refetchInterval until signed out", func(t *testing.T) {
		s := newSite(t, session.Config{})
		w := watch(t, s, object{"sessionOptions": object{"refetchInterval": 0.05}})
		before := w.asked()
		if !eventually(func() bool { return w.asked() > before+2 }) {
			t.Error("it does not ask by itself")
		}
		if _, err := s.m.RevokeAll(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		w.wait("nobody")
		before = w.asked()
		w.signIn("ada") // it asks once for that, and polls again
		w.wait("ada")
		if !eventually(func() bool { return w.asked() > before+2 }) {
			t.Error("signed in again, it does not ask by itself")
		}
	})

	t.Run("learns from another tab that it has signed out", func(t *testing.T) {
		s := newSite(t, session.Config{})
		near := watch(t, s, nil)
		far := &watched{startNode(t, s).open(s, object{"jar": near.must("jar", object{"tab": near.tab})}), s}
		far.must("watch", object{"tab": far.tab})
		far.wait("ada")
		far.call("signOut")
		far.wait("nobody")
		if last := near.states(); last[len(last)-1].String() != "ada" {
			t.Errorf("without being told, the other tab says: %v", last[len(last)-1])
		}
		var posted []object
		if err := json.Unmarshal(far.must("posted", object{}), &posted); err != nil {
			t.Fatal(err)
		}
		if len(posted) != 1 || posted[0]["key"] != "better-auth.message" {
			t.Fatalf("the tab has told the others %v, want one message", posted)
		}
		near.must("storage", posted[0]) // as a browser does
		near.wait("nobody")
	})
}
