package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/updateage/session"
)

// CreateLimited stores a new session within the limit, as [session.LimitedCreator]
// says, in one transaction under a lock of its user. Of sessions that expire at
// the same time the one created first makes room.
func (s *Store) CreateLimited(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) (evicted []string, err error) {
	w, err := s.encode(ctx, r)
	if err == nil {
		err = s.do(ctx, func(ctx context.Context) (err error) {
			evicted, err = s.createLimited(ctx, r, w, limit, now)
			return err
		})
	}
	switch err {
	case nil:
		return evicted, nil
	case session.ErrExists, session.ErrLimit:
		return nil, err
	}
	return nil, fmt.Errorf("sqlstore: create session within limit: %w", err)
}

func (s *Store) createLimited(ctx context.Context, r *session.Record, w *row, limit session.Limit, now time.Time) (evicted []string, err error) {
	rivals := s.dialect.rivals
	if s.tx(ctx) != nil {
		rivals = s.dialect.lockRivals // what the transaction has read may be old
	}
	err = s.inTx(ctx, s.dialect.limitTx(), func(ctx context.Context) error {
		if err := s.lockUser(ctx, r.UserID); err != nil {
			return err
		}
		ids, err := s.ids(ctx, rivals, r.UserID, now.UnixMilli())
		if err != nil {
			return err
		}
		evicted, err = s.makeRoom(ctx, r, w, limit, ids)
		return err
	})
	return evicted, err
}

// makeRoom inserts the row and deletes what is then over the limit. Those that
// count are the ones that expire soonest first; the caller has the lock.
func (s *Store) makeRoom(ctx context.Context, r *session.Record, w *row, limit session.Limit, counted []string) (evicted []string, err error) {
	over := min(len(counted)+1-limit.Max, len(counted))
	there := slices.Contains(counted, r.ID)
	if over > 0 && limit.Refuse && !there {
		return nil, s.refuse(ctx, r)
	}
	if err := s.insert(ctx, r, w); err != nil || there || over <= 0 {
		return nil, err
	}
	// An ID that was taken by the same session, by a call before this one, is not
	// counted only if it does not count any more: nobody has to make room.
	for _, id := range counted[:over] {
		if _, err := s.exec(ctx, s.dialect.delete, id); err != nil {
			return nil, err
		}
	}
	return counted[:over], nil
}

// refuse returns ErrLimit, unless the ID is taken.
func (s *Store) refuse(ctx context.Context, r *session.Record) error {
	switch there, found, err := s.versionOf(ctx, r.ID); {
	case err != nil:
		return err
	case !found:
		return session.ErrLimit
	case there != r.Version:
		return session.ErrExists
	}
	return nil // a repetition, which does not count any more
}

// limitTx returns the options of a transaction which sees what was committed
// while it waited for the lock. MySQL's looks at the first SELECT, after that;
// SQLite's writers have the database for themselves.
func (d *dialect) limitTx() *sql.TxOptions {
	if d.kind == PostgreSQL {
		return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	return nil
}

// lockUser makes other transactions wait that lock the same user.
func (s *Store) lockUser(ctx context.Context, userID string) error {
	hash := s.dialect.hash("limit", userID)
	switch s.dialect.kind {
	case PostgreSQL:
		return s.lockOnPostgres(ctx, int64(hash))
	case MySQL:
		n, err := s.exec(ctx, s.dialect.lock, int64(hash%lockSlots))
		if err == nil && n == 0 {
			// Fails closed: without the row there is no lock, and no limit.
			err = errors.New("the lock table lacks a row, run Migrate")
		}
		return err
	}
	_, err := s.exec(ctx, s.dialect.lock)
	return err
}

func (s *Store) lockOnPostgres(ctx context.Context, key int64) error {
	var isolation string
	err := s.queryRow(ctx, s.dialect.lock, func(rows *sql.Rows) error {
		var void any
		return rows.Scan(&void, &isolation)
	}, key)
	if err == nil && isolation != "read committed" {
		// Fails closed: it would not see sessions committed by whoever had the
		// lock before, and let in one too many.
		err = fmt.Errorf("the isolation of the transaction is %q, a limit needs read committed", isolation)
	}
	return err
}

// ids runs a statement that returns IDs.
func (s *Store) ids(ctx context.Context, st *statement, args ...any) (ids []string, err error) {
	err = s.query(ctx, st, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, args...)
	return ids, err
}
