package cachestore

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/updateage/session"
)

// The way of a record:
//
//	Load    this file   in a shard and young enough -> done
//	begin   shard.go    otherwise leave a mark under the ID, if the feed is healthy
//	        the store   Load, which takes a while
//	end     shard.go    keep the record, if the mark is still there
//	drop    feed.go     a change of the record takes record and mark away
//
// The mark closes a race. A reader gets the record from the store; before it has
// put it into the cache the session is revoked, and the feed says so; then the
// reader would put in what nobody takes out again. But the mark was left before
// the reader asked, so that whatever changed after the store answered has taken
// it away.

// cache is a Store without the optional capabilities.
type cache struct {
	inner      session.Store
	feed       session.Feed
	inTx       func(ctx context.Context) bool // nil: the store knows no transactions
	started    time.Time                      // where the cache's clock begins
	maxRecords int64
	maxAge     time.Duration

	shards  [shards]shard
	size    atomic.Int64  // records held
	cursor  atomic.Uint32 // the shard in which to look for room next
	healthy atomic.Bool   // changes under a shard's lock never overtake it, see trust
	running atomic.Bool

	misses, bypassed, invalidated, evicted atomic.Uint64
}

// Load returns the record of the ID from memory, or else from the store.
func (c *cache) Load(ctx context.Context, id string) (*session.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cachestore: load session: %w", err)
	}
	if c.inTx != nil && c.inTx(ctx) {
		// What a transaction sees is neither what others see nor what will be.
		c.bypassed.Add(1)
		return c.inner.Load(ctx, id)
	}
	now, sh := c.clock(), c.shardOf(id)
	if r := sh.get(id, now); r != nil {
		return r, nil
	}
	return c.fill(ctx, sh, id, now)
}

// clock is the monotonic time since the cache was made.
func (c *cache) clock() time.Duration { return time.Since(c.started) }

// fill loads the record from the store and keeps it. Many requests that miss the
// same record ask the store each: they share nothing that one of them could
// delay by being cancelled.
func (c *cache) fill(ctx context.Context, sh *shard, id string, now time.Duration) (*session.Record, error) {
	mark := sh.begin(id, &c.healthy)
	if mark == 0 {
		c.bypassed.Add(1)
		return c.inner.Load(ctx, id)
	}
	c.misses.Add(1)
	r, err := c.inner.Load(ctx, id)
	var e entry
	if err == nil {
		e = c.entryOf(id, r, now)
	}
	if sh.end(id, mark, e) {
		c.size.Add(1)
		c.makeRoom(now)
	}
	return r, err
}

// entryOf returns what is kept of a record that was asked for at the given time;
// the zero entry if nothing is to be kept.
func (c *cache) entryOf(id string, r *session.Record, asked time.Duration) entry {
	// Not beyond its expiry: the core deletes a session that it finds expired,
	// and another node may have refreshed it meanwhile. The store knows.
	life := min(c.maxAge, time.Until(r.ExpiresAt))
	if life <= 0 || !tagged(r) {
		return entry{}
	}
	own := *r
	// The ID is cut out of the token: without a clone the token's secret would
	// stay in memory as long as the record.
	own.ID = strings.Clone(id)
	return entry{&own, asked + life}
}

// tagged says whether dropUser would find the record.
func tagged(r *session.Record) bool {
	return r.UserID == "" || strings.HasPrefix(r.ID, session.RoutingTag(r.UserID))
}

// writing drops what is held of the ID, and again when the write is over,
// whatever its result: an error may be a lost reply, and a conflict says that
// what was held is stale. The first time spares other requests the old record
// while the store is slow to answer. Nothing that is written is kept: which
// write came last only the store knows.
func (c *cache) writing(id string) (over func()) {
	c.drop(id)
	return func() { c.drop(id) }
}

func (c *cache) Create(ctx context.Context, r *session.Record) error {
	defer c.writing(r.ID)()
	return c.inner.Create(ctx, r)
}

func (c *cache) Update(ctx context.Context, r *session.Record, version uint64) error {
	defer c.writing(r.ID)()
	return c.inner.Update(ctx, r, version)
}

func (c *cache) Delete(ctx context.Context, id string) error {
	defer c.writing(id)()
	return c.inner.Delete(ctx, id)
}

func (c *cache) ListUser(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
	return c.inner.ListUser(ctx, userID, now)
}

func (c *cache) DeleteUser(ctx context.Context, userID string, now time.Time, except ...string) (int, error) {
	c.dropUser(userID)
	defer c.dropUser(userID)
	return c.inner.DeleteUser(ctx, userID, now, except...)
}
