package redisstore_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
)

// scan is everything that the masters hold under the prefix "session".
type scan struct {
	sessions map[string]*session.Record // by ID
	indexes  map[string][]redis.Z       // by user ID
	ttl      map[string]time.Duration   // by key
}

// scanAll reads all keys of all masters.
func scanAll(t *testing.T, client redis.UniversalClient) scan {
	t.Helper()
	s := scan{make(map[string]*session.Record), make(map[string][]redis.Z), make(map[string]time.Duration)}
	var mu sync.Mutex
	one := func(ctx context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		return s.read(ctx, master)
	}
	if cluster, ok := client.(*redis.ClusterClient); ok {
		must(t, cluster.ForEachMaster(t.Context(), one))
		return s
	}
	must(t, one(t.Context(), client.(*redis.Client)))
	return s
}

func (s scan) read(ctx context.Context, master *redis.Client) error {
	keys, err := master.Keys(ctx, "session:*").Result()
	for _, key := range keys {
		if s.ttl[key], err = master.PTTL(ctx, key).Result(); err != nil {
			return err
		}
		name := key[len("session:{xx}:s:"):]
		if strings.HasPrefix(key[len("session:{xx}:"):], "u:") {
			s.indexes[name], err = master.ZRangeWithScores(ctx, key, 0, -1).Result()
		} else {
			var data []byte
			if data, err = master.Get(ctx, key).Bytes(); err == nil {
				s.sessions[name], err = session.ParseRecord(name, data)
			}
		}
		if err != nil {
			return err
		}
	}
	return err
}

// wantExact checks that exactly the sessions of users are in their indexes, and
// that every key expires, an index after all of its sessions.
func (s scan) wantExact(t *testing.T) {
	t.Helper()
	listed := make(map[string]float64)
	for user, members := range s.indexes {
		for _, m := range members {
			r := s.sessions[m.Member.(string)]
			if r == nil || r.UserID != user || r.State == session.StateMoved {
				t.Errorf("dangling: index of %q has %v, which is %v", user, m.Member, r)
				continue
			}
			listed[r.ID] = m.Score
			index, own := s.ttl[indexKey(user)], s.ttl[sessionKey(r.ID)]
			if index < own-time.Second { // they are read one after the other
				t.Errorf("the index of %q expires in %v, its session in %v", user, index, own)
			}
		}
	}
	for id, r := range s.sessions {
		score, ok := listed[id]
		if r.UserID == "" || r.State == session.StateMoved {
			continue
		}
		if !ok || score != float64(r.ExpiresAt.UnixMilli()) {
			t.Errorf("orphan: %v is in the index: %v, with %f", r, ok, score)
		}
	}
	for key, ttl := range s.ttl {
		if ttl <= 0 {
			t.Errorf("key %q has no time to live", key)
		}
	}
}

func sessionKey(id string) string { return "session:{" + id[:2] + "}:s:" + id }

func indexKey(user string) string { return "session:{" + session.RoutingTag(user) + "}:u:" + user }
