package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
)

func TestSessionsOfAUserAreInOneSlot(t *testing.T) {
	servers := servers.StartRedisCluster(t)
	client := cluster(t, servers)
	store := newStore(t, client, nil)
	masters := make(map[string]bool)
	for i := range 50 {
		user := fmt.Sprintf("{a}:%d}{%s", i, newUser())
		slot := slotOf(t, client, indexKey(user))
		for range 3 {
			r := create(t, store, user)
			if got := slotOf(t, client, sessionKey(r.ID)); got != slot {
				t.Errorf("session of %q is in slot %d, its index in %d", user, got, slot)
			}
		}
		master, err := client.MasterForKey(t.Context(), indexKey(user))
		must(t, err)
		masters[master.Options().Addr] = true
	}
	if len(masters) != 3 {
		t.Errorf("50 users are on %d masters, want 3", len(masters))
	}
	scanAll(t, client).wantExact(t)
}

func slotOf(t *testing.T, client *redis.ClusterClient, key string) int64 {
	t.Helper()
	slot, err := client.ClusterKeySlot(t.Context(), key).Result()
	must(t, err)
	return slot
}

// migration moves the slot of a user from one master to another, key by key.
type migration struct {
	*testing.T
	slot     string
	from, to *servers.Redis
	all      *servers.RedisCluster
}

func newMigration(t *testing.T, client *redis.ClusterClient, all *servers.RedisCluster, key string) *migration {
	t.Helper()
	m := &migration{T: t, all: all, slot: fmt.Sprint(slotOf(t, client, key))}
	owner, err := client.MasterForKey(t.Context(), key)
	must(t, err)
	for _, n := range all.Nodes[:3] {
		if n.Addr == owner.Options().Addr {
			m.from = n
		} else {
			m.to = n
		}
	}
	m.to.MustDo("CLUSTER", "SETSLOT", m.slot, "IMPORTING", id(m.from))
	m.from.MustDo("CLUSTER", "SETSLOT", m.slot, "MIGRATING", id(m.to))
	return m
}

func id(n *servers.Redis) string { return n.MustDo("CLUSTER", "MYID").(string) }

func (m *migration) move(key string) {
	m.Helper()
	host, port, err := net.SplitHostPort(m.to.Addr)
	must(m, err)
	m.from.MustDo("MIGRATE", host, port, key, "0", "5000")
}

func (m *migration) finish() {
	for {
		keys := m.from.MustDo("CLUSTER", "GETKEYSINSLOT", m.slot, "100").([]any)
		for _, key := range keys {
			m.move(key.(string))
		}
		if len(keys) == 0 {
			break
		}
	}
	owner := id(m.to)
	for _, n := range m.all.Nodes[:3] {
		m.from.MustDo("PING")
		n.MustDo("CLUSTER", "SETSLOT", m.slot, "NODE", owner)
	}
}

// Half of a user's keys are here and half are there: the server can do nothing
// but ask to try again.
func TestOperationsOutlastTheMoveOfASlot(t *testing.T) {
	all := servers.StartRedisCluster(t)
	plain := cluster(t, all)
	for name, operation := range map[string]func(store session.Store, r *session.Record) error{
		"Create": func(store session.Store, r *session.Record) error {
			return store.Create(t.Context(), newRecord(r.UserID))
		},
		"CreateLimited": func(store session.Store, r *session.Record) error {
			_, err := store.(session.LimitedCreator).CreateLimited(t.Context(), newRecord(r.UserID), session.Limit{Max: 1}, time.Now())
			return err
		},
		"Update": func(store session.Store, r *session.Record) error {
			return store.Update(t.Context(), changed(r), r.Version)
		},
		"Delete": func(store session.Store, r *session.Record) error { return store.Delete(t.Context(), r.ID) },
		"ListUser": func(store session.Store, r *session.Record) error {
			records, err := store.ListUser(t.Context(), r.UserID, time.Now())
			if len(records) != 2 {
				t.Errorf("ListUser: got %d records, want 2", len(records))
			}
			return err
		},
		"DeleteUser": func(store session.Store, r *session.Record) error {
			n, err := store.DeleteUser(t.Context(), r.UserID, time.Now())
			if n != 2 {
				t.Errorf("DeleteUser: got %d, want 2", n)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := cluster(t, all)
			store, user := newStore(t, client, nil), newUser()
			r, _ := create(t, store, user), create(t, store, user)
			m := newMigration(t, plain, all, indexKey(user))
			m.move(sessionKey(r.ID))
			refused := whenAskedToTryAgain(client)
			var moving sync.WaitGroup
			moving.Go(func() {
				<-refused
				m.finish()
			})
			if err := operation(store, r); err != nil {
				t.Error(err)
			}
			moving.Wait()
			scanAll(t, client).wantExact(t)
		})
	}
}

// whenAskedToTryAgain returns a channel that is closed when go-redis has given
// up for the first time.
func whenAskedToTryAgain(client redis.UniversalClient) <-chan struct{} {
	refused := make(chan struct{})
	var once sync.Once
	client.AddHook(hook{func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
		err := next(ctx, cmd)
		if err != nil && strings.HasPrefix(err.Error(), "TRYAGAIN") {
			once.Do(func() { close(refused) })
		}
		return err
	}})
	return refused
}

func TestLookupsFollowAMovingSlot(t *testing.T) {
	all := servers.StartRedisCluster(t)
	client := cluster(t, all)
	store, user := newStore(t, client, nil), newUser()
	moved, stays := create(t, store, user), create(t, store, user)
	m := newMigration(t, client, all, indexKey(user))
	m.move(sessionKey(moved.ID))
	for _, r := range []*session.Record{moved, stays} {
		if _, err := store.Load(t.Context(), r.ID); err != nil {
			t.Errorf("Load: %v", err)
		}
		must(t, store.Patch(t.Context(), r.ID, []session.Change{set("k", "1")}, newVersion(), time.Now()))
	}
	wantGone(t, store, newID(user))
	m.finish()
	wantListed(t, store, user, moved, stays)
}

// go-redis by itself would go on asking the dead master for a minute.
func TestClusterAnswersAgainAfterTheDeathOfAMaster(t *testing.T) {
	all := servers.StartRedisCluster(t)
	client := cluster(t, all)
	store := newStore(t, client, nil)
	user := newUser()
	r := create(t, store, user)
	owner, err := client.MasterForKey(t.Context(), indexKey(user))
	must(t, err)
	eventually(t, "replicate", func() bool {
		n, err := client.Wait(t.Context(), 1, time.Second).Result()
		return n >= 0 && err == nil
	})
	for _, n := range all.Nodes {
		if n.Addr == owner.Options().Addr {
			n.Kill()
		}
	}
	if _, err := store.Load(t.Context(), r.ID); errors.Is(err, session.ErrNotFound) {
		t.Error("Load right after the death of the master: an outage must not look like a session that has ended")
	}
	eventually(t, "answer", func() bool {
		_, err := store.Load(t.Context(), r.ID)
		return err == nil
	})
	create(t, store, user)
	must(t, store.Delete(t.Context(), r.ID))
	wantGone(t, store, r.ID)
}
