// Package memstore keeps sessions in the memory of one process. Most people
// need &memstore.Store{} and nothing else: it starts no goroutine, and expired
// sessions are freed as new ones come.
//
// Sessions end with the process and are not shared with another one. Use it for
// a single server, in tests and in development.
//
// A lookup takes the read lock of one of 256 shards and allocates nothing, with
// ten sessions as with a million.
package memstore

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/updateage/session"
)

// shards is the number of shards of sessions, and of users. At a million
// sessions a shard holds 4,000: few enough to look through under a read lock in
// a tenth of a millisecond.
const shards = 256

// Options are the options of [New]. The zero Options set no bound.
type Options struct {
	// MaxSessions bounds what visitors who are not signed in can make the
	// store hold: with that many sessions in it, creating an anonymous one
	// fails with [session.ErrFull]. Sessions of users are neither refused nor
	// removed for room, so that nobody can sign others out by opening
	// sessions. 0 means no bound.
	MaxSessions int
}

// Store is a [session.Store] in memory. It also implements
// [session.LimitedCreator], [session.Patcher], [session.Sweeper] and [session.Feed].
// Its zero value is an empty store without a bound. It is safe for concurrent use and
// must not be copied after first use.
//
// Locks are taken in one order: the user's shard, then the session's. Whatever
// changes which sessions a user has holds the first for all of the change, so
// that a listing sees all of it or nothing. Load and Patch take the second only.
type Store struct {
	sessions [shards]shard
	users    [shards]userShard

	seedOnce sync.Once
	seed     maphash.Seed // set by seedOnce

	feed feed

	max  int64        // 0: no bound
	size atomic.Int64 // records held

	creates atomic.Int64  // calls of Create so far
	sweepAt atomic.Int64  // the count of creates at which the next shard is swept
	cursor  atomic.Uint32 // the shard to sweep next
}

var (
	_ session.Store          = (*Store)(nil)
	_ session.LimitedCreator = (*Store)(nil)
	_ session.Patcher        = (*Store)(nil)
	_ session.Sweeper        = (*Store)(nil)
)

// New returns an empty store.
func New(o Options) *Store {
	return &Store{max: int64(max(o.MaxSessions, 0))}
}

// Len returns the number of sessions held, including expired ones that are not
// freed yet.
func (s *Store) Len() int { return int(s.size.Load()) }
