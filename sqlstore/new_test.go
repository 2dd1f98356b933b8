package sqlstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/sqlstore"
)

func TestNewReportsEveryMistake(t *testing.T) {
	_, err := sqlstore.New(nil, 0, &sqlstore.Options{Table: "a.b.c", Timeout: -1, Notify: true})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"no database", "Dialect(0)", "a.b.c", "Timeout", "Notify"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got error %q, want it to tell of %s", err, want)
		}
	}
	if _, err := sqlstore.Schema(sqlstore.MySQL, &sqlstore.Options{Notify: true}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Schema for MySQL with Notify: got error %v, want %v", err, errors.ErrUnsupported)
	}
}

func TestTableNames(t *testing.T) {
	for _, test := range []struct {
		name, table string
		ok          bool
	}{
		{"one of 40 bytes", strings.Repeat("x", 40), true},
		{"one in a schema", "auth.session", true},
		{"any character", "a b;'\"`ü$1?%s{t}", true},
		{"more than 40 bytes", strings.Repeat("x", 41), false},
		{"a schema of more than 40 bytes", strings.Repeat("x", 41) + ".session", false},
		{"two dots", "a.b.c", false},
		{"a schema without a table", "auth.", false},
		{"a table without a schema", ".session", false},
		{"a NUL byte", "a\x00b", false},
		{"a line break", "a\nb", false},
		{"no UTF-8", "a\xff", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := sqlstore.Schema(sqlstore.SQLite, &sqlstore.Options{Table: test.table})
			if got := err == nil; got != test.ok {
				t.Errorf("got error %v, want ok = %v", err, test.ok)
			}
		})
	}
}

func TestDialectsHaveNames(t *testing.T) {
	got := fmt.Sprint(sqlstore.PostgreSQL, sqlstore.MySQL, sqlstore.SQLite, sqlstore.Dialect(9))
	if want := "PostgreSQL MySQL SQLite Dialect(9)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A table's name is a name, whatever is in it, and two names are two tables.
func TestOddTableNamesAreNames(t *testing.T) {
	names := []string{
		`se"ss'ion`, "se`ssion", "Session", "select", "a b", "ta;DROP TABLE x--", "tüble 𝄞", `back\slash`, "$1 ? %s", "{t}{lock}",
		strings.Repeat("long", 10),
	}
	onEach(t, func(t *testing.T, db *database) {
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				if db.dialect == sqlstore.MySQL && strings.Contains(name, "𝄞") {
					name = "tüble" // MySQL's names are of the basic plane
				}
				useOnce(t, db, name)
			})
		}
	})
}

func TestTableInASchema(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		switch db.dialect {
		case sqlstore.PostgreSQL:
			db.exec(t, `CREATE SCHEMA "in%s"`)
		case sqlstore.MySQL:
			db.exec(t, "CREATE DATABASE `in%s`")
		case sqlstore.SQLite:
			db.SetMaxOpenConns(1) // to which another database is attached
			db.exec(t, "ATTACH ':memory:' AS in%s")
		}
		useOnce(t, db, "in"+db.table+".session")
	})
}

// useOnce uses every statement once, on a table of that name.
func useOnce(t *testing.T, db *database, table string) {
	t.Helper()
	s := db.bare(t, sqlstore.Options{Table: table, Timeout: patience})
	must(t, s.Migrate(t.Context()))
	must(t, s.Migrate(t.Context()))
	user := newUser()
	r := create(t, s, user)
	wantErr(t, "Create of another", s.Create(t.Context(), changed(r)), session.ErrExists)
	next := changed(r)
	must(t, s.Update(t.Context(), next, r.Version))
	wantLoaded(t, s, next)
	limited := newRecord(user)
	evicted, err := s.CreateLimited(t.Context(), limited, session.Limit{Max: 1}, time.Now())
	must(t, err)
	if len(evicted) != 1 || evicted[0] != r.ID {
		t.Errorf("CreateLimited: got evicted %q, want %q", evicted, r.ID)
	}
	wantListed(t, s, user, limited)
	n, err := s.DeleteUser(t.Context(), user, time.Now(), newID(user))
	if n != 1 || err != nil {
		t.Errorf("DeleteUser: got %d and error %v, want 1", n, err)
	}
	due := create(t, s, "")
	n, err = s.Sweep(t.Context(), due.ExpiresAt)
	if n != 1 || err != nil {
		t.Errorf("Sweep: got %d and error %v, want 1", n, err)
	}
	must(t, s.Delete(t.Context(), due.ID))
}

func TestCloseIsIdempotentAndLeavesTheDatabaseOpen(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		create(t, s, newUser())
		must(t, s.Close())
		must(t, s.Close())
		must(t, db.PingContext(t.Context()))
	})
}
