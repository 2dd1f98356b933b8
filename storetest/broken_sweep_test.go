package storetest_test

import (
	"context"
	"slices"
	"time"

	"github.com/updateage/session"
)

var brokenSweeps = []breakage{
	{"sweeps a millisecond too early",
		[]string{"Sweep frees what is expired, counts it and leaves the rest"}, sweepEarly(time.Millisecond)},
	{"sweeps a millisecond too late",
		[]string{"Sweep frees what is expired, counts it and leaves the rest"}, sweepEarly(-time.Millisecond)},
	{"sweeps by the first expiry",
		[]string{"Sweep goes by the expiry of the last Update"}, sweepFirstExpiry},
	{"sweeps users' records only",
		[]string{"Sweep frees records of every state"}, sweepUsersOnly},
	{"sweeps a batch of 1,000",
		[]string{"Sweep frees 1,100 records of one user"}, sweepBatch},
}

func sweepEarly(by time.Duration) func(*broken) {
	return func(b *broken) {
		b.sweep = func(ctx context.Context, now time.Time) (int, error) { return b.good.Sweep(ctx, now.Add(by)) }
	}
}

// sweepCreated replaces Sweep by one that goes by what was created, where take
// says so.
func sweepCreated(take func(*session.Record) bool) func(*broken) {
	return func(b *broken) {
		var created []*session.Record
		b.create = func(ctx context.Context, r *session.Record) error {
			created = append(created, r)
			return b.good.Create(ctx, r)
		}
		b.sweep = func(ctx context.Context, now time.Time) (int, error) {
			due := slices.DeleteFunc(slices.Clone(created), func(r *session.Record) bool {
				return now.Before(r.ExpiresAt) || !take(r)
			})
			return len(b.evict(ctx, due, len(due))), nil
		}
	}
}

var (
	sweepFirstExpiry = sweepCreated(func(*session.Record) bool { return true })
	sweepUsersOnly   = sweepCreated(func(r *session.Record) bool { return r.UserID != "" })
)

// sweepBatch answers as if it had freed a batch.
func sweepBatch(b *broken) {
	b.sweep = func(context.Context, time.Time) (int, error) { return 1000, nil }
}
