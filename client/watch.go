package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"
)

// The life of a Watch:
//
//	Changes   the loop, in the goroutine of whoever ranges over it
//	held      paused, or told to wait: nothing is asked, but what the storage
//	          says alone (signed out here) is noticed
//	ask       the current session; a failure leaves what was known
//	delay     the interval, or a back-off that grows, or what Retry-After says
//	wait      for that long, or until something calls for another question

// WatchOptions configures a [Watch].
type WatchOptions struct {
	// Interval is the time between two questions to the server, give or take a
	// tenth. 0: 5 minutes. Negative: it is asked at first, when the session was
	// changed here, after failures, and by Refetch.
	Interval time.Duration
}

// State is what a Watch knows.
type State struct {
	// Session is the current session with its user; nil if nobody is signed in,
	// or, with Err, if it is not known.
	Session *Session
	// Err is why the last question failed, nil if it did not. Session is then
	// what was known before.
	Err error
}

const (
	watchInterval = 5 * time.Minute
	firstBackOff  = time.Second
	// maxRetryAfter is how long a server can make a Watch wait.
	maxRetryAfter = time.Hour
)

// Watch keeps knowing who is signed in, for programs that show it. It has no
// goroutine: the loop over Changes does the work. Create it with Client.Watch. It
// is safe for concurrent use; loops beside each other ask each for itself.
type Watch struct {
	client *Client
	ctx    context.Context // ends the loops, as that of an exec.Cmd ends the process
	opts   WatchOptions
	bell   bell

	mu      sync.Mutex // guards what follows
	current State
	known   bool
	paused  bool
}

// Watch returns a Watch that ends with the context. Nothing happens before the
// loop over its Changes.
func (c *Client) Watch(ctx context.Context, opts WatchOptions) *Watch {
	_ = c.setUp()
	if opts.Interval == 0 {
		opts.Interval = watchInterval
	}
	return &Watch{client: c, ctx: ctx, opts: opts}
}

// Changes asks for the session again and again, and yields the first state and
// then those that differ: another session, none, other data of the user, a first
// failure, the end of failures. The loop ends with the Watch's context.
//
//	for state := range api.Watch(ctx, client.WatchOptions{}).Changes() { ... }
//
// After a failure it asks sooner, then more and more seldom until it is back at the
// interval; if the server answered with Retry-After, not before that, but an hour
// at most. What this Client does to the session is noticed at once.
func (w *Watch) Changes() iter.Seq[State] {
	return func(yield func(State) bool) {
		l := &loop{Watch: w}
		for {
			heard := l.listen() // before asking: what happens meanwhile is asked again
			if l.held() {
				if !l.wait(heard, l.holdTime()) {
					return
				}
				continue
			}
			state, fresh := l.ask()
			if w.ctx.Err() != nil || fresh && !yield(state) || !l.wait(heard, l.delay()) {
				return
			}
		}
	}
}

// Current returns the last state of the Watch's loop, and false before the first.
func (w *Watch) Current() (state State, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current, w.known
}

// Refetch makes the loop ask now, even if it waits after a failure, but not while
// it is paused or the server has asked to be left alone. Calls that come while it
// is asking lead to one further question.
func (w *Watch) Refetch() { w.bell.ring() }

// Pause makes the loop ask nothing, as while the computer is offline or nobody is
// looking.
func (w *Watch) Pause() { w.pause(true) }

// Resume ends a Pause, and asks.
func (w *Watch) Resume() { w.pause(false) }

func (w *Watch) pause(paused bool) {
	w.mu.Lock()
	w.paused = paused
	w.mu.Unlock()
	w.bell.ring()
}

func (w *Watch) isPaused() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.paused
}

// String shows the server.
func (w *Watch) String() string { return "watch of " + w.client.String() }

// Format shows String under every verb.
func (w *Watch) Format(f fmt.State, _ rune) { show(f, w.String()) }

// loop is one loop over Changes.
type loop struct {
	*Watch
	last      State
	known     bool      // last is one
	id        string    // the stored session when last was learned
	failures  int       // in a row
	notBefore time.Time // by Retry-After
}

// listen returns what ends a wait: the Watch's own bell, and that of the session.
func (l *loop) listen() [2]<-chan struct{} {
	return [2]<-chan struct{}{l.bell.listen(), l.client.transport.bell.listen()}
}

// held says whether the server is not to be asked now. Without a stored session
// nobody has to be.
func (l *loop) held() bool {
	if !l.isPaused() && !time.Now().Before(l.notBefore) {
		return false
	}
	id, err := l.client.SessionID(l.ctx)
	return id != "" || err != nil
}

func (l *loop) holdTime() time.Duration {
	if l.isPaused() {
		return -1
	}
	return time.Until(l.notBefore)
}

// ask asks for the session and says whether the answer is news.
func (l *loop) ask() (state State, news bool) {
	s, err := l.client.Session(l.ctx)
	switch {
	case err == nil:
		state.Session = s
		l.id, _ = l.client.SessionID(l.ctx)
	case errors.Is(err, ErrNoSession):
	default:
		state.Err = err
		// What was known before is known of the session of then. To show it for
		// another one could be to show another user.
		if id, _ := l.client.SessionID(l.ctx); id != "" && id == l.id {
			state.Session = l.last.Session
		}
	}
	if l.ctx.Err() != nil {
		return state, false
	}
	l.note(err)
	news = !l.known || (state.Err == nil) != (l.last.Err == nil) || !reflect.DeepEqual(state.Session, l.last.Session)
	l.last, l.known = state, true
	l.mu.Lock()
	l.current, l.Watch.known = state, true
	l.mu.Unlock()
	return state, news
}

// note keeps what the next delay depends on.
func (l *loop) note(err error) {
	signedOut := errors.Is(err, ErrNoSession) // perhaps without asking: no end of what the server said
	if !signedOut || !time.Now().Before(l.notBefore) {
		l.notBefore = time.Time{}
	}
	if err == nil || signedOut {
		l.failures = 0
		return
	}
	l.failures++
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		// Later by a little, or all who were told the same come back at once.
		l.notBefore = time.Now().Add(min(e.RetryAfter, maxRetryAfter)).Add(rand.N(firstBackOff))
	}
}

// delay returns how long to wait for the next question; -1: until called.
func (l *loop) delay() time.Duration {
	most := l.opts.Interval
	if most < 0 {
		most = watchInterval
	}
	switch {
	case !l.notBefore.IsZero():
		return max(time.Until(l.notBefore), 0)
	case l.failures > 0:
		return jitter(min(firstBackOff<<min(l.failures-1, 20), most))
	case l.opts.Interval < 0:
		return -1
	}
	return jitter(most)
}

// jitter keeps clients that were started together from asking together.
func jitter(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

// wait waits, forever if d is negative, or until something is heard. It returns
// false if the loop is to end.
func (l *loop) wait(heard [2]<-chan struct{}, d time.Duration) bool {
	var after <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-l.ctx.Done():
	case <-after:
	case <-heard[0]:
	case <-heard[1]:
	}
	return l.ctx.Err() == nil
}
