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
//	          says alone (signed out here, another session) is noticed
//	ask       the current session; a failure leaves what was known, and an
//	          answer about a session that was replaced meanwhile counts for nothing
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
	// what was known before. It is also why there was none: while the Watch is
	// paused, or has to wait, a session is stored that was not asked about.
	Err error
}

// errNotAsked is the Err of a stored session that the server cannot be asked about now.
var errNotAsked = errors.New("client: the stored session was not asked about yet")

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
// at most. It also waits, longer each time, if one session after another is over,
// as when OnExpired signs in and the server wants more than that. What this Client
// does to the session is noticed at once: the state is that of before until the
// server has answered. A sign-in by a plain request counts if it is beneath
// AuthPath.
func (w *Watch) Changes() iter.Seq[State] {
	return func(yield func(State) bool) {
		l := &loop{Watch: w}
		for {
			heard := l.listen() // before asking: what happens meanwhile is asked again
			do, delay := l.ask, l.delay
			if l.held() {
				do, delay = l.hold, l.holdTime
			}
			state, news := do()
			if news && !yield(state) || !l.wait(heard, delay()) {
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
// it is paused, the server has asked to be left alone, or one session after another
// was over. Calls that come while it is asking lead to one further question.
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
	id        string    // the session that last was learned of
	failures  int       // in a row
	ended     int       // sessions that the server ended, in a row
	notBefore time.Time // by Retry-After, or because of ended
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

// holdTime never returns a time that is over: a negative one is for ever.
func (l *loop) holdTime() time.Duration {
	if l.isPaused() {
		return -1
	}
	return max(time.Until(l.notBefore), 0)
}

// hold says of a stored session other than the one asked about that it is not
// known: what was could be another user's.
func (l *loop) hold() (state State, news bool) {
	id, err := l.client.SessionID(l.ctx)
	if err != nil || id == "" || id == l.id {
		return state, false
	}
	state.Err = errNotAsked
	return state, l.tell(state)
}

// ask asks for the session and says whether the answer is news.
func (l *loop) ask() (state State, news bool) {
	rec := new(record)
	s, err := l.client.current(l.ctx, rec)
	id, _ := l.client.SessionID(l.ctx)
	if l.ctx.Err() != nil {
		return state, false
	}
	l.note(err, rec)
	over := errors.Is(err, ErrNoSession)
	switch {
	case err == nil && id == rec.now:
		state.Session, l.id = s, id
	case over && (id == "" || id == rec.now): // the latter with KeepSession
		l.id = id
	case err == nil || over:
		// It is about a session that was replaced meanwhile, perhaps by another
		// user's. Another process rings no bell: the next question is soon.
		l.failures = max(l.failures, 1)
		return state, false
	default:
		state.Err = err
		// What was known before is known of the session of then. To show it for
		// another one could be to show another user.
		if id != "" && id == l.id {
			state.Session = l.last.Session
		}
	}
	return state, l.tell(state)
}

// tell keeps a state and says whether it is news.
func (l *loop) tell(state State) (news bool) {
	if l.ctx.Err() != nil {
		return false
	}
	news = !l.known || (state.Err == nil) != (l.last.Err == nil) || !reflect.DeepEqual(state.Session, l.last.Session)
	l.last, l.known = state, true
	l.mu.Lock()
	l.current, l.Watch.known = state, true
	l.mu.Unlock()
	return news
}

// note keeps what the next delay depends on.
func (l *loop) note(err error, rec *record) {
	over := errors.Is(err, ErrNoSession) // perhaps without asking: no end of what the server said
	if !over || !time.Now().Before(l.notBefore) {
		l.notBefore = time.Time{}
	}
	switch {
	case err == nil:
		l.failures, l.ended = 0, 0
	case !over:
		l.failures++
		l.noteRetryAfter(err)
	default:
		l.failures = 0
		l.noteEnd(rec)
	}
}

// noteRetryAfter heeds what an answer asks for.
func (l *loop) noteRetryAfter(err error) {
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		// Later by a little, or all who were told the same come back at once.
		l.notBefore = time.Now().Add(min(e.RetryAfter, maxRetryAfter)).Add(rand.N(firstBackOff))
	}
}

// noteEnd counts a session that the server has ended, unless it was to be kept.
// From the second on there is a pause, whoever rings: OnExpired may sign in again
// and again, and the server end each as soon as it is asked about.
func (l *loop) noteEnd(rec *record) {
	if rec.sent == "" || optionsOf(l.ctx).keep {
		return
	}
	if l.ended++; l.ended > 1 {
		l.notBefore = time.Now().Add(l.backOff(l.ended - 1))
	}
}

// delay returns how long to wait for the next question; -1: until called.
func (l *loop) delay() time.Duration {
	switch {
	case !l.notBefore.IsZero():
		return max(time.Until(l.notBefore), 0)
	case l.failures > 0:
		return l.backOff(l.failures)
	case l.opts.Interval < 0:
		return -1
	}
	return jitter(l.opts.Interval)
}

// backOff returns how long to wait after n failures, the interval at most.
func (l *loop) backOff(n int) time.Duration {
	most := l.opts.Interval
	if most < 0 {
		most = watchInterval
	}
	return jitter(min(firstBackOff<<min(n-1, 20), most))
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
