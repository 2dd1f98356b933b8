package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
)

// batch is how many sessions are in one command at most: a server does nothing
// else meanwhile.
const batch = 1000

// Load returns the session of the ID, as [session.Store] says, in one GET.
func (s *Store) Load(ctx context.Context, id string) (*session.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("redisstore: load session: %w", err)
	}
	if !validID(id) {
		return nil, session.ErrNotFound
	}
	key := s.sessionKey(id)
	data, err := ask(ctx, s, func(ctx context.Context) (string, error) {
		return s.get(ctx, key)
	})
	switch {
	case err == nil: // first: HasErrorPrefix takes its time even for none
	case errors.Is(err, redis.Nil):
		return nil, session.ErrNotFound
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return nil, fmt.Errorf("redisstore: load session: %v: %w", err, session.ErrUnreadable)
	default:
		return nil, fmt.Errorf("redisstore: load session: %w", err)
	}
	// The ID as it stands in the key: the caller's may be cut out of a token,
	// whose secret must not stay in memory as long as the record does.
	r, err := session.ParseRecord(key[len(key)-idLen:], data)
	if err != nil {
		return nil, fmt.Errorf("redisstore: load session: %w", err)
	}
	s.owners.note(r)
	return r, nil
}

// get asks for a key. In a pipeline a command runs on no context, so that the
// attempt's bounds the waiting only; a command that was given up belongs to its
// batch and must not be read.
func (s *Store) get(ctx context.Context, key string) (string, error) {
	if s.pipeline == nil {
		return s.client.Get(ctx, key).Result()
	}
	cmd := redis.NewStringCmd(ctx, "get", key)
	if err := s.pipeline.Submit(ctx, cmd).WaitContext(ctx); err != nil {
		return "", err
	}
	return cmd.Result()
}

// ListUser returns the sessions of a user, as [session.Store] says, but for
// those that cannot be read. It takes a reading of the index and one of the
// sessions, for each thousand.
func (s *Store) ListUser(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
	ids, err := s.members(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("redisstore: list sessions of user: %w", err)
	}
	live := make([]*session.Record, 0, len(ids))
	for ids := range slices.Chunk(ids, batch) {
		records, gone, err := s.loadAll(ctx, userID, ids)
		if err != nil {
			return nil, fmt.Errorf("redisstore: list sessions of user: %w", err)
		}
		for _, r := range records {
			if r.UserID == userID && r.State != session.StateMoved && now.Before(r.ExpiresAt) {
				live = append(live, r)
			}
		}
		s.prune(ctx, userID, gone)
	}
	return live, nil
}

// members returns what is in the index of a user: the IDs of all his live
// sessions, and of some that are gone.
func (s *Store) members(ctx context.Context, userID string) ([]string, error) {
	if err := ctx.Err(); err != nil || userID == "" {
		return nil, err
	}
	index := s.indexKey(userID)
	return ask(ctx, s, func(ctx context.Context) ([]string, error) {
		return s.client.ZRange(ctx, index, 0, -1).Result()
	})
}

// loadAll returns sessions in the index of a user, and the IDs of those that are
// gone.
func (s *Store) loadAll(ctx context.Context, userID string, ids []string) (records []*session.Record, gone []string, err error) {
	keys := s.memberKeys(userID, ids)
	values, err := ask(ctx, s, func(ctx context.Context) ([]any, error) {
		return s.client.MGet(ctx, keys...).Result()
	})
	if err == nil && len(values) != len(ids) {
		err = fmt.Errorf("%d values for %d keys", len(values), len(ids))
	}
	if err != nil {
		return nil, nil, err
	}
	for i, id := range ids {
		value, ok := values[i].(string)
		if !ok {
			gone = append(gone, id)
			continue
		}
		// One that cannot be read signs nobody in, and the others are to be
		// shown all the same. DeleteUser deletes it with them.
		if r, err := session.ParseRecord(id, value); err == nil {
			records = append(records, r)
		}
	}
	return records, gone, nil
}

// prune removes entries from the index whose sessions have expired or been
// deleted. It does not matter whether it succeeds: they are as good as not there.
func (s *Store) prune(ctx context.Context, userID string, gone []string) {
	if len(gone) == 0 {
		return
	}
	_, _ = s.run(ctx, pruneScript, s.memberKeys(userID, gone, s.indexKey(userID)), withIDs(gone)...)
}
