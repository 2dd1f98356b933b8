package cachestore_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
)

const (
	name  = session.Key[string]("name")
	color = session.Key[string]("color")
	count = session.Key[int]("count")
)

func nothing(*http.Request, *session.Session) {}

// ends are the ways in which a session ends on node a.
var ends = []struct {
	by  string
	cfg session.Config
	do  func(a *node, cookie, id string)
}{
	{"SignOut", session.Config{}, func(a *node, cookie, _ string) {
		a.do(cookie, func(r *http.Request, s *session.Session) { must(a, s.SignOut(r.Context())) })
	}},
	{"Revoke", session.Config{}, func(a *node, _, id string) { must(a, a.Revoke(a.Context(), user, id)) }},
	{"RevokeAll", session.Config{}, func(a *node, _, _ string) {
		_, err := a.RevokeAll(a.Context(), user)
		must(a, err)
	}},
	{"RevokeOthers", session.Config{}, func(a *node, _, _ string) {
		a.do(a.signIn(), func(r *http.Request, s *session.Session) {
			_, err := a.RevokeOthers(r.Context(), s)
			must(a, err)
		})
	}},
	{"a sign-in beyond the limit", session.Config{MaxSessions: 1}, func(a *node, _, _ string) { a.signIn() }},
	{"Rotate, for the old token", session.Config{}, func(a *node, cookie, _ string) {
		a.do(cookie, func(r *http.Request, s *session.Session) { must(a, s.Rotate(r.Context())) })
	}},
}

func TestASessionThatEndsOnOneNodeIsRefusedOnTheOther(t *testing.T) {
	for _, end := range ends {
		t.Run(end.by, func(t *testing.T) {
			a, b := nodes(t, end.cfg, cachestore.Options{})
			var id string
			cookie := a.signIn(func(_ *http.Request, s *session.Session) { id = s.ID() })
			a.wantUser("before, here", cookie, user)
			b.wantUser("before, there", cookie, user)
			b.link.loads.Store(0)
			b.wantUser("before, from memory", cookie, user)
			wantLoads(t, "before, from memory", b.link, 0)

			end.do(a, cookie, id)
			b.wantUser("afterwards, there", cookie, "")
			a.wantUser("afterwards, here", cookie, "")
		})
	}
}

// The node that ends a session needs no feed for it.
func TestASessionThatEndsIsRefusedThereAtOnce(t *testing.T) {
	for _, end := range ends {
		t.Run(end.by, func(t *testing.T) {
			a, b := nodes(t, end.cfg, cachestore.Options{})
			var id string
			cookie := a.signIn(func(_ *http.Request, s *session.Session) { id = s.ID() })
			a.wantUser("before, here", cookie, user)
			b.wantUser("before, there", cookie, user)
			a.link.hold()
			b.link.hold()

			end.do(a, cookie, id)
			a.wantUser("before the feed tells, here", cookie, "")
			b.wantUser("before the feed tells, there", cookie, user)
			b.link.deliver()
			b.wantUser("after the feed told, there", cookie, "")
		})
	}
}

func TestARevokedSessionOutlivesALyingFeedByMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := nodes(t, session.Config{}, cachestore.Options{})
		cookie := a.signIn()
		b.wantUser("before", cookie, user)
		b.link.silence()
		_, err := a.RevokeAll(t.Context(), user)
		must(t, err)
		time.Sleep(10*time.Second - time.Millisecond)
		b.wantUser("before MaxAge", cookie, user)
		time.Sleep(time.Millisecond)
		b.wantUser("at MaxAge", cookie, "")
	})
}

// shapes are a store that merges changes, and one that leaves it to the core.
var shapes = []struct {
	name  string
	inner func(l *link) session.Store
}{
	{"patch", func(l *link) session.Store { return l }},
	{"compare and set", func(l *link) session.Store {
		return struct {
			session.Store
			session.Feed
		}{l, l}
	}},
}

// lagging returns two nodes whose feeds tell nothing until deliver.
func lagging(t *testing.T, inner func(*link) session.Store, cfg session.Config) (a, b *node) {
	s := newServer()
	both := make([]*node, 2)
	for i := range both {
		l := s.connect()
		both[i] = nodeOf(t, l, cached(t, l, inner(l), cachestore.Options{MaxAge: time.Hour}), cfg)
		l.hold()
	}
	return both[0], both[1]
}

func increment(r *http.Request, s *session.Session) error {
	return count.Update(r.Context(), s, func(n int) (int, error) { return n + 1, nil })
}

