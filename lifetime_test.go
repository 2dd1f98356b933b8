package session_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

const (
	pxHour = time.Hour
	pxDay  = 24 * time.Hour
)

// pxBrowser uses a cookie the way a browser does: it keeps the newest.
type pxBrowser struct {
	t      *testing.T
	m      *session.Manager
	cookie string
}

// read makes a request, says whether it sent a cookie, and who is signed in.
func (b *pxBrowser) read() (user string, sent *http.Cookie) {
	b.t.Helper()
	res := pxDo(b.m, b.cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { user = s.UserID() })
	if sent = pxSet(res); sent != nil {
		b.cookie = sent.Name + "=" + sent.Value
	}
	return user, sent
}

// pxAge runs fn in a bubble with a browser of alice, who has just signed in.
func pxAge(t *testing.T, cfg session.Config, opts session.SignInOptions, fn func(t *testing.T, b *pxBrowser)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), cfg)
		fn(t, &pxBrowser{t, m, pxSignInWith(t, m, "", "alice", opts)})
	})
}

// alive fails unless the session's state is as wanted and whether a cookie came is.
func (b *pxBrowser) alive(when string, wantAlive, wantSent bool) {
	b.t.Helper()
	user, sent := b.read()
	if alive := user == "alice"; alive != wantAlive || (sent != nil) != wantSent {
		b.t.Errorf("%s: alive %t, cookie sent %t, want %t, %t", when, alive, sent != nil, wantAlive, wantSent)
	}
}

// At the very moment of its expiry a session has ended, and the browser is told.
func TestSessionEndsExactlyAtItsExpiry(t *testing.T) {
	cfg := session.Config{ExpiresIn: 2 * pxHour, UpdateAge: 2 * pxHour}
	pxAge(t, cfg, session.SignInOptions{}, func(t *testing.T, b *pxBrowser) {
		time.Sleep(2*pxHour - time.Millisecond)
		b.alive("a millisecond before", true, false)
		time.Sleep(time.Millisecond)
		user, sent := b.read()
		if user != "" || sent == nil || sent.MaxAge >= 0 || sent.Value != "" {
			t.Errorf("at the expiry: got user %q, cookie %v, want nobody and a deletion", user, sent)
		}
	})
}

// The cookie lives as long as the session, and is sent again with a refresh.
func TestRefreshMovesTheEndOnceUpdateAgeHasPassed(t *testing.T) {
	pxAge(t, session.Config{}, session.SignInOptions{}, func(t *testing.T, b *pxBrowser) {
		time.Sleep(pxDay - time.Millisecond)
		b.alive("just within UpdateAge", true, false)
		time.Sleep(time.Millisecond)
		before := b.cookie
		user, sent := b.read()
		if user != "alice" || sent == nil || sent.MaxAge != 7*24*3600 || b.cookie != before {
			t.Errorf("at UpdateAge: user %q, cookie %v, want the same token for 7 days", user, sent)
		}
		b.alive("right after the refresh", true, false)
		time.Sleep(7*pxDay - time.Millisecond)
		b.alive("7 days after the refresh", true, true)
	})
}

// A value that is written says nothing about the session's age: with it, a
// session that is written to steadily would never become due.
func TestWritesDoNotPutOffTheRefresh(t *testing.T) {
	pxAge(t, session.Config{}, session.SignInOptions{}, func(t *testing.T, b *pxBrowser) {
		for range 23 {
			time.Sleep(pxHour)
			pxNoCookie(t, pxPut(t, b.m, b.cookie, pxColor, time.Now().String()))
		}
		time.Sleep(pxHour)
		b.alive("after a day of writes", true, true)
	})
}

