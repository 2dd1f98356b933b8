package redisstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/updateage/session"
)

// Create stores a new session, as [session.Store] says, in one round trip. Now
// and then another one removes entries of expired sessions from the index.
func (s *Store) Create(ctx context.Context, r *session.Record) error {
	err := s.create(ctx, r)
	if err != nil && err != session.ErrExists {
		return fmt.Errorf("redisstore: create session: %w", err)
	}
	return err
}

func (s *Store) create(ctx context.Context, r *session.Record) error {
	blob, err := s.encodeNew(ctx, r)
	if err != nil || blob == nil {
		return err
	}
	keys := s.keysOf(r)
	if r.State == session.StateMoved {
		keys = keys[:1]
	}
	code, due, err := s.runForIDs(ctx, createScript, keys,
		blob, ttl(r), r.ID, r.ExpiresAt.UnixMilli(), time.Now().UnixMilli(), manyDue)
	if err != nil {
		return err
	}
	if code == none {
		return session.ErrExists
	}
	s.owners.created(r)
	s.prune(ctx, r.UserID, due)
	return nil
}

// manyDue is how many entries past their expiry an index has before a sign-in
// looks at them. With more than 128 entries Redis would store it in a larger
// form; below that, a look at a time is a waste.
const manyDue = 16

// encodeNew returns the stored form of a record that is to be created. It
// returns none if the record is there already, by an earlier call.
func (s *Store) encodeNew(ctx context.Context, r *session.Record) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !validID(r.ID) {
		return nil, fmt.Errorf("invalid ID %q", r.ID)
	}
	if !routed(r) {
		return nil, s.misrouted(ctx, r)
	}
	return r.AppendBinary(nil)
}

// misrouted is what becomes of a new record whose ID lacks the tag of its user.
// His index could not be in the slot of the session, where nobody would look for
// it: fails closed.
func (s *Store) misrouted(ctx context.Context, r *session.Record) error {
	switch old, err := s.Load(ctx, r.ID); {
	case errors.Is(err, session.ErrNotFound):
		return fmt.Errorf("ID %s does not begin with the routing tag of its user", r.ID)
	case err != nil:
		return err
	case old.Version != r.Version:
		return session.ErrExists
	}
	return nil
}

// Update replaces a session, as [session.Store] says, in one round trip.
func (s *Store) Update(ctx context.Context, r *session.Record, version uint64) error {
	err := s.update(ctx, r, version)
	if err != nil && err != session.ErrNotFound && err != session.ErrConflict {
		return fmt.Errorf("redisstore: update session: %w", err)
	}
	return err
}

func (s *Store) update(ctx context.Context, r *session.Record, version uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !validID(r.ID) || !routed(r) {
		return session.ErrNotFound // Create would have refused it
	}
	blob, err := r.AppendBinary(nil)
	if err != nil {
		return err
	}
	score := any(r.ExpiresAt.UnixMilli())
	if r.State == session.StateMoved {
		score = ""
	}
	code, err := s.runForNumber(ctx, updateScript, s.keysOf(r), blob, ttl(r), r.ID, score, be64(version))
	return outcome(code, err)
}

// Patch changes values of a session, as [session.Patcher] says, in one round
// trip. The server merges them, so that writers of one session never wait for
// each other.
func (s *Store) Patch(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("redisstore: patch session: %w", err)
	}
	if !validID(id) {
		return session.ErrNotFound
	}
	args := append([]any{now.UnixMilli(), be64(version), maxValues}, encodeChanges(changes)...)
	code, err := s.runForNumber(ctx, patchScript, []string{s.sessionKey(id)}, args...)
	if err = outcome(code, err); err != nil && err != session.ErrNotFound {
		return fmt.Errorf("redisstore: patch session: %w", err)
	}
	return err
}

// maxValues is the greatest length of the values of a session.
const maxValues = 64 << 10

// encodeChanges returns the changes as the script takes them: the number of keys
// to remove, those keys, and then key and data of what is to be set. Of several
// changes of a key it takes the last.
func encodeChanges(changes []session.Change) []any {
	last := make(map[string]int, len(changes))
	for i, c := range changes {
		last[c.Key] = i
	}
	args := make([]any, 1, 1+2*len(changes))
	removed := 0
	for i, c := range changes {
		if c.Delete && last[c.Key] == i {
			args = append(args, c.Key)
			removed++
		}
	}
	args[0] = removed
	for i, c := range changes {
		if !c.Delete && last[c.Key] == i {
			args = append(args, c.Key, c.Data)
		}
	}
	return args
}

// outcome is the error that a script's answer stands for.
func outcome(code int64, err error) error {
	if err != nil {
		return err
	}
	switch code {
	case done:
		return nil
	case none:
		return session.ErrNotFound
	case conflict:
		return session.ErrConflict
	case unreadable:
		return session.ErrUnreadable
	case tooLarge:
		return session.ErrTooLarge
	}
	return fmt.Errorf("unexpected reply %d", code)
}

// be64 returns a version as it stands in a record.
func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
