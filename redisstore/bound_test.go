package redisstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
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

// Every attempt has its time-out at least, and a sixteenth more at most.
func TestAttemptsShareTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		within := redisstore.Within(16 * time.Second)
		for _, tc := range []struct {
			name string
			wait time.Duration // since the attempt before
			left time.Duration
		}{
			{"the first attempt begins a sixteenth", 0, 17 * time.Second},
			{"one at once has the same end", 0, 17 * time.Second},
			{"one at the last moment has the same end", time.Second - 1, 16*time.Second + 1},
			{"one after that begins another sixteenth", 1, 17 * time.Second},
			{"so does one after a long time", time.Hour, 17 * time.Second},
		} {
			time.Sleep(tc.wait)
			synctest.Wait() // for the timers of this moment
			attempt, cancel := within(t.Context())
			defer cancel()
			if deadline, _ := attempt.Deadline(); time.Until(deadline) != tc.left {
				t.Errorf("%s: got %v until the deadline, want %v", tc.name, time.Until(deadline), tc.left)
			}
		}
	})
}

func TestAttemptsEnd(t *testing.T) {
	for _, tc := range []struct {
		name   string
		caller time.Duration // that the caller has; 0: for ever
		want   time.Duration
	}{
		{"after the time-out and a sixteenth", 0, 17 * time.Second},
		{"with a caller who has less time", time.Second, time.Second},
		{"before a caller who has more", time.Hour, 17 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tc.caller > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.caller)
					defer cancel()
				}
				begun := time.Now()
				attempt, cancel := redisstore.Within(16 * time.Second)(ctx)
				defer cancel()
				if err := attempt.Err(); err != nil {
					t.Errorf("at its begin: got error %v, want none", err)
				}
				<-attempt.Done()
				if took := time.Since(begun); took != tc.want {
					t.Errorf("got an end after %v, want %v", took, tc.want)
				}
				if err := attempt.Err(); err != context.DeadlineExceeded {
					t.Errorf("got error %v, want %v", err, context.DeadlineExceeded)
				}
			})
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
