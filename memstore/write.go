package memstore

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
	"unique"

	"github.com/updateage/session"
)

// Create stores a new session, as [session.Store] says. An anonymous one is
// refused with [session.ErrFull] when the store holds Options.MaxSessions.
//
// Now and then it frees expired sessions, by the clock of the process: on
// average it looks at fewer than 64 sessions for that, however many there are.
func (s *Store) Create(ctx context.Context, r *session.Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: create session: %w", err)
	}
	own := adopt(r)
	err := s.create(own)
	if err == session.ErrFull && s.makeRoom() {
		err = s.create(own)
	}
	s.sweepNowAndThen()
	return err
}

func (s *Store) create(r *session.Record) error {
	u := s.lockUser(r.UserID)
	defer u.unlock()
	return s.insert(u, r)
}

// insert stores a record that is the store's own. The caller holds u.mu.
func (s *Store) insert(u *userShard, r *session.Record) error {
	sh := s.shardOf(r.ID)
	sh.lock()
	defer sh.mu.Unlock()
	if old := sh.entries.m[r.ID].record; old != nil {
		return repeated(old, r)
	}
	if !s.reserve(r.State) {
		return session.ErrFull
	}
	sh.put(r)
	u.add(r)
	return nil
}

// repeated is the answer to the creation of a record whose ID is taken by old.
func repeated(old, r *session.Record) error {
	if old.Version == r.Version {
		return nil
	}
	return session.ErrExists
}

// reserve counts a session, unless it is an anonymous one beyond the bound.
func (s *Store) reserve(state session.State) bool {
	if s.max == 0 || state != session.StateAnonymous {
		s.size.Add(1)
		return true
	}
	for n := s.size.Load(); n < s.max; n = s.size.Load() {
		if s.size.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// adopt returns the store's own copy of a record.
func adopt(r *session.Record) *session.Record {
	own := *r
	// The ID is cut out of the token: without a clone the store would keep the
	// token's secret in memory as long as the session.
	own.ID = strings.Clone(r.ID)
	// Half of what a session weighs can be its user agent, and most are alike.
	own.UserAgent = unique.Make(r.UserAgent).Value()
	return &own
}

// Update replaces a session, as [session.Store] says.
func (s *Store) Update(ctx context.Context, r *session.Record, version uint64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: update session: %w", err)
	}
	u := s.lockUser(r.UserID)
	defer u.unlock()
	sh := s.shardOf(r.ID)
	sh.lock()
	defer sh.mu.Unlock()
	old := sh.entries.m[r.ID].record
	switch {
	case old == nil || old.UserID != r.UserID:
		return session.ErrNotFound
	case old.Version == r.Version:
		return nil
	case old.Version != version:
		return session.ErrConflict
	}
	own := replacement(old, r)
	sh.put(own)
	u.move(old, own)
	s.feed.tell(own.ID)
	return nil
}

// replacement returns the store's own copy of r, which shares with old what is
// the same.
func replacement(old, r *session.Record) *session.Record {
	own := *r
	own.ID, own.UserID = old.ID, old.UserID
	if own.UserAgent == old.UserAgent {
		own.UserAgent = old.UserAgent
	}
	return &own
}

// move keeps the index right when own replaces old. The caller holds u.mu.
func (u *userShard) move(old, own *session.Record) {
	if (old.State == session.StateMoved) == (own.State == session.StateMoved) {
		return
	}
	u.drop(old)
	u.add(own)
}

// Patch changes values of a session in one step, as [session.Patcher] says.
func (s *Store) Patch(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: patch session: %w", err)
	}
	sh := s.shardOf(id)
	sh.lock()
	defer sh.mu.Unlock()
	e := sh.entries.m[id]
	if e.record == nil || e.expired(now.UnixMilli()) || e.record.State == session.StateMoved {
		return session.ErrNotFound
	}
	if e.record.Version == version {
		return nil
	}
	values, err := e.record.Values.Apply(changes)
	if err != nil {
		return err
	}
	own := *e.record
	own.Values, own.Version = values, version
	sh.put(&own)
	s.feed.tell(own.ID)
	return nil
}

// Delete removes a session, as [session.Store] says.
func (s *Store) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: delete session: %w", err)
	}
	r := s.shardOf(id).get(id).record
	if r == nil {
		return nil
	}
	// The user is read before his lock is taken, which is right because the
	// user of a session never changes.
	u := s.lockUser(r.UserID)
	defer u.unlock()
	s.remove(u, id, math.MaxInt64)
	return nil
}

// remove deletes the session if it expires until the cutoff, and says whether
// it did. The caller holds u.mu.
func (s *Store) remove(u *userShard, id string, cutoff int64) bool {
	r := s.shardOf(id).remove(id, cutoff)
	if r == nil {
		return false
	}
	s.size.Add(-1)
	u.drop(r)
	s.feed.tell(r.ID)
	return true
}
