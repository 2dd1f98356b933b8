package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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
