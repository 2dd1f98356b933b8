package benchmarks

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	ginredis "github.com/gin-contrib/sessions/redis"
	fiberredis "github.com/gofiber/storage/redis/v3"
	"github.com/rbcervilla/redisstore/v9"
	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
	"github.com/updateage/session/internal/servers"
	ours "github.com/updateage/session/redisstore"
)

// connect returns a client of a new server.
func connect(tb testing.TB) *redis.Client {
	tb.Helper()
	return client(tb, servers.StartRedis(tb).Addr)
}

// client returns a client with the options of go-redis, but for the one that
// redisstore asks for.
func client(tb testing.TB, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	tb.Cleanup(func() { c.Close() })
	return c
}

const redisConns = 64 // of contenders and programs with a pool of their own

// onRedis are the contenders that keep their sessions on the server of a client.
func onRedis(tb testing.TB, c *redis.Client) []contender {
	batched, err := c.AutoPipeline()
	must(tb, err)
	withSession := func(store func(testing.TB) session.Store) func(testing.TB, *meter) *server {
		return func(tb testing.TB, _ *meter) *server { return sessionServer(tb, store(tb), session.Config{}) }
	}
	return []contender{
		{name: "get-bare", bare: true, start: startGet(c)},
		{name: "floor", start: func(testing.TB, *meter) *server { return floorServer(floorRedis{c}) }},
		{name: "floor-pipelined", start: func(testing.TB, *meter) *server { return floorServer(floorRedis{batched}) }},
		{name: "session", start: withSession(func(tb testing.TB) session.Store { return newStore(tb, c, "session", false) })},
		{name: "session-pipelined", start: withSession(func(tb testing.TB) session.Store { return newStore(tb, c, "batched", true) })},
		{name: "session-cached", start: withSession(func(tb testing.TB) session.Store { return cached(tb, c) })},
		{name: "scs", module: "github.com/alexedwards/scs/goredisstore", start: scsOnRedis(c, 0)},
		{name: "scs-idle", module: "github.com/alexedwards/scs/goredisstore", start: scsOnRedis(c, time.Hour)},
		{name: "gin", module: "github.com/gin-contrib/sessions", start: func(tb testing.TB, _ *meter) *server {
			store, err := ginredis.NewStore(redisConns, "tcp", c.Options().Addr, "", "", cookieKey)
			must(tb, err)
			return ginServer(store)
		}},
		{name: "rbcervilla", module: "github.com/rbcervilla/redisstore/v9", start: func(tb testing.TB, _ *meter) *server {
			store, err := redisstore.NewRedisStore(tb.Context(), c)
			must(tb, err)
			store.Options(onlyHTTP)
			return gorillaServer(store, false)
		}},
		{name: "fiber", module: "github.com/gofiber/storage/redis/v3", start: func(testing.TB, *meter) *server {
			return fiberServer(fiberredis.NewFromConnection(c), nil)
		}},
	}
}

// newStore returns a store with a prefix of its own: a cache follows what happens to
// the keys of its prefix, and is to have no work from others.
func newStore(tb testing.TB, c redis.UniversalClient, prefix string, pipeline bool) *ours.Store {
	tb.Helper()
	store, err := ours.New(c, &ours.Options{KeyPrefix: prefix, Pipeline: pipeline, Logger: slog.New(slog.DiscardHandler)})
	must(tb, err)
	return store
}

// cached is the store behind the cache of this library, which follows it until
// the test is over.
func cached(tb testing.TB, c redis.UniversalClient) session.Store {
	store, err := cachestore.New(newStore(tb, c, "caching", false), cachestore.Options{})
	must(tb, err)
	following := make(chan struct{})
	go func() {
		defer close(following)
		_ = store.Run(tb.Context()) // which is done before the client is closed
	}()
	tb.Cleanup(func() { <-following })
	return store
}

func scsOnRedis(c *redis.Client, idle time.Duration) func(testing.TB, *meter) *server {
	return func(testing.TB, *meter) *server {
		sessions := scs.New()
		sessions.Store, sessions.IdleTimeout = goredisstore.New(c), idle
		return scsServer(sessions, false)
	}
}

// floorRedis is what one writes by hand: a GET to read, a SET of all to write.
// It fails a probe, as the table shows: two writers at a time lose one's value.
type floorRedis struct{ client redis.UniversalClient }

func (s floorRedis) key(id string) string { return "floor:" + id }

func (s floorRedis) load(ctx context.Context, id string) (*floorRecord, error) {
	data, err := s.client.Get(ctx, s.key(id)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeFloor(id, data), nil
}

func (s floorRedis) create(ctx context.Context, r *floorRecord) error {
	return s.client.SetNX(ctx, s.key(r.id), r.encode(), floorLife).Err()
}

func (s floorRedis) set(ctx context.Context, r *floorRecord, changes []floorValue) error {
	ok, err := s.client.SetXX(ctx, s.key(r.id), r.with(changes).encode(), redis.KeepTTL).Result()
	if err == nil && !ok {
		err = errFloor
	}
	return err
}

func (s floorRedis) remove(ctx context.Context, id string) error {
	return s.client.Del(ctx, s.key(id)).Err()
}

// encode writes hash, expiry, user and values, each with its length.
func (r *floorRecord) encode() []byte {
	b := append(make([]byte, 0, 256), r.hash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.expires))
	b = appendPart(b, r.user)
	for _, v := range r.values {
		b = appendPart(appendPart(b, v.key), string(v.data))
	}
	return b
}

func appendPart(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeFloor trusts what encode wrote.
func decodeFloor(id string, data []byte) *floorRecord {
	r := &floorRecord{id: id}
	n := copy(r.hash[:], data)
	r.expires = int64(binary.BigEndian.Uint64(data[n:]))
	user, data := cutPart(data[n+8:])
	r.user = string(user)
	for len(data) > 0 {
		var key, value []byte
		key, data = cutPart(data)
		value, data = cutPart(data)
		r.values = append(r.values, floorValue{string(key), value})
	}
	return r
}

func cutPart(b []byte) (part, rest []byte) {
	length, n := binary.Uvarint(b)
	end := n + int(length)
	return b[n:end], b[end:]
}
