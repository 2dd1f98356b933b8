package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// pxSignInSet signs in, with a value that was set in the same request before.
func pxSignInSet(t *testing.T, m *session.Manager, cookie, user string, opts session.SignInOptions) *http.Response {
	t.Helper()
	return pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "Set", pxColor.Set(s, "red"))
		pxOK(t, "SignIn", s.SignIn(r.Context(), user, opts))
	})
}

// Every way from one session to the next: what becomes of the ID, of the secret
// and of the values.
func TestSignInTransitions(t *testing.T) {
	none := func(*testing.T, *session.Manager) string { return "" }
	anonymous := func(t *testing.T, m *session.Manager) string { return pxAnonymous(t, m, "cart") }
	as := func(user string, opts session.SignInOptions) func(*testing.T, *session.Manager) string {
		return func(t *testing.T, m *session.Manager) string {
			return pxSignInWith(t, m, pxAnonymous(t, m, "cart"), user, opts)
		}
	}
	pending := session.SignInOptions{Pending: true}
	for _, row := range []struct {
		name      string
		from      func(*testing.T, *session.Manager) string
		user      string
		opts      session.SignInOptions
		sameID    bool
		wantName  string
		wantColor string
	}{
		{"nobody becomes alice", none, "alice", session.SignInOptions{}, false, "none", "red"},
		{"a visitor becomes alice", anonymous, "alice", session.SignInOptions{}, false, "cart", "red"},
		{"a visitor becomes pending", anonymous, "alice", pending, false, "cart", "red"},
		{"alice authenticates again", as("alice", session.SignInOptions{}), "alice", session.SignInOptions{}, true, "cart", "red"},
		{"alice begins a second factor", as("alice", session.SignInOptions{}), "alice", pending, false, "cart", "red"},
		{"alice completes her second factor", as("alice", pending), "alice", session.SignInOptions{}, false, "cart", "red"},
		{"alice repeats her first factor", as("alice", pending), "alice", pending, false, "cart", "red"},
		{"bob signs in over alice", as("alice", session.SignInOptions{}), "bob", session.SignInOptions{}, false, "none", "none"},
		{"bob signs in over pending alice", as("alice", pending), "bob", session.SignInOptions{}, false, "none", "none"},
		{"bob becomes pending over alice", as("alice", session.SignInOptions{}), "bob", pending, false, "none", "none"},
	} {
		for _, stores := range pxStores {
			t.Run(stores.name+", "+row.name, func(t *testing.T) {
				store, _ := stores.make()
				m := pxManager(t, store, session.Config{})
				old := row.from(t, m)
				res := pxSignInSet(t, m, old, row.user, row.opts)
				cookie := pxSent(t, res)
				if n := len(res.Header["Set-Cookie"]); n != 1 {
					t.Errorf("got %d Set-Cookie, want 1", n)
				}
				pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					user, waiting := row.user, ""
					if row.opts.Pending {
						user, waiting = "", row.user
					}
					if s.UserID() != user || s.PendingUserID() != waiting {
						t.Errorf("got user %q, pending %q, want %q, %q", s.UserID(), s.PendingUserID(), user, waiting)
					}
				})
				if name, color := pxGet(m, cookie, pxName), pxGet(m, cookie, pxColor); name != row.wantName || color != row.wantColor {
					t.Errorf("got name %q and color %q, want %q and %q", name, color, row.wantName, row.wantColor)
				}
				if old == "" {
					return
				}
				if same := pxID(old) == pxID(cookie); same != row.sameID || old == cookie {
					t.Errorf("same ID %t, want %t; same secret %t, want false", same, row.sameID, old == cookie)
				}
				pxDo(m, old, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					if s.ID() != "" {
						t.Errorf("the old token still has session %s", s.ID())
					}
				})
			})
		}
	}
}

func TestAuthenticatingAgainIsFreshAndKeepsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		cookie := pxSignInWith(t, m, "", "alice", session.SignInOptions{Method: "totp", Level: session.AAL2})
		created := time.Now()
		time.Sleep(30 * time.Hour)
		cookie = pxSignInWith(t, m, cookie, "alice", session.SignInOptions{Method: "password", Level: session.AAL1})
		pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			info := s.Info()
			if !info.CreatedAt.Equal(created) || !info.AuthenticatedAt.Equal(time.Now()) || !s.Fresh() {
				t.Errorf("created %v, authenticated %v, fresh %t", info.CreatedAt, info.AuthenticatedAt, s.Fresh())
			}
			if info.Method != "password" || info.Level != session.AAL1 {
				t.Errorf("got %s at level %d, want that of this authentication", info.Method, info.Level)
			}
			if left := time.Until(info.ExpiresAt); left != 7*24*time.Hour {
				t.Errorf("lives %v, want 7 days", left)
			}
		})
	})
}

