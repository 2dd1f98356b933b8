package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Delete removes a session, as [session.Store] says: in one round trip if this
// store has loaded or created it lately, as before every sign-out, and otherwise
// in two.
func (s *Store) Delete(ctx context.Context, id string) error {
	if err := s.delete(ctx, id); err != nil {
		return fmt.Errorf("redisstore: delete session: %w", err)
	}
	return nil
}

func (s *Store) delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !validID(id) {
		return nil
	}
	user := s.owners.take(id)
	// The user of a session never changes, so that the second time is right. A
	// third could only follow on another session of the same ID.
	for range 3 {
		keys := []string{s.sessionKey(id)}
		if user != "" {
			keys = append(keys, s.slot(id[:tagLen])+"u:"+user)
		}
		reply, err := s.revoke(ctx, deleteScript, keys, id, user)
		owner, _ := reply.(string)
		if owner == "" {
			return err // nil: it is gone
		}
		user = owner
	}
	return errors.New("the session keeps changing")
}

// DeleteUser removes the sessions of a user, as [session.Store] says, and his
// expired ones with them: a server whose clock is behind might still take one of
// those for live. Only the others count. It takes a reading of the index and one
// script for each thousand sessions.
func (s *Store) DeleteUser(ctx context.Context, userID string, now time.Time, except ...string) (int, error) {
	live, err := s.deleteUser(ctx, userID, now, except)
	if err != nil {
		err = fmt.Errorf("redisstore: delete sessions of user: %w", err)
	}
	return live, err
}

func (s *Store) deleteUser(ctx context.Context, userID string, now time.Time, except []string) (live int, err error) {
	ids, err := s.members(ctx, userID)
	if err != nil || userID == "" {
		return 0, err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(except, id) })
	chunks := slices.Collect(slices.Chunk(ids, batch))
	if len(chunks) == 0 && s.replicas > 0 {
		chunks = [][]string{nil} // replicas may still lack what an earlier call has deleted
	}
	var unconfirmed error
	for _, ids := range chunks {
		reply, err := s.revoke(ctx, deleteUserScript, s.memberKeys(userID, ids, s.indexKey(userID)), withIDs(ids, now.UnixMilli())...)
		n, _ := reply.(int64)
		live += int(n)
		if errors.Is(err, ErrNotConfirmed) {
			unconfirmed = err // the others are to be deleted all the same
		} else if err != nil {
			return live, err
		}
	}
	return live, unconfirmed
}
