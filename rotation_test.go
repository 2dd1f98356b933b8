package session_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// New secrets for the same session: Rotate, and the periodic rotation.

// The old secret is dead at once. For half a minute it is late; then it is a
// copy that somebody else has.
func TestRotateKillsTheOldSecret(t *testing.T) {
	for _, tolerate := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			events := &pxEvents{}
			m := pxManager(t, memstore.New(memstore.Options{}), session.Config{TolerateReplay: tolerate, OnEvent: events.hook})
			old := pxSignIn(t, m, "alice")
			login := pxRotate(t, m, old)
			if kinds := events.kinds(); kinds != "created, signed in, rotated" || pxID(old) != pxID(login) {
				t.Errorf("got events %q, same ID %t", kinds, pxID(old) == pxID(login))
			}
			late := func() string {
				pxNoCookie(t, pxDo(m, old, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					if s.UserID() != "" {
						t.Errorf("the old secret signs %q in", s.UserID())
					}
				}))
				return events.kinds()
			}
			if got := late(); got != "rejected token" {
				t.Errorf("at once: got events %q, want one rejected token", got)
			}
			time.Sleep(30*time.Second - time.Millisecond)
			if got := late(); got != "rejected token" || pxUser(m, login) != "alice" {
				t.Errorf("just within the grace: got events %q, user %q", got, pxUser(m, login))
			}
			time.Sleep(time.Millisecond)
			want, user := "replayed, revoked", ""
			if tolerate {
				want, user = "replayed", "alice"
			}
			if got := late(); got != want || pxUser(m, login) != user {
				t.Errorf("after the grace: got events %q, user %q, want %q, %q", got, pxUser(m, login), want, user)
			}
		})
	}
}

// IDs are public: if an unknown secret revoked, anybody could sign anybody out.
func TestUnknownSecretNeverRevokes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &pxEvents{}
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{OnEvent: events.hook})
		cookie := pxRotate(t, m, pxSignIn(t, m, "alice"))
		events.take()
		for range 3 {
			pxNoCookie(t, pxDo(m, "__Host-session="+pxID(cookie)+strings.Repeat("A", 40), pxRead))
			time.Sleep(time.Minute)
		}
		if kinds := events.kinds(); kinds != "rejected token, rejected token, rejected token" || pxUser(m, cookie) != "alice" {
			t.Errorf("got events %q and user %q", kinds, pxUser(m, cookie))
		}
	})
}

func TestPeriodicRotation(t *testing.T) {
	const every, grace = time.Hour, 30 * time.Second
	synctest.Test(t, func(t *testing.T) {
		events := &pxEvents{}
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{RotateEvery: every, OnEvent: events.hook})
		first := pxSignIn(t, m, "alice")
		time.Sleep(every - time.Millisecond)
		pxNoCookie(t, pxDo(m, first, pxRead))
		time.Sleep(time.Millisecond)
		second := pxSent(t, pxDo(m, first, pxRead))

		// The reply may not have arrived yet: the old secret reads, and is not changed again.
		time.Sleep(grace - time.Millisecond)
		pxNoCookie(t, pxDo(m, first, pxRead))
		if user := pxUser(m, first); user != "alice" {
			t.Errorf("the old secret, before the first use of the new one: user %q", user)
		}
		// Overdue: the reply was lost.
		time.Sleep(time.Millisecond)
		third := pxSent(t, pxDo(m, first, pxRead))
		if second == third {
			t.Error("an overdue old secret did not rotate again")
		}
		events.take()
		pxNoCookie(t, pxDo(m, second, pxRead)) // it never arrived, so whoever has it is refused
		if kinds := events.kinds(); kinds != "rejected token" {
			t.Errorf("a secret that was lost: got events %q", kinds)
		}
		// The first use of the new secret starts the grace of the old one.
		pxNoCookie(t, pxDo(m, third, pxRead))
		time.Sleep(grace - time.Millisecond)
		if user := pxUser(m, first); user != "alice" {
			t.Errorf("the old secret, within the grace: user %q", user)
		}
		time.Sleep(time.Millisecond)
		if user := pxUser(m, first); user != "" {
			t.Errorf("the old secret, after the grace: user %q", user)
		}
		if user := pxUser(m, third); user != "" {
			t.Errorf("after a replay the session is still of %q", user)
		}
	})
}

func TestParallelRequestsRotateOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{RotateEvery: time.Hour})
		cookie := pxSignIn(t, m, "alice")
		time.Sleep(2 * time.Hour)
		store.reset()
		const n = 20
		var loaded sync.WaitGroup
		loaded.Add(n)
		store.after = func(_ context.Context, op pxOp) error {
			if op.name == "Load" && op.n <= n {
				loaded.Done()
				loaded.Wait()
			}
			return nil
		}
		var cookies atomic.Int32
		pxParallel(n, func(int) {
			res := pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				if s.UserID() != "alice" {
					t.Errorf("a parallel request has user %q", s.UserID())
				}
			})
			cookies.Add(int32(len(res.Cookies())))
		})
		if _, updates := store.called("Update"); updates != 1 || cookies.Load() != 1 {
			t.Errorf("got %d updates and %d cookies, want 1 and 1", updates, cookies.Load())
		}
	})
}

// A slow response brings the secret of before, although the session was rotated
// while it was made.
func TestLateRefreshDoesNotOverwriteARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{RotateEvery: time.Hour, UpdateAge: 59 * time.Minute})
		cookie := pxSignIn(t, m, "alice")
		time.Sleep(time.Hour - time.Second)
		pxNoCookie(t, pxDo(m, cookie, func(http.ResponseWriter, *http.Request, *session.Session) {
			time.Sleep(2 * time.Second)
			pxSent(t, pxDo(m, cookie, pxRead))
		}))
	})
}