// What was not to be remembered is not remembered by a second factor or a new
// password, whichever way it goes.
func TestForgetSurvivesFurtherAuthentication(t *testing.T) {
	forget := session.SignInOptions{Forget: true}
	for _, row := range []struct {
		name          string
		first, second session.SignInOptions
	}{
		{"forgotten, then not stated", forget, session.SignInOptions{}},
		{"remembered, then forgotten", session.SignInOptions{}, forget},
		{"forgotten while pending", session.SignInOptions{Forget: true, Pending: true}, session.SignInOptions{}},
		{"forgotten, then pending", forget, session.SignInOptions{Pending: true}},
	} {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		cookie := pxSignInWith(t, m, "", "alice", row.first)
		res := pxSignInSet(t, m, cookie, "alice", row.second)
		pxDo(m, pxSent(t, res), func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			if s.Info().Persistent || pxSet(res).MaxAge != 0 {
				t.Errorf("%s: persistent %t, Max-Age %d, want a session cookie", row.name, s.Info().Persistent, pxSet(res).MaxAge)
			}
			if left := time.Until(s.Info().ExpiresAt); left > 24*time.Hour {
				t.Errorf("%s: lives %v, want 24 hours at most", row.name, left)
			}
		})
	}
}

// The first factor was in the session that ended: completing it would sign in
// somebody with one factor.
func TestPendingSignInThatWasRevokedCannotComplete(t *testing.T) {
	for _, stores := range pxStores {
		store, _ := stores.make()
		m := pxManager(t, store, session.Config{})
		cookie := pxSignInWith(t, m, "", "alice", session.SignInOptions{Pending: true})
		res := pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			_, err := m.RevokeAll(r.Context(), "alice")
			pxOK(t, "RevokeAll", err)
			pxIs(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}), session.ErrRevoked)
		})
		pxNoCookie(t, res)
		if list, err := m.Sessions(t.Context(), "alice"); len(list) != 0 || err != nil {
			t.Errorf("%s: got sessions %v, %v, want none", stores.name, list, err)
		}
	}
}

// A second factor that two requests complete at once signs in once.
func TestPendingSignInCompletesOnce(t *testing.T) {
	store := memstore.New(memstore.Options{})
	m := pxManager(t, store, session.Config{})
	cookie := pxSignInWith(t, m, "", "alice", session.SignInOptions{Pending: true})
	var won atomic.Int32
	pxParallel(8, func(int) {
		pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			if s.PendingUserID() == "" {
				return // came too late to try
			}
			if err := s.SignIn(r.Context(), "alice", session.SignInOptions{}); err == nil {
				won.Add(1)
			} else if !errors.Is(err, session.ErrRevoked) {
				t.Errorf("SignIn: %v", err)
			}
		})
	})
	if list, err := m.Sessions(t.Context(), "alice"); won.Load() != 1 || len(list) != 1 || err != nil {
		t.Errorf("%d completed, %d sessions, %v, want 1, 1", won.Load(), len(list), err)
	}
}

func TestPendingSessionIsNoSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{MaxSessions: 1, RefuseOverLimit: true})
		cookie := pxSignInWith(t, m, "", "alice", session.SignInOptions{Pending: true})
		if res := pxServe(m.Handler(m.RequireUser(pxFunc(pxRead))), cookie); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("RequireUser: got %s, want 401", res.Status)
		}
		pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			_, err := m.RevokeOthers(r.Context(), s)
			pxIs(t, "RevokeOthers", err, session.ErrNoSession)
		})
		if list, err := m.Sessions(t.Context(), "alice"); len(list) != 1 || list[0].State != session.StatePending {
			t.Errorf("got sessions %v, %v, want the pending one", list, err)
		}
		pxSignIn(t, m, "alice") // the pending session does not count
		pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxIs(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}), session.ErrLimit)
			if s.PendingUserID() != "alice" {
				t.Error("a sign-in that failed for the limit changed the pending session")
			}
		})
		time.Sleep(10*time.Minute - time.Millisecond)
		pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			if s.PendingUserID() != "alice" {
				t.Error("the pending session ended before its 10 minutes")
			}
		})
		time.Sleep(time.Millisecond)
		pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			if s.PendingUserID() != "" {
				t.Error("the pending session lives after its 10 minutes")
			}
		})
	})
}

