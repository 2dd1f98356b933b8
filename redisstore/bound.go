package redisstore

import (
	"context"
	"sync/atomic"
	"time"
)

// bounds are the ends of the attempts that a store makes. Attempts that begin at
// about the same time share one, with one timer: a timer and a context for each
// lookup cost a tenth of the lookups that a core can do.
type bounds struct {
	timeout time.Duration
	current atomic.Pointer[bound] // of attempts that begin now; nil: the next one makes it
}

// bound is an end that attempts share.
type bound struct {
	deadline time.Time
	done     chan struct{} // closed at the deadline
}

// sharing is the part of the time-out by which an attempt may get more time than
// that: a sixteenth.
const sharing = 16

// next returns the bound of an attempt that begins now. It reads no clock: a timer
// ends the sharing. It is set once the bound is there, which would otherwise never
// go away if this goroutine were stopped in between for as long.
func (b *bounds) next() *bound {
	if current := b.current.Load(); current != nil {
		return current
	}
	spare := b.timeout / sharing
	fresh := &bound{deadline: time.Now().Add(b.timeout + spare), done: make(chan struct{})}
	b.current.Store(fresh)
	time.AfterFunc(spare, func() { b.current.CompareAndSwap(fresh, nil) })
	time.AfterFunc(b.timeout+spare, func() { close(fresh.done) })
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
