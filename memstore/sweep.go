package memstore

import (
	"context"
	"fmt"
	"time"

	"github.com/updateage/session"
)

// Expired sessions cost memory and nothing else: every reader judges by the
// expiry. So nothing hurries. A sweep takes one shard after another, looks
// through it under the read lock and then deletes under the locks of one
// session at a time, asking again whether it is expired; no reader ever waits
// for more than the look through one shard.
//
// Three things sweep: Sweep all of it, creating a session one shard now and
// then, and an anonymous session that finds the store full a few shards.

const (
	// slack is how long after its expiry a session is freed by the clock of
	// the process, which may be ahead of the callers'.
	slack = time.Minute

	// sweepShare is how many sessions a Create looks at on average.
	sweepShare = 64
	// sweepEvery is how many creates are at least between two sweeps.
	sweepEvery = 16

	// sweepForRoom is how many shards a Create on a full store looks through
	// at most: a flood of visitors must not buy a scan of the store each.
	sweepForRoom = 4
)

// Sweep frees every session that is expired at now and returns how many. It is
// never needed, but frees memory sooner on a server where few sessions are
// created. When ctx ends, it stops after the shard it is at.
func (s *Store) Sweep(ctx context.Context, now time.Time) (int, error) {
	freed := 0
	for i := range s.sessions {
		if err := ctx.Err(); err != nil {
			return freed, fmt.Errorf("memstore: sweep sessions: %w", err)
		}
		freed += s.sweep(&s.sessions[i], now.UnixMilli())
	}
	return freed, nil
}

// sweep frees what is expired in one shard.
func (s *Store) sweep(sh *shard, now int64) int {
	freed := 0
	for _, r := range sh.expired(now) {
		u := s.lockUser(r.UserID)
		if s.remove(u, r.ID, now) {
			freed++
		}
		u.unlock()
	}
	return freed
}

// due says whether something in the shard may be expired.
func (sh *shard) due(now int64) bool {
	first := sh.soonest.Load()
	return first != 0 && first <= now
}

// expired returns the expired records of the shard, for the caller to remove
// all of them: soonest leaves them out from now on. A record that is put back
// meanwhile lowers it again.
func (sh *shard) expired(now int64) (found []*session.Record) {
	if !sh.due(now) {
		return nil
	}
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	first := int64(0)
	for _, e := range sh.entries.m {
		switch {
		case e.expired(now):
			found = append(found, e.record)
		case first == 0 || e.expires < first:
			first = e.expires
		}
	}
	sh.soonest.Store(first)
	return found
}

// sweepNowAndThen sweeps the next shard, if enough sessions were created since
// the last time. All shards have had their turn after 4,096 creates and one for
// every 64 sessions held: what is expired and not freed stays a small part.
func (s *Store) sweepNowAndThen() {
	n, at := s.creates.Add(1), s.sweepAt.Load()
	next := n + s.size.Load()/shards/sweepShare + sweepEvery
	if n < at || !s.sweepAt.CompareAndSwap(at, next) {
		return
	}
	s.sweep(&s.sessions[s.cursor.Add(1)%shards], processClock())
}

// makeRoom sweeps shards until there is room for a visitor, and says whether
// there is. A shard that it looks through in vain is not due again until the
// next session in it expires.
func (s *Store) makeRoom() bool {
	now, start, looked := processClock(), s.cursor.Load(), 0
	for i := range uint32(shards) {
		sh := &s.sessions[(start+i)%shards]
		if !sh.due(now) {
			continue
		}
		s.sweep(sh, now)
		looked++
		if s.size.Load() < s.max || looked == sweepForRoom {
			break
		}
	}
	return s.size.Load() < s.max
}

// processClock is the time by which the store itself judges, in milliseconds.
func processClock() int64 { return time.Now().Add(-slack).UnixMilli() }
