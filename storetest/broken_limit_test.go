package storetest_test

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/updateage/session"
)

type createLimited = func(context.Context, *session.Record, session.Limit, time.Time) ([]string, error)

var brokenLimits = []breakage{
	{"is full with one session less",
		[]string{"CreateLimited below the limit is Create"}, fullTooSoon},
	{"evicts what expires last",
		[]string{"the sessions that expire soonest make room"}, insertThenEvict(latestFirst, atOnce)},
	{"evicts the new session with the others",
		[]string{"the new session is never evicted"}, insertThenEvict(soonestFirst, atOnce)},
	{"evicts and then refuses",
		[]string{"refusing changes nothing"}, evictAndRefuse},
	{"counts pending sessions",
		[]string{"only live signed-in records of the user count"}, countPending},
	{"counts what is expired",
		[]string{"only live signed-in records of the user count"}, countExpired},
	{"counts what was created as signed in",
		[]string{"a pending record counts from the moment it is signed in"}, countCreatedOnly},
	{"evicts one at a time",
		[]string{"a lowered limit evicts as many as it takes"}, evictOne},
	{"refuses a repeated CreateLimited",
		[]string{"a repeated CreateLimited succeeds and evicts nothing"}, refuseRepeatedLimited},
	{"evicts before it creates",
		[]string{"CreateLimited of a taken ID evicts nothing"}, evictBeforeCreate},
	{"counts first and inserts then",
		[]string{"50 parallel sign-ins with eviction leave 5, and never more", "50 parallel sign-ins with refusal let in 5"},
		countThenInsert},
	{"evicts after it has inserted",
		[]string{"50 parallel sign-ins with eviction leave 5, and never more"}, evictWhenSeen},
}

func soonestFirst(a, b *session.Record) int { return a.ExpiresAt.Compare(b.ExpiresAt) }
func latestFirst(a, b *session.Record) int  { return soonestFirst(b, a) }

func fullTooSoon(b *broken) {
	b.limited = func(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
		limit.Max--
		return b.good.CreateLimited(ctx, r, limit, now)
	}
}

// insertThenEvict creates first and evicts the first in order when it is time.
func insertThenEvict(order func(a, b *session.Record) int, wait func(context.Context)) func(*broken) {
	return func(b *broken) {
		b.limited = func(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
			if err := b.good.Create(ctx, r); err != nil {
				return nil, err
			}
			wait(ctx)
			records, err := b.good.ListUser(ctx, r.UserID, now)
			slices.SortFunc(records, order)
			return b.evict(ctx, records, len(records)-limit.Max), err
		}
	}
}

func atOnce(context.Context) {}

// evict deletes the first n records.
func (b *broken) evict(ctx context.Context, records []*session.Record, n int) (evicted []string) {
	for _, r := range records[:max(n, 0)] {
		_ = b.good.Delete(ctx, r.ID)
		evicted = append(evicted, r.ID)
	}
	return evicted
}

func evictAndRefuse(b *broken) {
	b.limited = func(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
		evicted, err := b.good.CreateLimited(ctx, r, session.Limit{Max: limit.Max}, now)
		if len(evicted) > 0 {
			return nil, session.ErrLimit
		}
		return evicted, err
	}
}

// fullAt refuses if the user has Max records at the time that judge returns.
func fullAt(b *broken, judge func(time.Time) time.Time) createLimited {
	return func(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
		records, _ := b.good.ListUser(ctx, r.UserID, judge(now))
		if len(records) >= limit.Max && limit.Refuse {
			return nil, session.ErrLimit
		}
		return b.good.CreateLimited(ctx, r, limit, now)
	}
}

func countPending(b *broken) {
	b.limited = fullAt(b, func(now time.Time) time.Time { return now })
}

func countExpired(b *broken) {
	b.limited = fullAt(b, func(now time.Time) time.Time { return now.Add(-time.Millisecond) })
}

func countCreatedOnly(b *broken) {
	uncounted := 0
	b.update = func(ctx context.Context, r *session.Record, version uint64) error {
		if r.State == session.StateSignedIn {
			uncounted++
		}
		return b.good.Update(ctx, r, version)
	}
	b.limited = func(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
		limit.Max += uncounted
		return b.good.CreateLimited(ctx, r, limit, now)
	}
}

func evictOne(b *broken) {
	b.limited = func(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
		records, _ := b.good.ListUser(ctx, r.UserID, now)
		limit.Max = max(limit.Max, len(records))
		return b.good.CreateLimited(ctx, r, limit, now)
	}
}

func refuseRepeatedLimited(b *broken) {
	b.limited = func(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
		if _, err := b.good.Load(ctx, r.ID); err == nil {
			return nil, session.ErrExists
		}
		return b.good.CreateLimited(ctx, r, limit, now)
	}
}

func evictBeforeCreate(b *broken) {
	b.limited = func(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
		records, _ := b.good.ListUser(ctx, r.UserID, now)
		evicted := b.evict(ctx, records, len(records)+1-limit.Max)
		return evicted, b.good.Create(ctx, r)
	}
}

// crowd is a channel that is closed when a number of callers have arrived.
type crowd struct {
	missing atomic.Int64
	full    chan struct{}
}

func newCrowd(n int64) *crowd {
	c := &crowd{full: make(chan struct{})}
	c.missing.Store(n)
	return c
}

func (c *crowd) arrive() {
	if c.missing.Add(-1) == 0 {
		close(c.full)
	}
}

func (c *crowd) wait(ctx context.Context) {
	select {
	case <-c.full:
	case <-ctx.Done():
	}
}

// countThenInsert inserts when 50 callers have counted.
func countThenInsert(b *broken) {
	counted := newCrowd(50)
	b.limited = func(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
		records, _ := b.good.ListUser(ctx, r.UserID, now)
		over := len(records) + 1 - limit.Max
		if over > 0 && limit.Refuse {
			return nil, session.ErrLimit
		}
		counted.arrive()
		counted.wait(ctx)
		if err := b.good.Create(ctx, r); err != nil {
			return nil, err
		}
		return b.evict(ctx, records, over), nil
	}
}

// evictWhenSeen evicts when somebody has seen too many sessions.
func evictWhenSeen(b *broken) {
	seen := newCrowd(1)
	insertThenEvict(soonestFirst, seen.wait)(b)
	editListed(b, func(records []*session.Record) []*session.Record {
		if len(records) > 5 {
			seen.arrive()
		}
		return records
	})
}
