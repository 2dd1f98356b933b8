package memstore

import (
	"context"
	"fmt"
	"time"

	"github.com/updateage/session"
)

// Load returns the session of the ID, as [session.Store] says. All callers get
// the same record: it is immutable. Load does not allocate.
func (s *Store) Load(ctx context.Context, id string) (*session.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memstore: load session: %w", err)
	}
	if r := s.shardOf(id).get(id).record; r != nil {
		return r, nil
	}
	return nil, session.ErrNotFound
}

// ListUser returns the sessions of a user, as [session.Store] says. They are
// the user's sessions of one moment.
func (s *Store) ListUser(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memstore: list sessions of user: %w", err)
	}
	u := s.userShardOf(userID)
	u.mu.RLock()
	defer u.mu.RUnlock()
	return s.live(u, userID, now.UnixMilli()), nil
}

// live returns the user's sessions that are not expired. The caller holds u.mu.
func (s *Store) live(u *userShard, userID string, now int64) []*session.Record {
	ids := u.ids.m[userID]
	records := make([]*session.Record, 0, len(ids))
	for _, id := range ids {
		if e := s.shardOf(id).get(id); e.record != nil && !e.expired(now) {
			records = append(records, e.record)
		}
	}
	return records
}