// A header client gets its token once, and no cookie beside it.
func TestHeaderTransportHandsOutTheTokenOnce(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{HeaderTransport: true})
	for _, cookie := range []string{"", pxAnonymous(t, m, "cart"), pxSignIn(t, m, "alice")} {
		var token string
		res := pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{Header: true}))
			first, ok := s.Token()
			if _, twice := s.Token(); !ok || twice {
				t.Errorf("Token: first %t, second %t, want true, false", ok, twice)
			}
			token = first.Reveal()
		})
		if c := pxSet(res); (c != nil) != (cookie != "") || c != nil && c.MaxAge >= 0 {
			t.Errorf("got cookie %v, want none, or an existing one expired", c)
		}
		if got := res.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("got Cache-Control %q, want no-store", got)
		}
		testHeaderToken(t, m, token)
	}
}

func testHeaderToken(t *testing.T, m *session.Manager, token string) {
	t.Helper()
	for _, header := range []func(*http.Request){pxHeader("X-Session-ID", token), pxHeader("Authorization", "Bearer "+token)} {
		res := pxDo(m, "", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			if s.UserID() != "alice" {
				t.Errorf("by header: got user %q, want alice", s.UserID())
			}
			if _, ok := s.Token(); ok {
				t.Error("Token hands out the token of a session that is only read")
			}
		}, header)
		pxNoCookie(t, res)
		if vary := res.Header.Get("Vary"); !strings.Contains(vary, "Authorization") || !strings.Contains(vary, "X-Session-ID") {
			t.Errorf("got Vary %q, want the header names in it", vary)
		}
	}
	var next session.Token
	res := pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "Rotate", s.Rotate(r.Context()))
		next, _ = s.Token()
	}, pxHeader("X-Session-ID", token))
	pxNoCookie(t, res)
	if next.Reveal() == "" || next.Reveal() == token || next.Reveal()[:24] != token[:24] {
		t.Error("Rotate of a header session has no new token of the same ID")
	}
}

func TestHeadersAreIgnoredUnlessConfigured(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	_, token, _ := strings.Cut(pxSignIn(t, m, "alice"), "=")
	pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		if s.UserID() != "" {
			t.Error("a token in a header authenticates without HeaderTransport")
		}
		if err := s.SignIn(r.Context(), "alice", session.SignInOptions{Header: true}); err == nil {
			t.Error("SignIn with Header succeeds without HeaderTransport")
		}
	}, pxHeader("X-Session-ID", token), pxHeader("Authorization", "Bearer "+token))
}

// One of the two is not the client's choice. Signing out works, and ends both.
func TestCookieAndHeaderOfDifferentSessionsAuthenticateNothing(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{HeaderTransport: true})
	alice, bob := pxSignIn(t, m, "alice"), pxSignIn(t, m, "bob")
	_, token, _ := strings.Cut(bob, "=")
	header := pxHeader("X-Session-ID", token)
	res := pxDo(m, alice, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		if s.ID() != "" {
			t.Errorf("got session %v, want none", s)
		}
		pxIs(t, "Set", pxName.Set(s, "x"), session.ErrSuperseded)
	}, header)
	pxNoCookie(t, res)
	res = pxDo(m, alice, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "SignOut", s.SignOut(r.Context()))
	}, header)
	if c := pxSet(res); c == nil || c.MaxAge >= 0 {
		t.Errorf("got cookie %v, want it expired", c)
	}
	if pxUser(m, alice) != "" || pxUser(m, bob) != "" {
		t.Error("SignOut left one of the two sessions alive")
	}
}

// The second of two cookies cannot be looked up: whether they are of one
// session is unknown, so that neither may authenticate.
func TestHalfLookedUpRequestIsNobody(t *testing.T) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{})
	alice, bob := pxSignIn(t, m, "alice"), pxSignIn(t, m, "bob")
	store.before = func(_ context.Context, op pxOp) error {
		if op.name == "Load" && op.id == pxID(bob) {
			return errStoreDown
		}
		return nil
	}
	pxServe(m.Optional(pxFunc(func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		if s.UserID() != "" || s.ID() != "" {
			t.Errorf("got %v, want a session of nobody", s)
		}
	})), alice+"; "+bob)
}

