package redisstore_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/redisstore"
)

// Each test here breaks a real server while visitors use it. What must not
// happen fails the test; how long it takes is logged, because it depends on the
// machine. docs/reliability.md has a table of it.

// tuned are the options that docs/reliability.md recommends.
func tuned(addr string) *redis.Options {
	return &redis.Options{
		Addr: addr, ContextTimeoutEnabled: true,
		DialTimeout: 500 * time.Millisecond, DialerRetries: 1,
		ReadTimeout: 500 * time.Millisecond, WriteTimeout: 500 * time.Millisecond, PoolTimeout: 500 * time.Millisecond,
		MaxRetries: 2, MinRetryBackoff: 10 * time.Millisecond, MaxRetryBackoff: 100 * time.Millisecond,
	}
}

func tunedClient(t *testing.T, addr string) *redis.Client {
	return closing(t, redis.NewClient(tuned(addr)))
}

// prompt are the options of a store that does not wait as long as tests do.
func prompt(o redisstore.Options) *redisstore.Options {
	o.Timeout = time.Second
	return &o
}

func siteOn(t *testing.T, client redis.UniversalClient, o redisstore.Options) *site {
	t.Helper()
	return newSite(t, newStore(t, client, prompt(o)))
}

func TestFaultServerKilledThatKeepsADiary(t *testing.T) {
	server := servers.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	client := tunedClient(t, server.Addr)
	siteOn(t, client, redisstore.Options{}).endure(client, func() {
		server.Kill()
		time.Sleep(time.Second)
		server.Restart()
	}).want(t, damage{})
}

// Everybody is signed out, and that is all: a server that comes back empty does
// not bring back what was revoked.
func TestFaultServerKilledThatKeepsNothing(t *testing.T) {
	server := servers.StartRedis(t)
	client := tunedClient(t, server.Addr)
	d := siteOn(t, client, redisstore.Options{}).endure(client, func() {
		server.Kill()
		time.Sleep(time.Second)
		server.Restart()
	})
	d.want(t, damage{lost: d.lost})
}

func TestFaultScriptsFlushed(t *testing.T) {
	server := servers.StartRedis(t)
	client := tunedClient(t, server.Addr)
	siteOn(t, client, redisstore.Options{}).endure(client, func() {
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			server.MustDo("SCRIPT", "FLUSH")
		}
	}).want(t, damage{})
}

func TestFaultServerStalled(t *testing.T) {
	server := servers.StartRedis(t)
	client := tunedClient(t, server.Addr)
	siteOn(t, client, redisstore.Options{}).endure(client, func() {
		server.Freeze()
		time.Sleep(time.Second)
		server.Thaw()
	}).want(t, damage{})
}

// Of a hundred replies two end the connection and one never comes.
func TestFaultRepliesLost(t *testing.T) {
	server := servers.StartRedis(t)
	between := newProxy(t, server.Addr)
	client, direct := tunedClient(t, between.addr), tunedClient(t, server.Addr)
	siteOn(t, client, redisstore.Options{}).endure(direct, func() {
		between.cut.Store(20)
		between.swallow.Store(10)
		time.Sleep(3 * time.Second)
		between.cut.Store(0)
		between.swallow.Store(0)
	}).want(t, damage{})
}

// A password that is wrong is a store that cannot be asked, and no sign-out.
func TestFaultPasswordWrong(t *testing.T) {
	server := servers.StartRedis(t, "--requirepass", "right")
	options := tuned(server.Addr)
	options.Password = "right"
	client := closing(t, redis.NewClient(options))
	admin := closing(t, client.Conn())
	must(t, admin.Ping(t.Context()).Err())
	siteOn(t, client, redisstore.Options{}).endure(client, func() {
		must(t, admin.ConfigSet(t.Context(), "requirepass", "another").Err())
		must(t, admin.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err())
		time.Sleep(time.Second)
		must(t, admin.ConfigSet(t.Context(), "requirepass", "right").Err())
	}).want(t, damage{})
}

