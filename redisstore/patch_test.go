package redisstore_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
)

// The script merges as Values.Apply does, whatever the values and changes are.
func TestPatchIsApply(t *testing.T) {
	store := newStore(t, single(t, servers.StartRedis(t)), nil)
	for range 300 {
		v, err := session.Values("").Apply(someChanges())
		must(t, err)
		r := create(t, store, newUser(), func(r *session.Record) { r.Values = v })
		changes := someChanges()
		must(t, store.Patch(t.Context(), r.ID, changes, newVersion(), time.Now()))
		want, err := v.Apply(changes)
		must(t, err)
		got := newRecordOf(t, store, r.ID).Values
		if len(got) != len(want) || !maps.Equal(maps.Collect(got.All()), maps.Collect(want.All())) {
			t.Fatalf("got %q, want %q, from %q by %v", string(got), string(want), string(v), changes)
		}
	}
}

// someChanges returns changes of a few keys, so that they meet, some of which
// are the beginning of others or look like the head of a value.
func someChanges() []session.Change {
	keys := []string{"", "a", "aa", "aaa", "\x00", "\x00\x01\x00\x00\x00\x01ab", "ä", "0", "00", strings.Repeat("k", 300)}
	changes := make([]session.Change, rand.N(8))
	for i := range changes {
		changes[i] = session.Change{
			Key:    keys[rand.N(len(keys))],
			Data:   fmt.Appendf(nil, "%q", strings.Repeat("\x00", rand.N(300))),
			Delete: rand.N(3) == 0,
		}
	}
	return changes
}

func TestPatchFillsTheLastByteAndNoMore(t *testing.T) {
	const most = 64 << 10
	store := newStore(t, single(t, servers.StartRedis(t)), nil)
	r := create(t, store, newUser())
	data := strings.Repeat("x", most-len("k")-6) // a value has a head of 6 bytes
	must(t, store.Patch(t.Context(), r.ID, []session.Change{set("k", data)}, newVersion(), time.Now()))
	if got := len(newRecordOf(t, store, r.ID).Values); got != most {
		t.Errorf("got %d bytes of values, want %d", got, most)
	}
	err := store.Patch(t.Context(), r.ID, []session.Change{set("k", data+"x")}, newVersion(), time.Now())
	if !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("one byte more: got error %v, want %v", err, session.ErrTooLarge)
	}
}
