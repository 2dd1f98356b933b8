package cachestore_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
	"github.com/updateage/session/memstore"
	"github.com/updateage/session/storetest"
)

func TestCacheKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) session.Store {
		l := newServer().connect()
		return cached(t, l, l, cachestore.Options{})
	})
}

func TestFullCacheKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) session.Store {
		l := newServer().connect()
		return cached(t, l, l, cachestore.Options{MaxRecords: 2})
	})
}

func TestCacheWithoutAFeedThatRunsKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) session.Store {
		c, err := cachestore.New(newServer().connect(), cachestore.Options{})
		must(t, err)
		return c
	})
}

func TestCacheWithoutOptionalInterfacesKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) session.Store {
		l := newServer().connect()
		return cached(t, l, struct {
			session.Store
			session.Feed
		}{l, l}, cachestore.Options{})
	})
}

// turns is a store whose calls go to its nodes in turn.
type turns struct {
	nodes []session.Store
	calls atomic.Uint64
}

func (s *turns) next() session.Store { return s.nodes[s.calls.Add(1)%uint64(len(s.nodes))] }

func (s *turns) Create(ctx context.Context, r *session.Record) error { return s.next().Create(ctx, r) }

func (s *turns) Load(ctx context.Context, id string) (*session.Record, error) {
	return s.next().Load(ctx, id)
}

func (s *turns) Update(ctx context.Context, r *session.Record, version uint64) error {
	return s.next().Update(ctx, r, version)
}

func (s *turns) Delete(ctx context.Context, id string) error { return s.next().Delete(ctx, id) }

func (s *turns) ListUser(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
	return s.next().ListUser(ctx, userID, now)
}

func (s *turns) DeleteUser(ctx context.Context, userID string, now time.Time, except ...string) (int, error) {
	return s.next().DeleteUser(ctx, userID, now, except...)
}

func (s *turns) CreateLimited(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
	return s.next().(session.LimitedCreator).CreateLimited(ctx, r, limit, now)
}

func (s *turns) Patch(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
	return s.next().(session.Patcher).Patch(ctx, id, changes, version, now)
}

func (s *turns) Sweep(ctx context.Context, now time.Time) (int, error) {
	return s.next().(session.Sweeper).Sweep(ctx, now)
}

// With a feed that needs no time, several nodes are as good as one.
func TestThreeNodesTogetherKeepTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) session.Store {
		server, all := newServer(), &turns{}
		for range 3 {
			l := server.connect()
			all.nodes = append(all.nodes, cached(t, l, l, cachestore.Options{}))
		}
		return all
	})
}

// TestCacheCanDoWhatTheStoreCan lets New see every combination of capabilities.
func TestCacheCanDoWhatTheStoreCan(t *testing.T) {
	type (
		store interface {
			session.Store
			session.Feed
		}
		L = session.LimitedCreator
		P = session.Patcher
		S = session.Sweeper
	)
	l := newServer().connect()
	for _, inner := range []session.Store{
		struct{ store }{l},
		struct {
			store
			L
		}{l, l},
		struct {
			store
			P
		}{l, l},
		struct {
			store
			S
		}{l, l},
		struct {
			store
			L
			P
		}{l, l, l},
		struct {
			store
			L
			S
		}{l, l, l},
		struct {
			store
			P
			S
		}{l, l, l},
		l,
	} {
		c, err := cachestore.New(inner, cachestore.Options{})
		must(t, err)
		wantSame[session.LimitedCreator](t, "LimitedCreator", c, inner)
		wantSame[session.Patcher](t, "Patcher", c, inner)
		wantSame[session.Sweeper](t, "Sweeper", c, inner)
		wantSame[session.Feed](t, "Feed", c, inner)
	}
}

// wantSame checks that the cache has an interface exactly if the store has it.
func wantSame[Interface any](t *testing.T, name string, c, inner session.Store) {
	t.Helper()
	_, got := c.(Interface)
	_, want := inner.(Interface)
	if got != want {
		t.Errorf("cache of a %T: got %s %t, want %t", inner, name, got, want)
	}
}

// feedless is a store with none of the capabilities.
type feedless struct{ session.Store }

func TestNewRefuses(t *testing.T) {
	good := newServer().connect()
	tests := []struct {
		what  string
		store session.Store
		opts  cachestore.Options
		want  []string
	}{
		{"a store without a feed", feedless{memstore.New(memstore.Options{})}, cachestore.Options{}, []string{"cachestore_test.feedless has no session.Feed"}},
		{"no store", nil, cachestore.Options{}, []string{"<nil> has no session.Feed"}},
		{"negative options", good, cachestore.Options{MaxRecords: -1, MaxAge: -1}, []string{"MaxRecords is -1", "MaxAge is -1ns"}},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			c, err := cachestore.New(tt.store, tt.opts)
			if c != nil || err == nil {
				t.Fatalf("New: got %v and error %v, want an error", c, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("New: got error %q, want %q in it", err, want)
				}
			}
			if got, want := errors.Is(err, errors.ErrUnsupported), tt.store != session.Store(good); got != want {
				t.Errorf("New: got errors.ErrUnsupported %t, want %t", got, want)
			}
		})
	}
}
