package redisstore_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/redisstore"
)

func TestNewRefuses(t *testing.T) {
	addr := servers.StartRedis(t).Addr
	client := closing(t, redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: 300 * time.Millisecond}))
	clusterWith := func(o redis.ClusterOptions) redis.UniversalClient {
		o.Addrs = []string{addr}
		return closing(t, redis.NewClusterClient(&o))
	}
	failoverWith := func(o redis.FailoverOptions) redis.UniversalClient {
		o.SentinelAddrs = []string{addr}
		return closing(t, redis.NewFailoverClusterClient(&o))
	}
	pipeline, err := client.AutoPipeline()
	must(t, err)
	for _, refused := range []struct {
		what   string
		client redis.UniversalClient
		opts   redisstore.Options
		reason string
	}{
		{"no client", nil, redisstore.Options{}, "nil"},
		{"a Ring", closing(t, redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": addr}})), redisstore.Options{}, "Ring"},
		{"a cluster client that reads from replicas", clusterWith(redis.ClusterOptions{ReadOnly: true}), redisstore.Options{}, "replicas"},
		{"a cluster client that reads from the nearest", clusterWith(redis.ClusterOptions{RouteByLatency: true}), redisstore.Options{}, "replicas"},
		{"a cluster client that reads from any", clusterWith(redis.ClusterOptions{RouteRandomly: true}), redisstore.Options{}, "replicas"},
		{"a failover client that reads from replicas", failoverWith(redis.FailoverOptions{ReplicaOnly: true}), redisstore.Options{}, "replicas"},
		{"a failover client that reads from the nearest", failoverWith(redis.FailoverOptions{RouteByLatency: true}), redisstore.Options{}, "replicas"},
		{"a failover client that reads from any", failoverWith(redis.FailoverOptions{RouteRandomly: true}), redisstore.Options{}, "replicas"},
		{"a pipeline, of which nothing can be checked", pipeline, redisstore.Options{}, "Pipeline"},
		{"pipelining through an unknown client", struct{ redis.UniversalClient }{client}, redisstore.Options{Pipeline: true}, "pipeline"},
		{"a brace in the prefix", client, redisstore.Options{KeyPrefix: "a{b"}, "KeyPrefix"},
		{"a negative time-out", client, redisstore.Options{Timeout: -1}, "Timeout"},
		{"a negative number of replicas", client, redisstore.Options{ReplicasToConfirm: -1}, "ReplicasToConfirm"},
		{"a wait longer than the time-out", client, redisstore.Options{WaitTimeout: time.Hour}, "WaitTimeout"},
		{"a wait longer than the client reads", client, redisstore.Options{ReplicasToConfirm: 1, WaitTimeout: 500 * time.Millisecond}, "ReadTimeout"},
		{"WAIT through an unknown client", struct{ redis.UniversalClient }{client}, redisstore.Options{ReplicasToConfirm: 1}, "ReplicasToConfirm"},
	} {
		refused.opts.Logger = slog.New(slog.DiscardHandler)
		store, err := redisstore.New(refused.client, &refused.opts)
		if store != nil || err == nil || !strings.Contains(err.Error(), refused.reason) {
			t.Errorf("%s: got error %v, want one about %s", refused.what, err, refused.reason)
		}
	}
}

func TestNewReportsAllMistakesAtOnce(t *testing.T) {
	_, err := redisstore.New(nil, &redisstore.Options{KeyPrefix: "{", Timeout: -1, ReplicasToConfirm: -1, WaitTimeout: -1})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, mistake := range []string{"nil", "KeyPrefix", "Timeout -1", "ReplicasToConfirm", "WaitTimeout"} {
		if !strings.Contains(err.Error(), mistake) {
			t.Errorf("got error %v, want it to say %s", err, mistake)
		}
	}
}

// A replica refuses writes, so that this shows at once, but for a failover
// client with ReplicaOnly, whose options do not tell.
func TestNewRefusesAReplica(t *testing.T) {
	s, quiet := servers.StartRedisSentinel(t), redisstore.Options{Logger: slog.New(slog.DiscardHandler)}
	if _, err := redisstore.New(single(t, s.Replica), &quiet); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("client of a replica: got error %v, want one", err)
	}
	replicaOnly := closing(t, redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: s.MasterName, SentinelAddrs: s.Addrs(), ReplicaOnly: true,
	}))
	if _, err := redisstore.New(replicaOnly, &quiet); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("failover client with ReplicaOnly: got error %v, want one", err)
	}
}

