package redisstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/redisstore"
)

// confirming returns a store for revocations that are to be confirmed by so many
// replicas, however slow they are, and one for those that cannot be.
func confirming(tb testing.TB, client redis.UniversalClient, replicas int) (patient, hasty *redisstore.Store) {
	patient = newStore(tb, client, &redisstore.Options{ReplicasToConfirm: replicas, Timeout: 2 * patience, WaitTimeout: patience})
	return patient, newStore(tb, client, &redisstore.Options{ReplicasToConfirm: replicas})
}

// A replica that is frozen still has its connection: only its confirmation is
// missing.
func TestRevocationIsConfirmedByReplicasOrSaysSo(t *testing.T) {
	master := servers.StartRedis(t)
	replicas := []*servers.Redis{master.StartReplica(t), master.StartReplica(t)}
	client := closing(t, redis.NewClient(&redis.Options{Addr: master.Addr, ContextTimeoutEnabled: true, ReadTimeout: -1}))
	store, hasty := confirming(t, client, 2)
	user, now := newUser(), time.Now()
	first, second := create(t, store, user), create(t, store, user)
	must(t, store.Delete(t.Context(), first.ID))
	for _, r := range replicas {
		wantWithoutKey(t, r, sessionKey(first.ID))
	}

	replicas[1].Freeze()
	wantUnconfirmed(t, "Delete", hasty.Delete(t.Context(), second.ID))
	wantGone(t, store, second.ID)
	wantUnconfirmed(t, "repeated Delete", hasty.Delete(t.Context(), second.ID))
	create(t, store, user)
	n, err := hasty.DeleteUser(t.Context(), user, now)
	wantUnconfirmed(t, "DeleteUser", err)
	if n != 1 {
		t.Errorf("DeleteUser: got %d, want 1", n)
	}
	_, err = hasty.DeleteUser(t.Context(), user, now)
	wantUnconfirmed(t, "repeated DeleteUser", err)
	wantListed(t, store, user)

	replicas[1].Thaw()
	must(t, store.Delete(t.Context(), second.ID))
	_, err = store.DeleteUser(t.Context(), user, now)
	must(t, err)
	for _, r := range replicas {
		wantWithoutKey(t, r, indexKey(user))
	}
}

func wantUnconfirmed(t *testing.T, call string, err error) {
	t.Helper()
	if !errors.Is(err, redisstore.ErrNotConfirmed) {
		t.Errorf("%s: got error %v, want %v", call, err, redisstore.ErrNotConfirmed)
	}
}

func wantWithoutKey(t *testing.T, server *servers.Redis, key string) {
	t.Helper()
	if got := server.MustDo("EXISTS", key); got != int64(0) {
		t.Errorf("replica %s has %q after a confirmed revocation", server.Addr, key)
	}
}

func TestRevocationIsConfirmedOnACluster(t *testing.T) {
	client := closing(t, redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: servers.StartRedisCluster(t).Addrs(), ContextTimeoutEnabled: true, ReadTimeout: -1,
	}))
	store, _ := confirming(t, client, 1)
	stranger, _ := confirming(t, client, 1)
	_, tooMuch := confirming(t, client, 2)
	for range 5 {
		user := newUser()
		first, second := create(t, store, user), create(t, store, user)
		must(t, stranger.Delete(t.Context(), first.ID))
		wantUnconfirmed(t, "Delete", tooMuch.Delete(t.Context(), second.ID))
		create(t, store, user)
		if n, err := store.DeleteUser(t.Context(), user, time.Now()); n != 1 || err != nil {
			t.Errorf("DeleteUser: got %d and error %v, want 1", n, err)
		}
		wantListed(t, store, user)
	}
}