func TestNoRefreshPassesMaxLifetime(t *testing.T) {
	for _, cfg := range []session.Config{{}, {UpdateAge: session.EveryRequest}} {
		pxAge(t, cfg, session.SignInOptions{}, func(t *testing.T, b *pxBrowser) {
			for range 29 {
				time.Sleep(pxDay)
				b.alive("daily use", true, true)
			}
			time.Sleep(pxHour)
			if _, sent := b.read(); cfg.UpdateAge == session.EveryRequest && sent.MaxAge != 23*3600 {
				t.Errorf("23 hours before the end: got Max-Age %d", sent.MaxAge)
			}
			time.Sleep(23*pxHour - time.Millisecond)
			user, _ := b.read()
			time.Sleep(time.Millisecond)
			if after, _ := b.read(); user != "alice" || after != "" {
				t.Errorf("before and at 30 days: got %q and %q, want alice and nobody", user, after)
			}
		})
	}
}

// When the end stands at the absolute one, a refresh still moves UpdatedAt: else
// every request from then on would write.
func TestRefreshNearTheAbsoluteEndDoesNotRepeat(t *testing.T) {
	cfg := session.Config{ExpiresIn: 4 * pxDay, UpdateAge: pxDay, MaxLifetime: 5 * pxDay}
	pxAge(t, cfg, session.SignInOptions{}, func(t *testing.T, b *pxBrowser) {
		for range 4 {
			time.Sleep(pxDay)
			b.alive("a day later", true, true)
			b.alive("and again at once", true, false)
		}
	})
}

// A new authentication begins a new absolute lifetime; activity does not.
func TestMaxLifetimeCountsFromTheAuthentication(t *testing.T) {
	pxAge(t, session.Config{}, session.SignInOptions{}, func(t *testing.T, b *pxBrowser) {
		for day := range 40 {
			time.Sleep(pxDay)
			if day == 20 {
				b.cookie = pxSignInWith(t, b.m, b.cookie, "alice", session.SignInOptions{})
			}
			if user, _ := b.read(); user != "alice" {
				t.Fatalf("day %d: signed out", day)
			}
		}
	})
}

func TestRefreshMakesNothingFresh(t *testing.T) {
	pxAge(t, session.Config{UpdateAge: pxHour, FreshAge: 5 * time.Hour}, session.SignInOptions{}, func(t *testing.T, b *pxBrowser) {
		fresh := func() (fresh bool) {
			pxDo(b.m, b.cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { fresh = s.Fresh() })
			return fresh
		}
		time.Sleep(5*time.Hour - time.Millisecond)
		if !fresh() {
			t.Error("not fresh within FreshAge")
		}
		time.Sleep(time.Millisecond)
		if fresh() {
			t.Error("fresh at FreshAge, after a refresh")
		}
	})
}

func TestEveryRequestRefreshes(t *testing.T) {
	pxAge(t, session.Config{ExpiresIn: pxHour, UpdateAge: session.EveryRequest}, session.SignInOptions{}, func(t *testing.T, b *pxBrowser) {
		for range 48 {
			time.Sleep(59 * time.Minute)
			b.alive("59 minutes later", true, true)
		}
		b.alive("in the same millisecond", true, true)
		time.Sleep(pxHour)
		b.alive("an hour later", false, true)
	})
}

