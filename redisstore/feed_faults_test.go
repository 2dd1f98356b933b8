package redisstore_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/redisstore"
)

func TestFollowStartsAnewWhenEverythingWasDropped(t *testing.T) {
	t.Run("from one server", func(t *testing.T) {
		server := servers.StartRedis(t)
		f := follow(t, single(t, server), redisstore.Options{Heartbeat: quick})
		f.take()
		server.MustDo("FLUSHALL")
		f.waitFor("start anew", distrust, healthy)
		f.wantTold("after FLUSHALL", f.store, newUser())
	})
	t.Run("from one master of a cluster", func(t *testing.T) {
		all := servers.StartRedisCluster(t)
		f := follow(t, cluster(t, all), redisstore.Options{Heartbeat: quick})
		f.take()
		all.Nodes[1].MustDo("FLUSHALL")
		f.waitFor("start anew", distrust, healthy)
		f.wantTold("after FLUSHALL", f.store, spread()...)
	})
}

func TestFollowOutlastsItsConnection(t *testing.T) {
	server := servers.StartRedis(t)
	f := follow(t, single(t, server), redisstore.Options{Heartbeat: quick})
	for range 5 {
		f.take()
		server.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
		f.waitFor("connect again", distrust, healthy)
		f.wantTold("on the new connection", f.store, newUser())
	}
}

func TestFollowDistrustsASilentServer(t *testing.T) {
	server := servers.StartRedis(t)
	f := follow(t, single(t, server), redisstore.Options{Heartbeat: quick})
	for range 3 {
		f.take()
		server.Freeze()
		began := time.Now()
		f.waitFor("distrust", distrust)
		t.Logf("distrusted after %v, with a heartbeat of %v", time.Since(began), quick)
		server.Thaw()
		f.waitFor("trust again", distrust, healthy)
		f.wantTold("after the thaw", f.store, newUser())
	}
}

// One master that is silent is enough: any session may be one of its.
func TestFollowDistrustsAClusterWithASilentMaster(t *testing.T) {
	all := servers.StartRedisCluster(t)
	f := follow(t, cluster(t, all), redisstore.Options{Heartbeat: quick})
	f.take()
	all.Nodes[2].Freeze()
	f.waitFor("distrust", distrust)
	// It is replaced, and then a replica.
	f.waitFor("follow the new master", distrust, healthy)
	all.Nodes[2].Thaw()
	f.wantTold("after the failover", f.store, spread()...)
}

