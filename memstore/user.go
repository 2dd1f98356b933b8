package memstore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/updateage/session"
)

// DeleteUser removes the sessions of a user, as [session.Store] says, and his
// expired ones with them: a server whose clock is behind might still take one
// of those for live. Only the others count.
func (s *Store) DeleteUser(ctx context.Context, userID string, now time.Time, except ...string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("memstore: delete sessions of user: %w", err)
	}
	u := s.lockUser(userID)
	if u == nil {
		return 0, nil
	}
	defer u.unlock()
	live := 0
	var kept []string
	for _, id := range u.ids.m[userID] {
		if slices.Contains(except, id) {
			kept = append(kept, id)
			continue
		}
		if s.discard(id, now.UnixMilli()) {
			live++
		}
	}
	u.set(userID, kept)
	return live, nil
}

// discard deletes a session whose index entry the caller deletes, and says
// whether it was live.
func (s *Store) discard(id string, now int64) bool {
	r := s.shardOf(id).remove(id, math.MaxInt64)
	if r == nil {
		return false
	}
	s.size.Add(-1)
	s.feed.tell(r.ID)
	return r.ExpiresAt.UnixMilli() > now
}

// CreateLimited stores a new session of a user within the limit, as
// [session.LimitedCreator] says. Of sessions that expire at the same time the
// one created first makes room.
func (s *Store) CreateLimited(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memstore: create session: %w", err)
	}
	evicted, err := s.createLimited(adopt(r), limit, now.UnixMilli())
	s.sweepNowAndThen()
	return evicted, err
}

func (s *Store) createLimited(r *session.Record, limit session.Limit, now int64) ([]string, error) {
	u := s.lockUser(r.UserID)
	defer u.unlock()
	if old := s.shardOf(r.ID).get(r.ID).record; old != nil {
		return nil, repeated(old, r)
	}
	victims, err := s.victims(u, r.UserID, limit, now)
	if err != nil {
		return nil, err
	}
	if err := s.insert(u, r); err != nil {
		return nil, err
	}
	for _, id := range victims {
		s.remove(u, id, math.MaxInt64)
	}
	return victims, nil
}

// victims returns the sessions that have to make room for one more, or
// ErrLimit. The caller holds u.mu.
func (s *Store) victims(u *userShard, userID string, limit session.Limit, now int64) ([]string, error) {
	counted := slices.DeleteFunc(s.live(u, userID, now), func(r *session.Record) bool {
		return r.State != session.StateSignedIn
	})
	over := min(len(counted)+1-limit.Max, len(counted))
	if over <= 0 {
		return nil, nil
	}
	if limit.Refuse {
		return nil, session.ErrLimit
	}
	slices.SortFunc(counted, func(a, b *session.Record) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	ids := make([]string, over)
	for i := range ids {
		ids[i] = counted[i].ID
	}
	return ids, nil
}
