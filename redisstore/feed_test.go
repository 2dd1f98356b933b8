package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/redisstore"
)

// storetest has the rules for what the store itself changes.
func TestFollowTellsOfWhatOtherProgramsDo(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	f := follow(t, client, redisstore.Options{})
	for _, change := range []struct {
		what string
		make func(key string) error
	}{
		{"DEL", func(key string) error { return client.Del(t.Context(), key).Err() }},
		{"SET", func(key string) error { return client.Set(t.Context(), key, "x", time.Minute).Err() }},
		{"RENAME", func(key string) error { return client.Rename(t.Context(), key, "elsewhere").Err() }},
		{"PEXPIRE at once", func(key string) error { return client.PExpire(t.Context(), key, 0).Err() }},
		{"the end of its time", func(key string) error { return client.PExpire(t.Context(), key, time.Millisecond).Err() }},
	} {
		r := create(t, f.store, newUser())
		f.wantToldOf("its creation", r.ID)
		f.take()
		must(t, change.make(sessionKey(r.ID)))
		f.wantToldOf(change.what, r.ID)
	}
}

func TestFollowTellsOfSessionsOnly(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	f := follow(t, client, redisstore.Options{})
	user, id := newUser(), newID("")
	for _, key := range []string{
		indexKey(user), indexKey("}:s:" + id), indexKey(strings.Repeat("u", 24)),
		"session:{aa}:s:" + id[:23], "session:{aa}:s:" + id + "x", "session:{", "session:{}:s:" + id,
		"session:{aa}:x:aa" + id[2:], "session:{aa}:s:bb" + id[2:],
		"sessions:{aa}:s:aa" + id[2:], "other:" + sessionKey(id), "\xff",
	} {
		must(t, client.Set(t.Context(), key, "x", time.Minute).Err())
	}
	must(t, client.Set(t.Context(), sessionKey(id), "x", time.Minute).Err())
	f.wantToldOf("SET", id)
	if told, _ := f.take(); !slices.Equal(told, []string{id}) {
		t.Errorf("got told %q, want only %q", told, id)
	}
}

func TestFollowersOfDifferentPrefixesHearNothingOfEachOther(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	a := follow(t, client, redisstore.Options{})
	b := follow(t, client, redisstore.Options{KeyPrefix: "session:b"})
	ra, rb := create(t, a.store, newUser()), create(t, b.store, newUser())
	a.wantToldOf("Create", ra.ID)
	b.wantToldOf("Create", rb.ID)
	for f, want := range map[*follower]string{a: ra.ID, b: rb.ID} {
		if told, _ := f.take(); !slices.Equal(told, []string{want}) {
			t.Errorf("got told %q, want only %q", told, want)
		}
	}
}

func TestFollowRefusesAnUnknownClient(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store := newStore(t, struct{ redis.UniversalClient }{client}, nil)
	if err := store.Follow(t.Context(), nil, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Follow: got error %v, want %v", err, errors.ErrUnsupported)
	}
}

func TestNewRefusesANegativeHeartbeat(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	if _, err := redisstore.New(client, &redisstore.Options{Heartbeat: -1}); err == nil || !strings.Contains(err.Error(), "Heartbeat") {
		t.Errorf("New: got error %v, want one about Heartbeat", err)
	}
}

// rightsToFollow are what a user of the server needs beyond what docs/redis.md
// lists for the store.
var rightsToFollow = []string{"+client|tracking", "+subscribe", "+ping", "&session:*"}

func TestFollowNeedsNoFurtherRights(t *testing.T) {
	for name, rights := range map[string][]string{
		"with INFO": {"+info"}, "without INFO": nil,
	} {
		t.Run(name, func(t *testing.T) {
			server := servers.StartRedis(t)
			rights = slices.Concat([]string{"ACL", "SETUSER", "sessions", "on", ">secret", "-@all"}, rights, rightsToFollow)
			server.MustDo(rights...)
			client := closing(t, redis.NewClient(&redis.Options{
				Addr: server.Addr, Username: "sessions", Password: "secret", ContextTimeoutEnabled: true,
			}))
			f := follow(t, client, redisstore.Options{})
			f.wantTold("with few rights", newStore(t, single(t, server), nil), newUser())
		})
	}
}