// logged returns what New logs.
func logged(t *testing.T, client redis.UniversalClient) string {
	t.Helper()
	var log bytes.Buffer
	newStore(t, client, &redisstore.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	return log.String()
}

func TestNewWarnsOnceOfAServerThatEvicts(t *testing.T) {
	for policy, want := range map[string]int{"noeviction": 0, "allkeys-lru": 1, "volatile-ttl": 1} {
		client := single(t, servers.StartRedis(t, "--maxmemory-policy", policy))
		if got := strings.Count(logged(t, client), "maxmemory_policy="+policy); got != want {
			t.Errorf("policy %s: got %d warnings, want %d", policy, got, want)
		}
	}
	client := cluster(t, servers.StartRedisCluster(t, "--maxmemory-policy", "volatile-lru"))
	if got := strings.Count(logged(t, client), "maxmemory_policy=volatile-lru"); got != 1 {
		t.Errorf("cluster: got %d warnings, want 1", got)
	}
}

func TestNewWarnsOfAClientThatKeepsNoDeadline(t *testing.T) {
	client := closing(t, redis.NewClient(&redis.Options{Addr: servers.StartRedis(t).Addr}))
	if log := logged(t, client); !strings.Contains(log, "ContextTimeoutEnabled") {
		t.Errorf("got log %q, want a warning", log)
	}
}

func TestNewNeedsNoServer(t *testing.T) {
	server := servers.StartRedis(t)
	client := single(t, server)
	server.Freeze()
	if log := logged(t, client); log != "" {
		t.Errorf("frozen server: got log %q", log)
	}
	server.Thaw()
	server.Kill()
	if log := logged(t, client); log != "" {
		t.Errorf("no server: got log %q", log)
	}
}

// A user of the server who may do what docs/redis.md lists, on keys under the
// prefix, and nothing else.
func TestStoreNeedsNoFurtherRights(t *testing.T) {
	server := servers.StartRedis(t)
	text, err := os.ReadFile("../docs/redis.md")
	must(t, err)
	_, list, _ := strings.Cut(string(text), "ACL SETUSER sessions on >secret ")
	list, _, _ = strings.Cut(list, "\n\n")
	server.MustDo(append([]string{"ACL", "SETUSER", "sessions", "on", ">secret"}, strings.Fields(list)...)...)
	client := closing(t, redis.NewClient(&redis.Options{
		Addr: server.Addr, Username: "sessions", Password: "secret", ContextTimeoutEnabled: true,
	}))
	teach(t, client)
	store, user := newStore(t, client, &redisstore.Options{ReplicasToConfirm: 1}), newUser()
	expire(t, client, create(t, store, user, expiresIn(0)))
	wantListed(t, store, user)
	wantUnconfirmed(t, "Delete", store.Delete(t.Context(), newID("")))
	scanAll(t, single(t, server)).wantExact(t)
}

func TestNewNeedsNoRightToAskTheServer(t *testing.T) {
	server := servers.StartRedis(t)
	server.MustDo("ACL", "SETUSER", "sessions", "on", ">secret", "~session:*", "-@all")
	client := closing(t, redis.NewClient(&redis.Options{
		Addr: server.Addr, Username: "sessions", Password: "secret", ContextTimeoutEnabled: true,
	}))
	if log := logged(t, client); log != "" {
		t.Errorf("got log %q", log)
	}
}

// A server that is silent is an outage, and the caller learns of it in time.
func TestOperationsEndWhenTheServerIsSilent(t *testing.T) {
	server := servers.StartRedis(t)
	client := closing(t, redis.NewClient(&redis.Options{Addr: server.Addr, ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1}))
	store := newStore(t, client, &redisstore.Options{Timeout: 20 * time.Millisecond})
	user, now := newUser(), time.Now()
	r := create(t, newStore(t, client, nil), user)
	server.Freeze()
	for name, operation := range map[string]func() error{
		"Create": func() error { return store.Create(t.Context(), newRecord(user)) },
		"CreateLimited": func() error {
			_, err := store.CreateLimited(t.Context(), newRecord(user), session.Limit{Max: 1}, now)
			return err
		},
		"Load":       func() error { _, err := store.Load(t.Context(), r.ID); return err },
		"Update":     func() error { return store.Update(t.Context(), changed(r), r.Version) },
		"Patch":      func() error { return store.Patch(t.Context(), r.ID, nil, newVersion(), now) },
		"Delete":     func() error { return store.Delete(t.Context(), r.ID) },
		"ListUser":   func() error { _, err := store.ListUser(t.Context(), user, now); return err },
		"DeleteUser": func() error { _, err := store.DeleteUser(t.Context(), user, now); return err },
	} {
		err := operation()
		if err == nil || errors.Is(err, session.ErrNotFound) || !strings.HasPrefix(err.Error(), "redisstore: ") {
			t.Errorf("%s: got error %v, want one of the store", name, err)
		}
	}
}
