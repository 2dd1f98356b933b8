package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/updateage/session"
)

var errBusy = errors.New("the user's sessions keep changing")

// CreateLimited stores a new session of a user within the limit, as
// [session.LimitedCreator] says: in one round trip below the limit, and in two
// beyond it. Another sign-in of the same user in between costs one more.
func (s *Store) CreateLimited(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
	evicted, err := s.createLimited(ctx, r, limit, now)
	if err != nil && err != session.ErrExists && err != session.ErrLimit {
		return nil, fmt.Errorf("redisstore: create session: %w", err)
	}
	return evicted, err
}

func (s *Store) createLimited(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
	if r.UserID == "" {
		return nil, s.create(ctx, r) // nobody's sessions are not counted
	}
	blob, err := s.encodeNew(ctx, r)
	if err != nil || blob == nil {
		return nil, err
	}
	refuse := 0
	if limit.Refuse {
		refuse = 1
	}
	giveUp := time.Now().Add(patience)
	var seen []string // that the script wanted to look at
	for attempt := 0; time.Now().Before(giveUp); attempt++ {
		args := []any{blob, ttl(r), r.ID, r.ExpiresAt.UnixMilli(), now.UnixMilli(), manyDue, max(limit.Max, 1), refuse}
		code, ids, err := s.runForIDs(ctx, createLimitedScript, s.memberKeys(r.UserID, seen, s.keysOf(r)...), withIDs(seen, args...)...)
		if err != nil {
			return nil, err
		}
		if code != look {
			return s.created(r, code, ids)
		}
		seen = ids
		if err := letOthers(ctx, attempt); err != nil {
			return nil, err
		}
	}
	return nil, errBusy
}

func (s *Store) created(r *session.Record, code int64, evicted []string) ([]string, error) {
	switch code {
	case done:
		s.owners.created(r)
		return evicted, nil
	case refused:
		return nil, session.ErrLimit
	}
	return nil, session.ErrExists
}

// letOthers waits a little from the second attempt on: of those who sign in at
// once, one gets through each time.
func letOthers(ctx context.Context, attempt int) error {
	if attempt == 0 {
		return nil
	}
	return pause(ctx, rand.N(time.Millisecond<<min(attempt, 4)))
}
