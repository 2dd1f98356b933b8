package sqlstore_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/sqlstore"
)

// patience is how long a test waits for a database that is well: no test fails
// because a machine is slow.
const patience = 30 * time.Second

// engine is a database that every promise holds on.
type engine struct {
	name    string
	dialect sqlstore.Dialect
	driver  string
	// dsn returns the address of a running database, with parameters that mean
	// something to the driver only.
	dsn func(tb testing.TB, parameters ...string) string
}

var engines = []engine{
	{"PostgreSQL", sqlstore.PostgreSQL, "pgx", func(tb testing.TB, parameters ...string) string {
		return postgres.of(tb).DSN(parameters...)
	}},
	{"MariaDB", sqlstore.MySQL, "mysql", func(tb testing.TB, parameters ...string) string {
		return mariadb.of(tb).DSN(parameters...)
	}},
	{"SQLite", sqlstore.SQLite, "sqlite", func(tb testing.TB, parameters ...string) string {
		return sqliteDSN(filepath.Join(tb.TempDir(), "test.db"), parameters...)
	}},
}

// sqliteDSN is a file that several connections may use at once.
func sqliteDSN(path string, parameters ...string) string {
	dsn := "file:" + path + "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)"
	for _, p := range parameters {
		dsn += "&" + p
	}
	return dsn
}

// The servers that most tests share, each with tables of its own. They start when
// they are first needed and end with the process of the tests.
var (
	postgres = shared[*servers.Postgres]{start: func(tb testing.TB) *servers.Postgres { return servers.StartPostgres(tb) }}
	mariadb  = shared[*servers.MariaDB]{start: func(tb testing.TB) *servers.MariaDB { return servers.StartMariaDB(tb) }}
	atEnd    []func()
)

type shared[Server any] struct {
	start  func(testing.TB) Server
	once   sync.Once
	server Server
	ok     bool
}

func (s *shared[Server]) of(tb testing.TB) Server {
	tb.Helper()
	s.once.Do(func() {
		s.server = s.start(binary{tb})
		s.ok = true
	})
	if !s.ok {
		tb.Skip("the server did not start, see the first test that needed it") // which was skipped or failed
	}
	return s.server
}

// binary stands for all tests of the process: what is to be cleaned up is cleaned
// up after the last one.
type binary struct{ testing.TB }

func (binary) Cleanup(f func()) { atEnd = append(atEnd, f) }

// TestMain silences the driver of MySQL, which logs what these tests do to servers.
func TestMain(m *testing.M) {
	_ = mysql.SetLogger(log.New(io.Discard, "", 0))
	code := m.Run()
	for i := len(atEnd) - 1; i >= 0; i-- {
		atEnd[i]()
	}
	os.Exit(code)
}

// onEach runs a test on every engine, with an empty database.
func onEach(t *testing.T, test func(*testing.T, *database)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, e.open(t)) })
	}
}

// database is a connection pool to an engine, and the name of a table that nobody
// else uses.
type database struct {
	*sql.DB
	engine
	address string
	table   string
}

func (e engine) open(tb testing.TB, parameters ...string) *database {
	tb.Helper()
	return e.openDSN(tb, e.dsn(tb, parameters...))
}

func (e engine) openDSN(tb testing.TB, dsn string) *database {
	tb.Helper()
	db, err := sql.Open(e.driver, dsn)
	must(tb, err)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close the database: %v", err)
		}
	})
	return &database{db, e, dsn, "t" + strings.ToLower(rand.Text())}
}

// again returns another pool to the same database and table.
func (d *database) again(tb testing.TB, parameters ...string) *database {
	tb.Helper()
	dsn := d.address
	for _, p := range parameters {
		dsn += "&" + p
	}
	other := d.openDSN(tb, dsn)
	other.table = d.table
	return other
}

// store returns a store in the table, which it creates if need be.
func (d *database) store(tb testing.TB) *sqlstore.Store {
	tb.Helper()
	s := d.bare(tb, sqlstore.Options{})
	must(tb, s.Migrate(tb.Context()))
	return s
}

// bare returns a store with these options, but for the table and its patience.
func (d *database) bare(tb testing.TB, o sqlstore.Options) *sqlstore.Store {
	tb.Helper()
	if o.Table == "" {
		o.Table = d.table
	}
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	s, err := sqlstore.New(d.DB, d.dialect, &o)
	must(tb, err)
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close the store: %v", err)
		}
	})
	return s
}

// exec executes a statement in which %s is the table.
func (d *database) exec(tb testing.TB, format string, args ...any) {
	tb.Helper()
	_, err := d.ExecContext(context.Background(), fmt.Sprintf(format, d.table), args...)
	must(tb, err)
}

// number returns the result of a statement in which %s is the table.
func (d *database) number(tb testing.TB, format string, args ...any) (n int64) {
	tb.Helper()
	must(tb, d.QueryRowContext(context.Background(), fmt.Sprintf(format, d.table), args...).Scan(&n))
	return n
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
