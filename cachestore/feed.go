package cachestore

import (
	"context"
	"errors"

	"github.com/updateage/session"
)

func (c *cache) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return errors.New("cachestore: run: it is running already")
	}
	defer c.running.Store(false)
	defer c.trust(false)
	return c.feed.Follow(ctx, c.drop, c.trust)
}

// trust begins anew, with loads that are kept or not. What is held comes from
// before and goes either way, and so do the marks of loads under way. In
// between nothing is trusted: a load that begins in a shard that is empty
// already is not kept.
func (c *cache) trust(healthy bool) {
	c.healthy.Store(false)
	c.dropAll()
	c.healthy.Store(healthy)
}

// Follow drops what is held before it passes on a change, and all that is held
// when it passes on that changes may have been missed. Otherwise a follower that
// is told before Run is would load the old record again, and believe it.
func (c *cache) Follow(ctx context.Context, changed func(id string), healthy func(ok bool)) error {
	return c.feed.Follow(ctx,
		func(id string) {
			c.drop(id)
			changed(id)
		},
		func(ok bool) {
			c.dropAll()
			healthy(ok)
		})
}

func (c *cache) drop(id string) { c.dropped(c.shardOf(id).drop(id)) }

func (c *cache) dropUser(userID string) {
	sh := c.shardOf(session.RoutingTag(userID))
	c.dropped(sh.dropIf(func(r *session.Record) bool { return r.UserID == userID }))
}

func (c *cache) dropIf(match func(*session.Record) bool) {
	for i := range c.shards {
		c.dropped(c.shards[i].dropIf(match))
	}
}

func (c *cache) dropAll() {
	for i := range c.shards {
		c.dropped(c.shards[i].dropAll())
	}
}

// dropped counts records that a change took away.
func (c *cache) dropped(n int) {
	if n > 0 {
		c.size.Add(int64(-n))
		c.invalidated.Add(uint64(n))
	}
}
