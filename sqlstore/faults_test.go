package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/sqlstore"
)

// Each test here breaks a real database while visitors use it. What must not
// happen fails the test; how long it takes is logged, because it depends on the
// machine. docs/reliability-sql.md has a table of it.

// prompt are the options of a store that does not wait as long as tests do.
var prompt = sqlstore.Options{Timeout: time.Second}

// server is a database server that a test may kill.
type server interface {
	Kill()
	Restart()
	DSN(parameters ...string) string
}

func startServer(t *testing.T, e engine) server {
	t.Helper()
	if e.dialect == sqlstore.PostgreSQL {
		return servers.StartPostgres(t)
	}
	return servers.StartMariaDB(t)
}

func TestFaultServerKilledAndRestarted(t *testing.T) {
	for _, e := range engines[:2] {
		t.Run(e.name, func(t *testing.T) {
			server := startServer(t, e)
			db := e.openDSN(t, server.DSN())
			db.store(t) // migrates
			newCrowd(t, db.bare(t, prompt)).endure(func() {
				server.Kill()
				time.Sleep(500 * time.Millisecond)
				server.Restart()
			})
		})
	}
}

// An administrator ends all connections, again and again: nobody notices.
func TestFaultConnectionsEnded(t *testing.T) {
	for _, e := range engines[:2] {
		t.Run(e.name, func(t *testing.T) {
			server := startServer(t, e)
			db, admin := e.openDSN(t, server.DSN()), e.openDSN(t, server.DSN())
			db.store(t)
			c := newCrowd(t, db.bare(t, prompt))
			c.endure(func() {
				for range 20 {
					endConnections(t, admin)
					time.Sleep(50 * time.Millisecond)
				}
			})
			if c.unavailable.Load() > c.tried.Load()/100 {
				t.Errorf("got %d of %d operations unavailable, want hardly any", c.unavailable.Load(), c.tried.Load())
			}
		})
	}
}

func endConnections(t *testing.T, admin *database) {
	t.Helper()
	if admin.dialect == sqlstore.PostgreSQL {
		_, err := admin.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
		must(t, err)
		return
	}
	rows, err := admin.QueryContext(t.Context(), "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user = 'root'")
	must(t, err)
	defer rows.Close()
	var all []int64
	for rows.Next() {
		var id int64
		must(t, rows.Scan(&id))
		all = append(all, id)
	}
	must(t, rows.Err())
	for _, id := range all {
		_, _ = admin.ExecContext(t.Context(), fmt.Sprint("KILL ", id)) // it may have ended by itself
	}
}

func TestFaultServerStalled(t *testing.T) {
	server := servers.StartMariaDB(t)
	db := engines[1].openDSN(t, server.DSN())
	db.store(t)
	s := db.bare(t, prompt)
	r := create(t, s, newUser())
	server.Freeze()
	defer server.Thaw()
	began := time.Now()
	parallel(20, func(int) {
		_, err := s.Load(t.Context(), r.ID)
		wantErr(t, "Load", err, context.DeadlineExceeded)
	})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("20 calls at once took %v, want about the time-out of a second", took)
	}
	server.Thaw()
	eventually(t, "recover", func() bool { _, err := s.Load(t.Context(), r.ID); return err == nil })
}

// Nobody gets a connection, but for a while.
func TestFaultPoolExhausted(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		db.SetMaxOpenConns(2)
		db.store(t)
		s := db.bare(t, sqlstore.Options{Timeout: 100 * time.Millisecond})
		r := create(t, s, newUser())
		var held []*sql.Conn
		for range 2 {
			conn, err := db.Conn(t.Context())
			must(t, err)
			held = append(held, conn)
		}
		_, err := s.Load(t.Context(), r.ID)
		wantErr(t, "Load", err, context.DeadlineExceeded)
		wantErr(t, "Delete", s.Delete(t.Context(), r.ID), context.DeadlineExceeded)
		for _, conn := range held {
			must(t, conn.Close())
		}
		wantLoaded(t, s, r)
	})
}

