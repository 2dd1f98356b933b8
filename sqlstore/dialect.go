package sqlstore

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/sqlstore/internal/table"
)

// dialect is what differs from one database to the next: the statements, most of
// which are the same, and how errors are told apart.
type dialect struct {
	kind  Dialect
	quote string
	table table.Table

	load, list, version    *statement
	create, update, delete *statement
	deleteUser             [2]*statement // with so many exceptions
	deleteExpired          [2]*statement // before that, on MySQL
	lock, rivals           *statement    // of CreateLimited
	lockRivals             *statement    // the same in a transaction that may have an old view
	sweep                  *statement
	batch                  int           // rows that are swept at once, at most
	pace                   time.Duration // that this may take

	steps []step
}

// columns are those of a record but for its ID, in the order of row.
const columns = "user_id, token_hash, expires_at, ip_address, user_agent, created_at, updated_at, state, version, record"

func newDialect(kind Dialect, name table.Table, notify bool) *dialect {
	d := &dialect{kind: kind, quote: `"`, table: name}
	if kind == MySQL {
		d.quote = "`"
	}
	d.load = d.prepare("SELECT " + columns + " FROM {t} WHERE id = ?")
	d.list = d.prepare("SELECT id, " + columns + " FROM {t} WHERE user_id = ? AND expires_at > ? AND state <> {moved}")
	d.version = d.prepare("SELECT version FROM {t} WHERE id = ?")
	d.create = d.prepare("INSERT INTO {t} (id, " + columns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" + d.unlessThere())
	d.update = d.prepare("UPDATE {t} SET token_hash = ?, expires_at = ?, ip_address = ?, user_agent = ?, updated_at = ?," +
		" state = ?, version = ?, record = ? WHERE id = ? AND version = ?")
	d.delete = d.prepare("DELETE FROM {t} WHERE id = ?")
	for n := range d.deleteUser {
		d.deleteUser[n], d.deleteExpired[n] = d.prepare(d.deleteText(n)), d.prepare(d.deleteExpiredText(n))
	}
	rivals := "SELECT id FROM {t} WHERE user_id = ? AND expires_at > ? AND state = {signedIn}" +
		" ORDER BY expires_at, created_at, id"
	d.rivals, d.lockRivals = d.prepare(rivals), d.prepare(rivals)
	switch kind {
	case PostgreSQL:
		d.forPostgres(notify)
	case MySQL:
		d.forMySQL()
		d.lockRivals = d.prepare(rivals + " FOR UPDATE")
	case SQLite:
		d.forSQLite()
	}
	return d
}

// unlessThere makes an INSERT do nothing where the ID is taken. MySQL has no such
// clause that would not hide other errors as well.
func (d *dialect) unlessThere() string {
	if d.kind == MySQL {
		return ""
	}
	return " ON CONFLICT (id) DO NOTHING"
}

// prepare returns the statement with the table's name, which comes last: it may
// contain anything.
func (d *dialect) prepare(text string) *statement {
	return &statement{text: d.sql(text), once: d.kind == PostgreSQL}
}

// once is prepare for a statement that is seldom the same.
func (d *dialect) once(text string) *statement { return &statement{text: d.sql(text), once: true} }

// sql writes a statement in the dialect. What is in braces is replaced; question
// marks become $1, $2 and so on for PostgreSQL.
func (d *dialect) sql(text string) string {
	if d.kind == PostgreSQL {
		var b strings.Builder
		for n := 1; ; n++ {
			before, after, found := strings.Cut(text, "?")
			b.WriteString(before)
			if !found {
				break
			}
			fmt.Fprintf(&b, "$%d", n)
			text = after
		}
		text = b.String()
	}
	return strings.NewReplacer(
		"{t}", d.table.Quote(d.quote),
		"{bare}", d.table.Bare().Quote(d.quote),
		"{lock}", d.table.With("_lock").Quote(d.quote),
		"{schema}", d.table.With("_schema").Quote(d.quote),
		"{user index}", d.indexName("_user_id_idx"),
		"{expiry index}", d.indexName("_expires_at_idx"),
		"{signedIn}", fmt.Sprint(uint8(session.StateSignedIn)),
		"{moved}", fmt.Sprint(uint8(session.StateMoved)),
	).Replace(text)
}

// all is sql for several statements.
func (d *dialect) all(texts ...string) []string {
	statements := make([]string, len(texts))
	for i, text := range texts {
		statements[i] = d.sql(text)
	}
	return statements
}

// indexName returns the name of an index. SQLite wants the schema there and not
// with the table, PostgreSQL the other way round.
func (d *dialect) indexName(suffix string) string {
	name := d.table.With(suffix)
	if d.kind != SQLite {
		name = name.Bare()
	}
	return name.Quote(d.quote)
}

// hash returns a number for a lock on something of the table's.
func (d *dialect) hash(kind, name string) uint64 {
	sum := sha256.Sum256([]byte("sqlstore " + kind + "\x00" + d.table.String() + "\x00" + name))
	return binary.BigEndian.Uint64(sum[:])
}

func (d *dialect) close() (err error) {
	all := []*statement{d.load, d.list, d.version, d.create, d.update, d.delete, d.lock, d.rivals, d.lockRivals, d.sweep}
	for _, st := range slices.Concat(all, d.deleteUser[:], d.deleteExpired[:]) {
		err = errors.Join(err, st.close())
	}
	return err
}
