package session

import (
	"context"
	"sync"
	"time"
)

// commitTime bounds a write to the store, retries included.
const commitTime = 3 * time.Second

// detached is the context of a write that must not be lost because the client
// hung up: values of its parent, neither its cancellation nor its deadline, but
// one of its own. The timer starts when somebody asks for Done; that saves the
// five allocations of context.WithoutCancel and WithTimeout on every write.
type detached struct {
	parent   context.Context
	deadline time.Time

	mu    sync.Mutex // guards what follows
	done  chan struct{}
	timer *time.Timer
	ended bool // the write is over
}

func detach(ctx context.Context) *detached {
	return &detached{parent: ctx, deadline: time.Now().Add(commitTime)}
}

// Value hides the session: it is locked while the store is asked, and a store, or
// a logger below it, that asked the session in turn would wait for ever.
func (d *detached) Value(key any) any {
	switch key.(type) {
	case contextKey, *Manager:
		return nil
	}
	return d.parent.Value(key)
}

func (d *detached) Deadline() (deadline time.Time, set bool) { return d.deadline, true }

func (d *detached) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = make(chan struct{})
		if d.ended {
			close(d.done)
		} else {
			done := d.done
			d.timer = time.AfterFunc(time.Until(d.deadline), func() { close(done) })
		}
	}
	return d.done
}

func (d *detached) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !time.Now().Before(d.deadline):
		return context.DeadlineExceeded
	case d.ended:
		return context.Canceled
	}
	return nil
}

// end frees the timer, and whoever still waits for the write.
func (d *detached) end() {
	d.mu.Lock()
	d.ended = true
	done := d.done
	if d.timer != nil && !d.timer.Stop() {
		done = nil // the timer closes it
	}
	d.mu.Unlock()
	if done != nil {
		close(done)
	}
}
