package sqlstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/sqlstore"
)

// No statement looks at more rows than it is about. The plans are in docs/sql.md,
// from go test -v -run TestStatementsUseIndexes.
func TestStatementsUseIndexes(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			var parameters []string
			if e.dialect == sqlstore.PostgreSQL {
				parameters = []string{"default_query_exec_mode=simple_protocol"} // EXPLAIN takes no parameters
			}
			db := e.open(t, parameters...)
			s := db.store(t)
			r := populate(t, db, s)
			for _, st := range s.Statements(r.ID, r.UserID, time.Now().UnixMilli()) {
				if st.Name == "Create" {
					continue // there is nothing to look for
				}
				plan := db.explain(t, st.Text, st.Args...)
				t.Logf("plan: %s\n%s\n%s", st.Name, strings.ReplaceAll(st.Text, db.table, "session"), strings.ReplaceAll(plan, db.table, "session"))
				for _, bad := range []string{"Seq Scan", "type=ALL", "type=index\n", "SCAN " + db.table} {
					if strings.Contains(plan, bad) {
						t.Errorf("%s: got plan\n%s\nwant no %s", st.Name, plan, bad)
					}
				}
			}
		})
	}
}

// populate makes a table of 4,000 sessions, a quarter of them of users, some
// expired, and returns one of them.
func populate(t *testing.T, db *database, s session.Store) (one *session.Record) {
	t.Helper()
	createMany(t, s, 3000, expiresIn(time.Hour))
	createMany(t, s, 50, expiresIn(-time.Hour))
	parallel(8, func(lane int) {
		for i := range 120 {
			user := fmt.Sprint("user-", lane, "-", i/3)
			if err := s.Create(t.Context(), newRecord(user, expiresIn(time.Duration(1+i)*time.Minute))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	one = create(t, s, "user-1-1")
	switch db.dialect {
	case sqlstore.PostgreSQL:
		db.exec(t, "VACUUM ANALYZE %s")
	case sqlstore.MySQL:
		db.exec(t, "ANALYZE TABLE %s")
	}
	return one
}

// explain returns the plan of a statement, a line for each step.
func (d *database) explain(t *testing.T, text string, args ...any) string {
	t.Helper()
	verb := map[sqlstore.Dialect]string{
		sqlstore.PostgreSQL: "EXPLAIN (COSTS OFF) ", sqlstore.MySQL: "EXPLAIN ", sqlstore.SQLite: "EXPLAIN QUERY PLAN ",
	}[d.dialect]
	rows, err := d.QueryContext(t.Context(), verb+text, args...)
	must(t, err)
	defer rows.Close()
	names, err := rows.Columns()
	must(t, err)
	var plan strings.Builder
	for rows.Next() {
		values := make([]any, len(names))
		to := make([]any, len(names))
		for i := range values {
			to[i] = &values[i]
		}
		must(t, rows.Scan(to...))
		for i, v := range values {
			switch name := names[i]; {
			case d.dialect == sqlstore.PostgreSQL, name == "detail":
				fmt.Fprintf(&plan, "%s", v)
			case name == "type", name == "key", name == "rows", name == "Extra":
				fmt.Fprintf(&plan, "%s=%s ", name, inWords(v))
			}
		}
		plan.WriteString("\n")
	}
	must(t, rows.Err())
	return plan.String()
}

func inWords(v any) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}

// A change of values leaves the indexes alone (PostgreSQL calls such an update
// heap-only).
func TestUpdatesOfValuesTouchNoIndex(t *testing.T) {
	const sessions, updates = 20, 10
	db := engines[0].open(t)
	s := db.store(t)
	for range sessions {
		r := create(t, s, newUser())
		for range updates {
			next := changed(r, withValue("k", `"v"`))
			must(t, s.Update(t.Context(), next, r.Version))
			r = next
		}
	}
	eventually(t, "count updates", func() bool {
		return db.number(t, "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = '%s'") == sessions*updates
	})
	if hot := db.number(t, "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = '%s'"); hot < sessions*updates*9/10 {
		t.Errorf("got %d heap-only updates of %d, want nearly all", hot, sessions*updates)
	}
}