// Not to be remembered: the browser's end or 24 hours, whichever comes first,
// and no refresh of a request that only reads.
func TestForgetEndsAfterADay(t *testing.T) {
	for _, row := range []struct {
		name      string
		cfg       session.Config
		idle, use time.Duration // unused, and used every hour
	}{
		{"by default", session.Config{UpdateAge: pxHour}, pxDay, pxDay},
		{"with a shorter ExpiresIn", session.Config{ExpiresIn: 2 * pxHour, UpdateAge: pxHour}, 2 * pxHour, pxDay},
		{"with a shorter MaxLifetime", session.Config{ExpiresIn: 2 * pxHour, UpdateAge: pxHour, MaxLifetime: 12 * pxHour}, 2 * pxHour, 12 * pxHour},
		{"refreshed on every request", session.Config{UpdateAge: session.EveryRequest}, pxDay, pxDay},
	} {
		pxAge(t, row.cfg, session.SignInOptions{Forget: true}, func(t *testing.T, b *pxBrowser) {
			start := time.Now()
			for time.Since(start) < row.use {
				user, sent := b.read()
				if user != "alice" || sent != nil && sent.MaxAge != 0 {
					t.Fatalf("%s: after %v of use: user %q, cookie %v", row.name, time.Since(start), user, sent)
				}
				if sent != nil && row.idle == pxDay {
					t.Errorf("%s: a cookie was sent again, which moves nothing", row.name)
				}
				time.Sleep(pxHour)
			}
			if user, _ := b.read(); user != "" {
				t.Errorf("%s: alive after %v of use", row.name, row.use)
			}
		})
		pxAge(t, row.cfg, session.SignInOptions{Forget: true}, func(t *testing.T, b *pxBrowser) {
			time.Sleep(row.idle)
			if user, _ := b.read(); user != "" {
				t.Errorf("%s: alive after %v without use", row.name, row.idle)
			}
		})
	}
}

func TestAnonymousSessionsHaveTheirOwnLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{AnonymousExpiresIn: 6 * pxHour, UpdateAge: pxHour})
		cookie := pxAnonymous(t, m, "cart")
		for range 5 {
			time.Sleep(6*pxHour - time.Millisecond)
			if c := pxSet(pxDo(m, cookie, pxRead)); c == nil || c.MaxAge != 6*3600 {
				t.Fatalf("a visitor who comes back: got cookie %v, want 6 hours", c)
			}
		}
		time.Sleep(6 * pxHour)
		if name := pxGet(m, cookie, pxName); name != "none" {
			t.Errorf("after 6 hours without use: got %q", name)
		}
	})
}

// NIST SP 800-63B-4, sections 2.1.3, 2.2.3 and 2.3.3.
func TestAssuranceLevelsLimitSessions(t *testing.T) {
	for _, row := range []struct {
		aal            session.Level
		idle, absolute time.Duration
	}{
		{session.AAL1, 7 * pxDay, 30 * pxDay},
		{session.AAL2, pxHour, pxDay},
		{session.AAL3, 15 * time.Minute, 12 * pxHour},
	} {
		cfg := session.Config{AAL: row.aal}
		pxAge(t, cfg, session.SignInOptions{Level: row.aal}, func(t *testing.T, b *pxBrowser) {
			time.Sleep(row.idle)
			if user, _ := b.read(); user != "" {
				t.Errorf("AAL%d: alive after %v without use", row.aal, row.idle)
			}
		})
		pxAge(t, cfg, session.SignInOptions{Level: row.aal}, func(t *testing.T, b *pxBrowser) {
			start, step := time.Now(), row.idle/2
			for time.Since(start) < row.absolute {
				if user, _ := b.read(); user != "alice" {
					t.Fatalf("AAL%d: signed out after %v of use", row.aal, time.Since(start))
				}
				time.Sleep(min(step, row.absolute-time.Since(start)))
			}
			if user, _ := b.read(); user != "" {
				t.Errorf("AAL%d: alive after %v of use", row.aal, row.absolute)
			}
		})
	}
}

// Two managers on one store, as while a new configuration is rolled out: requests
// go to either, and neither ends nor prolongs what the other made beyond its own.
func TestManagersOfDifferentConfigurationShareAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		short := pxManager(t, store, session.Config{ExpiresIn: pxDay, UpdateAge: 2 * pxHour})
		long := pxManager(t, store, session.Config{ExpiresIn: 7 * pxDay, UpdateAge: 2 * pxHour})
		for _, first := range []*session.Manager{short, long} {
			cookie := pxSignIn(t, first, "alice")
			for i := range 48 {
				time.Sleep(pxHour)
				m := []*session.Manager{short, long}[i%2]
				if user := pxUser(m, cookie); user != "alice" {
					t.Fatalf("signed out after %d hours of use", i+1)
				}
			}
			var left time.Duration
			pxDo(long, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				left = time.Until(s.Info().ExpiresAt)
			})
			if want := pxDay; first == short && left > want {
				t.Errorf("a session made for %v lives %v", want, left)
			}
			pxSignOut(t, long, cookie)
		}
	})
}

