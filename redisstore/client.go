package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// checkClient reports why no store could be right with this client, and warns
// about what makes it slow to fail.
func checkClient(client redis.UniversalClient, o *Options) error {
	switch c := client.(type) {
	case nil:
		return errors.New("the client is nil")
	case *redis.Ring:
		// It moves keys to another server when one is away, and back again: a
		// session revoked meanwhile would return.
		return errors.New("a Ring loses revocations when a server comes back")
	case *redis.Client:
		opt := c.Options()
		warnTimeout(o.Logger, opt.ContextTimeoutEnabled)
		return checkWait(o, opt.ReadTimeout)
	case *redis.ClusterClient:
		opt := c.Options()
		if opt.ReadOnly || opt.RouteByLatency || opt.RouteRandomly {
			return errors.New("the client reads from replicas, where a revoked session lives on for a while")
		}
		warnTimeout(o.Logger, opt.ContextTimeoutEnabled)
		return checkWait(o, opt.ReadTimeout)
	case *redis.AutoPipeliner:
		// What is behind it cannot be checked.
		return errors.New("the client is a pipeline: use the client itself, and Options.Pipeline")
	}
	// Somebody's wrapper: what it does with replicas is for him to know, and
	// which connection a WAIT goes to.
	if o.ReplicasToConfirm > 0 {
		return fmt.Errorf("ReplicasToConfirm does not work with a client of type %T", client)
	}
	return nil
}

func warnTimeout(log *slog.Logger, enabled bool) {
	if !enabled {
		log.Warn("redisstore: the client has ContextTimeoutEnabled off: operations may take longer than Options.Timeout")
	}
}

// checkWait makes sure that a WAIT ends with an answer and not with a time-out
// that tells nothing.
func checkWait(o *Options, readTimeout time.Duration) error {
	if o.ReplicasToConfirm > 0 && readTimeout > 0 && o.WaitTimeout >= readTimeout {
		return fmt.Errorf("WaitTimeout %v is not below the client's ReadTimeout %v", o.WaitTimeout, readTimeout)
	}
	return nil
}

// newPipeline returns the client's own pipeline, which has been checked with it. It
// is the asynchronous one, as its commands can be waited for with a bound.
func newPipeline(client redis.UniversalClient) (*redis.AutoPipeliner, error) {
	switch c := client.(type) {
	case *redis.Client:
		return c.AsyncAutoPipelineWithOptions(pipelineOptions(c.Options().AutoPipelineOptions))
	case *redis.ClusterClient:
		return c.AsyncAutoPipelineWithOptions(pipelineOptions(c.Options().AutoPipelineOptions))
	}
	return nil, fmt.Errorf("pipeline of a client of type %T: %w", client, errors.ErrUnsupported)
}

// pipelineOptions are the client's, or without any ones for lookups, which need no
// order. go-redis's own options keep one by having one batch at a time on its way to
// a server, which everybody waits for: server and handlers take turns instead of
// working at once.
func pipelineOptions(client *redis.AutoPipelineOptions) *redis.AutoPipelineOptions {
	if client != nil {
		return client
	}
	return &redis.AutoPipelineOptions{MaxBatchSize: 32, MaxConcurrentBatches: 4, Unordered: true}
}

// checkTime bounds what New waits for the server.
const checkTime = 500 * time.Millisecond

// checkServer asks the servers about themselves. It fails open: a server that is
// away, or a user without the right to ask, is no reason not to start.
func checkServer(client redis.UniversalClient, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	if cluster, ok := client.(*redis.ClusterClient); ok {
		var once sync.Once
		_ = cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
			if policy := serverInfo(ctx, master)["maxmemory_policy"]; evicts(policy) {
				once.Do(func() { warnEviction(log, policy) })
			}
			return nil
		})
		return nil
	}
	info := serverInfo(ctx, client)
	if info["role"] == "slave" {
		return errors.New("the server is a replica, where a revoked session lives on for a while")
	}
	if policy := info["maxmemory_policy"]; evicts(policy) {
		warnEviction(log, policy)
	}
	return nil
}

// evicts says whether a server with this policy removes keys when it is full. An
// unknown policy is given the benefit of the doubt.
func evicts(policy string) bool { return policy != "" && policy != "noeviction" }

func warnEviction(log *slog.Logger, policy string) {
	log.Warn("redisstore: the server may evict keys: sessions can end early, or become impossible to list and revoke; set maxmemory-policy noeviction",
		"maxmemory_policy", policy)
}

// serverInfo returns the fields of INFO.
func serverInfo(ctx context.Context, client redis.Cmdable) map[string]string {
	fields := make(map[string]string)
	for line := range strings.Lines(client.Info(ctx).Val()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}