// The server takes no further connection, which is an error of its own.
func TestFaultServerFull(t *testing.T) {
	for _, e := range engines[:2] {
		t.Run(e.name, func(t *testing.T) {
			var dsn, says string
			if e.dialect == sqlstore.PostgreSQL {
				dsn, says = servers.StartPostgres(t, "-c", "max_connections=5", "-c", "max_wal_senders=0", "-c", "superuser_reserved_connections=0").DSN(), "too many clients"
			} else {
				dsn, says = servers.StartMariaDB(t, "--max-connections=10").DSN(), "Too many connections"
			}
			db, other := e.openDSN(t, dsn), e.openDSN(t, dsn)
			db.SetMaxIdleConns(0)
			db.store(t)
			s := db.bare(t, prompt)
			r := create(t, s, newUser())
			var held []*sql.Conn
			for {
				conn, err := other.Conn(t.Context())
				if err != nil {
					break
				}
				held = append(held, conn)
			}
			wantRefused(t, s, r, says)
			if _, err := s.Load(t.Context(), r.ID); err == nil || errors.Is(err, session.ErrNotFound) {
				t.Errorf("Load: got error %v, want another", err)
			}
			for _, conn := range held {
				must(t, conn.Close())
			}
			must(t, other.Close())
			eventually(t, "recover", func() bool { _, err := s.Load(t.Context(), r.ID); return err == nil })
			wantLoaded(t, s, r)
		})
	}
}

// Another transaction locks two rows of a user in the order that makes a deadlock
// with the revocation of all. The database ends one of the two; if that is the
// revocation, it is repeated.
func TestDeadlockIsRepeated(t *testing.T) {
	for _, e := range engines[:2] {
		t.Run(e.name, func(t *testing.T) {
			db := e.open(t)
			s := db.store(t)
			bystanders := createMany(t, s, 100)
			db.exec(t, map[sqlstore.Dialect]string{sqlstore.PostgreSQL: "ANALYZE %s", sqlstore.MySQL: "ANALYZE TABLE %s"}[db.dialect])
			for n := range 10 {
				deadlock(t, db, s, bystanders, n%2 == 1)
				if s.Stats().Retries > 0 {
					return
				}
			}
			t.Error("no revocation was the victim of a deadlock")
		})
	}
}

func deadlock(t *testing.T, db *database, s *sqlstore.Store, bystanders []*session.Record, backwards bool) {
	t.Helper()
	user := newUser()
	first, last := create(t, s, user), create(t, s, user, expiresIn(2*life))
	if backwards {
		first, last = last, first
	}
	conn, err := db.Conn(t.Context())
	must(t, err)
	defer conn.Close()
	exec := func(format string, args ...any) error {
		_, err := conn.ExecContext(t.Context(), fmt.Sprintf(format, args...))
		return err
	}
	if db.dialect == sqlstore.PostgreSQL {
		must(t, exec("SET deadlock_timeout = '1min'")) // so that it is the other one who looks
		defer func() { must(t, exec("RESET deadlock_timeout")) }()
	}
	must(t, exec("BEGIN"))
	for _, r := range bystanders[:10] { // MySQL ends the one that has done less
		must(t, exec("UPDATE %s SET user_agent = concat(user_agent, 'a') WHERE id = '%s'", db.table, r.ID))
	}
	must(t, exec("UPDATE %s SET user_agent = 'a' WHERE id = '%s'", db.table, last.ID))
	var revoked int
	ended := background(t.Context(), func(ctx context.Context) (err error) {
		revoked, err = s.DeleteUser(ctx, user, time.Now())
		return err
	})
	waiting(t, db, "DELETE")
	if err := exec("UPDATE %s SET user_agent = 'a' WHERE id = '%s'", db.table, first.ID); err != nil {
		t.Logf("the other transaction was the victim: %v", err)
	}
	_ = exec("COMMIT")
	must(t, <-ended)
	if revoked != 2 {
		t.Errorf("DeleteUser: got %d, want 2", revoked)
	}
	wantListed(t, s, user)
}

