package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"

	"github.com/updateage/session"
)

// txKey is the key of a store's transaction in a context. A transaction is one of
// the database of one store: others do not see it.
type txKey struct{ store *Store }

// transaction is a transaction with the error that has ended it.
type transaction struct {
	tx     *sql.Tx
	failed atomic.Pointer[error]
}

// WithTx returns a context under which this store works in the transaction, which
// stays the caller's to commit or roll back: so a sign-in and the change of a
// password that belongs to it become one. Pass it to what is to be part of the
// transaction, such as Session.SignIn or Manager.RevokeAll, and to nothing else.
//
// The transaction has to be one of the *sql.DB that New was given. This is not
// checked: in one of another database, the store would work in a table of that
// name there.
//
// Roll back after an error of a session operation. The database may have ended the
// transaction, after a deadlock for example, and what came next would be executed
// by itself. So this store does nothing in it any more: whatever else is asked
// under the context returns the first error. Nothing is repeated, because all of
// the transaction would have to be: begin anew, with a context from before WithTx.
//
// Commit before the response begins. What is rolled back leaves the visitor with a
// cookie for a session that does not exist, as if nobody were signed in.
//
// Begin with READ COMMITTED, sql.LevelReadCommitted, on MySQL, whose default is
// another. On PostgreSQL it is the default. A transaction that sees the past finds
// no way out of a conflict with another request, which is an error, and on
// PostgreSQL refuses Config.MaxSessions, because the limit would not hold. On
// SQLite the transaction has to begin with BEGIN IMMEDIATE, in most drivers by
// _txlock=immediate; and until it ends, whatever else writes waits, the session of
// this very request included.
//
// Users: those who keep sessions beside what they belong to, and want no moment
// at which only one of both has changed.
func (s *Store) WithTx(ctx context.Context, tx *sql.Tx) context.Context {
	if t := s.transaction(ctx); t != nil && t.tx == tx {
		return ctx // which knows whether it has failed
	}
	return context.WithValue(ctx, txKey{s}, &transaction{tx: tx})
}

// InTx says whether the store works in a transaction under ctx, by WithTx. What it
// reads there nobody else may see, neither then nor later: a cache in front of the
// store must not keep it, nor answer in its place.
func (s *Store) InTx(ctx context.Context) bool { return s.transaction(ctx) != nil }

// transaction returns that of the context, or none.
func (s *Store) transaction(ctx context.Context) *transaction {
	t, _ := ctx.Value(txKey{s}).(*transaction)
	return t
}

// tx returns the transaction that the context says to work in.
func (s *Store) tx(ctx context.Context) *sql.Tx {
	if t := s.transaction(ctx); t != nil {
		return t.tx
	}
	return nil
}

// do does an operation, unless one before it has failed.
func (t *transaction) do(ctx context.Context, operation func(context.Context) error) error {
	if first := t.failed.Load(); first != nil {
		return *first
	}
	err := operation(ctx)
	if err == nil || isAnswer(err) {
		return err
	}
	err = because(ctx, err)
	t.failed.CompareAndSwap(nil, &err)
	return err
}

// isAnswer says whether the error is what the database was asked for. After any
// other one it is unknown whether it still has the transaction.
func isAnswer(err error) bool {
	for _, answer := range [...]error{
		session.ErrNotFound, session.ErrExists, session.ErrConflict, session.ErrLimit, session.ErrUnreadable,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// inTx calls do in the transaction of the context, or in one of its own.
func (s *Store) inTx(ctx context.Context, opts *sql.TxOptions, do func(context.Context) error) error {
	if s.InTx(ctx) {
		return do(ctx)
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	if err := do(s.WithTx(ctx, tx)); err != nil {
		_ = tx.Rollback() // the first error tells more
		return err
	}
	return commit(ctx, conn, tx)
}

// commit commits. SQLite with a rollback journal refuses that while somebody
// reads, and the transaction goes on, which database/sql does not know: the next
// user of the connection would write into it, and lose it all. So the connection
// is closed, unless it was database/sql that ended the transaction, with ctx.
func commit(ctx context.Context, conn *sql.Conn, tx *sql.Tx) error {
	err := tx.Commit()
	if err != nil && err != sql.ErrTxDone && err != ctx.Err() {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return err
}
