package memstore

import (
	"sync"
	"sync/atomic"

	"github.com/updateage/session"
)

// shard holds the sessions whose IDs fall into it.
type shard struct {
	mu      sync.RWMutex
	entries table[entry] // guarded by mu

	// soonest is not after the first expiry in entries, 0 if there is none: a
	// shard where nothing can have expired is swept without being looked at.
	// It is written under mu, and also under its read lock by expired.
	soonest atomic.Int64

	_ [16]byte // to a cache line of 64 bytes: shards do not slow each other down
}

// entry is a session in a shard. Its expiry stands in the map itself, so that a
// sweep does not have to follow a million pointers.
type entry struct {
	expires int64 // milliseconds since 1970
	record  *session.Record
}

func (e entry) expired(now int64) bool { return e.expires <= now }

// shardOf returns the shard of a session ID. The last characters of an ID are
// random and chosen by the server; a string that no server made finds a shard
// too, where there is nothing under it.
func (s *Store) shardOf(id string) *shard {
	n := len(id)
	if n < 4 {
		return &s.sessions[0]
	}
	h := uint32(id[n-1]) | uint32(id[n-2])<<8 | uint32(id[n-3])<<16 | uint32(id[n-4])<<24
	// Fibonacci hashing: the product's top bits depend on all four characters.
	return &s.sessions[h*0x9e3779b1>>24]
}

// get returns the entry of the ID, the zero entry if there is none.
func (sh *shard) get(id string) entry {
	sh.rlock()
	e := sh.entries.m[id]
	sh.mu.RUnlock()
	return e
}

// spins is how often to try for a lock before waiting: for about half a
// microsecond. Whoever holds it lets go of it in a tenth of one, but a goroutine
// that is put to sleep meanwhile may find on a busy machine that another process
// has its core. A writer that sleeps also keeps all readers of the shard waiting.
const spins = 200

// rlock takes the read lock.
func (sh *shard) rlock() {
	for range spins {
		if sh.mu.TryRLock() {
			return
		}
	}
	sh.mu.RLock()
}

// lock takes the write lock.
func (sh *shard) lock() {
	for range spins {
		if sh.mu.TryLock() {
			return
		}
	}
	sh.mu.Lock()
}

// put stores r under its ID. The caller holds sh.mu.
func (sh *shard) put(r *session.Record) {
	// At least 1: 0 is taken by "none" in soonest.
	expires := max(r.ExpiresAt.UnixMilli(), 1)
	sh.entries.put(r.ID, entry{expires, r})
	if first := sh.soonest.Load(); first == 0 || expires < first {
		sh.soonest.Store(expires)
	}
}

// remove deletes the record of the ID and returns it, or nil if there is none
// that expires until the cutoff.
func (sh *shard) remove(id string, cutoff int64) *session.Record {
	sh.lock()
	defer sh.mu.Unlock()
	e := sh.entries.m[id]
	if e.record == nil || !e.expired(cutoff) {
		return nil
	}
	sh.entries.delete(id)
	return e.record
}