// The cookie of an upgraded request could not arrive: the refresh waits for the
// next ordinary one, and so does the rotation, which would kill the session.
func TestUpgradedRequestNeitherRefreshesNorRotates(t *testing.T) {
	for _, row := range []struct {
		name  string
		edits []func(*http.Request)
		due   bool
	}{
		{"WebSocket", []func(*http.Request){pxHeader("Connection", "keep-alive, Upgrade"), pxHeader("Upgrade", "websocket")}, false},
		{"CONNECT", []func(*http.Request){func(r *http.Request) { r.Method = http.MethodConnect }}, false},
		{"an Upgrade that no Connection names", []func(*http.Request){pxHeader("Upgrade", "websocket")}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := pxFaulty()
			m := pxManager(t, store, session.Config{RotateEvery: pxHour})
			cookie := pxSignIn(t, m, "alice")
			time.Sleep(25 * time.Hour)
			store.reset()
			var user string
			res := pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { user = s.UserID() }, row.edits...)
			if sent := pxSet(res) != nil; user != "alice" || sent != row.due || (store.writes() > 0) != row.due {
				t.Errorf("%s: user %q, cookie sent %t, %d writes, want due %t", row.name, user, sent, store.writes(), row.due)
			}
			if sent := pxSet(pxDo(m, cookie, pxRead)); (sent == nil) != row.due {
				t.Errorf("%s: the next request sends %v", row.name, sent)
			}
		})
	}
}

// A header client has nowhere to keep a cookie.
func TestHeaderSessionIsRefreshedWithoutACookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{HeaderTransport: true, RotateEvery: pxHour})
		var token session.Token
		pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{Header: true}))
			token, _ = s.Token()
		})
		for range 20 {
			time.Sleep(pxDay)
			var user string
			pxNoCookie(t, pxDo(m, "", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { user = s.UserID() },
				pxHeader("X-Session-ID", token.Reveal())))
			if user != "alice" {
				t.Fatalf("got user %q, want alice", user)
			}
		}
		if _, updates := store.called("Update"); updates != 20 {
			t.Errorf("got %d refreshes, want 20", updates)
		}
	})
}

// Another node's clock is ahead. The session is not refreshed before its time,
// does not end early, and is not moved back.
func TestClockAheadDoesNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		r, err := store.Store.Load(t.Context(), pxID(cookie))
		pxOK(t, "Load", err)
		ahead := *r
		ahead.Version, ahead.UpdatedAt, ahead.ExpiresAt = r.Version+1, r.UpdatedAt.Add(10*time.Minute), r.ExpiresAt.Add(10*time.Minute)
		pxOK(t, "Update", store.Store.Update(t.Context(), &ahead, r.Version))
		b := &pxBrowser{t, m, cookie}
		store.reset()
		b.alive("while UpdatedAt is in the future", true, false)
		time.Sleep(pxDay + 10*time.Minute - time.Millisecond)
		b.alive("within UpdateAge of it", true, false)
		if n := store.writes(); n != 0 {
			t.Errorf("got %d writes, want 0", n)
		}
		time.Sleep(time.Millisecond)
		b.alive("at UpdateAge of it", true, true)
	})
}

// The refresh's conflict is with a request that signs the session out and whose
// delete comes first.
func TestRefreshOfARevokedSessionIsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		time.Sleep(pxDay)
		store.before = func(ctx context.Context, op pxOp) error {
			if op.name == "Update" {
				return store.Store.Delete(ctx, op.id)
			}
			return nil
		}
		if res := pxServe(m.Handler(m.RequireUser(pxFunc(pxRead))), cookie); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %s, want 401", res.Status)
		}
		store.before = nil
		pxEnded(t, m, store, cookie)
	})
}

