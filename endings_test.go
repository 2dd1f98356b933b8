package session_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// What must not happen around the end of a session: a login replaced by another
// site's request or by a late response, a value lost in silence, a second factor
// skipped, a request that waits for itself.

// pxAsking is a store, or a logger below one, that asks who the user is.
type pxAsking struct{ *memstore.Store }

func (a pxAsking) Update(ctx context.Context, r *session.Record, version uint64) error {
	_ = session.FromContext(ctx).UserID()
	return a.Store.Update(ctx, r, version)
}

func TestStoreMayAskForTheSession(t *testing.T) {
	m := pxManager(t, pxAsking{&memstore.Store{}}, session.Config{})
	pxSent(t, pxDo(m, pxSignIn(t, m, "alice"), func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "Rotate", s.Rotate(r.Context()))
	}))
}

func TestUserIsKnownWhileTheStoreIsBusy(t *testing.T) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{})
	cookie := pxSignIn(t, m, "alice")
	pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		store.before = func(context.Context, pxOp) error {
			if user := s.UserID(); user != "alice" {
				t.Errorf("during the write the user is %q", user)
			}
			return nil
		}
		pxOK(t, "Rotate", s.Rotate(r.Context()))
	})
}

// The browser withheld the Lax cookie from another site's POST. Nothing in the
// answer may replace or clear it.
func TestAnotherSiteCannotSignOut(t *testing.T) {
	m := pxManager(t, &memstore.Store{}, session.Config{})
	post := func(r *http.Request) {
		r.Method = http.MethodPost
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
	}
	pxNoCookie(t, pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "SignOut", s.SignOut(r.Context()))
		pxIs(t, "Set", pxName.Set(s, "goodbye"), session.ErrCrossSite)
		pxOK(t, "SignOut again", s.SignOut(r.Context()))
	}, post))
}

// The handler counts attempts in the session, and takes no notice that it ended.
func TestRevokedSecondFactorStaysRevoked(t *testing.T) {
	m := pxManager(t, &memstore.Store{}, session.Config{})
	pending := pxSignInWith(t, m, "", "alice", session.SignInOptions{Pending: true})
	pxNoCookie(t, pxDo(m, pending, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		_, err := m.RevokeAll(r.Context(), "alice")
		pxOK(t, "RevokeAll", err)
		_ = pxCount.Update(r.Context(), s, func(n int) (int, error) { return n + 1, nil })
		pxIs(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}), session.ErrRevoked)
	}))
}

func TestValueThatWasSetIsNeverLostInSilence(t *testing.T) {
	m := pxManager(t, &memstore.Store{}, session.Config{})
	cookie := pxSignIn(t, m, "alice")
	res := pxDo(m, cookie, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "Set", pxName.Set(s, "x"))
		_, err := m.RevokeAll(r.Context(), "alice")
		pxOK(t, "RevokeAll", err)
		_ = pxCount.Update(r.Context(), s, func(n int) (int, error) { return n + 1, nil })
	})
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("got %s, want 401", res.Status)
	}
}

func TestUpdateWithinUpdateEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, &memstore.Store{}, session.Config{})
		pxDo(m, pxSignIn(t, m, "alice"), func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			other := session.Key[int]("other")
			err := pxCount.Update(r.Context(), s, func(n int) (int, error) {
				time.Sleep(time.Second)
				return n + 1, other.Update(r.Context(), s, func(n int) (int, error) { return n + 1, nil })
			})
			pxIs(t, "Update", err, session.ErrUnavailable)
		})
	})
}

// Of two secrets made by one request only the last is sent: what a thief has is
// the one before both.
func TestReplayIsKnownAfterTwoRotationsInOneRequest(t *testing.T) {
	for _, due := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			events := &pxEvents{}
			m := pxManager(t, &memstore.Store{}, session.Config{RotateEvery: time.Hour, OnEvent: events.hook})
			stolen := pxSignIn(t, m, "alice")
			if due {
				time.Sleep(2 * time.Hour)
			}
			pxDo(m, stolen, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				if !due {
					pxOK(t, "Rotate", s.Rotate(r.Context()))
				}
				pxOK(t, "Rotate", s.Rotate(r.Context()))
			})
			time.Sleep(time.Minute)
			events.take()
			pxDo(m, stolen, pxRead)
			if got := events.take(); len(got) == 0 || got[0].Kind != session.EventReplayed {
				t.Errorf("periodic %t: got events %v, want a replay", due, got)
			}
		})
	}
}