// fill creates sessions until the server has no room, or drops others for them.
func fill(t *testing.T, client *redis.Client) {
	t.Helper()
	store := newStore(t, client, prompt(redisstore.Options{Logger: slog.New(slog.DiscardHandler)}))
	v := values(t, set("v", `"`+strings.Repeat("x", 2000)+`"`))
	full := func() bool {
		return client.InfoMap(t.Context(), "stats").Item("Stats", "evicted_keys") > "0"
	}
	for i := 0; i%100 != 0 || !full(); i++ {
		r := newRecord(newUser(), func(r *session.Record) { r.Values = v })
		if err := store.Create(t.Context(), r); redis.HasErrorPrefix(err, "OOM") {
			return
		} else if err != nil {
			t.Error(err)
			return
		}
	}
}

func TestFaultMemoryFullThatEvictsNothing(t *testing.T) {
	server := servers.StartRedis(t, "--maxmemory", "16mb", "--maxmemory-policy", "noeviction")
	client, other := tunedClient(t, server.Addr), tunedClient(t, server.Addr)
	s := siteOn(t, client, redisstore.Options{})
	d := s.endure(client, func() {
		fill(t, other)
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			fill(t, other)
		}
		server.MustDo("CONFIG", "SET", "maxmemory", "1gb")
	})
	d.want(t, damage{})
	if s.unavailable.Load() == 0 {
		t.Error("memory was never full")
	}
}

// Nobody promises anything here but that what expires, expires. New has warned.
func TestFaultMemoryFullThatEvictsAnything(t *testing.T) {
	server := servers.StartRedis(t, "--maxmemory", "16mb", "--maxmemory-policy", "allkeys-lru")
	client, other := tunedClient(t, server.Addr), tunedClient(t, server.Addr)
	var log bytes.Buffer
	s := siteOn(t, client, redisstore.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	d := s.endure(client, func() {
		for range 3 {
			fill(t, other)
			time.Sleep(300 * time.Millisecond)
		}
	})
	d.want(t, damage{lost: d.lost, revived: d.revived, unindexed: d.unindexed})
	if !strings.Contains(log.String(), "maxmemory_policy=allkeys-lru") {
		t.Errorf("got log %q, want a warning about allkeys-lru", log.String())
	}
}

func TestFaultMasterOfAClusterKilled(t *testing.T) {
	all := servers.StartRedisCluster(t)
	single := tuned("")
	client := closing(t, redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: all.Addrs(), ContextTimeoutEnabled: true, MaxRedirects: 5,
		DialTimeout: single.DialTimeout, DialerRetries: 1, PoolTimeout: single.PoolTimeout,
		ReadTimeout: single.ReadTimeout, WriteTimeout: single.WriteTimeout,
		MinRetryBackoff: single.MinRetryBackoff, MaxRetryBackoff: single.MaxRetryBackoff,
	}))
	d := siteOn(t, client, redisstore.Options{}).endure(client, func() {
		all.Nodes[0].Kill()
		eventually(t, "fail over", func() bool { return all.Nodes[3].Info("replication", "role") == "master" })
	})
	d.want(t, damage{lost: d.lost, revived: d.revived})
}

func TestFaultFailoverBySentinel(t *testing.T) {
	all := servers.StartRedisSentinel(t)
	client := failover(t, all)
	d := siteOn(t, client, redisstore.Options{}).endure(client, func() {
		all.Master.Kill()
		eventually(t, "fail over", func() bool { return all.Replica.Info("replication", "role") == "master" })
	})
	d.want(t, damage{lost: d.lost, revived: d.revived})
}

// Both replicas have every revocation that was answered, so that it is all the
// same which of them becomes the master. Until the old one is back as the second
// replica, no revocation can be confirmed.
func TestFaultFailoverBySentinelOfConfirmedRevocations(t *testing.T) {
	all := servers.StartRedisSentinel(t)
	replicas := []*servers.Redis{all.Replica, all.Master.StartReplica(t)}
	for _, sentinel := range all.Sentinels {
		sentinel.MustDo("SENTINEL", "RESET", all.MasterName) // or it would take 10 seconds to learn of it
	}
	eventually(t, "learn of the second replica", func() bool {
		for _, sentinel := range all.Sentinels {
			known := fmt.Sprint(sentinel.MustDo("SENTINEL", "MASTER", all.MasterName))
			if !strings.Contains(known, "num-slaves 2 ") || !strings.Contains(known, "num-other-sentinels 2 ") {
				return false
			}
		}
		return true
	})
	client := failover(t, all)
	d := siteOn(t, client, redisstore.Options{ReplicasToConfirm: 2}).endure(client, func() {
		all.Master.Kill()
		eventually(t, "fail over", func() bool { return failedOver(all, replicas) })
		all.Master.Restart()
	})
	d.want(t, damage{lost: d.lost})
}

