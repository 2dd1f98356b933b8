package redisstore_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/redisstore"
	"github.com/updateage/session/storetest"
)

// cached returns a cache of the store that runs. Its records never grow old, so
// that nothing but the feed makes it right.
func cached(t *testing.T, store session.Store) cachestore.Store {
	t.Helper()
	c, err := cachestore.New(store, cachestore.Options{MaxAge: 24 * time.Hour})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: got error %v, want %v", err, context.Canceled)
		}
	})
	eventually(t, "trust the feed", func() bool { return c.Stats().Healthy })
	return c
}

func TestCacheOfTheStoreKeepsItsContractOn(t *testing.T) {
	for _, topology := range topologies {
		t.Run(topology.name, func(t *testing.T) {
			client := topology.start(t)
			storetest.Run(t, func(t *testing.T) session.Store { return cached(t, newStore(t, client, nil)) })
		})
	}
}

// web is a process that serves sessions from a cache of its own.
type web struct {
	*testing.T
	*session.Manager
	cache cachestore.Store
}

func newWeb(t *testing.T, client redis.UniversalClient) web {
	c := cached(t, newStore(t, client, &redisstore.Options{Heartbeat: quick}))
	m, err := session.New(c, session.Config{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	return web{t, m, c}
}

// do serves a request and returns the cookie that it sets.
func (w web) do(cookie string, fn func(context.Context, *session.Session)) (set string) {
	w.Helper()
	req := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	req.Header.Set("Cookie", cookie)
	rec := httptest.NewRecorder()
	w.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fn(r.Context(), session.FromContext(r.Context()))
	})).ServeHTTP(rec, req)
	for _, c := range rec.Result().Cookies() {
		set = c.Name + "=" + c.Value
	}
	return set
}

func (w web) user(cookie string) (userID string) {
	w.Helper()
	w.do(cookie, func(_ context.Context, s *session.Session) { userID = s.UserID() })
	return userID
}

func TestASessionRevokedOnOneNodeIsRefusedOnTheOther(t *testing.T) {
	for _, topology := range topologies {
		t.Run(topology.name, func(t *testing.T) {
			client := topology.start(t)
			a, b := newWeb(t, client), newWeb(t, client)
			for range 10 {
				user := newUser()
				cookie := a.do("", func(ctx context.Context, s *session.Session) {
					must(t, s.SignIn(ctx, user, session.SignInOptions{}))
				})
				eventually(t, "serve the session from memory", func() bool {
					hits := b.cache.Stats().Hits
					return b.user(cookie) == user && b.cache.Stats().Hits > hits
				})
				_, err := a.RevokeAll(t.Context(), user)
				must(t, err)
				eventually(t, "refuse the session", func() bool { return b.user(cookie) == "" })
			}
		})
	}
}

// A revocation that the feed loses would stay unnoticed: the cache keeps records
// for a day.
func TestNoRevocationIsMissedWhileConnectionsBreak(t *testing.T) {
	server := servers.StartRedis(t)
	client := single(t, server)
	a, b := newStore(t, client, nil), cached(t, newStore(t, client, &redisstore.Options{Heartbeat: 20 * time.Millisecond}))
	ctx, cancel := context.WithCancel(t.Context())
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		for ctx.Err() == nil {
			_, _ = server.Do("CLIENT", "KILL", "TYPE", "pubsub")
			time.Sleep(7 * time.Millisecond)
		}
	}()
	var ids []string
	for begun := time.Now(); time.Since(begun) < time.Second; {
		r := create(t, a, newUser())
		for range 3 {
			_, err := b.Load(t.Context(), r.ID)
			must(t, err)
		}
		must(t, a.Delete(t.Context(), r.ID))
		ids = append(ids, r.ID)
	}
	cancel()
	<-broken
	for _, id := range ids {
		eventually(t, "refuse the session", func() bool {
			_, err := b.Load(t.Context(), id)
			return errors.Is(err, session.ErrNotFound)
		})
	}
	if s := b.Stats(); s.Hits == 0 || s.Bypassed == 0 {
		t.Errorf("got %+v, want some answers from memory and some not", s)
	}
}
