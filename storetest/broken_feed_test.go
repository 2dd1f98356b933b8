package storetest_test

import (
	"context"
	"slices"
	"sync"
)

var brokenFeeds = []breakage{
	{"tells of no Update", []string{followTells}, silentAt("Update")},
	{"tells of no Delete", []string{followTells}, silentAt("Delete")},
	{"tells of no DeleteUser", []string{followTells}, silentAt("DeleteUser")},
	{"tells of no Patch", []string{followTells}, silentAt("Patch")},
	{"tells of no eviction", []string{followTells}, silentAt("CreateLimited")},
	{"is never healthy", []string{followTells}, func(b *broken) { b.feed.sick = true }},
	{"tells of several changes at once",
		[]string{"Follow makes its calls one at a time"}, func(b *broken) { b.feed.hasty = true }},
	{"ends without an error",
		[]string{"Follow ends with its context and returns its error"}, func(b *broken) { b.feed.ends = true }},
	{"follows for ever",
		[]string{"Follow ends with its context and returns its error"}, func(b *broken) { b.feed.stays = true }},
}

const followTells = "Follow tells of every record that is updated, patched or deleted"

func silentAt(call string) func(*broken) {
	return func(b *broken) { b.feed.silent = call }
}

// feed tells followers of changes, as well as the rest of it lets it.
type feed struct {
	silent string // a call of which it does not tell
	sick   bool   // it is never healthy
	hasty  bool   // it does not wait for the call before
	ends   bool   // it ends without an error
	stays  bool   // it does not end

	mu        sync.Mutex
	followers []func(id string) // guarded by mu
}

func (f *feed) tell(call string, ids ...string) {
	if call == f.silent {
		return
	}
	f.mu.Lock()
	followers := slices.Clone(f.followers)
	if f.hasty {
		f.mu.Unlock()
	} else {
		defer f.mu.Unlock()
	}
	for _, id := range ids {
		for _, changed := range followers {
			changed(id)
		}
	}
}

func (b *broken) Follow(ctx context.Context, changed func(id string), healthy func(ok bool)) error {
	b.feed.mu.Lock()
	b.feed.followers = append(b.feed.followers, changed)
	healthy(!b.feed.sick)
	b.feed.mu.Unlock()
	<-ctx.Done()
	if b.feed.stays {
		select {}
	}
	if b.feed.ends {
		return nil
	}
	return ctx.Err()
}
