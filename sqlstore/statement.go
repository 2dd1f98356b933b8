package sqlstore

import (
	"context"
	"database/sql"
	"sync/atomic"
)

// statement is a statement that is prepared when it is first used, and then again
// by database/sql on every connection that runs it.
//
// Not so on PostgreSQL, where pgx prepares by itself what it executes. It notices
// what the server has forgotten by DISCARD ALL, or a pooler has left with another
// server; database/sql would use such a connection, and fail, for ever.
type statement struct {
	text     string
	once     bool // not worth preparing here
	prepared atomic.Pointer[sql.Stmt]
}

// runner runs a statement. A *sql.Stmt is one.
type runner interface {
	ExecContext(ctx context.Context, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, args ...any) (*sql.Rows, error)
}

// on returns what runs the statement: in the transaction of the context, if there
// is one.
func (st *statement) on(ctx context.Context, s *Store) (runner, error) {
	tx, prepared := s.tx(ctx), st.prepared.Load()
	switch {
	case tx != nil && prepared != nil:
		return tx.StmtContext(ctx, prepared), nil
	case tx != nil:
		// To prepare it would take another connection, while this one is held:
		// with a pool of one, for ever.
		return unprepared{tx, st.text}, nil
	case prepared != nil:
		return prepared, nil
	case st.once:
		return unprepared{s.db, st.text}, nil
	}
	return st.prepare(ctx, s.db)
}

// prepare prepares the statement. Others may do so at the same time, and one of
// them is kept: a lock would make all wait for one that gets no answer.
func (st *statement) prepare(ctx context.Context, db *sql.DB) (runner, error) {
	prepared, err := db.PrepareContext(ctx, st.text)
	if err != nil {
		return nil, err
	}
	if !st.prepared.CompareAndSwap(nil, prepared) {
		_ = prepared.Close()
		prepared = st.prepared.Load()
	}
	return prepared, nil
}

func (st *statement) close() error {
	if prepared := st.prepared.Load(); prepared != nil {
		return prepared.Close()
	}
	return nil
}

// unprepared runs a statement that nobody has prepared.
type unprepared struct {
	on interface {
		ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	}
	text string
}

func (u unprepared) ExecContext(ctx context.Context, args ...any) (sql.Result, error) {
	return u.on.ExecContext(ctx, u.text, args...)
}

func (u unprepared) QueryContext(ctx context.Context, args ...any) (*sql.Rows, error) {
	return u.on.QueryContext(ctx, u.text, args...)
}

// exec runs a statement and returns how many rows it changed.
func (s *Store) exec(ctx context.Context, st *statement, args ...any) (int64, error) {
	on, err := st.on(ctx, s)
	if err != nil {
		return 0, err
	}
	result, err := on.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// rows runs a statement and returns its result, for the caller to close.
func (s *Store) rows(ctx context.Context, st *statement, args ...any) (*sql.Rows, error) {
	on, err := st.on(ctx, s)
	if err != nil {
		return nil, err
	}
	return on.QueryContext(ctx, args...)
}

// queryRow runs a statement and calls scan for the first row of its result, if there
// is one. It does not ask for a second row, which there cannot be.
func (s *Store) queryRow(ctx context.Context, st *statement, scan func(*sql.Rows) error, args ...any) error {
	rows, err := s.rows(ctx, st, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return rows.Err()
	}
	if err := scan(rows); err != nil {
		return err
	}
	return rows.Close()
}

// query runs a statement and calls each for every row of its result.
func (s *Store) query(ctx context.Context, st *statement, each func(*sql.Rows) error, args ...any) error {
	rows, err := s.rows(ctx, st, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
