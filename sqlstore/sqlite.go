package sqlstore

import "time"

func (d *dialect) forSQLite() {
	// It deletes nothing, and all the same makes the transaction the one that
	// writes: BEGIN IMMEDIATE, which drivers leave to their own settings. A
	// transaction that reads first could not write any more after another has.
	d.lock = d.prepare("DELETE FROM {t} WHERE id = ''")
	// Its writer works in the very process whose readers shall not wait for it.
	d.batch, d.pace = 200, time.Millisecond/2
	d.sweep = d.prepare("DELETE FROM {t} WHERE id IN (" +
		"SELECT id FROM {t} WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)")
	d.steps = []step{{name: "table", version: 1, statements: d.all(sqliteTable...)}}
}

var sqliteTable = []string{
	`CREATE TABLE {t} (
	id         TEXT    NOT NULL PRIMARY KEY,
	user_id    TEXT,
	token_hash BLOB    NOT NULL,
	expires_at INTEGER NOT NULL,
	ip_address TEXT    NOT NULL,
	user_agent TEXT    NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	state      INTEGER NOT NULL,
	version    INTEGER NOT NULL,
	record     BLOB    NOT NULL
) STRICT`,
	`CREATE INDEX {user index} ON {bare} (user_id, expires_at) WHERE user_id IS NOT NULL`,
	`CREATE INDEX {expiry index} ON {bare} (expires_at)`,
}