// failedOver says whether every sentinel names one of these masters, which the
// other one follows. Before that, the old master must not return: it is empty,
// and clients would be sent to it.
func failedOver(all *servers.RedisSentinel, replicas []*servers.Redis) bool {
	named := make(map[string]int)
	for _, sentinel := range all.Sentinels {
		addr, _ := sentinel.MustDo("SENTINEL", "GET-MASTER-ADDR-BY-NAME", all.MasterName).([]any)
		named[fmt.Sprintf("%v:%v", addr[0], addr[1])]++
	}
	for _, r := range replicas {
		if named[r.Addr] == len(all.Sentinels) && r.Info("replication", "connected_slaves") == "1" {
			return true
		}
	}
	return false
}

func failover(t *testing.T, all *servers.RedisSentinel) *redis.Client {
	o := tuned("")
	return closing(t, redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: all.MasterName, SentinelAddrs: all.Addrs(), ContextTimeoutEnabled: true,
		DialTimeout: o.DialTimeout, DialerRetries: 1, PoolTimeout: o.PoolTimeout,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
	}))
}

// The worst that a failover does: the master goes on to answer while its replica
// hears nothing, and then dies. Whoever does not ask the replica loses all of it.
func TestFaultMasterDiesWithItsLinkStalled(t *testing.T) {
	for _, test := range []struct {
		name     string
		replicas int
		alive    int // of those whose revocation was acknowledged
	}{
		{"not confirmed", 0, revocations},
		{"confirmed by a replica", 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			acknowledged, alive := dieStalled(t, test.replicas)
			t.Logf("fault: revocations %d, acknowledged %d, alive again %d", revocations, acknowledged, alive)
			if alive != test.alive {
				t.Errorf("got %d revoked sessions alive, want %d", alive, test.alive)
			}
		})
	}
}

const revocations = 20

// dieStalled revokes sessions while the link to the replica is stalled, lets the
// master die, and looks for those with an acknowledgment on the replica.
func dieStalled(t *testing.T, confirm int) (acknowledged, alive int) {
	master := servers.StartRedis(t)
	link := newProxy(t, master.Addr)
	host, port, _ := strings.Cut(link.addr, ":")
	replica := servers.StartRedis(t, "--replicaof", host, port)
	eventually(t, "follow the master", func() bool { return replica.Info("replication", "master_link_status") == "up" })
	client, heir := tunedClient(t, master.Addr), tunedClient(t, replica.Addr)
	store := newStore(t, client, prompt(redisstore.Options{ReplicasToConfirm: confirm, WaitTimeout: 50 * time.Millisecond}))
	var ids []string
	for range revocations {
		ids = append(ids, create(t, store, newUser()).ID)
	}
	eventually(t, "replicate", func() bool {
		return heir.Exists(t.Context(), sessionKey(ids[revocations-1])).Val() == 1
	})
	link.held.Lock()
	defer link.held.Unlock()
	ids = revokeAll(t.Context(), store, ids)
	master.Kill()
	replica.MustDo("REPLICAOF", "NO", "ONE")
	for _, id := range ids {
		alive += int(heir.Exists(t.Context(), sessionKey(id)).Val())
	}
	return len(ids), alive
}

// revokeAll returns the IDs of sessions whose revocation was acknowledged.
func revokeAll(ctx context.Context, store *redisstore.Store, ids []string) (acknowledged []string) {
	for _, id := range ids {
		if store.Delete(ctx, id) == nil {
			acknowledged = append(acknowledged, id)
		}
	}
	return acknowledged
}
