package redisstore

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// bounds are the ends of the attempts that a store makes. Attempts that begin at
// about the same time share one, with one timer: a timer and a context for each
// lookup cost a tenth of the lookups that a core can do.
type bounds struct {
	timeout time.Duration
	spare   time.Duration // by which an attempt may get more than that
	start   time.Time     // of the store
	current atomic.Pointer[bound]
}

// bound is an end that attempts share.
type bound struct {
	deadline time.Time
	shared   time.Duration // since the start: attempts from then on get a new one
	done     chan struct{} // closed at the deadline
}

// sharing is the part of the time-out that the spare time is.
const sharing = 16

func newBounds(timeout time.Duration) *bounds {
	spare := min(timeout/sharing, math.MaxInt64-timeout) // no overflow, if somebody wants no time-out
	return &bounds{timeout: timeout, spare: spare, start: time.Now()}
}

// next returns the bound of an attempt that begins now. It asks for the time since
// the start, which takes half the time of asking for the time. A timer in its place
// would cost nothing, but under load it comes too late to end the sharing: attempts
// would begin with a bound that has passed.
func (b *bounds) next() *bound {
	since := time.Since(b.start)
	if current := b.current.Load(); current != nil && since < current.shared {
		return current
	}
	most := b.timeout + b.spare
	fresh := &bound{deadline: time.Now().Add(most), shared: since + b.spare, done: make(chan struct{})}
	time.AfterFunc(most, func() { close(fresh.done) })
	b.current.Store(fresh)
	return fresh
}

// bounded is the context of an attempt: its parent's values and a bound. It ends
// at the bound only. That the parent was cancelled is asked between attempts;
// go-redis, once it has a connection, does not look either.
type bounded struct {
	context.Context
	*bound
}

// within returns the context of an attempt that begins now.
func (b *bounds) within(ctx context.Context) (attempt context.Context, cancel context.CancelFunc) {
	bound := b.next()
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(bound.deadline) {
		return context.WithTimeout(ctx, b.timeout) // the earlier of the two
	}
	return bounded{ctx, bound}, func() {}
}

// Deadline returns when the attempt ends.
func (b bounded) Deadline() (deadline time.Time, ok bool) { return b.deadline, true }

// Done returns a channel that is closed then.
func (b bounded) Done() <-chan struct{} { return b.done }

// Err says whether it is.
func (b bounded) Err() error {
	select {
	case <-b.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
