package cachestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/updateage/session"
)

const (
	defaultMaxRecords = 100_000
	defaultMaxAge     = 10 * time.Second
)

// Options are the options of [New]. The zero Options are good for most.
type Options struct {
	// MaxRecords is how many sessions are held at most, each of about half a
	// kilobyte and its values. 0: 100,000.
	MaxRecords int
	// MaxAge is how long after it was loaded a session is served from memory
	// at most. It bounds what a feed can do that is silent and has not noticed;
	// the feed does the rest. It is measured by a clock that may stand still
	// while the machine is suspended. 0: 10 seconds.
	MaxAge time.Duration
}

func (o Options) withDefaults() Options {
	if o.MaxRecords == 0 {
		o.MaxRecords = defaultMaxRecords
	}
	if o.MaxAge == 0 {
		o.MaxAge = defaultMaxAge
	}
	return o
}

func (o Options) validate() error {
	var mistakes []error
	if o.MaxRecords < 0 {
		mistakes = append(mistakes, fmt.Errorf("cachestore: MaxRecords is %d, below 0", o.MaxRecords))
	}
	if o.MaxAge < 0 {
		mistakes = append(mistakes, fmt.Errorf("cachestore: MaxAge is %v, below 0", o.MaxAge))
	}
	return errors.Join(mistakes...)
}

// Store is a cached [session.Store]. It is a [session.LimitedCreator],
// [session.Patcher] or [session.Sweeper] if the store behind it is, and only
// then. It comes from [New], is safe for concurrent use, and needs no closing.
// Methods may be added to the interface.
type Store interface {
	session.Store

	// Follow is that of the store behind. Whoever is told of a change and then
	// loads the record finds it changed in this Store as well.
	session.Feed

	// Run follows the store's feed until ctx is done, and returns what the feed
	// returns: the context's error. The cache serves while Run runs, and at all
	// other times every Load goes to the store. A second Run beside the first
	// is an error.
	Run(ctx context.Context) error

	// Stats returns what the cache has done so far, and holds now.
	Stats() Stats
}

// New returns a cache of the store's records. A store without a [session.Feed]
// is an [errors.ErrUnsupported]: nothing would tell the cache of revocations.
//
// It starts no goroutine; see Run. Records of users are held only if their IDs
// begin with [session.RoutingTag], as those of all sessions do.
func New(store session.Store, opts Options) (Store, error) {
	feed, ok := store.(session.Feed)
	if !ok {
		return nil, fmt.Errorf("cachestore: %T has no session.Feed: %w", store, errors.ErrUnsupported)
	}
	if err := opts.validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	c := &cache{
		inner: store, feed: feed, started: time.Now(),
		maxRecords: int64(opts.MaxRecords), maxAge: opts.MaxAge,
	}
	if t, ok := store.(transactional); ok {
		c.inTx = t.InTx
	}
	return shaped(c), nil
}

// transactional is a store that works in a transaction of the caller's where the
// context says so, as sqlstore does. The cache is then out of the way.
type transactional interface {
	InTx(ctx context.Context) bool
}
