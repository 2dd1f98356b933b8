package cachestore_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
	"github.com/updateage/session/memstore"
)

// server is a store that several nodes use. It makes one change at a time, as
// Redis does, and announces it to every node before the change is acknowledged.
type server struct {
	store *memstore.Store
	mu    sync.Mutex
	links []*link // guarded by mu
}

func newServer() *server { return &server{store: memstore.New(memstore.Options{})} }

// link is a node's connection to the server: the session.Store and session.Feed
// that the node has. Its feed can be held up, lost and silent.
type link struct {
	server *server
	// loaded is called when Load has read the record and not yet returned it.
	loaded atomic.Pointer[func()]
	// writing is called when a write has begun and changed nothing yet.
	writing atomic.Pointer[func()]
	// pause, if set, is called there in every Load.
	pause func()
	// loads and updates are how many calls reached the server.
	loads, updates atomic.Int64
	// joined receives when somebody follows.
	joined chan struct{}

	// Guarded by server.mu.
	followers []*follower
	down      bool     // the node knows that it may miss something
	silent    bool     // changes are missed, and nobody knows
	held      bool     // changes wait
	waiting   []string // IDs of changed records
}

type follower struct {
	changed func(id string)
	healthy func(ok bool)
}

var (
	_ session.Store          = (*link)(nil)
	_ session.Feed           = (*link)(nil)
	_ session.LimitedCreator = (*link)(nil)
	_ session.Patcher        = (*link)(nil)
	_ session.Sweeper        = (*link)(nil)
)

func (s *server) connect() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &link{server: s, joined: make(chan struct{}, 1)}
	s.links = append(s.links, l)
	return l
}

// announce tells all nodes of changes. The caller holds mu.
func (s *server) announce(ids ...string) {
	for _, l := range s.links {
		switch {
		case l.silent || l.down:
		case l.held:
			l.waiting = append(l.waiting, ids...)
		default:
			l.tell(ids)
		}
	}
}

func (l *link) tell(ids []string) {
	for _, f := range l.followers {
		for _, id := range ids {
			f.changed(id)
		}
	}
}

func (l *link) tellHealthy(ok bool) {
	for _, f := range l.followers {
		f.healthy(ok)
	}
}

// set changes the state of the feed.
func (l *link) set(change func()) {
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	change()
}

// hold makes changes wait until deliver.
func (l *link) hold() { l.set(func() { l.held = true }) }

// deliver tells the node what waits; further changes wait again.
func (l *link) deliver() {
	l.set(func() {
		waiting := l.waiting
		l.waiting = nil
		l.tell(waiting)
	})
}

// silence loses all changes from now on, and nobody notices.
func (l *link) silence() { l.set(func() { l.silent = true }) }

// lose ends the feed, and the node is told.
func (l *link) lose() {
	l.set(func() {
		l.down, l.waiting = true, nil
		l.tellHealthy(false)
	})
}

// restore begins the feed anew.
func (l *link) restore() {
	l.set(func() {
		l.down, l.silent = false, false
		l.tellHealthy(true)
	})
}

func (l *link) Follow(ctx context.Context, changed func(string), healthy func(bool)) error {
	f := &follower{changed, healthy}
	l.set(func() {
		l.followers = append(l.followers, f)
		healthy(!l.down)
	})
	l.joined <- struct{}{}
	<-ctx.Done()
	l.set(func() {
		l.followers = slices.DeleteFunc(l.followers, func(o *follower) bool { return o == f })
	})
	return ctx.Err()
}

func (l *link) Load(ctx context.Context, id string) (*session.Record, error) {
	l.loads.Add(1)
	r, err := l.server.store.Load(ctx, id)
	call(&l.loaded)
	if l.pause != nil {
		l.pause()
	}
	return r, err
}

// meanwhile calls f in the middle of the next Load, and whileWriting in that of
// the next write.
func (l *link) meanwhile(f func())    { l.loaded.Store(&f) }
func (l *link) whileWriting(f func()) { l.writing.Store(&f) }

func call(hook *atomic.Pointer[func()]) {
	if f := hook.Swap(nil); f != nil {
		(*f)()
	}
}

// lock begins a write.
func (l *link) lock() (unlock func()) {
	call(&l.writing)
	l.server.mu.Lock()
	return l.server.mu.Unlock
}

// change makes a change and announces it.
func (l *link) change(do func() error, ids ...string) error {
	defer l.lock()()
	err := do()
	if err == nil {
		l.server.announce(ids...)
	}
	return err
}

func (l *link) Create(ctx context.Context, r *session.Record) error {
	return l.change(func() error { return l.server.store.Create(ctx, r) })
}

func (l *link) Update(ctx context.Context, r *session.Record, version uint64) error {
	l.updates.Add(1)
	return l.change(func() error { return l.server.store.Update(ctx, r, version) }, r.ID)
}

func (l *link) Delete(ctx context.Context, id string) error {
	return l.change(func() error { return l.server.store.Delete(ctx, id) }, id)
}

func (l *link) ListUser(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
	return l.server.store.ListUser(ctx, userID, now)
}

func (l *link) DeleteUser(ctx context.Context, userID string, now time.Time, except ...string) (n int, err error) {
	defer l.lock()()
	records, err := l.server.store.ListUser(ctx, userID, now)
	if err != nil {
		return 0, err
	}
	n, err = l.server.store.DeleteUser(ctx, userID, now, except...)
	for _, r := range records {
		l.server.announce(r.ID)
	}
	return n, err
}

func (l *link) CreateLimited(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
	defer l.lock()()
	evicted, err := l.server.store.CreateLimited(ctx, r, limit, now)
	l.server.announce(evicted...)
	return evicted, err
}

func (l *link) Patch(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
	return l.change(func() error { return l.server.store.Patch(ctx, id, changes, version, now) }, id)
}

// Sweep does not know what it frees, so that nodes may miss something.
func (l *link) Sweep(ctx context.Context, now time.Time) (int, error) {
	defer l.lock()()
	n, err := l.server.store.Sweep(ctx, now)
	for _, l := range l.server.links {
		if !l.silent && !l.down {
			l.tellHealthy(true)
		}
	}
	return n, err
}

// cached returns a cache of the store, whose feed is that of the link, and runs
// it until the test ends.
func cached(t testing.TB, l *link, store session.Store, opts cachestore.Options) cachestore.Store {
	t.Helper()
	c, err := cachestore.New(store, opts)
	if err != nil {
		t.Fatal(err)
	}
	run(t, c, l)
	return c
}

// run runs the cache until stop is called or the test ends.
func run(t testing.TB, c cachestore.Store, l *link) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = c.Run(ctx) })
	<-l.joined
	stop = func() error {
		cancel()
		wg.Wait()
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}
