package storetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/updateage/session"
)

// hearing is how long a change may take to be heard of.
const hearing = 10 * time.Second

// feedRules are about session.Feed. What becomes of a feed when the connection
// fails is for the store's own tests: no rule can cut it.
var feedRules = []rule{
	{"Follow tells of every record that is updated, patched or deleted",
		because("a cache would go on serving the record, and a revoked session would stay signed in"), followTells},
	{"Follow makes its calls one at a time",
		because("the caller takes the order of its calls for the order of what happened"), followTakesTurns},
	{"Follow ends with its context and returns its error",
		because("the server shuts down and waits for it"), followEnds},
}

// follower notes what Follow calls.
type follower struct {
	trial *trial
	stop  context.CancelFunc
	ended chan error    // what Follow returned
	ready chan struct{} // closed at the first healthy(true)

	turn    sync.Mutex // held during a call
	healthy sync.Once

	mu   sync.Mutex
	told []string // guarded by mu
}

// follow returns a follower when the feed is healthy.
func (t *trial) follow() *follower {
	ctx, cancel := context.WithCancel(t.ctx)
	f := &follower{trial: t, stop: cancel, ended: make(chan error, 1), ready: make(chan struct{})}
	go func() { f.ended <- t.store.(session.Feed).Follow(ctx, f.changed, f.health) }()
	select {
	case <-f.ready:
	case err := <-f.ended:
		t.fatalf("Follow: ended with error %v before it was healthy", err)
	case <-time.After(t.hearing):
		cancel()
		t.fatalf("Follow: not healthy after %v", t.hearing)
	}
	return f
}

// inTurn calls f and checks that no other call is being made.
func (f *follower) inTurn(call func()) {
	if !f.turn.TryLock() {
		f.trial.errorf("Follow: called before the call before had returned")
		return
	}
	defer f.turn.Unlock()
	call()
}

func (f *follower) changed(id string) {
	f.inTurn(func() {
		time.Sleep(time.Microsecond) // so that a call that does not wait is noticed
		f.mu.Lock()
		defer f.mu.Unlock()
		f.told = append(f.told, id)
	})
}

func (f *follower) health(ok bool) {
	f.inTurn(func() {
		if ok {
			f.healthy.Do(func() { close(f.ready) })
		}
	})
}

// wantTold waits until the follower was told of these IDs.
func (f *follower) wantTold(call string, ids ...string) {
	for deadline := time.Now().Add(f.trial.hearing); ; time.Sleep(time.Millisecond) {
		missing := f.untold(ids)
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			f.trial.errorf("Follow: not told of %d of %d records after %s", len(missing), len(ids), call)
			return
		}
	}
}

func (f *follower) untold(ids []string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(f.told, id) })
}

// end ends Follow and returns what it returned.
func (f *follower) end() error {
	f.stop()
	select {
	case err := <-f.ended:
		return err
	case <-time.After(f.trial.hearing):
		f.trial.fatalf("Follow: still there %v after its context was cancelled", f.trial.hearing)
		return nil
	}
}

// followTells makes one change of each kind. The records are there beforehand:
// a store may also tell of what is created.
func followTells(t *trial) {
	user, left, limited := newUser(), newUser(), newUser()
	updated, moved, deleted, patched := t.create(user), t.create(user), t.create(user), t.create(user)
	anonymous := t.create("")
	signedOut := []*session.Record{t.create(left), t.create(left), t.create(left, inState(session.StatePending))}
	evicted := t.createEach(limited, 2)

	f := t.follow()
	defer f.stop()
	t.update(updated)
	f.wantTold("Update", updated.ID)
	t.update(moved, inState(session.StateMoved))
	f.wantTold("Update to moved", moved.ID)
	t.must("Delete", t.store.Delete(t.ctx, deleted.ID))
	t.must("Delete", t.store.Delete(t.ctx, anonymous.ID))
	f.wantTold("Delete", deleted.ID, anonymous.ID)
	t.deleteUser("following", left, t.now, 3)
	f.wantTold("DeleteUser", ids(signedOut...)...)
	if is[session.Patcher](t.store) {
		t.patched(patched, set("k", "v"))
		f.wantTold("Patch", patched.ID)
	}
	if is[session.LimitedCreator](t.store) {
		t.wantEvicted("following", t.record(limited), evicting(1), t.now, evicted...)
		f.wantTold("CreateLimited that evicted them", ids(evicted...)...)
	}
}

func followTakesTurns(t *trial) {
	const lanes, deletes = 8, 10
	user := newUser()
	records := t.createEach(user, lanes*deletes)
	f := t.follow()
	defer f.stop()
	t.parallel(lanes, func(lane int) {
		for _, r := range records[lane*deletes:][:deletes] {
			t.must("Delete", t.store.Delete(t.ctx, r.ID))
		}
	})
	f.wantTold("parallel Deletes", ids(records...)...)
}

func followEnds(t *trial) {
	f := t.follow()
	t.wantErr("Follow after its context was cancelled", f.end(), context.Canceled)
}