// A long poll began with an expired cookie; the user signs in while it waits.
func TestLateResponseDoesNotClearTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, &memstore.Store{}, session.Config{ExpiresIn: time.Hour})
		expired := pxSignIn(t, m, "alice")
		time.Sleep(2 * time.Hour)
		pxNoCookie(t, pxDo(m, expired, func(http.ResponseWriter, *http.Request, *session.Session) {
			time.Sleep(25 * time.Second)
		}))
	})
}

func TestExpiredCookieBesideARefusedOneStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, &memstore.Store{}, session.Config{})
		expired := pxSignInWith(t, m, "", "alice", session.SignInOptions{Forget: true})
		time.Sleep(25 * time.Hour)
		wrong := "__Host-session=" + pxID(pxSignIn(t, m, "bob")) + strings.Repeat("A", 40)
		pxNoCookie(t, pxDo(m, expired+"; "+wrong, pxRead))
	})
}

func TestSignOutClearsSiteDataAlsoWithAMessage(t *testing.T) {
	m := pxManager(t, &memstore.Store{}, session.Config{ClearSiteData: []string{"cache", "cookies"}})
	for message, want := range map[bool]string{false: `"cache", "cookies"`, true: `"cache"`} {
		res := pxDo(m, pxSignIn(t, m, "alice"), func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, "SignOut", s.SignOut(r.Context()))
			if message {
				pxOK(t, "Set", pxName.Set(s, "goodbye"))
			}
		})
		if got := res.Header.Get("Clear-Site-Data"); got != want {
			t.Errorf("message %t: got Clear-Site-Data %s, want %s", message, got, want)
		}
	}
}

// Sessions that a shorter lifetime has ended are in the store still.
func TestSessionsEndedByAShorterLifetimeKeepNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memstore.Store{}
		long := pxManager(t, store, session.Config{ExpiresIn: 30 * 24 * time.Hour, MaxSessions: 2, RefuseOverLimit: true})
		pxSignIn(t, long, "alice")
		time.Sleep(36 * time.Hour)
		short := pxManager(t, store, session.Config{ExpiresIn: 24 * time.Hour, MaxSessions: 2, RefuseOverLimit: true})
		pxSignIn(t, short, "alice")
		pxSignIn(t, short, "alice")
		pxDo(short, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxIs(t, "SignIn with two live sessions", s.SignIn(r.Context(), "alice", session.SignInOptions{}), session.ErrLimit)
		})
	})
}

// Sessions that NotBefore has ended outlast, in the store, one that is not to be
// remembered.
func TestSessionsEndedByNotBeforeCostNoLiveOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var notBefore time.Time
		m := pxManager(t, &memstore.Store{}, session.Config{MaxSessions: 2, NotBefore: func() time.Time { return notBefore }})
		pxSignIn(t, m, "alice")
		time.Sleep(time.Hour)
		notBefore = time.Now()
		time.Sleep(time.Hour)
		live := pxSignInWith(t, m, "", "alice", session.SignInOptions{Forget: true})
		pxSignIn(t, m, "alice")
		if user := pxUser(m, live); user != "alice" {
			t.Errorf("the live session is of %q, want alice", user)
		}
	})
}

// The load failed and the store is back: the old session could not be ended, so
// that a new one would stand beside it.
func TestSignInNeedsTheStoreAtLoad(t *testing.T) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{})
	cookie := pxSignIn(t, m, "alice")
	store.before = func(_ context.Context, op pxOp) error {
		if op.name == "Load" {
			return errStoreDown
		}
		return nil
	}
	pxNoCookie(t, pxServe(m.Optional(pxFunc(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxIs(t, "SignIn", s.SignIn(r.Context(), "bob", session.SignInOptions{}), session.ErrUnavailable)
	})), cookie))
}

