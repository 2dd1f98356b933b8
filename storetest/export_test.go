package storetest

import (
	"testing"
	"time"

	"github.com/updateage/session"
)

// Rules returns the name of every rule with its reason.
func Rules() map[string]string {
	all := make(map[string]string)
	for _, r := range everyRule() {
		all[r.name] = r.why
	}
	return all
}

// Count is how many rules there are.
func Count() int { return len(everyRule()) }

// Failures tries the rule of that name on the store, without much patience.
func Failures(t *testing.T, name string, store session.Store) []string {
	for _, r := range everyRule() {
		if r.name == name {
			return r.failures(t.Context(), store, 50*time.Millisecond)
		}
	}
	t.Fatalf("there is no rule %q", name)
	return nil
}

func everyRule() (all []rule) {
	for _, g := range groups {
		for _, rules := range g.rules {
			all = append(all, rules...)
		}
	}
	return all
}
