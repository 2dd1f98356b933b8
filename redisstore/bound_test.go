package redisstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/redisstore"
	"github.com/updateage/session/storetest"
)

// A lookup ends after Timeout, wherever go-redis has it wait: for an answer, for
// a connection of the pool, for one to be made. The client's own time-outs are
// much longer.
func TestLookupsEndAfterTheTimeout(t *testing.T) {
	const timeout = 300 * time.Millisecond
	for _, tc := range []struct {
		name     string
		pipeline bool
		lookups  int
		frozen   bool
		late     func(*servers.Redis) // what happens before the lookups
	}{
		{"the server is silent", false, 1, true, (*servers.Redis).Freeze},
		{"all connections are in use", false, 20, true, (*servers.Redis).Freeze},
		{"the server is gone", false, 20, false, (*servers.Redis).Kill},
		{"the server is silent, in a pipeline", true, 20, true, (*servers.Redis).Freeze},
		{"the server is gone, in a pipeline", true, 20, false, (*servers.Redis).Kill},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := servers.StartRedis(t)
			slow := &redis.Options{
				Addr: server.Addr, ContextTimeoutEnabled: true, PoolSize: 2, PoolTimeout: time.Minute,
				ReadTimeout: time.Minute, MaxRetries: 100, MinRetryBackoff: 50 * time.Millisecond,
			}
			if tc.pipeline { // whose batches end before the client does
				slow.ReadTimeout, slow.MaxRetries = 5*time.Second, 1
			}
			client := closing(t, redis.NewClient(slow))
			store := newStore(t, client, &redisstore.Options{Timeout: timeout, Pipeline: tc.pipeline})
			r := newRecord("alice")
			must(t, store.Create(t.Context(), r))
			tc.late(server)
			if tc.frozen { // a client that is closed in the middle of a batch waits for it
				t.Cleanup(server.Thaw)
			}
			// Under a context without a deadline, with a later and with an earlier one.
			later, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			earlier, cancel := context.WithTimeout(t.Context(), timeout/3)
			defer cancel()
			for _, ctx := range []context.Context{t.Context(), later, earlier} {
				var wg sync.WaitGroup
				began := time.Now()
				for range tc.lookups {
					wg.Go(func() {
						if _, err := store.Load(ctx, r.ID); err == nil || errors.Is(err, session.ErrNotFound) {
							t.Errorf("Load: got error %v, want one that says nothing", err)
						}
					})
				}
				wg.Wait()
				if took := time.Since(began); took > patience/2 {
					t.Errorf("%d lookups took %v with a time-out of %v", tc.lookups, took, timeout)
				}
			}
		})
	}
}

// With Options.Pipeline lookups share round trips, and everything else is as
// without.
func TestStoreWithAPipelineKeepsItsContract(t *testing.T) {
	for _, topology := range topologies {
		t.Run(topology.name, func(t *testing.T) {
			client := topology.start(t)
			storetest.Run(t, func(t *testing.T) session.Store {
				return newStore(t, client, &redisstore.Options{Pipeline: true})
			})
		})
	}
}

// Whoever has set the client's options has his reasons, such as an order that other
// commands need.
func TestPipelineHasTheClientsOptions(t *testing.T) {
	own := &redis.AutoPipelineOptions{MaxBatchSize: 7, MaxConcurrentBatches: 1}
	for _, tc := range []struct {
		name      string
		options   *redis.AutoPipelineOptions
		size      int
		unordered bool
	}{
		{"the client's, where it has some", own, 7, false},
		{"else some for lookups, which need no order", nil, 32, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := redis.NewClient(&redis.Options{
				Addr: servers.StartRedis(t).Addr, ContextTimeoutEnabled: true, AutoPipelineOptions: tc.options,
			})
			t.Cleanup(func() { client.Close() })
			newStore(t, client, &redisstore.Options{Pipeline: true})
			pipeline, err := client.AsyncAutoPipeline()
			if err != nil {
				t.Fatal(err)
			}
			if got := pipeline.Config(); got.MaxBatchSize != tc.size || got.Unordered != tc.unordered {
				t.Errorf("got batches of %d, unordered %t; want %d, %t", got.MaxBatchSize, got.Unordered, tc.size, tc.unordered)
			}
		})
	}
}
