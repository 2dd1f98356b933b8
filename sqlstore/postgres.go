package sqlstore

import (
	"fmt"
	"strings"
	"time"

	"github.com/updateage/session/sqlstore/internal/table"
)

func (d *dialect) forPostgres(notify bool) {
	// The isolation tells whether a transaction that is not ours will see what
	// others have committed while it waited for the lock.
	d.lock = d.prepare("SELECT pg_advisory_xact_lock(?), current_setting('transaction_isolation')")
	d.batch, d.pace = 1000, 2*time.Millisecond
	// SKIP LOCKED lets several sweep at once, and never waits for a request.
	d.sweep = d.prepare("DELETE FROM {t} WHERE id = ANY (ARRAY(" +
		"SELECT id FROM {t} WHERE expires_at <= ? ORDER BY expires_at LIMIT ? FOR UPDATE SKIP LOCKED))")
	d.steps = []step{{name: "table", version: 1, statements: d.all(postgresTable...)}}
	if notify {
		d.steps = append(d.steps, step{name: "feed", version: 1, statements: d.feed(), intact: d.feedIntact()})
	}
}

// Text is compared byte by byte (COLLATE "C"): "a", "A" and "a " are three users.
// The fillfactor leaves room for a new version of a row beside the old one, so
// that a change of values touches no index.
var postgresTable = []string{
	`CREATE TABLE {t} (
	id         text COLLATE "C" PRIMARY KEY,
	user_id    text COLLATE "C",
	token_hash bytea    NOT NULL,
	expires_at bigint   NOT NULL,
	ip_address text     NOT NULL,
	user_agent text     NOT NULL,
	created_at bigint   NOT NULL,
	updated_at bigint   NOT NULL,
	state      smallint NOT NULL,
	version    bigint   NOT NULL,
	record     bytea    NOT NULL
) WITH (fillfactor = 85)`,
	`CREATE INDEX {user index} ON {t} (user_id, expires_at) WHERE user_id IS NOT NULL`,
	`CREATE INDEX {expiry index} ON {t} (expires_at)`,
}

// feed returns the statements that make the table tell of changes. A trigger
// misses no writer: not this store, not another program, not an administrator.
// What has expired ten minutes ago may go without a word, as no cache serves it;
// so that a sweep does not fill the queue of notifications.
func (d *dialect) feed() []string {
	names := d.table.Triggers()
	quoted := func(name string) string { return table.Table{}.With(name).Quote(d.quote) }
	replace := strings.NewReplacer(
		"{function}", d.table.With("_feed").Quote(d.quote),
		"{updated}", quoted(names[0]),
		"{deleted}", quoted(names[1]),
		"{truncated}", quoted(names[2]),
		"{channel}", table.Literal(d.table.Channel()),
		"{t}", d.table.Quote(d.quote),
	)
	statements := make([]string, len(postgresFeed))
	for i, text := range postgresFeed {
		statements[i] = replace.Replace(text)
	}
	return statements
}

// feedIntact returns a question whether all triggers are there and enabled.
func (d *dialect) feedIntact() string {
	var names []string
	for _, name := range d.table.Triggers() {
		names = append(names, table.Literal(name))
	}
	return fmt.Sprintf("SELECT count(*) = %d FROM pg_catalog.pg_trigger WHERE tgrelid = to_regclass(%s)"+
		" AND tgname IN (%s) AND tgenabled IN ('O', 'A')",
		len(names), table.Literal(d.table.Quote(d.quote)), strings.Join(names, ", "))
}

// Each of them works a second time, if triggers were dropped or disabled.
var postgresFeed = []string{
	`CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS '
BEGIN
	IF TG_OP = ''TRUNCATE'' THEN
		PERFORM pg_catalog.pg_notify(TG_ARGV[0], ''*'');
	ELSE
		PERFORM pg_catalog.pg_notify(TG_ARGV[0], OLD.id);
	END IF;
	RETURN NULL;
END'`,
	`DROP TRIGGER IF EXISTS {updated} ON {t}`,
	`CREATE TRIGGER {updated} AFTER UPDATE ON {t}
	FOR EACH ROW EXECUTE FUNCTION {function}({channel})`,
	`DROP TRIGGER IF EXISTS {deleted} ON {t}`,
	`CREATE TRIGGER {deleted} AFTER DELETE ON {t}
	FOR EACH ROW WHEN (OLD.expires_at > extract(epoch FROM clock_timestamp()) * 1000 - 600000)
	EXECUTE FUNCTION {function}({channel})`,
	`DROP TRIGGER IF EXISTS {truncated} ON {t}`,
	`CREATE TRIGGER {truncated} AFTER TRUNCATE ON {t}
	FOR EACH STATEMENT EXECUTE FUNCTION {function}({channel})`,
}
