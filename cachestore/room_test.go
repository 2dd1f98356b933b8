package cachestore_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
)

func TestNoMoreRecordsAreHeldThanMaxRecords(t *testing.T) {
	for _, most := range []int{1, 2, 10, 300} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			l := newServer().connect()
			c := cached(t, l, l, cachestore.Options{MaxRecords: most})
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range most {
						r := create(t, c, user)
						load(t, c, r.ID)
						load(t, c, create(t, c, "").ID)
					}
				})
			}
			wg.Wait()
			if got := c.Stats().Records; got > most || got < most/2 {
				t.Errorf("got %d records held, want %d to %d", got, most/2, most)
			}
		})
	}
}

func TestAUserWithManySessionsMayFillTheCache(t *testing.T) {
	const most = 2000
	l := newServer().connect()
	c := cached(t, l, l, cachestore.Options{MaxRecords: most})
	for range most {
		load(t, c, create(t, c, user).ID)
	}
	if got := c.Stats().Records; got != most {
		t.Errorf("got %d records held, want %d", got, most)
	}
}

func TestLoadingUnknownIDsEvictsNothing(t *testing.T) {
	l := newServer().connect()
	c := cached(t, l, l, cachestore.Options{MaxRecords: 10})
	for range 10 {
		load(t, c, create(t, c, user).ID)
	}
	for range 1000 {
		wantVersion(t, "unknown", c, newRecord(user).ID, 0)
	}
	wantStats(t, "after 1000 unknown IDs", c, cachestore.Stats{Misses: 1010, Records: 10, Healthy: true})
}

func TestTheCacheShrinksToWhatIsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newServer().connect()
		c := cached(t, l, l, cachestore.Options{})
		for range 5000 {
			load(t, c, create(t, c, "").ID)
		}
		time.Sleep(time.Minute)
		for range 2500 {
			load(t, c, create(t, c, "").ID)
		}
		if got := c.Stats(); got.Records > 3000 || got.Evicted+uint64(got.Records) != 7500 {
			t.Errorf("got %d records held and %d evicted of 7500, want at most 3000 held", got.Records, got.Evicted)
		}
	})
}

func TestAHitDoesNotAllocate(t *testing.T) {
	l := newServer().connect()
	c := cached(t, l, l, cachestore.Options{MaxAge: time.Hour})
	r := create(t, c, user)
	load(t, c, r.ID)
	l.loads.Store(0)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Load(ctx, r.ID) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
	wantLoads(t, "hits", l, 0)
}

func TestCacheDoesNotHoldOnToTheToken(t *testing.T) {
	l := newServer().connect()
	c := cached(t, l, l, cachestore.Options{})
	token := create(t, c, user).ID + "the secret of the token, 40 characters.."
	load(t, c, token[:24])
	r := load(t, c, token[:24])
	wantLoads(t, "the second time", l, 1)
	if unsafe.StringData(r.ID) == unsafe.StringData(token) {
		t.Error("the ID that the cache keeps is cut out of the token")
	}
	runtime.KeepAlive(token)
}

// No session has such an ID, but a Store may.
func TestARecordThatDropUserWouldMissIsNotHeld(t *testing.T) {
	l := newServer().connect()
	c := cached(t, l, l, cachestore.Options{})
	r := newRecord(user)
	r.ID = session.RoutingTag("bob") + r.ID[2:]
	must(t, c.Create(t.Context(), r))
	load(t, c, r.ID)
	load(t, c, r.ID)
	wantLoads(t, "ID with another user's tag", l, 2)
}

func TestOnlyTheUsersRecordsAreDroppedWithHim(t *testing.T) {
	l := newServer().connect()
	c := cached(t, l, l, cachestore.Options{})
	same := sameTag(user)
	for _, userID := range []string{user, user, user, same, same, "", "bob"} {
		load(t, c, create(t, c, userID).ID)
	}
	l.silence()
	_, err := c.DeleteUser(t.Context(), user, time.Now())
	must(t, err)
	wantStats(t, "after DeleteUser", c, cachestore.Stats{Misses: 7, Invalidated: 3, Records: 4, Healthy: true})
}

// sameTag returns another user with the same routing tag.
func sameTag(userID string) string {
	for i := 0; ; i++ {
		if other := fmt.Sprint("user ", i); session.RoutingTag(other) == session.RoutingTag(userID) {
			return other
		}
	}
}
