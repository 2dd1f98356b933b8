package session_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// deafStore is a store without a feed.
type deafStore struct{ session.Store }

// weakFeed is a store whose feed is as healthy as a test says.
type weakFeed struct {
	session.Store
	followers atomic.Int32
	mu        sync.Mutex
	healthy   func(ok bool)
	changed   func(id string)
}

func (f *weakFeed) Follow(ctx context.Context, changed func(id string), healthy func(ok bool)) error {
	f.mu.Lock()
	f.healthy, f.changed = healthy, changed
	f.mu.Unlock()
	f.followers.Add(1)
	defer f.followers.Add(-1)
	<-ctx.Done()
	return ctx.Err()
}

func (f *weakFeed) be(healthy bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.healthy(healthy)
}

// watched is how long it takes until a request is watched.
const watched = time.Second

// liveRequest is a request in a Live handler.
type liveRequest struct {
	cause error         // why it ended, when done is closed
	after time.Duration // how long it lasted since it was watched
	done  chan struct{}
}

// stay makes a request that stays until its context ends.
func stay(m *session.Manager, cookie string) *liveRequest {
	l := &liveRequest{done: make(chan struct{})}
	began := time.Now().Add(watched)
	go func() {
		defer close(l.done)
		pxServe(m.Handler(m.Live(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			l.cause, l.after = context.Cause(r.Context()), time.Since(began)
		}))), cookie)
	}()
	time.Sleep(watched)
	return l
}

// ended fails unless the request ended with the cause, after at least and at most
// so long.
func (l *liveRequest) ended(t *testing.T, cause error, least, most time.Duration) {
	t.Helper()
	time.Sleep(most + time.Minute)
	select {
	case <-l.done:
	default:
		t.Fatalf("request is still there %v after it should have ended", time.Minute)
	}
	if l.cause != cause || l.after < least || l.after > most {
		t.Errorf("ended after %v with cause %v, want %v after %v to %v", l.after, l.cause, cause, least, most)
	}
}

func (l *liveRequest) lives(t *testing.T, when string) {
	t.Helper()
	select {
	case <-l.done:
		t.Fatalf("%s: request has ended: %v", when, l.cause)
	default:
	}
}

func TestLiveEndsWithTheSession(t *testing.T) {
	const poll = 10 * time.Second
	for _, tc := range []struct {
		name        string
		deaf        bool // the store has no feed
		end         func(t *testing.T, m *session.Manager, cookie string)
		cause       error
		least, most time.Duration
	}{
		{"revoked, with a feed", false, liveRevoke, session.ErrRevoked, 0, 0},
		{"revoked, without a feed", true, liveRevoke, session.ErrRevoked, 0, poll},
		{"all sessions revoked, with a feed", false, func(t *testing.T, m *session.Manager, _ string) {
			_, err := m.RevokeAll(t.Context(), "alice")
			pxOK(t, "RevokeAll", err)
		}, session.ErrRevoked, 0, 0},
		{"signed out in another tab", false, func(t *testing.T, m *session.Manager, cookie string) {
			pxSignOut(t, m, cookie)
		}, session.ErrRevoked, 0, 0},
		{"signed in as somebody else in another tab", false, func(t *testing.T, m *session.Manager, cookie string) {
			pxSignInWith(t, m, cookie, "bob", session.SignInOptions{})
		}, session.ErrRevoked, 0, 0},
		{"expired, with a feed", false, liveWait, session.ErrExpired, time.Hour - watched, time.Hour},
		{"expired, without a feed", true, liveWait, session.ErrExpired, time.Hour - watched, time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := pxManager(t, liveStore(tc.deaf), session.Config{ExpiresIn: time.Hour, UpdateAge: time.Hour})
				cookie := pxSignIn(t, m, "alice")
				l := stay(m, cookie)
				l.lives(t, "at first")
				tc.end(t, m, cookie)
				l.ended(t, tc.cause, tc.least, tc.most)
			})
		})
	}
}

func liveStore(deaf bool) session.Store {
	store := memstore.New(memstore.Options{})
	if deaf {
		return deafStore{store}
	}
	return store
}

func liveRevoke(t *testing.T, m *session.Manager, cookie string) {
	pxOK(t, "Revoke", m.Revoke(t.Context(), "alice", pxID(cookie)))
}

func liveWait(*testing.T, *session.Manager, string) {}

