package cachestore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session/cachestore"
)

func TestNothingIsServedFromMemoryBeforeRun(t *testing.T) {
	l := newServer().connect()
	c, err := cachestore.New(l, cachestore.Options{})
	must(t, err)
	r := create(t, c, user)
	load(t, c, r.ID)
	load(t, c, r.ID)
	wantLoads(t, "before Run", l, 2)

	stop := run(t, c, l)
	load(t, c, r.ID)
	load(t, c, r.ID)
	wantLoads(t, "while Run runs", l, 1)

	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: got error %v, want %v", err, context.Canceled)
	}
	load(t, c, r.ID)
	load(t, c, r.ID)
	wantLoads(t, "after Run", l, 2)
	wantStats(t, "after Run", c, cachestore.Stats{Hits: 1, Misses: 1, Bypassed: 4, Invalidated: 1})
}

func TestCacheIsBypassedWhileTheFeedIsDown(t *testing.T) {
	s := newServer()
	l, other := s.connect(), s.connect()
	c := cached(t, l, l, cachestore.Options{})
	r := create(t, c, user)
	load(t, c, r.ID)
	wantStats(t, "healthy", c, cachestore.Stats{Misses: 1, Records: 1, Healthy: true})

	l.lose()
	wantStats(t, "down", c, cachestore.Stats{Misses: 1, Invalidated: 1})
	r = update(t, other, r)
	wantVersion(t, "down", c, r.ID, r.Version)
	r = update(t, other, r)
	wantVersion(t, "down, again", c, r.ID, r.Version)
	wantStats(t, "down", c, cachestore.Stats{Misses: 1, Bypassed: 2, Invalidated: 1})

	l.restore()
	wantVersion(t, "healthy again", c, r.ID, r.Version)
	wantVersion(t, "healthy again", c, r.ID, r.Version)
	wantStats(t, "healthy again", c, cachestore.Stats{Hits: 1, Misses: 2, Bypassed: 2, Invalidated: 1, Records: 1, Healthy: true})
}

func TestWhatWasLoadedWhileTheFeedWasDownIsNotKept(t *testing.T) {
	l := newServer().connect()
	c := cached(t, l, l, cachestore.Options{})
	r := create(t, c, user)
	l.lose()
	l.meanwhile(l.restore)
	load(t, c, r.ID)
	if got := c.Stats().Records; got != 0 {
		t.Errorf("got %d records held, want 0", got)
	}
}

// A load begins while the feed is failing, and ends when it has failed.
func TestWhatIsLoadedAsTheFeedFailsIsNotServed(t *testing.T) {
	s := newServer()
	l, other := s.connect(), s.connect()
	c := cached(t, l, l, cachestore.Options{})
	r := create(t, c, user)
	id, done := r.ID, make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { until(done, func() { _, _ = c.Load(context.Background(), id) }) })
	for range 500 {
		l.lose()
		r = update(t, other, r)
		wantVersion(t, "down", c, r.ID, r.Version)
		l.restore()
	}
	close(done)
	wg.Wait()
}

func TestAHitHonoursTheContext(t *testing.T) {
	l := newServer().connect()
	c := cached(t, l, l, cachestore.Options{})
	r := create(t, c, user)
	load(t, c, r.ID)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := c.Load(ctx, r.ID); got != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Load: got %v and error %v, want %v", got, err, context.Canceled)
	}
}

func TestRunRefusesToRunTwiceAtOnce(t *testing.T) {
	l := newServer().connect()
	c, err := cachestore.New(l, cachestore.Options{})
	must(t, err)
	for range 2 { // one after the other is fine
		stop := run(t, c, l)
		if err := c.Run(t.Context()); err == nil {
			t.Error("second Run at once: got no error")
		}
		if !c.Stats().Healthy {
			t.Error("the second Run has stopped the first")
		}
		_ = stop()
	}
}

// Somebody who is told of a change will load the record, as one who watches over
// long-lived connections. If the cache hears of it later, he must not get what
// it still holds.
func TestFollowersLoadWhatTheyAreToldOf(t *testing.T) {
	s := newServer()
	own, second := s.connect(), s.connect()
	c := cached(t, own, &splitFeed{link: own, second: second}, cachestore.Options{})
	r := create(t, c, user)
	own.hold()

	var told []string
	ctx, cancel := context.WithCancel(t.Context())
	follow := func() error {
		return c.Follow(ctx,
			func(id string) {
				told = append(told, id)
				wantVersion(t, "told of a change", c, id, 2)
			},
			func(ok bool) {
				if len(told) == 1 {
					wantVersion(t, "told of a gap", c, r.ID, 3)
				}
			})
	}
	done := make(chan error)
	go func() { done <- follow() }()
	<-second.joined
	load(t, c, r.ID) // this is held
	r = update(t, second, r)
	second.silence()
	update(t, second, r)
	second.restore()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Follow: got error %v, want %v", err, context.Canceled)
	}
	if len(told) != 1 || told[0] != r.ID {
		t.Errorf("got %q told, want %q", told, r.ID)
	}
}

// splitFeed is a store with a connection for each follower.
type splitFeed struct {
	*link
	second *link
	used   bool
}

func (s *splitFeed) Follow(ctx context.Context, changed func(string), healthy func(bool)) error {
	if s.used {
		return s.second.Follow(ctx, changed, healthy)
	}
	s.used = true
	return s.link.Follow(ctx, changed, healthy)
}

func TestASilentFeedIsBelievedForMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		l, other := s.connect(), s.connect()
		c := cached(t, l, l, cachestore.Options{MaxAge: 20 * time.Second})
		r := create(t, c, user)
		load(t, c, r.ID)
		l.silence()
		must(t, other.Delete(t.Context(), r.ID))
		time.Sleep(20*time.Second - 1)
		wantVersion(t, "a nanosecond before MaxAge", c, r.ID, 1)
		time.Sleep(time.Nanosecond)
		wantVersion(t, "at MaxAge", c, r.ID, 0)
	})
}

func TestAgeCountsFromWhenTheStoreWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newServer().connect()
		c := cached(t, l, l, cachestore.Options{})
		r := create(t, c, user)
		l.meanwhile(func() { time.Sleep(9 * time.Second) })
		load(t, c, r.ID)
		wantLoads(t, "slow load", l, 1)
		load(t, c, r.ID)
		wantLoads(t, "9 seconds old", l, 0)
		time.Sleep(time.Second)
		load(t, c, r.ID)
		wantLoads(t, "10 seconds old", l, 1)
	})
}

func TestAHitDoesNotProlongTheAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newServer().connect()
		c := cached(t, l, l, cachestore.Options{})
		r := create(t, c, user)
		for range 20 {
			load(t, c, r.ID)
			time.Sleep(time.Second)
		}
		wantLoads(t, "20 seconds", l, 2)
	})
}

// The core deletes a session that it finds expired. Whether it still is only the
// store knows.
func TestAnExpiredRecordComesFromTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		l, other := s.connect(), s.connect()
		c := cached(t, l, l, cachestore.Options{})
		r := newRecord(user)
		r.ExpiresAt = time.Now().Add(5 * time.Second)
		must(t, c.Create(t.Context(), r))
		load(t, c, r.ID)
		l.silence()
		longer := next(r)
		longer.ExpiresAt = r.ExpiresAt.Add(time.Hour)
		must(t, other.Update(t.Context(), longer, r.Version))

		time.Sleep(5*time.Second - 1)
		wantVersion(t, "before the expiry it had", c, r.ID, 1)
		time.Sleep(time.Nanosecond)
		wantVersion(t, "at the expiry it had", c, r.ID, 2)
	})
}
