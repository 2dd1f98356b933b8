package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// lockSlots is how many rows the lock table has. Users share a row by hash: two
// of 256 sign-ins at a time wait for each other.
const lockSlots = 256

func (d *dialect) forMySQL() {
	// A lock on a row ends with the transaction, and is known to all nodes of a
	// cluster because the row is written.
	d.lock = d.prepare("UPDATE {lock} SET taken = taken + 1 WHERE slot = ?")
	d.batch, d.pace = 200, 20*time.Millisecond
	d.sweep = d.prepare("SELECT id FROM {t} WHERE expires_at <= ? ORDER BY expires_at LIMIT ? FOR UPDATE SKIP LOCKED")
	d.steps = []step{{name: "table", version: 1, statements: append(d.all(mysqlTables...), d.lockRows())}}
}

// Every statement is committed by itself, so that all of them have to work a second
// time, if a migration was interrupted.
//
// Text is binary: every collation that MySQL and MariaDB have in common takes "a"
// and "a " for the same user, and what is text there is converted from the charset
// of the connection, which need not be the one of the bytes.
var mysqlTables = []string{
	`CREATE TABLE IF NOT EXISTS {t} (
	id         char(24)       CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,
	user_id    varbinary(1024),
	token_hash binary(32)     NOT NULL,
	expires_at bigint         NOT NULL,
	ip_address varbinary(255) NOT NULL,
	user_agent varbinary(512) NOT NULL,
	created_at bigint         NOT NULL,
	updated_at bigint         NOT NULL,
	state      tinyint        NOT NULL,
	version    bigint         NOT NULL,
	record     mediumblob     NOT NULL,
	KEY {user index} (user_id, expires_at),
	KEY {expiry index} (expires_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
	// An error if the application has a table of this name already.
	"SELECT id, " + columns + " FROM {t} WHERE id = ''",
	`CREATE TABLE IF NOT EXISTS {lock} (
	slot  smallint PRIMARY KEY,
	taken bigint NOT NULL DEFAULT 0
) ENGINE = InnoDB`,
}

func (d *dialect) lockRows() string {
	rows := make([]string, lockSlots)
	for slot := range rows {
		rows[slot] = fmt.Sprintf("(%d)", slot)
	}
	return d.sql("INSERT IGNORE INTO {lock} (slot) VALUES " + strings.Join(rows, ", "))
}

// sweepOnMySQL frees a batch: MySQL knows no DELETE that skips locked rows. It
// deletes row by row, because a DELETE of a list of IDs looks at all rows of a small
// table, and waits for those that were skipped. READ COMMITTED locks rows and not
// the gaps between, into which new sessions want.
func (s *Store) sweepOnMySQL(ctx context.Context, now int64, limit int) (n int, err error) {
	opts := &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	err = s.inTx(ctx, opts, func(ctx context.Context) error {
		ids, err := s.ids(ctx, s.dialect.sweep, now, limit)
		for _, id := range ids {
			if err == nil {
				_, err = s.exec(ctx, s.dialect.delete, id)
			}
		}
		n = len(ids) // they are locked, so that nobody else deletes them
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
