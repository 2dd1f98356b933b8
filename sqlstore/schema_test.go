package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/sqlstore"
)

// Ten replicas start at once. The version row is inserted and never replaced, so
// that a step which is made twice would be an error.
func TestTenMigrationsAtOnceAreOne(t *testing.T) {
	const replicas = 10
	onEach(t, func(t *testing.T, db *database) {
		var pools []*database
		for range replicas {
			pools = append(pools, db.again(t))
		}
		parallel(replicas, func(i int) {
			if err := pools[i].bare(t, sqlstore.Options{}).Migrate(t.Context()); err != nil {
				t.Errorf("Migrate: %v", err)
			}
		})
		if n := db.number(t, "SELECT count(*) FROM %s_schema"); n != 1 {
			t.Errorf("got %d steps, want 1", n)
		}
		create(t, pools[0].store(t), newUser())
	})
}

func TestSchemaByHandIsAMigration(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		statements, err := sqlstore.Schema(db.dialect, &sqlstore.Options{Table: db.table})
		must(t, err)
		for _, text := range statements {
			_, err := db.ExecContext(t.Context(), text)
			must(t, err)
		}
		s := db.store(t) // migrates
		r := create(t, s, newUser())
		wantLoaded(t, s, r)
		if _, err := s.CreateLimited(t.Context(), newRecord(r.UserID), session.Limit{Max: 1}, time.Now()); err != nil {
			t.Errorf("CreateLimited: %v", err)
		}
	})
}

// MySQL commits every statement by itself: a migration that was interrupted is
// completed by the next one.
func TestMigrateOnMySQLGoesOnWhereItEnded(t *testing.T) {
	db := engines[1].open(t)
	statements, err := sqlstore.Schema(db.dialect, &sqlstore.Options{Table: db.table})
	must(t, err)
	for done := range statements {
		for _, text := range statements[:done] {
			_, err := db.ExecContext(t.Context(), strings.ReplaceAll(text, db.table, fmt.Sprint(db.table, done)))
			must(t, err)
		}
		useOnce(t, db, fmt.Sprint(db.table, done))
	}
}

// An older version of this package starts beside a newer one.
func TestMigrateLeavesANewerSchemaAlone(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		db.exec(t, "INSERT INTO %s_schema (name, version) VALUES ('table', 2)")
		must(t, s.Migrate(t.Context()))
		if n := db.number(t, "SELECT count(*) FROM %s_schema"); n != 2 {
			t.Errorf("got %d steps, want 2", n)
		}
	})
}

func TestMigrateStopsWaitingWithItsContext(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		release := holdMigration(t, db.again(t))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := db.bare(t, sqlstore.Options{}).Migrate(ctx)
		wantErr(t, "Migrate while another one has the lock", err, context.DeadlineExceeded)
		release()
		must(t, db.bare(t, sqlstore.Options{}).Migrate(t.Context()))
	})
}

// holdMigration makes other migrations wait until release is called.
func holdMigration(t *testing.T, db *database) (release func()) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	must(t, err)
	exec := func(text string) {
		_, err := conn.ExecContext(context.Background(), text)
		must(t, err)
	}
	switch db.dialect {
	case sqlstore.PostgreSQL:
		// The schema table is what a migration begins with.
		exec("BEGIN")
		exec(fmt.Sprintf("CREATE TABLE %s_schema (name text)", db.table))
	case sqlstore.MySQL:
		exec(fmt.Sprintf("CREATE TABLE %s_schema (name varchar(32) NOT NULL, version int NOT NULL, PRIMARY KEY (name, version))", db.table))
		exec(fmt.Sprintf("LOCK TABLES %s_schema WRITE", db.table))
		return func() { exec("UNLOCK TABLES"); must(t, conn.Close()) }
	case sqlstore.SQLite:
		exec("BEGIN IMMEDIATE")
	}
	return func() { exec("ROLLBACK"); must(t, conn.Close()) }
}

// What is up to date needs no rights but those to use the tables.
func TestMigrateOfWhatIsUpToDateNeedsNoRights(t *testing.T) {
	db := engines[0].open(t)
	db.store(t)
	db.exec(t, `CREATE ROLE "app%s" LOGIN`)
	db.exec(t, `GRANT SELECT, INSERT, UPDATE, DELETE ON %[1]s, %[1]s_schema TO "app%[1]s"`)
	limited := db.again(t)
	limited.SetMaxOpenConns(1)
	_, err := limited.ExecContext(t.Context(), fmt.Sprintf(`SET ROLE "app%s"`, db.table))
	must(t, err)
	if _, err := limited.ExecContext(t.Context(), "CREATE TABLE x"+db.table+" (x int)"); err == nil {
		t.Fatal("the role may create tables")
	}
	useOnce(t, limited, db.table)
}

