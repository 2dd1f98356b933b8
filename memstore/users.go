package memstore

import (
	"hash/maphash"
	"slices"
	"sync"

	"github.com/updateage/session"
)

// userShard is the index of the users that fall into it: the IDs of their
// sessions, those in StateMoved left out. It holds IDs and not records, so that
// a change of values need not touch it.
//
// The methods that write do nothing on nil, which stands for the user of an
// anonymous session.
type userShard struct {
	mu  sync.RWMutex
	ids table[[]string] // guarded by mu; no list is empty

	_ [24]byte // to a cache line of 64 bytes
}

// userShardOf returns the shard of the user ID. Users may choose their IDs: the
// seed keeps them from meeting in one shard on purpose.
func (s *Store) userShardOf(userID string) *userShard {
	s.seedOnce.Do(func() { s.seed = maphash.MakeSeed() })
	return &s.users[maphash.String(s.seed, userID)%shards]
}

// lockUser locks the shard of the user, whom an anonymous session lacks.
func (s *Store) lockUser(userID string) *userShard {
	if userID == "" {
		return nil
	}
	u := s.userShardOf(userID)
	u.mu.Lock()
	return u
}

func (u *userShard) unlock() {
	if u != nil {
		u.mu.Unlock()
	}
}

// add puts the record into the index, if it belongs there. The caller holds u.mu.
func (u *userShard) add(r *session.Record) {
	if u == nil || r.State == session.StateMoved {
		return
	}
	u.ids.put(r.UserID, append(u.ids.m[r.UserID], r.ID))
}

// drop takes the record out of the index, if it is there. The caller holds u.mu.
func (u *userShard) drop(r *session.Record) {
	if u == nil {
		return
	}
	ids := u.ids.m[r.UserID]
	i := slices.Index(ids, r.ID)
	if i < 0 {
		return
	}
	last := len(ids) - 1
	ids[i], ids[last] = ids[last], ""
	u.set(r.UserID, ids[:last])
}

// set replaces the list of a user. The caller holds u.mu.
func (u *userShard) set(userID string, ids []string) {
	switch {
	case len(ids) == 0:
		u.ids.delete(userID)
		return
	case len(ids) < cap(ids)/4:
		ids = slices.Clone(ids)
	}
	u.ids.put(userID, ids)
}
