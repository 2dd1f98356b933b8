package sqlstore_test

import (
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/storetest"
)

// keepsContract checks the whole contract, on two pools that take turns.
func keepsContract(t *testing.T, dbs ...*database) {
	for _, db := range dbs {
		db.store(t)
	}
	n := 0
	storetest.Run(t, func(t *testing.T) session.Store {
		n++
		return dbs[n%len(dbs)].store(t)
	})
}

func TestStoreKeepsItsContract(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) { keepsContract(t, db) })
}

// With one connection whatever takes a second one while it has the first would
// wait for ever.
func TestStoreKeepsItsContractWithOneConnection(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		db.SetMaxOpenConns(1)
		keepsContract(t, db)
	})
}

// The settings of a connection are the application's.
func TestStoreKeepsItsContractWith(t *testing.T) {
	for _, test := range []struct {
		name       string
		engine     engine
		parameters []string
	}{
		{"transactions that are serializable by default", engines[0], []string{"default_transaction_isolation=serializable"}},
		{"transactions that are repeatable by default", engines[0], []string{"default_transaction_isolation=repeatable%20read"}},
		{"statements that pgx does not prepare", engines[0], []string{"default_query_exec_mode=exec"}},
		{"transactions that are serializable by default", engines[1], []string{"tx_isolation=%27SERIALIZABLE%27"}},
		{"transactions that read what is committed by default", engines[1], []string{"tx_isolation=%27READ-COMMITTED%27"}},
		{"found rows counted as affected", engines[1], []string{"clientFoundRows=true"}},
		{"parameters that the client interpolates", engines[1], []string{"interpolateParams=true"}},
		{"a server that is not strict", engines[1], []string{"sql_mode=%27ANSI_QUOTES,NO_BACKSLASH_ESCAPES%27"}},
		{"rollback journal and no busy time-out", engines[2], []string{"_pragma=journal_mode(DELETE)&_pragma=synchronous(OFF)&_pragma=busy_timeout(0)"}},
		{"transactions that begin as writers", engines[2], []string{"_txlock=immediate"}},
	} {
		t.Run(test.engine.name+", "+test.name, func(t *testing.T) {
			keepsContract(t, test.engine.open(t, test.parameters...))
		})
	}
}
