package cachestore

import (
	"context"
	"time"

	"github.com/updateage/session"
)

// The core asks a store by type assertion what it can do, so a cache must offer
// what the store behind it has and nothing more: a limit that is not exact is
// worse than none, as the core then keeps it in its own way. There is one type
// for each combination of LimitedCreator, Patcher and Sweeper, named by their
// initials.
type (
	storeL struct {
		*cache
		limiter
	}
	storeP struct {
		*cache
		patcher
	}
	storeS struct {
		*cache
		sweeper
	}
	storeLP struct {
		*cache
		limiter
		patcher
	}
	storeLS struct {
		*cache
		limiter
		sweeper
	}
	storePS struct {
		*cache
		patcher
		sweeper
	}
	storeLPS struct {
		*cache
		limiter
		patcher
		sweeper
	}
)

// shaped returns the cache with the capabilities of the store behind it.
func shaped(c *cache) Store {
	limited, isL := c.inner.(session.LimitedCreator)
	patched, isP := c.inner.(session.Patcher)
	swept, isS := c.inner.(session.Sweeper)
	l, p, s := limiter{c, limited}, patcher{c, patched}, sweeper{c, swept}
	switch {
	case isL && isP && isS:
		return storeLPS{c, l, p, s}
	case isL && isP:
		return storeLP{c, l, p}
	case isL && isS:
		return storeLS{c, l, s}
	case isP && isS:
		return storePS{c, p, s}
	case isL:
		return storeL{c, l}
	case isP:
		return storeP{c, p}
	case isS:
		return storeS{c, s}
	}
	return c
}

type limiter struct {
	cache *cache
	inner session.LimitedCreator
}

// CreateLimited drops all that is held of the user and not what was evicted: if
// the reply was lost, the repetition evicts nothing.
func (l limiter) CreateLimited(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) (evicted []string, err error) {
	l.cache.dropUser(r.UserID)
	defer l.cache.dropUser(r.UserID)
	return l.inner.CreateLimited(ctx, r, limit, now)
}

type patcher struct {
	cache *cache
	inner session.Patcher
}

func (p patcher) Patch(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
	defer p.cache.writing(id)()
	return p.inner.Patch(ctx, id, changes, version, now)
}

type sweeper struct {
	cache *cache
	inner session.Sweeper
}

// Sweep also drops what is held of the records it frees.
func (s sweeper) Sweep(ctx context.Context, now time.Time) (int, error) {
	defer s.cache.dropIf(func(r *session.Record) bool { return !now.Before(r.ExpiresAt) })
	return s.inner.Sweep(ctx, now)
}
