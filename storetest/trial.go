package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/updateage/session"
)

// trial is a rule at work on a store. It records failures instead of failing a
// test, so that the rules themselves can be tested on stores that break them.
type trial struct {
	ctx   context.Context
	store session.Store
	// now is when the trial began. Records of the trial expire an hour later,
	// so that a server which expires them by its own clock does not interfere.
	now time.Time
	// hearing is how long a change may take to be heard of.
	hearing time.Duration

	mu     sync.Mutex
	failed []string // guarded by mu
}

// maxFailures is how many failures of a rule are kept: the first ones tell.
const maxFailures = 10

func (t *trial) errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.failed) == maxFailures {
		return
	}
	t.failed = append(t.failed, fmt.Sprintf(format, args...))
}

// fatalf ends the calling goroutine, which is one of parallel's.
func (t *trial) fatalf(format string, args ...any) {
	t.errorf(format, args...)
	runtime.Goexit()
}

// parallel calls f n times at once, with 0 to n-1, and waits.
func (t *trial) parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

// wantErr checks what a call returned.
func (t *trial) wantErr(call string, got, want error) {
	if !errors.Is(got, want) {
		t.errorf("%s: got error %v, want %v", call, got, want)
	}
}

// cancelled returns a context that has ended.
func (t *trial) cancelled() context.Context {
	ctx, cancel := context.WithCancel(t.ctx)
	cancel()
	return ctx
}

func (t *trial) wantCancelled(call string, got error) {
	t.wantErr(call+" with a cancelled context", got, context.Canceled)
}

// must ends the trial if a call failed that has to succeed.
func (t *trial) must(call string, err error) {
	if err != nil {
		t.fatalf("%s: got error %v, want none", call, err)
	}
}

// create stores a new record of the user and returns it.
func (t *trial) create(userID string, edits ...func(*session.Record)) *session.Record {
	r := t.record(userID, edits...)
	t.must("Create", t.store.Create(t.ctx, r))
	return r
}

// update replaces a stored record and returns the new one.
func (t *trial) update(old *session.Record, edits ...func(*session.Record)) *session.Record {
	r := changed(old, edits...)
	t.must("Update", t.store.Update(t.ctx, r, old.Version))
	return r
}

func (t *trial) load(id string) *session.Record {
	r, err := t.store.Load(t.ctx, id)
	t.must("Load", err)
	if r == nil {
		t.fatalf("Load: got neither a record nor an error")
	}
	return r
}

// wantStored checks that the store has exactly this record.
func (t *trial) wantStored(when string, want *session.Record) {
	got, err := t.store.Load(t.ctx, want.ID)
	if err != nil {
		t.errorf("%s: Load: got error %v, want the record", when, err)
		return
	}
	for _, difference := range diff(got, want) {
		t.errorf("%s: Load: %s", when, difference)
	}
}

// wantGone checks that the store has no record of these IDs.
func (t *trial) wantGone(when string, ids ...string) {
	for _, id := range ids {
		if r, err := t.store.Load(t.ctx, id); !errors.Is(err, session.ErrNotFound) {
			t.errorf("%s: Load: got %v and error %v, want %v", when, r, err, session.ErrNotFound)
		}
	}
}

// list returns the IDs of a user's records, sorted.
func (t *trial) list(userID string, now time.Time) []string {
	records, err := t.store.ListUser(t.ctx, userID, now)
	t.must("ListUser", err)
	return ids(records...)
}

// wantListed checks that the user has exactly these records at now.
func (t *trial) wantListed(when, userID string, now time.Time, want ...*session.Record) {
	got := t.list(userID, now)
	if !slices.Equal(got, ids(want...)) {
		t.errorf("%s: ListUser: got %d records %q, want %d records %q", when, len(got), got, len(want), ids(want...))
	}
}

// deleteUser deletes a user's records and checks how many there were.
func (t *trial) deleteUser(when, userID string, now time.Time, want int, except ...string) {
	got, err := t.store.DeleteUser(t.ctx, userID, now, except...)
	t.must(when+": DeleteUser", err)
	if got != want {
		t.errorf("%s: DeleteUser: got %d, want %d", when, got, want)
	}
}

func ids(records ...*session.Record) []string {
	list := make([]string, len(records))
	for i, r := range records {
		list[i] = r.ID
	}
	slices.Sort(list)
	return list
}
