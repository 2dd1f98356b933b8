// Package storetest checks whether a [session.Store] keeps its contract. A test
// of ten lines is all a store needs:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) session.Store {
//			db := openTestDatabase(t) // with t.Cleanup
//			return mystore.New(db)
//		})
//	}
//
//	func BenchmarkStore(b *testing.B) {
//		storetest.Bench(b, func(b *testing.B) session.Store { return mystore.New(openTestDatabase(b)) })
//	}
//
// Every promise of the contract is a rule, and every rule a subtest whose name
// says what is promised. What fails tells why the promise matters and where the
// rule stands. Run it with -race: some rules let many callers loose on the store.
//
// # Servers
//
// The rules use random session and user IDs and never assume an empty store, so
// that every store may be a connection to the same server. Let it be a server
// for tests all the same: the rules of [session.Sweeper] sweep as if an hour had
// passed. The clocks of both sides may differ by some minutes.
package storetest

import (
	"context"
	"fmt"
	"path"
	"runtime"
	"testing"
	"time"

	"github.com/updateage/session"
)

// patience is how long a rule may take: a store that blocks for ever fails.
const patience = time.Minute

// group is the rules for one interface.
type group struct {
	name    string
	offered func(session.Store) bool
	rules   [][]rule
}

var groups = []group{
	{"session.Store", is[session.Store], [][]rule{recordRules, updateRules, deleteRules, userRules, signInRules}},
	{"session.LimitedCreator", is[session.LimitedCreator], [][]rule{limitRules}},
	{"session.Patcher", is[session.Patcher], [][]rule{patchRules}},
	{"session.Sweeper", is[session.Sweeper], [][]rule{sweepRules}},
	{"session.Feed", is[session.Feed], [][]rule{feedRules}},
}

func is[Interface any](store session.Store) bool {
	_, ok := store.(Interface)
	return ok
}

// rule is one promise of the contract.
type rule struct {
	name  string
	why   string // with the rule's source line
	check func(*trial)
}

// because returns the reason for a rule together with the line it stands in.
func because(reason string) string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf("%s (%s:%d)", reason, path.Base(file), line)
}

// Run checks the store that newStore returns against the contract in the
// documentation of [session.Store], and against that of [session.LimitedCreator],
// [session.Patcher], [session.Sweeper] and [session.Feed] as far as the store
// implements them. It calls newStore for every rule and once beforehand; newStore cleans up with
// t.Cleanup and ends the test with t.Fatal when there is no store to be had.
func Run(t *testing.T, newStore func(t *testing.T) session.Store) {
	store := newStore(t)
	for _, g := range groups {
		if !g.offered(store) {
			t.Logf("%T is no %s, the rules for it do not apply", store, g.name)
			continue
		}
		for _, rules := range g.rules {
			for _, r := range rules {
				t.Run(r.name, func(t *testing.T) { r.run(t, newStore(t)) })
			}
		}
	}
}

func (r rule) run(t *testing.T, store session.Store) {
	for _, failure := range r.failures(t.Context(), store, hearing) {
		t.Errorf("%s\n\trule: %s", failure, r.why)
	}
}

// failures tries the rule on the store. It has a goroutine of its own, so that
// trial.fatalf can end it without a test.
func (r rule) failures(ctx context.Context, store session.Store, hearing time.Duration) []string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t := &trial{ctx: ctx, store: store, now: time.Now().UTC().Truncate(time.Millisecond), hearing: hearing}
	t.parallel(1, func(int) { r.check(t) })
	return t.failed
}