func TestParallelSignInsOfOneClientLeaveOneGoodCookieEach(t *testing.T) {
	for _, stores := range pxStores {
		for _, from := range []string{"nobody", "visitor", "alice"} {
			store, _ := stores.make()
			m := pxManager(t, store, session.Config{})
			cookie := map[string]string{"nobody": "", "visitor": pxAnonymous(t, m, "cart"), "alice": pxSignIn(t, m, "alice")}[from]
			cookies, errs := make([]string, 8), make([]error, 8)
			pxParallel(8, func(i int) {
				res := pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
					errs[i] = s.SignIn(r.Context(), "alice", session.SignInOptions{})
				})
				if c := pxSet(res); c != nil {
					cookies[i] = c.Name + "=" + c.Value
				}
			})
			for i := range cookies {
				if errs[i] != nil || cookies[i] == "" || pxUser(m, cookies[i]) != "alice" {
					t.Errorf("%s, from %s: sign-in %d: %v, cookie of %q", stores.name, from, i, errs[i], pxUser(m, cookies[i]))
				}
			}
		}
	}
}

// Four writers hammer a visitor's session while he signs in. Whoever was told
// that a value is stored finds it in the new session.
func TestSignInLosesNoAcknowledgedWrite(t *testing.T) {
	moves := 300
	if testing.Short() {
		moves = 30
	}
	for _, stores := range pxStores {
		t.Run(stores.name, func(t *testing.T) {
			store, _ := stores.make()
			m := pxManager(t, store, session.Config{})
			for range moves {
				testMove(t, m)
			}
		})
	}
}

func testMove(t *testing.T, m *session.Manager) {
	t.Helper()
	cookie := pxAnonymous(t, m, "cart")
	var acknowledged [4]int
	var login string
	signedIn := make(chan struct{})
	pxParallel(5, func(i int) {
		if i == 4 {
			defer close(signedIn)
			login = pxSignInWith(t, m, cookie, "alice", session.SignInOptions{})
			return
		}
		for n := 1; ; n++ {
			res := pxDo(m, cookie, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
				if pxWriter(i).Set(s, n) != nil {
					w.WriteHeader(http.StatusConflict)
				}
			})
			if res.StatusCode != http.StatusOK {
				return
			}
			acknowledged[i] = n
		}
	})
	pxDo(m, login, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		for i, want := range acknowledged {
			if got, _ := pxWriter(i).Get(s); got < want {
				t.Errorf("writer %d was told %d, and %d is stored", i, want, got)
			}
		}
	})
}

func pxWriter(i int) session.Key[int] { return session.Key[int](fmt.Sprintf("writer %d", i)) }

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

func TestBindingIsToTheClientThatSignedIn(t *testing.T) {
	agent, device := pxHeader("User-Agent", "Firefox"), pxHeader("X-Device-ID", "phone")
	from := func(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
	home := from("[2001:db8:1:2::3]:1000")
	for _, row := range []struct {
		name    string
		binding session.Binding
		edits   []func(*http.Request)
		same    bool
	}{
		{"the same client", session.BindIP | session.BindUserAgent | session.BindDevice, []func(*http.Request){home, agent, device}, true},
		{"nothing is bound", 0, nil, true},
		{"another host of the same network", session.BindIP, []func(*http.Request){from("[2001:db8:1:2::4]:1")}, true},
		{"another network", session.BindIP, []func(*http.Request){from("[2001:db8:1:3::3]:1000")}, false},
		{"no address", session.BindIP, []func(*http.Request){from("@")}, false},
		{"another agent", session.BindUserAgent, []func(*http.Request){pxHeader("User-Agent", "Chrome")}, false},
		{"no agent", session.BindUserAgent, nil, false},
		{"another device", session.BindDevice, []func(*http.Request){pxHeader("X-Device-ID", "tablet")}, false},
		{"no device", session.BindDevice, nil, false},
		{"one of two differs", session.BindUserAgent | session.BindDevice, []func(*http.Request){agent}, false},
	} {
		for _, revoke := range []bool{false, true} {
			if revoke && row.binding == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s, revoke %t", row.name, revoke), func(t *testing.T) {
				events := &pxEvents{}
				m := pxManager(t, memstore.New(memstore.Options{}),
					session.Config{Binding: row.binding, RevokeOnMismatch: revoke, OnEvent: events.hook})
				cookie := pxSent(t, pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
					pxOK(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}))
				}, home, agent, device))
				events.take()
				user := func(edits ...func(*http.Request)) (user string) {
					pxNoCookie(t, pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { user = s.UserID() }, edits...))
					return user
				}
				if got := user(row.edits...) == "alice"; got != row.same {
					t.Errorf("signed in %t, want %t", got, row.same)
				}
				want := map[bool]string{false: "binding mismatch", true: "binding mismatch, revoked"}[revoke]
				if row.same {
					want = ""
				}
				if got := events.kinds(); got != want {
					t.Errorf("got events %q, want %q", got, want)
				}
				if got := user(home, agent, device) == "alice"; got != (row.same || !revoke) {
					t.Errorf("afterwards its own client is signed in: %t", got)
				}
			})
		}
	}
}

