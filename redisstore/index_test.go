package redisstore_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
)

// What an operation has read in the index may be out of date when it acts on it.

func TestSessionMovedMeanwhileIsNeitherListedNorDeleted(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store, user := newStore(t, client, nil), newUser()
	r := create(t, store, user)
	moved := changed(r, inState(session.StateMoved))
	must(t, store.Update(t.Context(), moved, r.Version))
	index(t, client, moved)
	wantListed(t, store, user)
	if n, err := store.DeleteUser(t.Context(), user, time.Now()); n != 0 || err != nil {
		t.Errorf("DeleteUser: got %d and error %v, want 0", n, err)
	}
	if got := newRecordOf(t, store, r.ID); got.State != session.StateMoved {
		t.Errorf("got %v, want the moved session", got)
	}
	scanAll(t, client).wantExact(t)
}

// The listing sees an entry and no session, which is created before the entry is
// removed as one that was left behind.
func TestSessionCreatedMeanwhileStaysInTheIndex(t *testing.T) {
	server := servers.StartRedis(t)
	other, client := single(t, server), single(t, server)
	store, creator := newStore(t, client, nil), newStore(t, other, nil)
	r := newRecord(newUser())
	index(t, other, r)
	var once sync.Once
	client.AddHook(hook{func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
		if strings.HasPrefix(cmd.Name(), "eval") {
			once.Do(func() { must(t, creator.Create(t.Context(), r)) })
		}
		return next(ctx, cmd)
	}})
	wantListed(t, store, r.UserID)
	wantListed(t, store, r.UserID, r)
	scanAll(t, other).wantExact(t)
}

// An entry under the ID that is being created, left behind by whatever: it is
// not to be taken for another session, nor to be removed after the fact.
func TestSignInIsIndexedDespiteAnEntryOfItsOwn(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store, user := newStore(t, client, nil), newUser()
	old, r := create(t, store, user), newRecord(user)
	index(t, client, r)
	if _, err := store.CreateLimited(t.Context(), r, session.Limit{Max: 1, Refuse: true}, time.Now()); !errors.Is(err, session.ErrLimit) {
		t.Errorf("CreateLimited: got error %v, want %v", err, session.ErrLimit)
	}
	evicted, err := store.CreateLimited(t.Context(), r, session.Limit{Max: 1}, time.Now())
	if len(evicted) != 1 || err != nil {
		t.Errorf("CreateLimited: got evicted %q and error %v, want %q", evicted, err, old.ID)
	}
	wantListed(t, store, user, r)
	scanAll(t, client).wantExact(t)
}

// Entries of sessions that are gone do not count for the limit, and a sign-in
// that looks at them removes them.
func TestLimitDoesNotCountWhatIsGone(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store, user := newStore(t, client, nil), newUser()
	r := create(t, store, user)
	index(t, client, newRecord(user), newRecord(user), newRecord(user))
	next := newRecord(user)
	evicted, err := store.CreateLimited(t.Context(), next, session.Limit{Max: 2, Refuse: true}, time.Now())
	if len(evicted) != 0 || err != nil {
		t.Errorf("CreateLimited: got evicted %q and error %v, want none", evicted, err)
	}
	scanAll(t, client).wantExact(t)
	wantListed(t, store, user, r, next)
}

func TestWhatIsNoSessionIsInNobodysWayInTheIndex(t *testing.T) {
	client := cluster(t, servers.StartRedisCluster(t))
	store := newStore(t, client, nil)
	for _, member := range []string{"", "a", "{b}", "}", strings.Repeat("c", 24), strings.Repeat("}", 24), "\x00", strings.Repeat("d", 1000)} {
		odd := func(user string) {
			must(t, client.ZAdd(t.Context(), indexKey(user), redis.Z{Score: 1e15, Member: member}).Err())
		}
		user := newUser()
		r := create(t, store, user)
		odd(user)
		_, err := store.CreateLimited(t.Context(), newRecord(user), session.Limit{Max: 1, Refuse: true}, time.Now())
		if !errors.Is(err, session.ErrLimit) {
			t.Errorf("CreateLimited beside %q: got error %v, want %v", member, err, session.ErrLimit)
		}
		wantListed(t, store, user, r)
		scanAll(t, client).wantExact(t)
		odd(user)
		next := newRecord(user)
		_, err = store.CreateLimited(t.Context(), next, session.Limit{Max: 2, Refuse: true}, time.Now())
		must(t, err)
		scanAll(t, client).wantExact(t)
		odd(user)
		if n, err := store.DeleteUser(t.Context(), user, time.Now()); n != 2 || err != nil {
			t.Errorf("DeleteUser beside %q: got %d and error %v, want 2", member, n, err)
		}
		if n := client.Exists(t.Context(), indexKey(user)).Val(); n != 0 {
			t.Error("the index is still there")
		}
	}
}