// The lock of MySQL belongs to a connection: it has to be given back with it.
func TestMigrateGivesItsLockBack(t *testing.T) {
	db := engines[1].open(t)
	for range 3 {
		db.table += "x"
		must(t, db.bare(t, sqlstore.Options{}).Migrate(t.Context()))
	}
	if n := db.number(t, "SELECT count(*) FROM information_schema.processlist WHERE state = 'User lock' AND '%s' <> ''"); n != 0 {
		t.Errorf("got %d connections that wait for a lock, want none", n)
	}
}

// The application may have a table of this name, with columns that look alike.
func TestMigrateDoesNotTakeOverATable(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		db.exec(t, "CREATE TABLE %s (id varchar(24) PRIMARY KEY, user_id varchar(24), expires_at bigint)")
		for range 2 {
			if err := db.bare(t, sqlstore.Options{}).Migrate(t.Context()); err == nil {
				t.Error("got no error")
			}
		}
	})
}

// The tables are the seed's, for whoever joins them with the users.
func TestTableJoinsWithTheUsersTable(t *testing.T) {
	foreignKey := map[sqlstore.Dialect]string{
		sqlstore.PostgreSQL: "ALTER TABLE %[1]s ADD FOREIGN KEY (user_id) REFERENCES users%[1]s (id) ON DELETE CASCADE",
		sqlstore.MySQL:      "ALTER TABLE %[1]s ADD FOREIGN KEY (user_id) REFERENCES users%[1]s (id) ON DELETE CASCADE",
	}
	users := map[sqlstore.Dialect]string{
		sqlstore.PostgreSQL: "CREATE TABLE users%s (id text PRIMARY KEY, name text)",
		sqlstore.MySQL:      "CREATE TABLE users%s (id varbinary(1024) PRIMARY KEY, name text)",
		sqlstore.SQLite:     "CREATE TABLE users%s (id TEXT PRIMARY KEY, name TEXT)",
	}
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		db.exec(t, users[db.dialect])
		db.exec(t, "INSERT INTO users%s (id, name) VALUES ('ada', 'Ada'), ('bob', 'Bob')")
		if text := foreignKey[db.dialect]; text != "" {
			db.exec(t, text)
			if err := s.Create(t.Context(), newRecord("nobody")); err == nil {
				t.Error("Create for a user who is not there: got no error in spite of the foreign key")
			}
		}
		create(t, s, "ada")
		create(t, s, "ada")
		create(t, s, "bob")
		create(t, s, "")
		if n := db.number(t, "SELECT count(*) FROM %[1]s AS s JOIN users%[1]s AS u ON u.id = s.user_id WHERE u.name = 'Ada'"); n != 2 {
			t.Errorf("sessions of Ada: got %d, want 2", n)
		}
		if foreignKey[db.dialect] != "" {
			db.exec(t, "DELETE FROM users%s WHERE id = 'ada'")
			wantListed(t, s, "ada")
		}
	})
}

// A connection need not have a database of its own.
func TestMigrateWithoutADefaultDatabase(t *testing.T) {
	address, _, _ := strings.Cut(engines[1].dsn(t), "/test")
	db := engines[1].openDSN(t, address+"/")
	useOnce(t, db, "test."+db.table)
}

// MariaDB with a user who may do no more than docs/sql.md says.
func TestRightsThatTheApplicationNeedsOnMariaDB(t *testing.T) {
	server := servers.StartMariaDB(t)
	e := engines[1]
	// In the database "test" everybody has all rights.
	_, err := e.openDSN(t, server.DSN()).ExecContext(t.Context(), "CREATE DATABASE sessions")
	must(t, err)
	admin := e.openDSN(t, "root@tcp("+server.Addr+")/sessions")
	admin.store(t)
	_, err = admin.ExecContext(t.Context(), "CREATE USER app IDENTIFIED BY 'x'")
	must(t, err)
	for _, suffix := range []string{"", "_schema", "_lock"} {
		admin.exec(t, "GRANT SELECT, INSERT, UPDATE, DELETE ON sessions.%s"+suffix+" TO app")
	}
	app := e.openDSN(t, "app:x@tcp("+server.Addr+")/sessions")
	app.table = admin.table
	useOnce(t, app, app.table)
	if err := app.bare(t, sqlstore.Options{Table: "other"}).Migrate(t.Context()); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Migrate without the right to create: got error %v, want a refusal", err)
	}
}