func TestFollowOutlastsTheServer(t *testing.T) {
	server := servers.StartRedis(t)
	var log bytes.Buffer
	f := follow(t, single(t, server), redisstore.Options{Heartbeat: quick, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	f.take()
	server.Kill()
	f.waitFor("distrust", distrust)
	server.Restart()
	f.waitFor("connect again", distrust, healthy)
	f.wantTold("after the restart", f.store, newUser())
	f.end()
	if warnings := strings.Count(log.String(), "interrupted"); warnings == 0 || warnings > 2 {
		t.Errorf("got log\n%s, want a warning for each server that was there", &log)
	}
}

func TestFollowBeginsWhenThereIsAServer(t *testing.T) {
	server := servers.StartRedis(t)
	client := single(t, server)
	server.Kill()
	restarted := make(chan struct{})
	time.AfterFunc(3*quick, func() { defer close(restarted); server.Restart() })
	f := follow(t, client, redisstore.Options{Heartbeat: quick})
	<-restarted
	f.wantTold("after the start", f.store, newUser())
}

func TestFollowOutlastsTheDeathOfAMaster(t *testing.T) {
	all := servers.StartRedisCluster(t)
	f := follow(t, cluster(t, all), redisstore.Options{Heartbeat: quick})
	for _, victim := range all.Masters()[:2] {
		f.take()
		victim.Kill()
		began := time.Now()
		f.waitFor("follow the new master", distrust, healthy)
		t.Logf("healthy again after %v", time.Since(began))
		f.wantTold("after the failover", f.store, spread()...)
	}
}

// Nothing dies, and no connection ends: only the masters are others.
func TestFollowKeepsUpWithAPlannedFailover(t *testing.T) {
	all := servers.StartRedisCluster(t)
	f := follow(t, cluster(t, all), redisstore.Options{Heartbeat: quick})
	f.take()
	all.Nodes[3].MustDo("CLUSTER", "FAILOVER")
	f.waitFor("follow the new master", distrust, healthy)
	f.wantTold("after the failover", f.store, spread()...)
}

func TestFollowKeepsUpWithAMovedSlot(t *testing.T) {
	all := servers.StartRedisCluster(t)
	client := cluster(t, all)
	f, user := follow(t, client, redisstore.Options{Heartbeat: quick}), newUser()
	moved, stays := create(t, f.store, user), create(t, f.store, user)
	m := newMigration(t, client, all, indexKey(user))
	m.move(sessionKey(moved.ID))
	f.wantToldOf("move", moved.ID)
	for _, r := range []string{moved.ID, stays.ID} {
		f.take()
		must(t, client.Set(t.Context(), sessionKey(r), "x", time.Minute).Err())
		f.wantToldOf("half moved", r)
	}
	m.finish()
	f.take()
	must(t, f.store.Delete(t.Context(), moved.ID))
	f.wantToldOf("moved", moved.ID)
	f.wantTold("moved", f.store, user)
}

func TestFollowOutlastsAFailoverBySentinel(t *testing.T) {
	s := servers.StartRedisSentinel(t)
	f := follow(t, sentinel(t, s), redisstore.Options{Heartbeat: quick})
	f.take()
	s.Master.Kill()
	began := time.Now()
	f.waitFor("follow the new master", distrust, healthy)
	t.Logf("healthy again after %v", time.Since(began))
	f.wantTold("after the failover", f.store, newUser())
}

// The old master answers again, as a replica, when it is thawed.
func TestFollowLeavesAMasterThatWasReplaced(t *testing.T) {
	s := servers.StartRedisSentinel(t)
	f := follow(t, sentinel(t, s), redisstore.Options{Heartbeat: quick})
	if !followed(s.Master) {
		t.Error("nobody follows the master")
	}
	f.take()
	s.Master.Freeze()
	f.waitFor("follow the new master", distrust, healthy)
	s.Master.Thaw()
	f.wantTold("after the failover", f.store, newUser())
	eventually(t, "leave the old master", func() bool { return !followed(s.Master) })
}

// followed says whether a client of the server is a subscriber that tracks in
// broadcasting mode. Sentinels subscribe as well.
func followed(server *servers.Redis) bool {
	list, _ := server.Do("CLIENT", "LIST", "TYPE", "pubsub")
	text, _ := list.(string)
	return strings.Contains(text, "flags=PtB")
}

// A name leads to another server, while the old one lives on and answers. The
// client has noticed: somebody closed its connections, but not that of the feed.
func TestFollowGoesWhereTheClientGoes(t *testing.T) {
	first, second := servers.StartRedis(t), servers.StartRedis(t)
	var name atomic.Pointer[string]
	name.Store(&first.Addr)
	client := closing(t, redis.NewClient(&redis.Options{
		ContextTimeoutEnabled: true,
		Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, *name.Load())
		},
	}))
	f := follow(t, client, redisstore.Options{Heartbeat: quick})
	f.take()
	name.Store(&second.Addr)
	first.MustDo("CLIENT", "KILL", "TYPE", "normal")
	f.waitFor("follow the other server", distrust, healthy)
	f.wantTold("by the other server", newStore(t, single(t, second), nil), newUser())
}

// The name leads the feed to one server and the client to another.
func TestFollowDoesNotTrustAnotherServerThanTheClients(t *testing.T) {
	first, second := servers.StartRedis(t), servers.StartRedis(t)
	var name atomic.Pointer[string]
	name.Store(&first.Addr)
	client := closing(t, redis.NewClient(&redis.Options{
		ContextTimeoutEnabled: true, PoolSize: 1,
		Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, *name.Load())
		},
	}))
	f := follow(t, client, redisstore.Options{Heartbeat: quick})
	f.take()
	name.Store(&second.Addr)
	before := second.Info("stats", "total_connections_received")
	first.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
	f.waitFor("distrust", distrust)
	eventually(t, "try the other server", func() bool {
		return strings.Contains(second.Info("commandstats", "cmdstat_client|tracking"), "calls=") &&
			second.Info("stats", "total_connections_received") != before
	})
	name.Store(&first.Addr)
	f.waitFor("trust the client's server", distrust, healthy)
	f.wantTold("by the client's server", newStore(t, single(t, first), nil), newUser())
}