// The binding is checked after the secret: who has no token cannot end a session
// by calling from elsewhere.
func TestMismatchWithoutTheSecretRevokesNothing(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{Binding: session.BindIP, RevokeOnMismatch: true})
	cookie := pxSignIn(t, m, "alice")
	pxDo(m, "__Host-session="+pxID(cookie)+strings.Repeat("A", 40), pxRead, func(r *http.Request) { r.RemoteAddr = "203.0.113.1:1" })
	if user := pxUser(m, cookie); user != "alice" {
		t.Errorf("got user %q, want alice", user)
	}
}

// A new anonymous cookie would replace the login that SameSite withheld.
func TestOtherSitesStartNoSession(t *testing.T) {
	cross := []func(*http.Request){pxHeader("Sec-Fetch-Site", "cross-site")}
	link := append(cross[:1:1], pxHeader("Sec-Fetch-Mode", "navigate"), pxHeader("Sec-Fetch-Dest", "document"))
	frame := append(cross[:1:1], pxHeader("Sec-Fetch-Mode", "navigate"), pxHeader("Sec-Fetch-Dest", "iframe"))
	post := append(link[:3:3], func(r *http.Request) { r.Method = http.MethodPost })
	strict := session.Cookie{SameSite: http.SameSiteStrictMode}
	for _, row := range []struct {
		name   string
		cookie session.Cookie
		edits  []func(*http.Request)
		want   error
	}{
		{"an image", session.Cookie{}, cross, session.ErrCrossSite},
		{"a frame", session.Cookie{}, frame, session.ErrCrossSite},
		{"a form", session.Cookie{}, post, session.ErrCrossSite},
		{"a link, where Lax cookies come along", session.Cookie{}, link, nil},
		{"a link, where Strict cookies do not", strict, link, session.ErrCrossSite},
		{"an image, where None cookies come along", session.Cookie{SameSite: http.SameSiteNoneMode}, cross, nil},
		{"the same site", session.Cookie{}, []func(*http.Request){pxHeader("Sec-Fetch-Site", "same-site")}, nil},
		{"the address bar", session.Cookie{}, []func(*http.Request){pxHeader("Sec-Fetch-Site", "none")}, nil},
		{"a client that says nothing", session.Cookie{}, nil, nil},
	} {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{Cookie: row.cookie})
		res := pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxIs(t, row.name+": Set", pxName.Set(s, "x"), row.want)
			pxIs(t, row.name+": Update", pxCount.Update(r.Context(), s, func(n int) (int, error) { return 1, nil }), row.want)
			pxIs(t, row.name+": Delete", pxColor.Delete(s), row.want)
		}, row.edits...)
		if sent := pxSet(res) != nil; sent != (row.want == nil) {
			t.Errorf("%s: cookie sent %t", row.name, sent)
		}
		pxSent(t, pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, row.name+": SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}))
		}, row.edits...))
	}
}

func TestGuards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		stale := pxSignIn(t, m, "alice")
		time.Sleep(24 * time.Hour)
		fresh := pxSignIn(t, m, "alice")
		user, recent := m.RequireUser(pxFunc(pxRead)), m.RequireFresh(pxFunc(pxRead))
		for _, row := range []struct {
			name   string
			h      http.Handler
			cookie string
			want   int
		}{
			{"RequireUser, nobody", m.Handler(user), "", 401},
			{"RequireUser, a visitor", m.Handler(user), pxAnonymous(t, m, "x"), 401},
			{"RequireUser, a user", m.Handler(user), stale, 200},
			{"RequireUser outside Handler", user, stale, 500},
			{"RequireUser in another manager's Handler", pxManager(t, memstore.New(memstore.Options{}), session.Config{}).Handler(user), stale, 500},
			{"RequireFresh, nobody", m.Handler(recent), "", 401},
			{"RequireFresh, authenticated a day ago", m.Handler(recent), stale, 403},
			{"RequireFresh, authenticated now", m.Handler(recent), fresh, 200},
			{"RequireFresh outside Handler", recent, fresh, 500},
		} {
			if res := pxServe(row.h, row.cookie); res.StatusCode != row.want {
				t.Errorf("%s: got %s, want %d", row.name, res.Status, row.want)
			}
		}
	})
}

