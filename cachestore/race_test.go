package cachestore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
)

// A reader has got a record from the store; before it puts it into the cache the
// record changes. What the reader has is old, and must not stay.
func TestWhatChangesWhileItIsLoadedIsNotKept(t *testing.T) {
	tests := []struct {
		meanwhile string
		do        func(t *testing.T, here, there cachestore.Store, l *link, r *session.Record)
		want      uint64 // the version there is then
	}{
		{"nothing happens", func(*testing.T, cachestore.Store, cachestore.Store, *link, *session.Record) {}, 1},

		{"another node deletes it", func(t *testing.T, _, there cachestore.Store, _ *link, r *session.Record) {
			must(t, there.Delete(t.Context(), r.ID))
		}, 0},
		{"another node updates it", func(t *testing.T, _, there cachestore.Store, _ *link, r *session.Record) {
			update(t, there, r)
		}, 2},
		{"another node deletes the user", func(t *testing.T, _, there cachestore.Store, _ *link, r *session.Record) {
			_, err := there.DeleteUser(t.Context(), user, time.Now())
			must(t, err)
		}, 0},
		{"the feed fails, and comes back after the change", func(t *testing.T, _, there cachestore.Store, l *link, r *session.Record) {
			l.lose()
			update(t, there, r)
			l.restore()
		}, 2},
		{"the feed begins anew without having failed", func(t *testing.T, _, there cachestore.Store, l *link, r *session.Record) {
			l.silence()
			update(t, there, r)
			l.restore()
		}, 2},

		// What follows is known here, although the feed tells nothing.
		{"this node deletes it", func(t *testing.T, here, _ cachestore.Store, l *link, r *session.Record) {
			l.silence()
			must(t, here.Delete(t.Context(), r.ID))
		}, 0},
		{"this node updates it", func(t *testing.T, here, _ cachestore.Store, l *link, r *session.Record) {
			l.silence()
			update(t, here, r)
		}, 2},
		{"this node patches it", func(t *testing.T, here, _ cachestore.Store, l *link, r *session.Record) {
			l.silence()
			must(t, here.(session.Patcher).Patch(t.Context(), r.ID, nil, 2, time.Now()))
		}, 2},
		{"this node deletes the user", func(t *testing.T, here, _ cachestore.Store, l *link, r *session.Record) {
			l.silence()
			_, err := here.DeleteUser(t.Context(), user, time.Now())
			must(t, err)
		}, 0},
		{"this node signs the user in beyond the limit", func(t *testing.T, here, _ cachestore.Store, l *link, r *session.Record) {
			l.silence()
			_, err := here.(session.LimitedCreator).CreateLimited(t.Context(), newRecord(user), session.Limit{Max: 1}, time.Now())
			must(t, err)
		}, 0},
		{"this node sweeps", func(t *testing.T, here, _ cachestore.Store, l *link, r *session.Record) {
			l.silence()
			_, err := here.(session.Sweeper).Sweep(t.Context(), r.ExpiresAt)
			must(t, err)
		}, 0},
		{"this node deletes it and creates another", func(t *testing.T, here, _ cachestore.Store, l *link, r *session.Record) {
			l.silence()
			must(t, here.Delete(t.Context(), r.ID))
			must(t, here.Create(t.Context(), next(r)))
		}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.meanwhile, func(t *testing.T) {
			s := newServer()
			l, far := s.connect(), s.connect()
			here, there := cached(t, l, l, cachestore.Options{}), cached(t, far, far, cachestore.Options{})
			r := create(t, there, user)
			l.meanwhile(func() { tt.do(t, here, there, l, r) })
			load(t, here, r.ID)
			wantVersion(t, "afterwards", here, r.ID, tt.want)
		})
	}
}

// Whichever ends first is kept, so that a record that is asked for all the time
// does not go unkept because of it.
func TestOfLoadsAtOnceTheFirstToEndIsKept(t *testing.T) {
	l := newServer().connect()
	c := cached(t, l, l, cachestore.Options{})
	r := create(t, c, user)
	l.meanwhile(func() {
		load(t, c, r.ID)
		wantLoads(t, "two at once", l, 2)
		load(t, c, r.ID)
		wantLoads(t, "the second has ended", l, 0)
	})
	load(t, c, r.ID)

	r = update(t, c, r)
	release := make(chan struct{})
	var second *sync.WaitGroup
	l.meanwhile(func() { second = blocked(c, l, r.ID, release) })
	load(t, c, r.ID)
	wantLoads(t, "two at once", l, 2)
	load(t, c, r.ID)
	wantLoads(t, "the first has ended", l, 0)
	close(release)
	second.Wait()
}

// The first load ends after the second one, which saw the change; then the first
// has the older record.
func TestAnOldLoadDoesNotReplaceANewOne(t *testing.T) {
	l := newServer().connect()
	c := cached(t, l, l, cachestore.Options{})
	r := create(t, c, user)
	l.meanwhile(func() {
		update(t, c, r)
		wantVersion(t, "the second load", c, r.ID, 2)
	})
	wantVersion(t, "the first load", c, r.ID, 1)
	wantVersion(t, "afterwards", c, r.ID, 2)
}

// As above, but the second load is under way as well when the first ends.
func TestAnOldLoadDoesNotUseTheMarkOfANewOne(t *testing.T) {
	l := newServer().connect()
	c := cached(t, l, l, cachestore.Options{})
	r := create(t, c, user)
	release := make(chan struct{})
	var second *sync.WaitGroup
	l.meanwhile(func() {
		update(t, c, r)
		second = blocked(c, l, r.ID, release)
	})
	wantVersion(t, "the first load", c, r.ID, 1)
	wantVersion(t, "a third load", c, r.ID, 2)
	close(release)
	second.Wait()
	wantVersion(t, "afterwards", c, r.ID, 2)
}

