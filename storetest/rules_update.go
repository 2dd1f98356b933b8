package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/updateage/session"
)

// updateRules are about the conditional write.
var updateRules = []rule{
	{"Update never creates a record",
		because("a request that outlives the sign-out would sign the user in again (CVE-2025-46336)"), updateNeverCreates},
	{"Update of another version is ErrConflict and changes nothing",
		because("it would undo what another request has written meanwhile"), updateComparesVersions},
	{"a repeated Update succeeds",
		because("the client repeats it when the reply to the first was lost; a conflict would apply the change twice"), updateIsRepeatable},
	{"parallel Updates of one version have one winner",
		because("the winner sends the new cookie, and two cookies would end one of two sessions"), updateHasOneWinner},
	{"parallel writers who merge lose nothing",
		because("two requests of one page write different keys, and both were told that it worked"), mergingLosesNothing},
}

func updateNeverCreates(t *trial) {
	never := t.record(newUser())
	t.wantErr("Update of a record that never was", t.store.Update(t.ctx, changed(never), never.Version), session.ErrNotFound)
	t.wantErr("Update of a record that never was to its own version", t.store.Update(t.ctx, never, never.Version), session.ErrNotFound)
	t.wantGone("after Update of a record that never was", never.ID)

	r := t.create(never.UserID)
	t.must("Delete", t.store.Delete(t.ctx, r.ID))
	t.wantErr("Update of a deleted record", t.store.Update(t.ctx, changed(r), r.Version), session.ErrNotFound)
	t.wantGone("after Update of a deleted record", r.ID)
	t.wantListed("after both", never.UserID, t.now)
}

func updateComparesVersions(t *trial) {
	first := t.create(newUser())
	second := t.update(first, withValues(values(set("k", "second"))))
	late := changed(first, withValues(values(set("k", "late"))))
	t.wantErr("Update of the version before", t.store.Update(t.ctx, late, first.Version), session.ErrConflict)
	t.wantErr("Update of a version that never was", t.store.Update(t.ctx, late, newVersion()), session.ErrConflict)
	t.wantErr("Update of version 0", t.store.Update(t.ctx, late, 0), session.ErrConflict)
	t.wantStored("after conflicts", second)
}

func updateIsRepeatable(t *trial) {
	first := t.create(newUser())
	rotated := t.update(first, func(r *session.Record) { r.TokenHash[0]++ })
	t.wantErr("repeated Update", t.store.Update(t.ctx, rotated, first.Version), nil)
	t.wantStored("after a repeated Update", rotated)
	t.wantListed("after a repeated Update", first.UserID, t.now, rotated)

	third := t.update(rotated)
	t.wantErr("Update repeated too late", t.store.Update(t.ctx, rotated, first.Version), session.ErrConflict)
	t.wantStored("after an Update repeated too late", third)
}

func updateHasOneWinner(t *trial) {
	const rounds, writers = 50, 8
	old := t.create(newUser())
	for range rounds {
		var winner atomic.Pointer[session.Record]
		t.parallel(writers, func(int) {
			r := changed(old)
			switch err := t.store.Update(t.ctx, r, old.Version); {
			case err == nil && !winner.CompareAndSwap(nil, r):
				t.errorf("a second Update of one version succeeded")
			case err != nil:
				t.wantErr("Update that came second", err, session.ErrConflict)
			}
		})
		if old = winner.Load(); old == nil {
			t.fatalf("none of %d parallel Updates succeeded", writers)
		}
		t.wantStored("after the winner's Update", old)
	}
}

func mergingLosesNothing(t *trial) {
	const writers, writes = 4, 10
	r := t.create(newUser())
	t.parallel(writers, func(w int) {
		for i := range writes {
			t.merge(r.ID, set(fmt.Sprintf("%d.%d", w, i), "kept"))
		}
	})
	t.wantKeys(r.ID, writers, writes)
}

// merge makes a change as the core does: it tries until no other writer comes
// between.
func (t *trial) merge(id string, change session.Change) {
	for {
		old := t.load(id)
		v, err := old.Values.Apply([]session.Change{change})
		t.must("Apply", err)
		err = t.store.Update(t.ctx, changed(old, withValues(v)), old.Version)
		if !errors.Is(err, session.ErrConflict) {
			t.must("Update", err)
			return
		}
	}
}

// wantKeys checks that every key of every writer is there.
func (t *trial) wantKeys(id string, writers, writes int) {
	v := t.load(id).Values
	for w := range writers {
		for i := range writes {
			if _, ok := v.Get(fmt.Sprintf("%d.%d", w, i)); !ok {
				t.errorf("write %d of writer %d was acknowledged and is lost", i, w)
			}
		}
	}
}