// A stale node that conflicts must not load what it holds again and again until
// the feed comes.
func TestAConflictIsResolvedWithoutTheFeed(t *testing.T) {
	const rounds = 20
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			a, b := lagging(t, shape.inner, session.Config{})
			cookie := a.signIn()
			for range rounds {
				for _, n := range []*node{a, b} {
					n.do(cookie, nothing) // it is held, and stale from the next round on
					n.link.updates.Store(0)
					n.link.loads.Store(0)
					n.do(cookie, func(r *http.Request, s *session.Session) { must(t, increment(r, s)) })
					if got := n.link.updates.Load(); got > 2 {
						t.Errorf("Key.Update: got %d updates of the store, want at most 2", got)
					}
					if got := n.link.loads.Load(); got > 1 {
						t.Errorf("Key.Update: got %d loads from the store, want at most 1", got)
					}
				}
			}
			wantCount(t, a, cookie, 2*rounds)
		})
	}
}

// wantCount checks the counter in the store, which a lagging node may not see.
func wantCount(t *testing.T, n *node, cookie string, want int) {
	t.Helper()
	n.link.deliver()
	n.do(cookie, func(_ *http.Request, s *session.Session) {
		if got, _ := count.Get(s); got != want {
			t.Errorf("got count %d, want %d", got, want)
		}
	})
}

func TestParallelCountersOnTwoNodesLoseNothing(t *testing.T) {
	const lanes, each = 3, 10
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			a, b := lagging(t, shape.inner, session.Config{})
			cookie := a.signIn()
			var wg sync.WaitGroup
			for i := range 2 * lanes {
				n := []*node{a, b}[i%2]
				wg.Go(func() {
					for range each {
						n.do(cookie, func(r *http.Request, s *session.Session) {
							if err := increment(r, s); err != nil {
								t.Errorf("Key.Update: got error %v, want none", err)
							}
						})
					}
				})
			}
			wg.Wait()
			wantCount(t, a, cookie, 2*lanes*each)
		})
	}
}

func TestStaleNodesMergeWhatTheyCommit(t *testing.T) {
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			a, b := lagging(t, shape.inner, session.Config{})
			cookie := a.signIn()
			b.do(cookie, nothing)
			a.do(cookie, func(_ *http.Request, s *session.Session) { must(t, name.Set(s, "Ada")) })
			b.do(cookie, func(_ *http.Request, s *session.Session) { must(t, color.Set(s, "red")) })
			for _, n := range []*node{a, b} {
				n.link.deliver()
				n.do(cookie, func(_ *http.Request, s *session.Session) {
					if got, _ := name.Get(s); got != "Ada" {
						t.Errorf("got name %q, want Ada", got)
					}
					if got, _ := color.Get(s); got != "red" {
						t.Errorf("got color %q, want red", got)
					}
				})
			}
		})
	}
}

func TestAStaleNodeDoesNotWriteToWhatIsRevoked(t *testing.T) {
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			a, b := lagging(t, shape.inner, session.Config{})
			cookie := a.signIn()
			b.do(cookie, nothing)
			_, err := a.RevokeAll(t.Context(), user)
			must(t, err)
			b.do(cookie, func(r *http.Request, s *session.Session) {
				must(t, name.Set(s, "Mallory"))
				if err := s.Commit(r.Context()); !errors.Is(err, session.ErrRevoked) {
					t.Errorf("Commit: got error %v, want %v", err, session.ErrRevoked)
				}
			})
			b.wantUser("after its write, without the feed", cookie, "")
			if got, err := b.Sessions(t.Context(), user); len(got) != 0 || err != nil {
				t.Errorf("Sessions: got %v and error %v, want none", got, err)
			}
		})
	}
}

func TestAStaleNodeDoesNotRefreshAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := lagging(t, shapes[0].inner, session.Config{UpdateAge: time.Minute})
		cookie := a.signIn()
		b.do(cookie, nothing)
		time.Sleep(time.Minute)
		for _, tt := range []struct {
			request string
			n       *node
			want    bool
		}{{"first, here", a, true}, {"first, there", b, false}, {"second, there", b, false}} {
			if got := tt.n.do(cookie, nothing) != ""; got != tt.want {
				t.Errorf("%s: got cookie sent %t, want %t", tt.request, got, tt.want)
			}
			tt.n.wantUser(tt.request, cookie, user)
		}
	})
}

// What a node holds may be expired there and refreshed elsewhere. The core
// deletes what is expired.
func TestAStaleNodeDoesNotEndARefreshedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := session.Config{ExpiresIn: 30 * time.Second, UpdateAge: 25 * time.Second}
		a, b := nodes(t, cfg, cachestore.Options{})
		b.link.silence()
		cookie := a.signIn()
		time.Sleep(24 * time.Second)
		b.wantUser("before the refresh", cookie, user)
		time.Sleep(2 * time.Second)
		a.wantUser("at the refresh", cookie, user)
		time.Sleep(5 * time.Second)
		b.wantUser("after the expiry before the refresh", cookie, user)
		a.wantUser("after that", cookie, user)
	})
}