// The form was sent twice, or the first reply was lost: both sign-ins carry the
// visitor's token, and both have the cart. Another user's has not, nor has one
// that knows no more than the ID.
func TestSignInSentTwiceKeepsTheCart(t *testing.T) {
	for _, row := range []struct{ name, user, secret, want string }{
		{"the same user", "alice", "", "cart"},
		{"another user", "bob", "", "none"},
		{"somebody who saw the ID", "alice", strings.Repeat("A", 40), "none"},
	} {
		m := pxManager(t, &memstore.Store{}, session.Config{})
		visitor := pxAnonymous(t, m, "cart")
		first := pxSignInWith(t, m, visitor, "alice", session.SignInOptions{})
		if row.secret != "" {
			visitor = "__Host-session=" + pxID(visitor) + row.secret
		}
		second := pxSignInWith(t, m, visitor, row.user, session.SignInOptions{})
		if got := pxGet(m, second, pxName); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
		if got := pxGet(m, first, pxName); got != "cart" {
			t.Errorf("%s: the first session has %q, want cart", row.name, got)
		}
	}
}

// After a panic nothing will be stored: a recovery that has the session is told.
func TestChangesAfterAPanicAreRefused(t *testing.T) {
	m := pxManager(t, &memstore.Store{}, session.Config{})
	var s *session.Session
	func() {
		defer func() { _ = recover() }()
		pxDo(m, "", func(_ http.ResponseWriter, _ *http.Request, own *session.Session) {
			s = own
			panic("boom")
		})
	}()
	pxIs(t, "Set", pxName.Set(s, "x"), session.ErrCommitted)
	pxIs(t, "SignIn", s.SignIn(t.Context(), "alice", session.SignInOptions{}), session.ErrCommitted)
}

// Adaptors of servers such as fasthttp give handlers strings whose bytes they
// use again for the next request; net/http cuts a user ID out of the form, which
// would stay in memory with the password.
func TestARecordKeepsNoMemoryOfTheRequest(t *testing.T) {
	store := &memstore.Store{}
	m := pxManager(t, store, session.Config{})
	form := []byte("alice&hunter2&otp&laptop")
	field := func(from, to int) string { return unsafe.String(&form[from], to-from) }
	user, method, device := field(0, 5), field(14, 17), field(18, 24)
	signIn := func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		for range 2 { // the second keeps the session
			pxOK(t, "SignIn", s.SignIn(r.Context(), user, session.SignInOptions{Method: method}))
		}
	}
	pxDo(m, "", signIn, pxHeader("X-Device-ID", device))
	clear(form)
	records, err := store.ListUser(t.Context(), "alice", time.Now())
	pxOK(t, "ListUser", err)
	if len(records) != 1 || records[0].UserID != "alice" || records[0].Method != "otp" || records[0].DeviceID != "laptop" {
		t.Errorf("the records are %v, want one of alice's laptop", records)
	}
}

// A request that learns while it commits that its token was replaced does not
// send it.
func TestRefreshIsNotSentAfterAConflictWithARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, pxFaulty(), session.Config{})
		old := pxSignIn(t, m, "alice")
		time.Sleep(25 * time.Hour)
		res := pxDo(m, old, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			time.Sleep(10 * time.Second) // a slow page, refreshed at its beginning
			pxSent(t, pxDo(m, old, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				pxOK(t, "Rotate", s.Rotate(r.Context()))
			}))
			pxOK(t, "Set", pxName.Set(s, "x"))
		})
		pxNoCookie(t, res)
	})
}

// The same soon after the refresh, when the reply to the rotation is with the
// browser already.
func TestRefreshIsNotSentSoonAfterARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &pxEvents{}
		m := pxManager(t, &memstore.Store{}, session.Config{OnEvent: events.hook})
		old := pxSignIn(t, m, "alice")
		time.Sleep(25 * time.Hour)
		browser := old
		res := pxDo(m, old, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			browser = pxSent(t, pxDo(m, old, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				pxOK(t, "Rotate", s.Rotate(r.Context()))
			}))
			time.Sleep(10 * time.Millisecond) // the reply with the new cookie is long with the browser
		})
		if c := pxSet(res); c != nil {
			browser = c.Name + "=" + c.Value
		}
		if user := pxUser(m, browser); user != "alice" {
			t.Errorf("the browser is signed in as %q", user)
		}
		time.Sleep(time.Minute)
		events.take()
		pxUser(m, browser)
		if k := events.kinds(); k != "" {
			t.Errorf("a minute later: %s", k)
		}
	})
}
