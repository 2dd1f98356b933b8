package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/sqlstore/internal/table"
)

// Dialect is a kind of database. Its zero value is none.
type Dialect uint8

// The dialects.
const (
	// PostgreSQL is for PostgreSQL, by any driver, such as pgx.
	PostgreSQL Dialect = iota + 1
	// MySQL is for MySQL and MariaDB, by github.com/go-sql-driver/mysql.
	MySQL
	// SQLite is for SQLite, by any driver, such as modernc.org/sqlite. Use a
	// file in WAL mode with a busy time-out, or a single connection.
	SQLite
)

// String returns the name of the database.
func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case MySQL:
		return "MySQL"
	case SQLite:
		return "SQLite"
	}
	return fmt.Sprintf("Dialect(%d)", uint8(d))
}

// Options are the options of [New]. The zero Options are good.
type Options struct {
	// Table is the name of the table, "session" if empty, or "schema.name". It
	// may be anything of at most 40 bytes: it is always quoted. Other tables and
	// the indexes have names that begin with it. Spell it the same way in all
	// processes, because locks have names made of it: beside "public.session",
	// "session" would be the same table under another lock, and
	// Config.MaxSessions would not hold.
	Table string

	// Timeout bounds an operation, waiting for a connection and attempts after a
	// deadlock included. 0: 1 second.
	Timeout time.Duration

	// Notify makes Migrate and Schema install triggers that notify of changes,
	// for package pgfeed. PostgreSQL only. Notifications make commits wait for
	// each other, so it has its price; see docs/sql.md.
	Notify bool

	// Logger gets warnings of Run. nil: slog.Default().
	Logger *slog.Logger
}

const (
	defaultTable   = "session"
	defaultTimeout = time.Second
)

func (o Options) withDefaults() Options {
	if o.Table == "" {
		o.Table = defaultTable
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// check returns the dialect with the statements for the table, or all mistakes.
func (o Options) check(d Dialect) (*dialect, error) {
	var mistakes []error
	name, err := table.Parse(o.Table)
	if err != nil {
		mistakes = append(mistakes, err)
	}
	if d < PostgreSQL || d > SQLite {
		mistakes = append(mistakes, fmt.Errorf("unknown dialect %v", d))
	}
	if o.Timeout < 0 {
		mistakes = append(mistakes, fmt.Errorf("negative Timeout %v", o.Timeout))
	}
	if o.Notify && d != PostgreSQL {
		mistakes = append(mistakes, fmt.Errorf("option Notify with %v: %w", d, errors.ErrUnsupported))
	}
	if mistakes != nil {
		return nil, errors.Join(mistakes...)
	}
	return newDialect(d, name, o.Notify), nil
}

// Store is a [session.Store] in a database. It also implements
// [session.LimitedCreator] and [session.Sweeper]. It has no [session.Feed], see
// package pgfeed, and no [session.Patcher]: an UPDATE by version is one round
// trip, and a merge in the database would be four, see docs/sql.md.
//
// It is safe for concurrent use; its zero value is not usable.
type Store struct {
	db      *sql.DB
	dialect *dialect
	timeout time.Duration
	log     *slog.Logger

	stats  stats
	closed chan struct{}
	close  sync.Once
}

var (
	_ session.Store          = (*Store)(nil)
	_ session.LimitedCreator = (*Store)(nil)
	_ session.Sweeper        = (*Store)(nil)
)

// New returns a store in the database, which stays the caller's to close. opts may
// be nil. New does not ask the database anything, and the table need not be there
// yet.
func New(db *sql.DB, d Dialect, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o = o.withDefaults()
	dialect, err := o.check(d)
	if db == nil {
		err = errors.Join(err, errors.New("no database"))
	}
	if err != nil {
		return nil, fmt.Errorf("sqlstore: new store: %w", err)
	}
	return &Store{db: db, dialect: dialect, timeout: o.Timeout, log: o.Logger, closed: make(chan struct{})}, nil
}

// Close ends Run and frees the prepared statements; the database stays open. A
// second call does nothing. A process that keeps one store as long as its database
// need not call it. Other methods must not be called during or after it.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		close(s.closed)
		err = s.dialect.close()
	})
	if err != nil {
		return fmt.Errorf("sqlstore: close store: %w", err)
	}
	return nil
}