func TestErrorHandlerAnswersInTheApplicationsWay(t *testing.T) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		if errors.Is(err, session.ErrNoSession) {
			w.Header().Set("Location", "/login")
			w.WriteHeader(http.StatusSeeOther)
		} // otherwise silent, which must not become a 200
	}})
	guarded := m.Handler(m.RequireUser(pxFunc(pxRead)))
	if res := pxServe(guarded, ""); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/login" {
		t.Errorf("got %s to %q, want 303 to /login", res.Status, res.Header.Get("Location"))
	}
	cookie := pxSignIn(t, m, "alice")
	store.before = func(context.Context, pxOp) error { return errStoreDown }
	if res := pxServe(guarded, cookie); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("silent ErrorHandler: got %s, want 503", res.Status)
	}
}

func TestSessionsShowsTheUsersOwnLiveSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		first := pxSignIn(t, m, "alice")
		time.Sleep(time.Hour)
		second := pxSignInWith(t, m, pxAnonymous(t, m, "cart"), "alice", session.SignInOptions{Method: "passkey", Level: session.AAL2})
		pxSignIn(t, m, "bob")
		pxSignIn(t, m, "Alice")
		list, err := m.Sessions(t.Context(), "alice")
		if err != nil || len(list) != 2 || list[0].ID != pxID(second) || list[1].ID != pxID(first) {
			t.Fatalf("got %v, %v, want the second and the first", list, err)
		}
		if i := list[0]; i.Method != "passkey" || i.Level != session.AAL2 || i.State != session.StateSignedIn || !i.Persistent ||
			i.IPAddress != "192.0.2.1" || time.Until(i.ExpiresAt) != 7*24*time.Hour || time.Until(i.NextRefresh) != 24*time.Hour {
			t.Errorf("got %+v", i)
		}
		time.Sleep(7*24*time.Hour - time.Hour)
		if list, err := m.Sessions(t.Context(), "alice"); len(list) != 1 || err != nil {
			t.Errorf("after the first expired: got %v, %v, want one", list, err)
		}
	})
}

func TestRevokeOthersKeepsThisSession(t *testing.T) {
	events := &pxEvents{}
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{OnEvent: events.hook})
	this, other, bob := pxSignIn(t, m, "alice"), pxSignIn(t, m, "alice"), pxSignIn(t, m, "bob")
	pending := pxSignInWith(t, m, "", "alice", session.SignInOptions{Pending: true})
	events.take()
	pxDo(m, this, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		n, err := m.RevokeOthers(r.Context(), s)
		if n != 2 || err != nil {
			t.Errorf("got %d, %v, want 2", n, err)
		}
	})
	testEvents(t, "revoke others", events.take(), []session.Event{{Kind: session.EventRevoked, UserID: "alice", Count: 2}})
	if pxUser(m, this) != "alice" || pxUser(m, other) != "" || pxUser(m, bob) != "bob" {
		t.Error("RevokeOthers ended the wrong sessions")
	}
	pxDo(m, pending, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		if s.PendingUserID() != "" {
			t.Error("RevokeOthers left a pending session, whose first factor may be the old password")
		}
	})
	_, err := m.RevokeOthers(t.Context(), nil)
	pxIs(t, "RevokeOthers(nil)", err, session.ErrNoSession)
}

func TestRevokeTellsNothingOfOtherUsers(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	bob, visitor := pxSignIn(t, m, "bob"), pxAnonymous(t, m, "x")
	moved := pxAnonymous(t, m, "x")
	pxSignInWith(t, m, moved, "alice", session.SignInOptions{})
	for _, id := range []string{pxID(bob), pxID(visitor), pxID(moved), strings.Repeat("A", 24), "", "../../etc", "\x00"} {
		err := m.Revoke(t.Context(), "alice", id)
		if err != session.ErrNotFound {
			t.Errorf("Revoke(%q): got %v, want the very same ErrNotFound", id, err)
		}
	}
	pxIs(t, "Revoke of a visitor's", m.Revoke(t.Context(), "", pxID(visitor)), session.ErrNotFound)
	if pxUser(m, bob) != "bob" || pxGet(m, visitor, pxName) != "x" {
		t.Error("somebody else's session was ended")
	}
}

func TestNotBeforeSignsEveryoneOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := pxFaultyAll()
		var cut atomic.Pointer[time.Time]
		cut.Store(new(time.Time))
		m := pxManager(t, store, session.Config{NotBefore: func() time.Time { return *cut.Load() }})
		alice, visitor := pxSignIn(t, m, "alice"), pxAnonymous(t, m, "cart")
		time.Sleep(time.Second)
		now := time.Now()
		cut.Store(&now)
		store.reset()
		if list, err := m.Sessions(t.Context(), "alice"); len(list) != 0 || err != nil || store.writes() != 0 {
			t.Errorf("got %v, %v, %d writes, want nothing", list, err, store.writes())
		}
		if pxUser(m, alice) != "" || pxGet(m, visitor, pxName) != "cart" {
			t.Error("NotBefore left a user in, or ended a visitor's session")
		}
		if user := pxUser(m, pxSignIn(t, m, "alice")); user != "alice" {
			t.Errorf("a sign-in at that time: got user %q, want alice", user)
		}
	})
}

func TestEventsAreToldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &pxEvents{}
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{OnEvent: events.hook})
		visitor := pxAnonymous(t, m, "cart")
		testEvents(t, "anonymous", events.take(), []session.Event{{Kind: session.EventCreated, SessionID: pxID(visitor)}})
		login := pxSignInWith(t, m, visitor, "alice", session.SignInOptions{})
		id := pxID(login)
		testEvents(t, "sign in", events.take(), []session.Event{
			{Kind: session.EventCreated, SessionID: id, UserID: "alice"}, {Kind: session.EventSignedIn, SessionID: id, UserID: "alice"}})
		login = pxSignInWith(t, m, login, "alice", session.SignInOptions{})
		testEvents(t, "again", events.take(), []session.Event{{Kind: session.EventSignedIn, SessionID: id, UserID: "alice"}})
		pxDo(m, visitor, pxRead)
		testEvents(t, "late", events.take(), []session.Event{{Kind: session.EventRejectedToken, SessionID: pxID(visitor)}})
		time.Sleep(24 * time.Hour)
		pxDo(m, login, pxRead)
		testEvents(t, "refresh", events.take(), []session.Event{{Kind: session.EventRefreshed, SessionID: id, UserID: "alice"}})
		pxSignOut(t, m, login)
		testEvents(t, "sign out", events.take(), []session.Event{{Kind: session.EventSignedOut, SessionID: id, UserID: "alice"}})
		pxDo(m, login, pxRead)
		testEvents(t, "unknown", events.take(), []session.Event{{Kind: session.EventRejectedToken, SessionID: id}})
		over := pxSignInWith(t, m, pxSignIn(t, m, "alice"), "bob", session.SignInOptions{})
		testEvents(t, "another user", events.take()[3:], []session.Event{
			{Kind: session.EventCreated, SessionID: pxID(over), UserID: "bob"}, {Kind: session.EventSignedIn, SessionID: pxID(over), UserID: "bob"}})
		login = pxSignIn(t, m, "alice")
		pxOK(t, "Revoke", m.Revoke(t.Context(), "alice", pxID(login)))
		testEvents(t, "revoke", events.take()[2:], []session.Event{{Kind: session.EventRevoked, SessionID: pxID(login), UserID: "alice"}})
		login = pxSignIn(t, m, "alice")
		events.take()
		time.Sleep(7 * 24 * time.Hour)
		pxDo(m, login, pxRead)
		testEvents(t, "expired", events.take(), []session.Event{{Kind: session.EventExpired, SessionID: pxID(login), UserID: "alice"}})
	})
}

// The hook runs in the goroutine of the event, where no lock may be held.
func TestEventHookMayUseTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m *session.Manager
		var kinds []session.EventKind
		m = pxManager(t, memstore.New(memstore.Options{}), session.Config{RotateEvery: time.Hour, OnEvent: func(ctx context.Context, e session.Event) {
			kinds = append(kinds, e.Kind)
			s := session.FromContext(ctx)
			_, _, _, _ = s.ID(), s.UserID(), s.Fresh(), s.Info()
			_, _ = pxName.Get(s)
			_ = pxColor.Set(s, "seen")
			_ = s.Commit(ctx)
			_, _ = m.Sessions(ctx, "alice")
		}})
		cookie := pxRotate(t, m, pxSignIn(t, m, "alice"))
		time.Sleep(25 * time.Hour)
		cookie = pxSent(t, pxDo(m, cookie, pxRead))
		pxSignOut(t, m, cookie)
		if len(kinds) < 5 {
			t.Errorf("the hook was told of %v only", kinds)
		}
	})
}

// Whatever fails, the cookie of a sign-in that is stored goes out with the error.
func TestStoredSignInIsDeliveredWithAnErrorPage(t *testing.T) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{})
	res := pxDo(m, "", func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}))
		pxOK(t, "Set", pxName.Set(s, "lost"))
		store.before = func(context.Context, pxOp) error { return errStoreDown }
		_, _ = io.WriteString(w, "SECRET")
	})
	store.before = nil
	if res.StatusCode != http.StatusServiceUnavailable || pxUser(m, pxSent(t, res)) != "alice" {
		t.Errorf("got %s, want 503 with the cookie of alice", res.Status)
	}
	if body := pxBody(t, res); strings.Contains(body, "SECRET") {
		t.Errorf("got body %q", body)
	}
}

