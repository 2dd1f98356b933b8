package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Requests that last, such as WebSockets and event streams, outlive what was
// checked when they began. Each of them has a watcher, which looks again when the
// store's feed tells of a change of the session, and every few seconds besides:
// at the clock if the feed is healthy, else at the store.

const (
	// liveFirst is when a watcher begins: requests that are over by then cost no
	// more than a timer.
	liveFirst = 500 * time.Millisecond
	// livePoll is how long a watcher goes without looking.
	livePoll = 10 * time.Second
	// liveReads bounds the watchers that ask the store at once: after an outage
	// all of them want to.
	liveReads = 64
)

// Live cancels the context of a request when its session ends, on whatever node:
// with the cause ErrRevoked or ErrExpired, see context.Cause. It belongs inside
// Handler, around what serves WebSockets and event streams (ASVS 5.0 7.4.1). The
// handler has to end when its context does; what it does meanwhile refreshes
// nothing.
//
// A store with a Feed tells at once, but for the first half second of a request;
// while the feed is not healthy, and with other stores, Live asks every 10
// seconds. As long as the store cannot be asked, requests go on until the session
// would expire. The session is that of the beginning: a visitor's ends when he
// signs in, a user's when another one does; changing its secret ends nothing. A
// request without a session is left alone, and so is a hijacked connection whose
// handler has returned.
func (m *Manager) Live(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := m.Session(r.Context())
		if s == nil {
			m.fail(w, r, errors.New("session: Live outside Handler"))
			return
		}
		rec := s.record()
		if rec == nil {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancelCause(r.Context())
		leave := m.live.watch(ctx, &watcher{all: m.live, id: rec.ID, rec: rec, cancel: cancel, changed: make(chan struct{}, 1)})
		defer leave()
		defer cancel(nil)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// watchers are the watchers of a Manager. While there are any, they follow the
// store's feed; the last one to leave ends that.
type watchers struct {
	m     *Manager
	feed  Feed // nil: the store has none
	reads chan struct{}
	down  atomic.Bool // the store could not be asked last time

	mu      sync.Mutex // guards what follows
	byID    map[string]map[*watcher]struct{}
	healthy bool
	stop    context.CancelFunc // ends following; nil: nobody follows
}

func newWatchers(m *Manager) *watchers {
	feed, _ := m.store.(Feed)
	return &watchers{m: m, feed: feed, reads: make(chan struct{}, liveReads), byID: make(map[string]map[*watcher]struct{})}
}

// watch starts a watcher in a moment, which ends with ctx. The caller calls leave
// then.
func (all *watchers) watch(ctx context.Context, w *watcher) (leave func()) {
	ended := make(chan struct{})
	begin := time.AfterFunc(liveFirst, func() {
		defer close(ended)
		all.add(w)
		defer all.remove(w)
		w.run(ctx)
	})
	return func() {
		if !begin.Stop() {
			<-ended
		}
	}
}

func (all *watchers) add(w *watcher) {
	all.mu.Lock()
	defer all.mu.Unlock()
	of := all.byID[w.id]
	if of == nil {
		of = make(map[*watcher]struct{})
		all.byID[w.id] = of
	}
	of[w] = struct{}{}
	if all.feed != nil && all.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		all.stop = cancel
		go all.follow(ctx)
	}
}

func (all *watchers) remove(w *watcher) {
	all.mu.Lock()
	defer all.mu.Unlock()
	of := all.byID[w.id]
	delete(of, w)
	if len(of) == 0 {
		delete(all.byID, w.id)
	}
	if len(all.byID) == 0 && all.stop != nil {
		all.stop()
		all.stop, all.healthy = nil, false
	}
}

// follow passes on what the feed tells, until ctx ends. One that was replaced
// meanwhile says nothing any more about health.
func (all *watchers) follow(ctx context.Context) {
	for {
		err := all.feed.Follow(ctx, all.wake, func(ok bool) { all.trust(ctx, ok) })
		if ctx.Err() != nil || errors.Is(err, errors.ErrUnsupported) {
			return
		}
		// It reconnects by itself: this is one that cannot work at all.
		_ = all.m.unavailable(ctx, "follow", "", err)
		all.trust(ctx, false)
		pause(ctx, jitter(livePoll))
	}
}

// outage tells that the store could not be asked, once for all watchers until it
// can be again.
func (all *watchers) outage(ctx context.Context, id string, err error) {
	if ctx.Err() == nil && !all.down.Swap(true) {
		_ = all.m.unavailable(ctx, "watch", id, err)
	}
}

// wake makes the watchers of a session look at the store.
func (all *watchers) wake(id string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for w := range all.byID[id] {
		w.wake()
	}
}

// trust notes the feed's health. What happened while it had none is unknown, so
// that all watchers look when it is back.
func (all *watchers) trust(ctx context.Context, healthy bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	all.healthy = healthy
	for _, of := range all.byID {
		for w := range of {
			w.wake()
		}
	}
}

func (all *watchers) trusted() bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.healthy
}

