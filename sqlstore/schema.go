package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// step is a change of the schema. Steps are only ever added.
type step struct {
	name       string
	version    int
	statements []string
	intact     string // asks whether what it made is in place; empty: surely
	noted      bool   // in the schema table
}

// schemaTable is where it stands which steps were made. Its primary key makes a
// step that is made twice an error.
const schemaTable = `CREATE TABLE IF NOT EXISTS {schema} (
	name    varchar(32) NOT NULL,
	version int         NOT NULL,
	PRIMARY KEY (name, version)
)`

// all returns the statements of the step, of which the last notes that it is made.
func (st step) all(d *dialect) []string {
	if st.noted {
		return st.statements
	}
	note := d.sql(fmt.Sprintf("INSERT INTO {schema} (name, version) VALUES ('%s', %d)", st.name, st.version))
	return append(st.statements[:len(st.statements):len(st.statements)], note)
}

// Schema returns the statements that Migrate executes on a database without
// tables, in order, for those who apply them by other means: once, each by
// itself. opts may be nil.
func Schema(d Dialect, opts *Options) ([]string, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	dialect, err := o.withDefaults().check(d)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: schema: %w", err)
	}
	statements := []string{dialect.sql(schemaTable)}
	for _, st := range dialect.steps {
		statements = append(statements, st.all(dialect)...)
	}
	return statements, nil
}

// Migrate creates the tables, or brings them up to date. What is up to date it
// leaves alone, as well as what a newer version of this package has made. Triggers
// of Options.Notify that somebody has dropped or disabled it creates anew. Any
// number of processes may call it at once: one does it, under a lock, and the
// others wait until it is done or ctx is. It takes rights that the application
// need not have otherwise: CREATE, on MySQL also INDEX. Nothing else in this
// package changes the schema.
//
// On a MySQL cluster of several writers, whose named locks know one node only,
// call it in one place.
func (s *Store) Migrate(ctx context.Context) error {
	if missing, err := s.missing(ctx, s.db); err == nil && len(missing) == 0 {
		return nil // needs no rights
	}
	if err := s.migrate(ctx); err != nil {
		return fmt.Errorf("sqlstore: migrate: %w", because(ctx, err))
	}
	return nil
}

func (s *Store) migrate(ctx context.Context) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	m := &migration{s.dialect, conn}
	if err := m.lock(ctx); err != nil {
		return err
	}
	err = m.apply(ctx, s.missing)
	return errors.Join(err, m.unlock(ctx, err == nil))
}

// asker is a database or a connection.
type asker interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// missing returns the steps that were not made yet, or were undone.
func (s *Store) missing(ctx context.Context, on asker) ([]step, error) {
	made, err := s.made(ctx, on)
	if err != nil {
		return nil, err
	}
	var missing []step
	for _, st := range s.dialect.steps {
		st.noted = made[stepKey{st.name, st.version}]
		intact := st.noted
		if st.noted && st.intact != "" {
			if intact, err = isTrue(ctx, on, st.intact); err != nil {
				return nil, err
			}
		}
		if !intact {
			missing = append(missing, st)
		}
	}
	return missing, nil
}

type stepKey struct {
	name    string
	version int
}

// made returns the steps that the schema table says were made.
func (s *Store) made(ctx context.Context, on asker) (map[stepKey]bool, error) {
	rows, err := on.QueryContext(ctx, s.dialect.sql("SELECT name, version FROM {schema}"))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	made := make(map[stepKey]bool)
	for rows.Next() {
		var k stepKey
		if err := rows.Scan(&k.name, &k.version); err != nil {
			return nil, err
		}
		made[k] = true
	}
	return made, rows.Err()
}

// isTrue asks a question.
func isTrue(ctx context.Context, on asker, question string) (yes bool, err error) {
	rows, err := on.QueryContext(ctx, question)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if rows.Next() {
		err = rows.Scan(&yes)
	}
	return yes, errors.Join(err, rows.Err())
}

// migration is what goes on on the connection that has the lock.
type migration struct {
	*dialect
	conn *sql.Conn
}

func (m *migration) apply(ctx context.Context, missing func(context.Context, asker) ([]step, error)) error {
	if _, err := m.conn.ExecContext(ctx, m.sql(schemaTable)); err != nil {
		return err
	}
	steps, err := missing(ctx, m.conn)
	if err != nil {
		return err
	}
	for _, st := range steps {
		for _, text := range st.all(m.dialect) {
			if _, err := m.conn.ExecContext(ctx, text); err != nil {
				return fmt.Errorf("step %s %d: %w", st.name, st.version, err)
			}
		}
	}
	return nil
}

// lock waits until nobody else migrates. On PostgreSQL and SQLite it begins a
// transaction, in which a migration is made whole or not at all. MySQL commits
// every statement by itself; those of a step can be executed again.
func (m *migration) lock(ctx context.Context) error {
	switch m.kind {
	case PostgreSQL:
		if _, err := m.conn.ExecContext(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED"); err != nil {
			return err
		}
		return m.exec(ctx, "SELECT pg_advisory_xact_lock("+fmt.Sprint(int64(m.hash("migrate", "")))+")")
	case MySQL:
		return m.lockOnMySQL(ctx)
	}
	for attempt := 0; ; attempt++ {
		_, err := m.conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		if err == nil || !m.contended(err) || pause(ctx, attempt) != nil {
			return err
		}
	}
}

// exec executes a statement and throws the connection away if that fails.
func (m *migration) exec(ctx context.Context, text string) error {
	_, err := m.conn.ExecContext(ctx, text)
	if err != nil {
		m.abandon()
	}
	return err
}

// lockOnMySQL takes a lock that belongs to the connection. It may take a while,
// which the server interrupts now and then to see whether anybody waits.
func (m *migration) lockOnMySQL(ctx context.Context) error {
	for {
		var got sql.NullInt64
		err := m.conn.QueryRowContext(ctx, "SELECT GET_LOCK("+m.lockName()+", 5)").Scan(&got)
		switch {
		case err != nil:
			return err
		case got.Int64 == 1:
			return nil
		case !got.Valid:
			return errors.New("GET_LOCK failed")
		}
	}
}

// lockName returns an expression: the server has one set of locks for all of its
// databases.
func (m *migration) lockName() string {
	return fmt.Sprintf("CONCAT('sqlstore.', MD5(CONCAT(COALESCE(DATABASE(), ''), '.%x')))", m.hash("migrate", ""))
}

// unlock ends the transaction or gives the lock back, also when ctx is done by
// now.
func (m *migration) unlock(ctx context.Context, ok bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	switch {
	case m.kind == MySQL:
		return m.exec(ctx, "DO RELEASE_LOCK("+m.lockName()+")")
	case ok:
		return m.exec(ctx, "COMMIT")
	}
	return m.exec(ctx, "ROLLBACK")
}

// abandon closes the connection, with whatever it holds, instead of giving it
// back to the pool.
func (m *migration) abandon() {
	_ = m.conn.Raw(func(any) error { return driver.ErrBadConn })
}