func TestSignOutEndsEverythingOnBothSides(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{ClearSiteData: []string{"cache", "storage"}})
	cookie := pxSignIn(t, m, "alice")
	res := pxDo(m, cookie, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "Set", pxName.Set(s, "gone"))
		pxOK(t, "SignOut", s.SignOut(r.Context()))
		pxOK(t, "SignOut again", s.SignOut(r.Context()))
		if _, ok := pxName.Get(s); ok || s.ID() != "" || s.UserID() != "" {
			t.Errorf("after SignOut: %v", s)
		}
	})
	if c := pxSet(res); c == nil || c.MaxAge >= 0 || c.Value != "" || res.Header.Get("Clear-Site-Data") != `"cache", "storage"` {
		t.Errorf("got %v, want the cookie and the site's data cleared", res.Header)
	}
	// Values set afterwards are a new session's.
	cookie = pxSignIn(t, m, "alice")
	res = pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "SignOut", s.SignOut(r.Context()))
		pxOK(t, "Set", pxName.Set(s, "signed out"))
	})
	if next := pxSent(t, res); pxID(next) == pxID(cookie) || pxGet(m, next, pxName) != "signed out" || len(res.Cookies()) != 1 {
		t.Errorf("got %v, want one cookie of a new session", res.Header)
	}
	// After the first byte the cookie cannot be cleared, but the session ends.
	cookie = pxSignIn(t, m, "alice")
	pxNoCookie(t, pxDo(m, cookie, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		_, _ = io.WriteString(w, "data: 1\n\n")
		pxOK(t, "SignOut", s.SignOut(r.Context()))
	}))
	if user := pxUser(m, cookie); user != "" {
		t.Errorf("signed out after the first byte, and still %q", user)
	}
}

func TestOddUserIDsAreRefusedBeforeTheStore(t *testing.T) {
	store := pxFaultyAll()
	m := pxManager(t, store, session.Config{})
	for _, id := range []string{"", "a\x00b", "\xff", strings.Repeat("a", 1025)} {
		pxNoCookie(t, pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			if err := s.SignIn(r.Context(), id, session.SignInOptions{}); err == nil {
				t.Errorf("SignIn(%.10q): got no error", id)
			}
		}))
	}
	if n := store.writes(); n != 0 {
		t.Errorf("got %d writes, want 0", n)
	}
	for _, id := range []string{"a", " a ", "{a}:b", "😀", strings.Repeat("a", 1024)} {
		if user := pxUser(m, pxSignIn(t, m, id)); user != id {
			t.Errorf("got user %.20q, want %.20q", user, id)
		}
	}
}

// The remains of a session that was replaced are remembered for 5 minutes. After
// that the token is as unknown as any other, whether or not the store has freed
// them: a client that never got the new cookie must be able to start again.
func TestTombstoneIsForgottenAfterFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		old := pxAnonymous(t, m, "cart")
		pxSignInWith(t, m, old, "alice", session.SignInOptions{})
		time.Sleep(5 * time.Minute)
		res := pxDo(m, old, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			pxOK(t, "Set", pxName.Set(s, "new"))
		})
		if name := pxGet(m, pxSent(t, res), pxName); name != "new" {
			t.Errorf("got name %q, want new", name)
		}
	})
}

// The same client's own sealed cookie of before the key changed is good, and is
// sealed with the new key when it is sent again.
func TestSignInSealsWithTheNewestKey(t *testing.T) {
	store := memstore.New(memstore.Options{})
	a, b := bytes.Repeat([]byte("a"), 32), bytes.Repeat([]byte("b"), 32)
	before := pxManager(t, store, session.Config{Cookie: session.Cookie{Keys: [][]byte{a}}})
	after := pxManager(t, store, session.Config{Cookie: session.Cookie{Keys: [][]byte{b, a}}})
	only := pxManager(t, store, session.Config{Cookie: session.Cookie{Keys: [][]byte{b}}})
	cookie := pxSignIn(t, before, "alice")
	if pxUser(after, cookie) != "alice" || pxUser(only, cookie) != "" {
		t.Error("an old key does not open, or an unknown one does")
	}
	if user := pxUser(only, pxRotate(t, after, cookie)); user != "alice" {
		t.Errorf("after Rotate the newest key alone gives user %q", user)
	}
}