// watcher ends one request with its session.
type watcher struct {
	all     *watchers
	id      string
	rec     *Record // as last read
	cancel  context.CancelCauseFunc
	changed chan struct{} // has room for one: the session may have changed
}

func (w *watcher) wake() {
	select {
	case w.changed <- struct{}{}:
	default: // it has been woken and not looked yet
	}
}

// run looks at the session until it or ctx has ended. It begins with the store:
// the session may have ended before the feed was followed.
func (w *watcher) run(ctx context.Context) {
	for stale := true; ctx.Err() == nil; {
		known, cause := w.look(ctx, stale)
		if cause != nil {
			w.cancel(cause)
			return
		}
		// What could not be read is asked for again: the feed tells once.
		stale = w.wait(ctx) || !known || !w.all.trusted()
	}
}

// wait returns when it is time to look again, and whether the session may have
// changed.
func (w *watcher) wait(ctx context.Context) (changed bool) {
	left := time.Until(w.all.m.cfg.end(w.rec)) + time.Millisecond // past the truncated one
	timer := time.NewTimer(max(min(jitter(livePoll), left), time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-w.changed:
		return true
	}
	return false
}

// look returns why the session has ended, or nil, and whether it could find out.
// Before it calls one expired it asks the store: another request may have
// refreshed it.
func (w *watcher) look(ctx context.Context, stale bool) (known bool, cause error) {
	if !stale && !w.all.m.cfg.expired(w.rec, now()) {
		return true, nil
	}
	rec, err := w.read(ctx)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrUnreadable), err == nil && rec.State == StateMoved:
		return true, w.gone()
	case err != nil:
		// Fails open, but for no longer than the session was known to last.
		w.all.outage(ctx, w.id, err)
		rec = w.rec
	default:
		w.all.down.Store(false)
	}
	w.rec = rec
	if w.all.m.cfg.expired(rec, now()) {
		return true, ErrExpired
	}
	return err == nil, nil
}

// gone tells a session that a store has freed from one that was revoked.
func (w *watcher) gone() error {
	if w.all.m.cfg.expired(w.rec, now()) {
		return ErrExpired
	}
	return ErrRevoked
}

// read waits for its turn, but no longer than the session was known to last.
func (w *watcher) read(ctx context.Context) (*Record, error) {
	turn, cancel := context.WithDeadline(ctx, later(now(), w.all.m.cfg.end(w.rec)).Add(commitTime))
	defer cancel()
	select {
	case w.all.reads <- struct{}{}:
		defer func() { <-w.all.reads }()
	case <-turn.Done():
		return nil, turn.Err()
	}
	ctx, cancel = context.WithTimeout(turn, commitTime)
	defer cancel()
	return w.all.m.store.Load(ctx, w.id)
}

// jitter spreads what many would do at once: between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
