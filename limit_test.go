package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
)

// Config.MaxSessions on stores with and without help.

// A store without LimitedCreator: there may be more sessions for a moment, but
// not afterwards, and nobody who was let in is without a session because of it.
func TestSessionLimitWithoutHelpOfTheStore(t *testing.T) {
	const limit = 2
	for _, refuse := range []bool{false, true} {
		t.Run(fmt.Sprintf("one after the other, refuse %t", refuse), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := pxManager(t, pxFaulty(), session.Config{MaxSessions: limit, RefuseOverLimit: refuse})
				testLimitOneByOne(t, m, refuse)
			})
		})
		t.Run(fmt.Sprintf("at once, refuse %t", refuse), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testLimitAtOnce(t, limit, refuse) })
		})
	}
}

// No sign-in sees another one before it creates its session, and all have
// created theirs before the first one looks at the limit again.
func testLimitAtOnce(t *testing.T, limit int, refuse bool) {
	const n = 8
	store := pxFaulty()
	m := pxManager(t, store, session.Config{MaxSessions: limit, RefuseOverLimit: refuse})
	var ready, created sync.WaitGroup
	ready.Add(n)
	created.Add(n)
	meet := func(at *sync.WaitGroup) func(context.Context, pxOp) error {
		return func(_ context.Context, op pxOp) error {
			if op.name == "Create" {
				at.Done()
				at.Wait()
			}
			return nil
		}
	}
	store.before, store.after = meet(&ready), meet(&created)
	_, errs := pxSignInsAtOnce(m, n)
	store.before, store.after = nil, nil
	for _, err := range errs {
		if err != nil && !(refuse && errors.Is(err, session.ErrLimit)) {
			t.Errorf("SignIn: %v", err)
		}
	}
	// Where they refuse, all may be refused; where they evict, just enough are left.
	least := map[bool]int{false: limit, true: 0}[refuse]
	if list, err := m.Sessions(t.Context(), "alice"); len(list) < least || len(list) > limit || err != nil {
		t.Errorf("got %d sessions (%v), want %d to %d", len(list), err, least, limit)
	}
}

func testLimitOneByOne(t *testing.T, m *session.Manager, refuse bool) {
	t.Helper()
	var cookies []string
	for range 2 {
		cookies = append(cookies, pxSignIn(t, m, "alice"))
		time.Sleep(time.Minute)
	}
	pxSignIn(t, m, "bob")
	res := pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		want := map[bool]error{false: nil, true: session.ErrLimit}[refuse]
		pxIs(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}), want)
	})
	if sent := pxSet(res) != nil; sent == refuse {
		t.Errorf("cookie sent %t, refused %t", sent, refuse)
	}
	if first, second := pxUser(m, cookies[0]), pxUser(m, cookies[1]); (first == "alice") != refuse || second != "alice" {
		t.Errorf("the sessions before are of %q and %q, refused %t", first, second, refuse)
	}
}

// The session that expires soonest is on the shared computer, where nobody
// asked to be remembered; creation has nothing to do with it.
func TestLimitEvictsWhatExpiresSoonest(t *testing.T) {
	for _, stores := range pxStores {
		synctest.Test(t, func(t *testing.T) {
			events := &pxEvents{}
			store, _ := stores.make()
			m := pxManager(t, store, session.Config{MaxSessions: 2, OnEvent: events.hook})
			remembered := pxSignIn(t, m, "alice")
			time.Sleep(time.Second)
			forgotten := pxSignInWith(t, m, "", "alice", session.SignInOptions{Forget: true})
			time.Sleep(time.Second)
			events.take()
			cookie := pxSignIn(t, m, "alice")
			if pxUser(m, remembered) != "alice" || pxUser(m, forgotten) != "" {
				t.Errorf("%s: evicted the session that expires last", stores.name)
			}
			testEvents(t, stores.name, events.take()[:3], []session.Event{
				{Kind: session.EventRevoked, SessionID: pxID(forgotten), UserID: "alice", Err: session.ErrLimit},
				{Kind: session.EventCreated, SessionID: pxID(cookie), UserID: "alice"},
				{Kind: session.EventSignedIn, SessionID: pxID(cookie), UserID: "alice"},
			})
		})
	}
}

// testEvents compares kind, session, user, count and, where one is wanted, the reason.
func testEvents(t *testing.T, what string, got, want []session.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %d events, want %d: %v", what, len(got), len(want), got)
		return
	}
	for i := range want {
		g, w := got[i], want[i]
		if g.Kind != w.Kind || g.SessionID != w.SessionID || g.UserID != w.UserID || g.Count != w.Count || w.Err != nil && !errors.Is(g.Err, w.Err) {
			t.Errorf("%s: event %d: got %s of %q, user %q, count %d, reason %v, want %s of %q, user %q, count %d, reason %v", what, i,
				g.Kind, g.SessionID, g.UserID, g.Count, g.Err, w.Kind, w.SessionID, w.UserID, w.Count, w.Err)
		}
		if g.Time.IsZero() {
			t.Errorf("%s: event %s has no time", what, g.Kind)
		}
	}
}

// A sign-in over the limit that fails half-way leaves nothing that counts
// against the limit and that nobody has the token of.
func TestFailedEvictionLeavesNoSessionBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{MaxSessions: 1})
		first := pxSignIn(t, m, "alice")
		time.Sleep(time.Second)
		store.before = func(_ context.Context, op pxOp) error {
			if op.name == "Delete" && op.id == pxID(first) {
				return errStoreDown
			}
			return nil
		}
		res := pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxIs(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}), session.ErrUnavailable)
		})
		pxNoCookie(t, res)
		if list, err := m.Sessions(t.Context(), "alice"); len(list) != 1 || list[0].ID != pxID(first) || err != nil {
			t.Errorf("got sessions %v, %v, want the first alone", list, err)
		}
	})
}

// The clock of the node that the user signs in at is behind that of another one
// where he just signed in. Whoever is told that he is signed in is.
func TestLimitNeverEvictsTheSessionItMakesRoomFor(t *testing.T) {
	for _, opts := range []session.SignInOptions{{}, {Forget: true}} {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{MaxSessions: 1})
		other := pxSignIn(t, m, "alice")
		r, err := store.Store.Load(t.Context(), pxID(other))
		pxOK(t, "Load", err)
		ahead := *r
		ahead.CreatedAt = r.CreatedAt.Add(5 * time.Second)
		pxOK(t, "Delete", store.Store.Delete(t.Context(), r.ID))
		pxOK(t, "Create", store.Store.Create(t.Context(), &ahead))
		if user := pxUser(m, pxSignInWith(t, m, "", "alice", opts)); user != "alice" {
			t.Errorf("forget %t: right after a sign-in that succeeded the user is %q", opts.Forget, user)
		}
		if list, err := m.Sessions(t.Context(), "alice"); len(list) != 1 || err != nil {
			t.Errorf("forget %t: got %d sessions (%v), want 1", opts.Forget, len(list), err)
		}
	}
}

// The reply to Create is lost, and the sign-in is repeated: it must not take its
// own session for somebody else's that leaves no room.
func TestRepeatedSignInDoesNotCountItself(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{MaxSessions: 1, RefuseOverLimit: refuse})
		store.after = func(_ context.Context, op pxOp) error {
			if op.name == "Create" && op.n == 1 {
				return errStoreDown
			}
			return nil
		}
		pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			if err := s.SignIn(r.Context(), "alice", session.SignInOptions{}); errors.Is(err, session.ErrLimit) {
				t.Errorf("refuse %t: got %v for the only session", refuse, err)
			}
		})
	}
}
