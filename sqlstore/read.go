package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/updateage/session"
)

// Load returns the session of the ID, as [session.Store] says, by one SELECT of
// one row by its primary key.
func (s *Store) Load(ctx context.Context, id string) (*session.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sqlstore: load session: %w", err)
	}
	if !validID(id) {
		return nil, session.ErrNotFound
	}
	var r *session.Record
	err := s.do(ctx, func(ctx context.Context) error {
		r = nil
		return s.queryRow(ctx, s.dialect.load, func(rows *sql.Rows) (err error) {
			// The caller's ID may be cut out of a token, whose secret must not
			// stay in memory as long as the record does.
			r, err = scan(rows, strings.Clone(id))
			return err
		}, id)
	})
	if err != nil {
		return nil, fmt.Errorf("sqlstore: load session: %w", err)
	}
	if r == nil {
		return nil, session.ErrNotFound
	}
	return r, nil
}

// ListUser returns the sessions of a user, as [session.Store] says, by one SELECT,
// but for those that cannot be read.
func (s *Store) ListUser(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sqlstore: list sessions of user: %w", err)
	}
	if !validUser(userID) {
		return nil, nil
	}
	var records []*session.Record
	err := s.do(ctx, func(ctx context.Context) error {
		records = nil
		return s.query(ctx, s.dialect.list, func(rows *sql.Rows) error {
			r, err := scanListed(rows)
			// One that cannot be read signs nobody in, and the others are to be
			// shown all the same. DeleteUser deletes it with them.
			if r != nil {
				records = append(records, r)
			}
			return err
		}, userID, now.UnixMilli())
	})
	if err != nil {
		return nil, fmt.Errorf("sqlstore: list sessions of user: %w", err)
	}
	return records, nil
}

// scanListed returns the record of a row that has the ID as well, or none if it
// cannot be read.
func scanListed(rows *sql.Rows) (*session.Record, error) {
	var w row
	var id string
	if err := rows.Scan(append([]any{&id}, w.destinations()...)...); err != nil {
		return nil, err
	}
	r, err := w.parse(id)
	if errors.Is(err, session.ErrUnreadable) {
		return nil, nil
	}
	return r, err
}