// waiting waits until a statement that begins like this waits for a lock.
func waiting(t *testing.T, db *database, statement string) {
	t.Helper()
	query := "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '" + statement + "%%%s%%'"
	if db.dialect == sqlstore.MySQL {
		query = "SELECT count(*) FROM information_schema.processlist WHERE time_ms > 100 AND info LIKE '" + statement + "%%%s%%'"
	}
	eventually(t, "wait for a lock", func() bool { return db.number(t, query) > 0 })
}

// Statements that take longer than lock_timeout are repeated until the time-out.
func TestLockTimeoutsAreRepeated(t *testing.T) {
	for e, parameter := range map[int]string{0: "lock_timeout=50", 1: "innodb_lock_wait_timeout=1"} {
		t.Run(engines[e].name, func(t *testing.T) {
			db := engines[e].open(t, parameter)
			s := db.store(t)
			r := create(t, s, newUser())
			tx, err := db.BeginTx(t.Context(), nil)
			must(t, err)
			defer func() { _ = tx.Rollback() }()
			_, err = tx.ExecContext(t.Context(), fmt.Sprintf("UPDATE %s SET user_agent = 'a' WHERE id = '%s'", db.table, r.ID))
			must(t, err)
			ended := background(t.Context(), func(ctx context.Context) error { return s.Delete(ctx, r.ID) })
			eventually(t, "be repeated", func() bool { return s.Stats().Retries > 0 })
			must(t, tx.Rollback())
			must(t, <-ended)
			wantGone(t, s, r.ID)
		})
	}
}

// SQLite has no more room. Nothing that was acknowledged is lost, and deleting and
// sweeping make room again.
func TestFaultDiskFull(t *testing.T) {
	db := engines[2].openDSN(t, sqliteDSN(filepath.Join(t.TempDir(), "full.db"), "_pragma=max_page_count(200)"))
	s := db.store(t)
	user := newUser()
	var stored []*session.Record
	var err error
	for len(stored) < 100_000 {
		r := newRecord(user, withValue("v", `"`+strings.Repeat("x", 2000)+`"`))
		if err = s.Create(t.Context(), r); err != nil {
			break
		}
		stored = append(stored, r)
	}
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Fatalf("got error %v after %d sessions, want that the disk is full", err, len(stored))
	}
	t.Logf("fault: %d sessions, then %v", len(stored), err)
	for _, r := range stored {
		wantLoaded(t, s, r)
	}
	wantListed(t, s, user, stored...)
	_, err = s.CreateLimited(t.Context(), newRecord(user, withValue("v", `"`+strings.Repeat("x", 60000)+`"`)), session.Limit{Max: len(stored)}, time.Now())
	if err == nil {
		t.Error("CreateLimited: got no error")
	}
	wantListed(t, s, user, stored...) // nobody was evicted for it
	must(t, s.Delete(t.Context(), stored[0].ID))
	wantLoaded(t, s, create(t, s, user))
	if n, err := s.Sweep(t.Context(), time.Now().Add(2*life)); err != nil || n != len(stored) {
		t.Errorf("Sweep: got %d and error %v, want %d", n, err, len(stored))
	}
}

// SQLite with a rollback journal refuses a COMMIT while somebody reads, and the
// transaction goes on. What others are told to be stored must not be part of it.
func TestFaultCommitRefused(t *testing.T) {
	dsn := "file:" + filepath.Join(t.TempDir(), "journal.db") + "?_pragma=journal_mode(DELETE)&_pragma=busy_timeout(50)"
	db := engines[2].openDSN(t, dsn)
	db.SetMaxOpenConns(2)
	db.store(t)
	s := db.bare(t, sqlstore.Options{Timeout: 500 * time.Millisecond})
	user := newUser()
	create(t, s, user)
	reader := db.again(t)
	tx := begin(t, reader)
	var n int
	must(t, tx.QueryRowContext(t.Context(), "SELECT count(*) FROM "+db.table).Scan(&n))
	refused := newRecord(user)
	if _, err := s.CreateLimited(t.Context(), refused, session.Limit{Max: 5}, time.Now()); err == nil {
		t.Fatal("CreateLimited while somebody reads: got no error")
	}
	must(t, tx.Rollback())
	other := reader.bare(t, prompt)
	for range 6 {
		wantLoaded(t, other, create(t, s, user))
	}
	if _, err := s.CreateLimited(t.Context(), newRecord(user), session.Limit{Max: 50}, time.Now()); err != nil {
		t.Errorf("CreateLimited: %v", err)
	}
	wantGone(t, other, refused.ID)
}

