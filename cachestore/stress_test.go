package cachestore_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
)

// slot is a session that one writer changes and all readers read.
type slot struct {
	user, id string
	floor    atomic.Uint64 // no node may show an older version: its feed has told
}

const gone = math.MaxUint64 // as a floor: no node may find the record

// stress is two nodes on one server, whose feeds lag and fail.
type stress struct {
	*testing.T
	links  [2]*link
	caches [2]cachestore.Store
	slots  [16]slot
}

func newStress(t *testing.T) *stress {
	st, s := &stress{T: t}, newServer()
	for i := range st.links {
		st.links[i] = s.connect()
		// The gap between reading and keeping, in which things happen.
		st.links[i].pause = func() {
			for range rand.N(4) {
				runtime.Gosched()
			}
		}
		st.caches[i] = cached(t, st.links[i], st.links[i], cachestore.Options{MaxRecords: 12})
		st.links[i].hold()
	}
	for i := range st.slots {
		sl := &st.slots[i]
		sl.user = fmt.Sprint("user ", i)
		sl.id = create(t, st.caches[0], sl.user).ID
	}
	return st
}

// write makes a session, changes it a few times and deletes it, each time on any
// node, and tells the readers what they may no longer see.
func (st *stress) write(sl *slot) {
	for range 10 {
		st.change(sl)
	}
	c := st.caches[rand.N(2)]
	if rand.N(2) == 0 {
		must(st, c.Delete(st.Context(), sl.id))
	} else {
		_, err := c.DeleteUser(st.Context(), sl.user, time.Now())
		must(st, err)
	}
	st.told(sl, gone)
}

func (st *stress) change(sl *slot) {
	c := st.caches[rand.N(2)]
	r, err := c.Load(st.Context(), sl.id)
	if err != nil {
		st.Errorf("Load: got error %v, want the record", err)
		return
	}
	n := next(r)
	must(st, c.Update(st.Context(), n, r.Version))
	st.told(sl, n.Version)
}

// told lets the feeds tell what waits, and raises the floor.
func (st *stress) told(sl *slot, version uint64) {
	for _, l := range st.links {
		l.deliver()
	}
	sl.floor.Store(version)
}

func (st *stress) read(sl *slot, c cachestore.Store) {
	floor := sl.floor.Load()
	r, err := c.Load(st.Context(), sl.id)
	switch {
	case errors.Is(err, session.ErrNotFound):
	case err != nil:
		st.Errorf("Load: got error %v, want none", err)
	case r.Version < floor:
		st.Errorf("Load: got version %d after the node was told of %d", r.Version, floor)
	}
}

// disturb fails and restores a feed.
func (st *stress) disturb() {
	l := st.links[rand.N(2)]
	l.lose()
	runtime.Gosched()
	l.restore()
	for range 50 {
		runtime.Gosched()
	}
}

func until(done <-chan struct{}, f func()) {
	for {
		select {
		case <-done:
			return
		default:
			f()
		}
	}
}

func TestNoNodeShowsWhatItWasToldIsOver(t *testing.T) {
	st := newStress(t)
	var writers, others sync.WaitGroup
	done := make(chan struct{})
	for i := range st.slots {
		writers.Go(func() { st.write(&st.slots[i]) })
	}
	for i := range 4 {
		others.Go(func() { until(done, func() { st.read(&st.slots[rand.N(len(st.slots))], st.caches[i%2]) }) })
	}
	others.Go(func() { until(done, st.disturb) })
	writers.Wait()
	close(done)
	others.Wait()
	for i := range st.slots {
		for _, c := range st.caches {
			wantVersion(t, "in the end", c, st.slots[i].id, 0)
		}
	}
}
