package redisstore_test

import (
	"cmp"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/redisstore"
	"github.com/updateage/session/storetest"
)

// topologies are the arrangements of servers that every promise holds on.
var topologies = []struct {
	name  string
	start func(testing.TB) redis.UniversalClient
}{
	{"one server", func(tb testing.TB) redis.UniversalClient { return single(tb, servers.StartRedis(tb)) }},
	{"one server by the older protocol", func(tb testing.TB) redis.UniversalClient {
		return closing(tb, redis.NewClient(&redis.Options{Addr: servers.StartRedis(tb).Addr, Protocol: 2, ContextTimeoutEnabled: true}))
	}},
	{"a cluster of three masters and three replicas", func(tb testing.TB) redis.UniversalClient {
		return cluster(tb, servers.StartRedisCluster(tb))
	}},
	{"Sentinel with a replica", func(tb testing.TB) redis.UniversalClient {
		return sentinel(tb, servers.StartRedisSentinel(tb))
	}},
}

func single(tb testing.TB, server *servers.Redis) *redis.Client {
	return closing(tb, redis.NewClient(&redis.Options{
		Addr: server.Addr, ContextTimeoutEnabled: true, ReadTimeout: patience,
	}))
}

func cluster(tb testing.TB, servers *servers.RedisCluster) *redis.ClusterClient {
	return closing(tb, redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: servers.Addrs(), ContextTimeoutEnabled: true, ReadTimeout: patience,
	}))
}

func sentinel(tb testing.TB, servers *servers.RedisSentinel) *redis.Client {
	return closing(tb, redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: servers.MasterName, SentinelAddrs: servers.Addrs(), ContextTimeoutEnabled: true, ReadTimeout: patience,
	}))
}

// patience is how long a test waits for a server that is well: no test fails
// because a machine is slow.
const patience = 30 * time.Second

func closing[C interface{ Close() error }](tb testing.TB, client C) C {
	tb.Cleanup(func() {
		if err := client.Close(); err != nil {
			tb.Errorf("close the client: %v", err)
		}
	})
	return client
}

// newStore returns a store with these options, but for its patience.
func newStore(tb testing.TB, client redis.UniversalClient, opts *redisstore.Options) *redisstore.Store {
	tb.Helper()
	var o redisstore.Options
	if opts != nil {
		o = *opts
	}
	o.Timeout = cmp.Or(o.Timeout, patience)
	store, err := redisstore.New(client, &o)
	if err != nil {
		tb.Fatal(err)
	}
	return store
}

func TestStoreKeepsItsContractOn(t *testing.T) {
	for _, topology := range topologies {
		t.Run(topology.name, func(t *testing.T) {
			client := topology.start(t)
			storetest.Run(t, func(t *testing.T) session.Store { return newStore(t, client, nil) })
		})
	}
}
