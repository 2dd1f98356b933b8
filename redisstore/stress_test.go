package redisstore_test

import (
	"context"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/redisstore"
)

// crowd lets many clients do everything at once to the sessions of a few users,
// over a network that loses commands and replies, and repeats what failed.
type crowd struct {
	*testing.T
	store *redisstore.Store
	users []string
	limit int // of the last of the users; nobody signs him in without it

	mu       sync.Mutex
	known    []*session.Record // guarded by mu; some of those whose creation was acknowledged
	deleted  map[string]bool   // guarded by mu; IDs of those whose deletion was acknowledged
	attempts int               // guarded by mu
}

func TestIndexIsExactAfterEverythingAtOnceOn(t *testing.T) {
	for _, topology := range topologies {
		t.Run(topology.name, func(t *testing.T) {
			client := topology.start(t)
			c := &crowd{T: t, store: newStore(t, client, nil), limit: 3, deleted: make(map[string]bool)}
			for range 6 {
				c.users = append(c.users, newUser())
			}
			stop := lose(client)
			c.run(16, 400)
			stop()
			c.check(client)
		})
	}
}

func (c *crowd) run(clients, operations int) {
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range operations {
				c.step()
			}
		})
	}
	wg.Wait()
	c.Logf("%d attempts of %d operations", c.attempts, clients*operations)
	c.Logf("%d sessions deleted with an answer", len(c.deleted))
}

func (c *crowd) step() {
	user := c.users[mathrand.N(len(c.users)-1)]
	switch n := mathrand.N(100); {
	case n < 25:
		c.create(newRecord(user, c.someState()))
	case n < 40:
		c.createLimited(newRecord(c.users[len(c.users)-1]))
	case n < 60:
		c.update(c.some())
	case n < 75:
		c.patch(c.some())
	case n < 90:
		c.delete(c.some())
	case n < 95:
		c.list(user)
	default:
		c.deleteUser(user)
	}
}

// again repeats an operation whose command or reply was lost, as an application
// does, and sometimes gives up, as users do. It says whether an answer came.
func (c *crowd) again(operation func(context.Context) error) (answer error, ok bool) {
	for range 1 + mathrand.N(4) {
		c.mu.Lock()
		c.attempts++
		c.mu.Unlock()
		if answer = operation(c.Context()); !errors.Is(answer, errLost) {
			return answer, true
		}
	}
	return nil, false
}

// allow fails the test on an answer that there is no reason for.
func (c *crowd) allow(what string, answer error, allowed ...error) {
	if answer != nil && !slices.ContainsFunc(allowed, func(a error) bool { return errors.Is(answer, a) }) {
		c.Errorf("%s: %v", what, answer)
	}
}

func (c *crowd) someState() func(*session.Record) {
	return inState([]session.State{session.StateSignedIn, session.StateSignedIn, session.StatePending}[mathrand.N(3)])
}

// some returns one of the sessions.
func (c *crowd) some() *session.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) == 0 {
		return newRecord(c.users[0])
	}
	return c.known[mathrand.N(len(c.known))]
}

func (c *crowd) know(r *session.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) < 200 {
		c.known = append(c.known, r)
		return
	}
	c.known[mathrand.N(len(c.known))] = r
}

func (c *crowd) create(r *session.Record) {
	answer, ok := c.again(func(ctx context.Context) error { return c.store.Create(ctx, r) })
	c.allow("Create", answer)
	if ok && answer == nil {
		c.know(r)
	}
}

func (c *crowd) createLimited(r *session.Record) {
	answer, ok := c.again(func(ctx context.Context) error {
		_, err := c.store.CreateLimited(ctx, r, session.Limit{Max: c.limit, Refuse: mathrand.N(4) == 0}, time.Now())
		return err
	})
	c.allow("CreateLimited", answer, session.ErrLimit)
	if ok && answer == nil {
		c.know(r)
	}
}

func (c *crowd) update(r *session.Record) {
	answer, _ := c.again(func(ctx context.Context) error {
		old, err := c.store.Load(ctx, r.ID)
		if err != nil || old.State == session.StateMoved {
			return err
		}
		next := changed(old, expiresIn(life/2+mathrand.N(life)))
		if mathrand.N(5) == 0 {
			next.State = session.StateMoved
		}
		return c.store.Update(ctx, next, old.Version)
	})
	c.allow("Update", answer, session.ErrNotFound, session.ErrConflict)
}

func (c *crowd) patch(r *session.Record) {
	version := newVersion()
	answer, _ := c.again(func(ctx context.Context) error {
		return c.store.Patch(ctx, r.ID, []session.Change{set("k", "1"), {Key: "l", Delete: true}}, version, time.Now())
	})
	c.allow("Patch", answer, session.ErrNotFound)
}

func (c *crowd) delete(r *session.Record) {
	answer, ok := c.again(func(ctx context.Context) error { return c.store.Delete(ctx, r.ID) })
	c.allow("Delete", answer)
	if ok {
		c.bury(r)
	}
}

// bury notes sessions that must not be seen again.
func (c *crowd) bury(records ...*session.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range records {
		c.deleted[r.ID] = true
	}
}

func (c *crowd) deleteUser(user string) {
	before := c.knownOf(user)
	answer, ok := c.again(func(ctx context.Context) error {
		_, err := c.store.DeleteUser(ctx, user, time.Now())
		return err
	})
	c.allow("DeleteUser", answer)
	if ok {
		c.bury(before...)
	}
}

func (c *crowd) knownOf(user string) (records []*session.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.known {
		if r.UserID == user {
			records = append(records, r)
		}
	}
	return records
}

func (c *crowd) list(user string) {
	answer, _ := c.again(func(ctx context.Context) error {
		_, err := c.store.ListUser(ctx, user, time.Now())
		return err
	})
	c.allow("ListUser", answer)
}

// check looks at what is left when everybody has gone.
func (c *crowd) check(client redis.UniversalClient) {
	s := scanAll(c.T, client)
	if len(s.sessions) == 0 || len(s.indexes) == 0 {
		c.Fatalf("got %d sessions and %d indexes: nothing is left to look at", len(s.sessions), len(s.indexes))
	}
	c.Logf("%d sessions and %d indexes left", len(s.sessions), len(s.indexes))
	s.wantExact(c.T)
	for id := range c.deleted {
		if r := s.sessions[id]; r != nil && r.State != session.StateMoved {
			c.Errorf("%v is there after an acknowledged deletion", r)
		}
	}
	if got := len(s.indexes[c.users[len(c.users)-1]]); got > c.limit {
		c.Errorf("the user with a limit of %d has %d sessions", c.limit, got)
	}
}
