package storetest_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
	"github.com/updateage/session/storetest"
)

func breakages() []breakage {
	return slices.Concat(brokenRecords, brokenWrites, brokenUsers, brokenLimits, brokenPatches, brokenSweeps, brokenFeeds)
}

func TestRunPassesAGoodStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) session.Store { return memstore.New(memstore.Options{}) })
}

func TestRunPassesAStoreWithoutOptionalInterfaces(t *testing.T) {
	storetest.Run(t, func(t *testing.T) session.Store {
		return struct{ session.Store }{memstore.New(memstore.Options{})}
	})
}

func TestRunPassesAGoodFeed(t *testing.T) {
	good := breakage{do: func(*broken) {}}
	storetest.Run(t, func(*testing.T) session.Store { return good.breakStore() })
}

func TestBrokenStoresFailTheRightRule(t *testing.T) {
	for _, br := range breakages() {
		t.Run("a store that "+br.store, func(t *testing.T) {
			t.Parallel()
			for _, name := range br.rules {
				if failures := storetest.Failures(t, name, br.breakStore()); len(failures) == 0 {
					t.Errorf("passes the rule %q", name)
				}
			}
		})
	}
}

// A rule that nothing breaks might check nothing.
func TestEveryRuleIsBrokenByAStore(t *testing.T) {
	broken := make(map[string]bool)
	for _, br := range breakages() {
		for _, name := range br.rules {
			broken[name] = true
		}
	}
	for name := range storetest.Rules() {
		if !broken[name] {
			t.Errorf("no store breaks the rule %q", name)
		}
	}
}

func TestEveryRuleSaysWhyAndWhere(t *testing.T) {
	rules := storetest.Rules()
	if got, want := len(rules), storetest.Count(); got != want {
		t.Errorf("got %d names for %d rules", got, want)
	}
	reason := regexp.MustCompile(`^.{20,} \(rules_[a-z]+\.go:[0-9]+\)$`)
	for name, why := range rules {
		if !reason.MatchString(why) {
			t.Errorf("rule %q: got reason %q, want one with its source line", name, why)
		}
	}
}

func ExampleRun() {
	var t *testing.T // that of a test function of yours
	storetest.Run(t, func(t *testing.T) session.Store {
		return memstore.New(memstore.Options{})
	})
}

func ExampleBench() {
	var b *testing.B // that of a benchmark function of yours
	storetest.Bench(b, func(b *testing.B) session.Store {
		return memstore.New(memstore.Options{})
	})
}
