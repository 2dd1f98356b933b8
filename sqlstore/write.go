package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/updateage/session"
)

// Create stores a new session, as [session.Store] says, by one INSERT.
func (s *Store) Create(ctx context.Context, r *session.Record) error {
	w, err := s.encode(ctx, r)
	if err == nil {
		err = s.do(ctx, func(ctx context.Context) error { return s.insert(ctx, r, w) })
	}
	if err != nil && err != session.ErrExists {
		return fmt.Errorf("sqlstore: create session: %w", err)
	}
	return err
}

// encode returns the row of a record that is to be written.
func (s *Store) encode(ctx context.Context, r *session.Record) (*row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !validID(r.ID) {
		return nil, fmt.Errorf("invalid ID %q", r.ID)
	}
	return newRow(r)
}

// insert inserts the row. If there is one with its ID, it is a repetition or an
// ErrExists.
func (s *Store) insert(ctx context.Context, r *session.Record, w *row) error {
	n, err := s.exec(ctx, s.dialect.create, w.forCreate(r.ID)...)
	if s.dialect.kind == MySQL && duplicate(err) {
		n, err = 0, nil
	}
	if err != nil || n > 0 {
		return err
	}
	there, found, err := s.versionOf(ctx, r.ID)
	if err == nil && !(found && there == r.Version) {
		// None at all means that it was deleted in this very moment: it was taken.
		err = session.ErrExists
	}
	return err
}

// versionOf returns the version of a session, if it is there.
func (s *Store) versionOf(ctx context.Context, id string) (version uint64, found bool, err error) {
	err = s.queryRow(ctx, s.dialect.version, func(rows *sql.Rows) error {
		var v int64
		err := rows.Scan(&v)
		version, found = uint64(v), true
		return err
	}, id)
	return version, found, err
}

// Update replaces a session, as [session.Store] says, by one UPDATE on condition
// of the version. If it changes nothing, a SELECT tells why.
func (s *Store) Update(ctx context.Context, r *session.Record, version uint64) error {
	if ctx.Err() == nil && !validID(r.ID) {
		return session.ErrNotFound // Create would have refused it
	}
	w, err := s.encode(ctx, r)
	if err == nil {
		err = s.do(ctx, func(ctx context.Context) error { return s.replace(ctx, r, w, version) })
	}
	if err != nil && err != session.ErrNotFound && err != session.ErrConflict {
		return fmt.Errorf("sqlstore: update session: %w", err)
	}
	return err
}

// errSeesPast is for a SELECT that finds the very version which an UPDATE has not:
// REPEATABLE READ on MySQL, by whose view a conflict would last for ever.
var errSeesPast = errors.New("the transaction does not see what others have committed, begin it with READ COMMITTED")

func (s *Store) replace(ctx context.Context, r *session.Record, w *row, version uint64) error {
	n, err := s.exec(ctx, s.dialect.update, w.forUpdate(r.ID, version)...)
	if err != nil || n > 0 {
		return err
	}
	switch there, found, err := s.versionOf(ctx, r.ID); {
	case err != nil:
		return err
	case !found:
		return session.ErrNotFound
	case there == version && s.InTx(ctx):
		return errSeesPast
	case there != r.Version:
		return session.ErrConflict
	}
	return nil // a repetition
}

// Delete removes a session, as [session.Store] says, by one DELETE.
func (s *Store) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sqlstore: delete session: %w", err)
	}
	if !validID(id) {
		return nil
	}
	err := s.do(ctx, func(ctx context.Context) error {
		_, err := s.exec(ctx, s.dialect.delete, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlstore: delete session: %w", err)
	}
	return nil
}