// What keeps the session keeps the request.
func TestLiveGoesOnWithTheSession(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, m *session.Manager, cookie string)
	}{
		{"refreshed by another request", func(t *testing.T, m *session.Manager, cookie string) {
			pxUser(m, cookie)
		}},
		{"a value set by another request", func(t *testing.T, m *session.Manager, cookie string) {
			pxPut(t, m, cookie, pxName, "x")
		}},
		{"authenticated again", func(t *testing.T, m *session.Manager, cookie string) {
			pxSignInWith(t, m, cookie, "alice", session.SignInOptions{})
		}},
		{"another session revoked", func(t *testing.T, m *session.Manager, _ string) {
			liveRevoke(t, m, pxSignIn(t, m, "alice"))
		}},
	} {
		for _, deaf := range []bool{false, true} {
			t.Run(tc.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := pxManager(t, liveStore(deaf), session.Config{ExpiresIn: time.Hour})
					cookie := pxSignIn(t, m, "alice")
					l := stay(m, cookie)
					time.Sleep(40 * time.Minute)
					tc.do(t, m, cookie)
					time.Sleep(19 * time.Minute)
					l.lives(t, tc.name)
					time.Sleep(time.Hour)
					<-l.done
				})
			})
		}
	}
}

func TestLiveOutlastsTheExpiryThatItKnewOfIfTheSessionDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, liveStore(true), session.Config{ExpiresIn: time.Hour})
		cookie := pxSignIn(t, m, "alice")
		l := stay(m, cookie)
		for range 5 {
			time.Sleep(45 * time.Minute)
			if user := pxUser(m, cookie); user != "alice" {
				t.Fatalf("got user %q, want alice", user)
			}
			l.lives(t, "refreshed")
		}
		l.ended(t, session.ErrExpired, 5*45*time.Minute+time.Hour-watched, 5*45*time.Minute+time.Hour+time.Second)
	})
}

// A session can end between the load that authenticated the request and the
// first word of the feed.
func TestLiveNoticesARevocationBeforeItWatched(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := pxManager(t, liveStore(deaf), session.Config{})
			cookie := pxSignIn(t, m, "alice")
			var cause error
			pxServe(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				liveRevoke(t, m, cookie)
				m.Live(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					<-r.Context().Done()
					cause = context.Cause(r.Context())
				})).ServeHTTP(w, r)
			})), cookie)
			pxIs(t, "cause", cause, session.ErrRevoked)
		})
	}
}

func TestLiveAsksTheStoreWhileTheFeedIsNotHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := &weakFeed{Store: memstore.New(memstore.Options{})}
		m := pxManager(t, feed, session.Config{})
		cookies := [3]string{pxSignIn(t, m, "alice"), pxSignIn(t, m, "alice"), pxSignIn(t, m, "alice")}
		first, second, third := stay(m, cookies[0]), stay(m, cookies[1]), stay(m, cookies[2])
		feed.be(true)
		time.Sleep(time.Minute)
		liveRevoke(t, m, cookies[0])
		time.Sleep(time.Minute)
		first.lives(t, "a healthy feed said nothing")
		feed.be(false)
		time.Sleep(10 * time.Second)
		<-first.done
		liveRevoke(t, m, cookies[1])
		time.Sleep(10 * time.Second)
		<-second.done
		feed.be(true)
		synctest.Wait()
		liveRevoke(t, m, cookies[2])
		feed.changed(pxID(cookies[2]))
		<-third.done
	})
}

// While the store cannot be asked, the request goes on until the session would
// have expired, and no longer.
func TestLiveOutlastsAnOutageButNotTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		store := pxFaulty()
		store.before = func(context.Context, pxOp) error {
			if down.Load() {
				return errStoreDown
			}
			return nil
		}
		m := pxManager(t, store, session.Config{ExpiresIn: time.Hour})
		l := stay(m, pxSignIn(t, m, "alice"))
		down.Store(true)
		time.Sleep(59 * time.Minute)
		l.lives(t, "the store is down")
		l.ended(t, session.ErrExpired, time.Hour-watched, time.Hour)
	})
}

// After an outage all want to know at once; the store is asked by so many at a time.
func TestLiveBoundsItsReadsAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reading, most atomic.Int32
		store := pxFaulty()
		store.before = func(_ context.Context, op pxOp) error {
			for n := reading.Add(1); n > most.Load(); {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			reading.Add(-1)
			return nil
		}
		feed := &weakFeed{Store: store}
		m := pxManager(t, feed, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		requests := make([]*liveRequest, 1000)
		var all sync.WaitGroup
		for i := range requests {
			all.Go(func() { requests[i] = stay(m, cookie) })
		}
		all.Wait()
		time.Sleep(watched)
		most.Store(0)
		feed.be(true)
		time.Sleep(time.Second)
		if got := most.Load(); got < 2 || got > 64 {
			t.Errorf("%d reads at once, want at most 64", got)
		}
		liveRevoke(t, m, cookie)
		feed.changed(pxID(cookie))
		for _, l := range requests {
			<-l.done
			pxIs(t, "cause", l.cause, session.ErrRevoked)
		}
	})
}