// blocked starts a load that has read the record and ends when it is released.
func blocked(c cachestore.Store, l *link, id string, release <-chan struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	read := make(chan struct{})
	l.meanwhile(func() {
		close(read)
		<-release
	})
	wg.Go(func() { _, _ = c.Load(context.Background(), id) })
	<-read
	return &wg
}

// Readers come before the write has changed anything. Without the feed.
func TestWhatIsLoadedDuringAWriteIsNotKept(t *testing.T) {
	tests := []struct {
		write string
		do    func(c cachestore.Store, r *session.Record) error
		want  uint64
	}{
		{"Update", func(c cachestore.Store, r *session.Record) error {
			return c.Update(t.Context(), next(r), r.Version)
		}, 2},
		{"Patch", func(c cachestore.Store, r *session.Record) error {
			return c.(session.Patcher).Patch(t.Context(), r.ID, nil, 2, time.Now())
		}, 2},
		{"Delete", func(c cachestore.Store, r *session.Record) error {
			return c.Delete(t.Context(), r.ID)
		}, 0},
		{"DeleteUser", func(c cachestore.Store, r *session.Record) error {
			_, err := c.DeleteUser(t.Context(), user, time.Now())
			return err
		}, 0},
		{"CreateLimited", func(c cachestore.Store, r *session.Record) error {
			_, err := c.(session.LimitedCreator).CreateLimited(t.Context(), newRecord(user), session.Limit{Max: 1}, time.Now())
			return err
		}, 0},
		{"Sweep", func(c cachestore.Store, r *session.Record) error {
			_, err := c.(session.Sweeper).Sweep(t.Context(), r.ExpiresAt)
			return err
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.write, func(t *testing.T) {
			l := newServer().connect()
			c := cached(t, l, l, cachestore.Options{})
			r := create(t, c, user)
			load(t, c, r.ID)
			l.silence()
			l.whileWriting(func() { load(t, c, r.ID) })
			must(t, tt.do(c, r))
			wantVersion(t, "afterwards", c, r.ID, tt.want)
		})
	}
}

func TestWhatIsWrittenIsNotServedFromMemoryMeanwhile(t *testing.T) {
	l := newServer().connect()
	c := cached(t, l, l, cachestore.Options{})
	writes := map[string]func(r *session.Record) error{
		"Update": func(r *session.Record) error { return c.Update(t.Context(), next(r), r.Version) },
		"DeleteUser": func(*session.Record) error {
			_, err := c.DeleteUser(t.Context(), user, time.Now())
			return err
		},
		"CreateLimited": func(*session.Record) error {
			_, err := c.(session.LimitedCreator).CreateLimited(t.Context(), newRecord(user), session.Limit{Max: 1}, time.Now())
			return err
		},
	}
	for name, write := range writes {
		r := create(t, c, user)
		load(t, c, r.ID)
		l.whileWriting(func() {
			l.loads.Store(0)
			load(t, c, r.ID)
			wantLoads(t, "during "+name, l, 1)
		})
		must(t, write(r))
	}
}

func TestWhatIsHeldIsDroppedByAWriteWhateverItsResult(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		write string
		do    func(c cachestore.Store, r *session.Record) error
		want  error
	}{
		{"an Update that conflicts", func(c cachestore.Store, r *session.Record) error {
			return c.Update(t.Context(), next(r), 7)
		}, session.ErrConflict},
		{"an Update that comes too late", func(c cachestore.Store, r *session.Record) error {
			return c.Update(t.Context(), next(r), r.Version)
		}, session.ErrNotFound},
		{"an Update without an answer", func(c cachestore.Store, r *session.Record) error {
			return c.Update(cancelled, next(r), r.Version)
		}, context.Canceled},
		{"a Patch that comes too late", func(c cachestore.Store, r *session.Record) error {
			return c.(session.Patcher).Patch(t.Context(), r.ID, nil, 3, time.Now())
		}, session.ErrNotFound},
		{"a Delete without an answer", func(c cachestore.Store, r *session.Record) error {
			return c.Delete(cancelled, r.ID)
		}, context.Canceled},
		{"a Create of a taken ID", func(c cachestore.Store, r *session.Record) error {
			return c.Create(t.Context(), next(r))
		}, session.ErrExists},
		{"a DeleteUser without an answer", func(c cachestore.Store, r *session.Record) error {
			_, err := c.DeleteUser(cancelled, user, time.Now())
			return err
		}, context.Canceled},
		{"a sign-in without an answer", func(c cachestore.Store, r *session.Record) error {
			_, err := c.(session.LimitedCreator).CreateLimited(cancelled, newRecord(user), session.Limit{Max: 1}, time.Now())
			return err
		}, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.write, func(t *testing.T) {
			l := newServer().connect()
			c := cached(t, l, l, cachestore.Options{})
			r := create(t, c, user)
			load(t, c, r.ID)
			l.silence()
			if errors.Is(tt.want, session.ErrNotFound) {
				must(t, l.Delete(t.Context(), r.ID))
			}
			if err := tt.do(c, r); !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
			if got := c.Stats().Records; got != 0 {
				t.Errorf("got %d records held, want 0", got)
			}
		})
	}
}
