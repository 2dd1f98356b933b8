package memstore

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/updateage/session"
)

var _ session.Feed = (*Store)(nil)

// feed passes changes on to those who follow the store.
type feed struct {
	count atomic.Int32 // followers, so that a store without any pays one reading

	mu        sync.Mutex // guards what follows
	followers map[*follower]struct{}
}

// follower is what one call of Follow has yet to pass on.
type follower struct {
	mu   sync.Mutex
	ids  []string      // guarded by mu
	wake chan struct{} // has room for one: ids is no longer empty
}

// Follow passes on every change of a session, as [session.Feed] says. In the
// memory of one process nothing can be missed: it is healthy from its start.
func (s *Store) Follow(ctx context.Context, changed func(id string), healthy func(ok bool)) error {
	f := &follower{wake: make(chan struct{}, 1)}
	s.feed.add(f)
	defer s.feed.remove(f)
	healthy(true)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.wake:
			for _, id := range f.take() {
				changed(id)
			}
		}
	}
}

func (f *feed) add(fl *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers == nil {
		f.followers = make(map[*follower]struct{})
	}
	f.followers[fl] = struct{}{}
	f.count.Add(1)
}

func (f *feed) remove(fl *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followers, fl)
	f.count.Add(-1)
}

// tell only notes the change: its caller holds locks that a follower may need. A
// follower that asks for the session waits for them, and so sees the change.
func (f *feed) tell(id string) {
	if f.count.Load() == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for fl := range f.followers {
		fl.note(id)
	}
}

func (f *follower) note(id string) {
	f.mu.Lock()
	f.ids = append(f.ids, id)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // it has been woken and not looked yet
	}
}

func (f *follower) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := f.ids
	f.ids = nil
	return ids
}