// A pooler, or the application, makes the server forget what was prepared.
func TestFaultPreparedStatementsForgotten(t *testing.T) {
	db := engines[0].open(t)
	db.SetMaxOpenConns(1)
	s := db.store(t)
	r := create(t, s, newUser())
	for range 3 {
		wantLoaded(t, s, r)
		_, err := db.ExecContext(t.Context(), "DISCARD ALL")
		must(t, err)
	}
	wantLoaded(t, s, r)
	wantListed(t, s, r.UserID, r)
}

// Whatever does not take writes says so, and goes on to answer what can be read.
func TestFaultReadOnly(t *testing.T) {
	primary := servers.StartPostgres(t)
	maria := servers.StartMariaDB(t)
	file := filepath.Join(t.TempDir(), "readonly.db")
	for _, test := range []struct {
		name     string
		engine   engine
		writable string
		readOnly func(t *testing.T, db *database) string // DSN
		says     string
	}{
		{"PostgreSQL, default_transaction_read_only", engines[0], primary.DSN(), func(*testing.T, *database) string {
			return primary.DSN("default_transaction_read_only=on")
		}, "read-only transaction"},
		{"PostgreSQL, a standby", engines[0], primary.DSN(), func(t *testing.T, _ *database) string {
			return primary.StartStandby(t).DSN()
		}, "read-only transaction"},
		{"MariaDB, read_only", engines[1], maria.DSN(), func(t *testing.T, db *database) string {
			db.exec(t, "CREATE USER %s IDENTIFIED BY 'x'")
			db.exec(t, "GRANT ALL ON test.* TO %s")
			_, err := db.ExecContext(t.Context(), "SET GLOBAL read_only = 1")
			must(t, err)
			return db.table + ":x@tcp(" + maria.Addr + ")/test"
		}, "read-only"},
		{"SQLite, mode=ro", engines[2], sqliteDSN(file), func(*testing.T, *database) string {
			return sqliteDSN(file, "mode=ro")
		}, "readonly"},
	} {
		t.Run(test.name, func(t *testing.T) {
			db := test.engine.openDSN(t, test.writable)
			r := create(t, db.store(t), newUser())
			replica := test.engine.openDSN(t, test.readOnly(t, db))
			replica.table = db.table
			s := replica.bare(t, sqlstore.Options{})
			eventually(t, "replicate", func() bool { _, err := s.Load(t.Context(), r.ID); return err == nil })
			wantListed(t, s, r.UserID, r)
			wantRefused(t, s, r, test.says)
			wantLoaded(t, s, r)
		})
	}
}

// wantRefused checks that every write fails, with a reason, and is no answer that
// the core would take for one.
func wantRefused(t *testing.T, s *sqlstore.Store, r *session.Record, says string) {
	t.Helper()
	_, limited := s.CreateLimited(t.Context(), newRecord(r.UserID), session.Limit{Max: 1}, time.Now())
	_, revoked := s.DeleteUser(t.Context(), r.UserID, time.Now())
	_, swept := s.Sweep(t.Context(), time.Now().Add(2*life))
	for call, err := range map[string]error{
		"Create": s.Create(t.Context(), newRecord("")), "CreateLimited": limited, "DeleteUser": revoked, "Sweep": swept,
		"Update": s.Update(t.Context(), changed(r), r.Version), "Delete": s.Delete(t.Context(), r.ID),
	} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got error %v, want that it is %s", call, err, says)
		}
		for _, answer := range []error{session.ErrNotFound, session.ErrConflict, session.ErrExists, session.ErrLimit} {
			if errors.Is(err, answer) {
				t.Errorf("%s: got %v", call, err)
			}
		}
	}
}