// Without its rights there is no feed, and one warning instead of a flood.
func TestFollowWithoutRightsIsNeverHealthy(t *testing.T) {
	for _, missing := range rightsToFollow {
		if missing == "+ping" {
			continue // healthy until the first heartbeat
		}
		t.Run(missing, func(t *testing.T) {
			server := servers.StartRedis(t)
			server.MustDo(slices.Concat([]string{"ACL", "SETUSER", "sessions", "on", ">secret", "-@all", "+info"},
				slices.DeleteFunc(slices.Clone(rightsToFollow), func(right string) bool { return right == missing }))...)
			client := closing(t, redis.NewClient(&redis.Options{
				Addr: server.Addr, Username: "sessions", Password: "secret", ContextTimeoutEnabled: true,
			}))
			var log bytes.Buffer
			store := newStore(t, client, &redisstore.Options{
				Heartbeat: quick, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() {
				ended <- store.Follow(ctx, nil, func(ok bool) {
					if ok {
						t.Error("healthy without the right to follow")
					}
				})
			}()
			eventually(t, "try thrice", func() bool {
				count, _ := strings.CutPrefix(server.Info("errorstats", "errorstat_NOPERM"), "count=")
				n, _ := strconv.Atoi(count)
				return n >= 3
			})
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Follow: got error %v, want %v", err, context.Canceled)
			}
			if got := strings.Count(log.String(), "level=WARN"); got != 1 || !strings.Contains(log.String(), "NOPERM") {
				t.Errorf("got log %q, want one warning with the reason", &log)
			}
		})
	}
}

// The caller may rely on it that no call comes, and nothing is left, when Follow
// has returned.
func TestFollowLeavesNoGoroutineBehind(t *testing.T) {
	for _, topology := range topologies {
		t.Run(topology.name, func(t *testing.T) {
			client := topology.start(t)
			follow(t, client, redisstore.Options{}).end() // the pools have what they need
			before := goroutines()
			for range 5 {
				f := follow(t, client, redisstore.Options{})
				f.end()
				f.take()
				must(t, f.store.Create(t.Context(), newRecord(newUser())))
				if told, health := f.take(); len(told)+len(health) != 0 {
					t.Errorf("after Follow returned: got told %q and %v", told, health)
				}
			}
			eventually(t, "end the goroutines", func() bool { return goroutines() <= before })
		})
	}
}

func goroutines() int {
	runtime.Gosched()
	return runtime.NumGoroutine()
}

// A connection that is being made when Follow is to end must not delay it, nor
// stay behind.
func TestFollowEndsThoughTheServerIsFrozen(t *testing.T) {
	server := servers.StartRedis(t)
	client := single(t, server)
	f := follow(t, client, redisstore.Options{Heartbeat: quick})
	server.Freeze()
	f.waitFor("distrust", distrust)
	f.end()
	server.Thaw()
	eventually(t, "close the connections", func() bool {
		list, _ := server.Do("CLIENT", "LIST", "TYPE", "pubsub")
		return list == ""
	})
}

// Two followers of a store are independent.
func TestFollowersDoNotShareAConnection(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	a, b := follow(t, client, redisstore.Options{}), follow(t, client, redisstore.Options{})
	a.end()
	b.wantTold("after the end of another follower", a.store, newUser())
}

func TestFollowConnectsAsTheClientDoes(t *testing.T) {
	server := servers.StartRedis(t, "--requirepass", "secret")
	var connects atomic.Int64
	client := closing(t, redis.NewClient(&redis.Options{
		Addr: server.Addr, DB: 3, Protocol: 2, ContextTimeoutEnabled: true, ClientName: "tester",
		CredentialsProvider: func() (string, string) { return "", "secret" },
		OnConnect: func(context.Context, *redis.Conn) error {
			connects.Add(1)
			return nil
		},
	}))
	must(t, client.Ping(t.Context()).Err())
	before := connects.Load()
	f := follow(t, client, redisstore.Options{})
	if connects.Load() == before {
		t.Error("the client's OnConnect was not called")
	}
	f.wantTold("by a client with a password and a database", f.store, newUser())
	list, err := client.ClientList(t.Context()).Result()
	must(t, err)
	if !strings.Contains(list, "name=tester") || strings.Count(list, "sub=1") != 1 {
		t.Errorf("got clients\n%s, want a subscriber with the client's name", list)
	}
}