func TestInfoSaysWhenTheSessionEndsAndIsRefreshed(t *testing.T) {
	for _, row := range []struct {
		name       string
		cfg        session.Config
		opts       session.SignInOptions
		ends, next time.Duration // next 0: never
	}{
		{"by default", session.Config{}, session.SignInOptions{}, 7 * pxDay, pxDay},
		{"every request", session.Config{UpdateAge: session.EveryRequest}, session.SignInOptions{}, 7 * pxDay, time.Nanosecond},
		{"forgotten", session.Config{}, session.SignInOptions{Forget: true}, pxDay, 0},
		{"pending", session.Config{}, session.SignInOptions{Pending: true}, 10 * time.Minute, 0},
		{"refreshed at its end", session.Config{ExpiresIn: pxHour, UpdateAge: pxHour}, session.SignInOptions{}, pxHour, 0},
		{"short MaxLifetime", session.Config{ExpiresIn: pxHour, UpdateAge: time.Minute, MaxLifetime: pxHour}, session.SignInOptions{}, pxHour, time.Minute},
	} {
		pxAge(t, row.cfg, row.opts, func(t *testing.T, b *pxBrowser) {
			start := time.Now()
			list, err := b.m.Sessions(t.Context(), "alice")
			if err != nil || len(list) != 1 {
				t.Fatalf("%s: got %v, %v", row.name, list, err)
			}
			if ends := list[0].ExpiresAt.Sub(start); ends != row.ends {
				t.Errorf("%s: ends in %v, want %v", row.name, ends, row.ends)
			}
			next := time.Duration(0)
			if !list[0].NextRefresh.IsZero() {
				next = max(list[0].NextRefresh.Sub(start), time.Nanosecond)
			}
			if next != row.next {
				t.Errorf("%s: next refresh in %v, want %v", row.name, next, row.next)
			}
		})
	}
}

// Polling keeps nobody signed in.
func TestRequestsWithoutRefreshLetTheSessionExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{ExpiresIn: time.Hour, RotateEvery: 10 * time.Minute})
		cookie := pxSignIn(t, m, "alice")
		poll := func(r *http.Request) { *r = *r.WithContext(session.WithoutRefresh(r.Context())) }
		var user string
		read := pxFunc(func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { user = s.UserID() })
		for range 11 {
			time.Sleep(5 * time.Minute)
			res := pxServe(m.Handler(read), cookie, poll)
			pxNoCookie(t, res)
			if user != "alice" {
				t.Fatalf("got user %q, want alice", user)
			}
		}
		time.Sleep(5 * time.Minute)
		if pxServe(m.Handler(read), cookie, poll); user != "" {
			t.Errorf("after an hour of polling: got user %q, want nobody", user)
		}
	})
}

// A gateway that does not pass on the cookie of a refresh needs one that lasts.
func TestAbsoluteCookieLastsToTheAbsoluteEnd(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts session.SignInOptions
		want time.Duration
	}{
		{"remembered", session.SignInOptions{}, 30 * pxDay},
		{"not remembered", session.SignInOptions{Forget: true}, 0},
		{"second factor outstanding", session.SignInOptions{Pending: true}, 10 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := pxManager(t, memstore.New(memstore.Options{}), session.Config{Cookie: session.Cookie{Absolute: true}})
				res := pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
					pxOK(t, "SignIn", s.SignIn(r.Context(), "alice", tc.opts))
				})
				if got := time.Duration(pxSet(res).MaxAge) * time.Second; got != tc.want {
					t.Errorf("cookie lasts %v, want %v", got, tc.want)
				}
				cookie := pxSent(t, res)
				time.Sleep(7 * pxDay)
				if user := pxUser(m, cookie); user != "" {
					t.Errorf("unused for ExpiresIn: got user %q, want nobody", user)
				}
			})
		})
	}
}