// The last request leaves nothing behind, the next one finds a feed again.
func TestLiveFollowsWhileSomebodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := &weakFeed{Store: memstore.New(memstore.Options{})}
		m := pxManager(t, feed, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		for range 3 {
			handler := m.Handler(m.Live(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				time.Sleep(time.Second)
				if n := feed.followers.Load(); n != 1 {
					t.Errorf("%d follow the feed during a request, want 1", n)
				}
			})))
			pxServe(handler, cookie)
			synctest.Wait()
			if n := feed.followers.Load(); n != 0 {
				t.Errorf("%d follow the feed after the request, want none", n)
			}
		}
	})
}

// Short requests do not pay for what long ones need.
func TestLiveReadsNothingForShortRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := pxFaulty()
		m := pxManager(t, &weakFeed{Store: store}, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		store.reset()
		for range 100 {
			pxServe(m.Handler(m.Live(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				time.Sleep(100 * time.Millisecond)
			}))), cookie)
		}
		if loads, _ := store.called("Load"); loads != 100 {
			t.Errorf("100 requests made %d loads, want 100", loads)
		}
	})
}

func TestLiveLeavesOthersAlone(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	called := false
	live := m.Live(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		called = true
		pxOK(t, "context of a visitor without a session", r.Context().Err())
	}))
	if res := pxServe(m.Handler(live), ""); res.StatusCode != http.StatusOK || !called {
		t.Errorf("visitor without a session: status %d, called %t, want 200 and the handler", res.StatusCode, called)
	}
	called = false
	if res := pxServe(live, ""); res.StatusCode != http.StatusInternalServerError || called {
		t.Errorf("outside Handler: status %d, called %t, want 500", res.StatusCode, called)
	}
}

// fedFault is a store that can fail, with the feed of the one in it.
type fedFault struct {
	*pxFault
	session.Feed
}

// The feed tells of a change once. If the store cannot be asked then, it is asked
// again, whether it was the first time or later.
func TestLiveAsksAgainWhatItCouldNotRead(t *testing.T) {
	for when, early := range map[string]bool{"at first": true, "later": false} {
		t.Run(when, clInBubble(func(t *testing.T) {
			var failures atomic.Int32
			inner := &memstore.Store{}
			store := fedFault{&pxFault{Store: inner}, inner}
			store.before = func(_ context.Context, op pxOp) error {
				if op.name == "Load" && failures.Add(-1) >= 0 {
					return errStoreDown
				}
				return nil
			}
			m := pxManager(t, store, session.Config{})
			cookie := pxSignIn(t, m, "alice")
			revoke := func() {
				failures.Store(2)
				_, err := m.RevokeAll(t.Context(), "alice")
				pxOK(t, "RevokeAll", err)
			}
			if early {
				time.AfterFunc(100*time.Millisecond, revoke)
			}
			l := stay(m, cookie)
			if !early {
				revoke()
			}
			l.ended(t, session.ErrRevoked, 0, 20*time.Second)
		}))
	}
}

// However many wait for their turn to ask a store that hangs, none outlasts its
// session.
func TestLiveEndsWithTheSessionAlsoInAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Bool
		store := pxFaulty()
		store.before = func(ctx context.Context, _ pxOp) error {
			if !hang.Load() {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		m := pxManager(t, store, session.Config{ExpiresIn: time.Minute, UpdateAge: time.Minute})
		cookie := pxSignIn(t, m, "alice")
		var all sync.WaitGroup
		for range 6400 {
			all.Go(func() { stayFor(m, cookie) })
		}
		began := time.Now()
		time.Sleep(2 * watched)
		hang.Store(true)
		all.Wait()
		if after := time.Since(began); after > time.Minute+5*time.Second {
			t.Errorf("the last request ended after %v, its session after a minute", after)
		}
	})
}

func stayFor(m *session.Manager, cookie string) {
	pxServe(m.Handler(m.Live(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}))), cookie)
}

// An outage is told once, and not by each request every few seconds.
func TestLiveTellsOfAnOutageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		events := &pxEvents{}
		store := pxFaulty()
		store.before = func(context.Context, pxOp) error {
			if down.Load() {
				return errStoreDown
			}
			return nil
		}
		m := pxManager(t, store, session.Config{OnEvent: events.hook})
		cookie := pxSignIn(t, m, "alice")
		for range 20 {
			go stayFor(m, cookie)
		}
		time.Sleep(time.Minute)
		events.take()
		for range 2 {
			down.Store(true)
			time.Sleep(time.Hour)
			if kinds := events.kinds(); kinds != "store error" {
				t.Errorf("an hour of outage: got events %q, want one", kinds)
			}
			down.Store(false)
			time.Sleep(time.Minute)
		}
		pxSignOut(t, m, cookie)
		time.Sleep(time.Minute)
	})
}
