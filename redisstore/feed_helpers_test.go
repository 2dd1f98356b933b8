package redisstore_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/redisstore"
)

// quick is the heartbeat of tests that break connections.
const quick = 100 * time.Millisecond

// follower notes what it is told.
type follower struct {
	testing.TB
	store session.Store
	stop  context.CancelFunc
	ended chan struct{}

	mu     sync.Mutex
	told   []string // guarded by mu
	health []bool   // guarded by mu
}

// follow returns a follower that is told everything.
func follow(tb testing.TB, client redis.UniversalClient, opts redisstore.Options) *follower {
	tb.Helper()
	store := newStore(tb, client, &opts)
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{TB: tb, store: store, stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(f.ended)
		if err := store.Follow(ctx, f.changed, f.healthy); !errors.Is(err, context.Canceled) {
			tb.Errorf("Follow: got error %v, want %v", err, context.Canceled)
		}
	}()
	tb.Cleanup(f.end)
	f.waitFor("healthy", healthy)
	return f
}

func (f *follower) end() {
	f.stop()
	<-f.ended
}

func (f *follower) changed(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, id)
}

func (f *follower) healthy(ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.health = append(f.health, ok)
}

// take forgets what was told until now.
func (f *follower) take() (told []string, health []bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	told, health = f.told, f.health
	f.told, f.health = nil, nil
	return told, health
}

// waitFor waits until what was told of health since the last take ends with this.
func (f *follower) waitFor(what string, want ...bool) {
	f.Helper()
	eventually(f, what, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		at := len(f.health) - len(want)
		return at >= 0 && slices.Equal(f.health[at:], want)
	})
}

const (
	distrust = false
	healthy  = true
)

// wantTold makes a change for each user, and waits until the follower was told of
// it. What happens while it distrusts it need not be told.
func (f *follower) wantTold(when string, store session.Store, users ...string) {
	f.Helper()
	for _, user := range users {
		var id string
		doubts := -1
		eventually(f, when+": be told of a change", func() bool {
			if n, trusts := f.doubts(); n != doubts {
				if !trusts {
					return false
				}
				doubts = n
				r := create(f, store, user)
				f.wantToldOrDoubt(r.ID, n)
				must(f, store.Delete(f.Context(), r.ID))
				id = r.ID
			}
			return f.wasTold(id) > 1
		})
	}
}

// wantToldOrDoubt waits until the follower was told of the creation, so that the
// deletion is told separately, or distrusts once more than so often.
func (f *follower) wantToldOrDoubt(id string, doubts int) {
	f.Helper()
	eventually(f, "be told of a creation", func() bool {
		n, _ := f.doubts()
		return f.wasTold(id) > 0 || n != doubts
	})
}

// doubts returns how often the follower was told to distrust, and whether it
// trusts now.
func (f *follower) doubts() (n int, trusts bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ok := range f.health {
		if !ok {
			n++
		}
	}
	return n, len(f.health) == 0 || f.health[len(f.health)-1]
}

// wasTold returns how often the follower was told of a change of the session.
func (f *follower) wasTold(id string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, told := range f.told {
		if told == id {
			n++
		}
	}
	return n
}

func (f *follower) wantToldOf(when, id string) {
	f.Helper()
	eventually(f, when+": be told of a change", func() bool { return f.wasTold(id) > 0 })
}

// spread returns users whose sessions are all over a cluster.
func spread() []string {
	users := make([]string, 30)
	for i := range users {
		users[i] = newUser()
	}
	return users
}
