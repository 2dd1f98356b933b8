package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/updateage/session"
)

// patchRules are about session.Patcher.
var patchRules = []rule{
	{"Patch sets, replaces and deletes values and leaves the others",
		because("the values that the request did not touch belong to other requests"), patchChangesValues},
	{"Patch changes the values and the version, nothing else",
		because("a write must not count as a refresh, or steady writers would never become due"), patchLeavesTheRest},
	{"of several changes of one key the last one stands",
		because("the changes come in the order in which the application made them"), lastChangeStands},
	{"a repeated Patch succeeds",
		because("the client repeats it when the reply to the first was lost"), patchIsRepeatable},
	{"Update sees the version that Patch set",
		because("an Update from before the Patch would undo it"), patchSetsVersion},
	{"Patch of what is missing, expired or moved is ErrNotFound",
		because("a write that reports success is a promise that it can be read again"), patchNeverCreates},
	{"Patch to more than 64 KiB is ErrTooLarge and changes nothing",
		because("half of a request's changes is a state the application never meant"), patchIsBounded},
	{"Patch keeps odd keys and values apart",
		because("keys and values are the application's, often with a user's words in them"), patchKeepsOddKeys},
	{"the store keeps a copy of the changes and leaves them alone",
		because("the caller reuses its buffer, and the same changes are sent again after a lost reply"), changesAreCopied},
	{"a loaded record never changes by a Patch",
		because("requests share it without a lock and without a copy"), loadedNeverPatched},
	{"parallel Patches lose nothing",
		because("two requests of one page write different keys, and both were told that it worked"), patchesLoseNothing},
	{"parallel Patches and Updates lose nothing",
		because("a typed update of one key goes by version while others are patched"), patchesBesideUpdates},
	{"no Patch brings back what Delete removes",
		because("a request in flight must not undo the sign-out"), patchNeverRevives},
	{"no Patch brings back what DeleteUser removes",
		because("a request in flight must not undo the change of a password"), patchNeverRevivesUser},
	{"a cancelled context ends Patch and changes nothing",
		because("a caller who was told that the write failed must be able to rely on it"), cancelledPatch},
}

func (t *trial) patch(id string, now time.Time, version uint64, changes ...session.Change) error {
	return t.store.(session.Patcher).Patch(t.ctx, id, changes, version, now)
}

// patched makes the changes and returns what the record has to be then.
func (t *trial) patched(r *session.Record, changes ...session.Change) *session.Record {
	v, err := r.Values.Apply(changes)
	t.must("Apply", err)
	want := changed(r, withValues(v))
	t.must("Patch", t.patch(r.ID, t.now, want.Version, changes...))
	t.wantStored("after Patch", want)
	return want
}

func remove(key string) session.Change { return session.Change{Key: key, Delete: true} }

func patchChangesValues(t *trial) {
	for _, user := range []string{newUser(), ""} {
		r := t.create(user)
		r = t.patched(r, set("a", "1"))
		r = t.patched(r, set("b", "1"), set("ab", "1"), set("c", "1"))
		r = t.patched(r, set("a", "a longer one"), remove("b"), set("d", "1"))
		r = t.patched(r, set("a", ""), remove("never there"))
		r = t.patched(r)
		r = t.patched(r, remove("a"), remove("ab"), remove("c"), remove("d"))
		t.patched(r, set("a", "again"))
	}
}

func patchLeavesTheRest(t *trial) {
	r := t.filled(t.record(newUser()), 1)
	t.must("Create", t.store.Create(t.ctx, r))
	t.load(r.ID) // into whatever caches
	r = t.patched(r, set("k", "v"))
	t.wantListed("after Patch, before the expiry", r.UserID, r.ExpiresAt.Add(-time.Millisecond), r)
	t.wantListed("after Patch, at the expiry", r.UserID, r.ExpiresAt)
}

func lastChangeStands(t *trial) {
	r := t.create(newUser(), withValues(values(set("old", "1"), set("gone", "1"))))
	t.patched(r,
		set("k", "first"), remove("k"), set("k", "last"),
		set("never", "1"), remove("never"),
		remove("old"), set("old", "back"),
		set("gone", "2"), remove("gone"))
}

func patchIsRepeatable(t *trial) {
	r := t.create(newUser(), withValues(values(set("a", "1"), set("b", "1"))))
	changes := []session.Change{set("a", "2"), remove("b"), set("c", "2")}
	r = t.patched(r, changes...)
	t.wantErr("repeated Patch", t.patch(r.ID, t.now, r.Version, changes...), nil)
	t.wantStored("after a repeated Patch", r)
}

func patchSetsVersion(t *trial) {
	created := t.create(newUser())
	patched := t.patched(created, set("k", "patched"))
	t.wantErr("Update of the version before the Patch",
		t.store.Update(t.ctx, changed(created), created.Version), session.ErrConflict)
	t.wantStored("after a conflict", patched)
	t.wantStored("after Update of the version of the Patch", t.update(patched))
}

func patchNeverCreates(t *trial) {
	user := newUser()
	change := set("k", "v")
	t.wantErr("Patch of a record that never was", t.patch(newID(user), t.now, newVersion(), change), session.ErrNotFound)
	t.wantErr("Patch of an odd ID", t.patch("", t.now, newVersion(), change), session.ErrNotFound)

	deleted := t.create(user)
	t.must("Delete", t.store.Delete(t.ctx, deleted.ID))
	t.wantErr("Patch of a deleted record", t.patch(deleted.ID, t.now, newVersion(), change), session.ErrNotFound)
	t.wantGone("after Patch of a deleted record", deleted.ID)

	moved := t.update(t.create(user), inState(session.StateMoved))
	t.wantErr("Patch of a moved record", t.patch(moved.ID, t.now, newVersion(), change), session.ErrNotFound)
	t.wantStored("after Patch of a moved record", moved)
	t.wantListed("after all", user, t.now)

	r := t.create(user)
	t.wantErr("Patch at the expiry", t.patch(r.ID, r.ExpiresAt, newVersion(), change), session.ErrNotFound)
	t.wantErr("Patch a millisecond before the expiry",
		t.patch(r.ID, r.ExpiresAt.Add(-time.Millisecond), newVersion(), change), nil)
}

func patchIsBounded(t *trial) {
	r := t.create(newUser(), withValues(values(set("k", "v"))))
	full := fullValues("a")
	t.wantErr("Patch that adds too much", t.patch(r.ID, t.now, newVersion(), set("a", "1"), full), session.ErrTooLarge)
	t.wantStored("after Patch that adds too much", r)

	r = t.patched(r, full, remove("k"))
	r = t.patched(r, fullValues("b"))
	t.wantErr("Patch of full values", t.patch(r.ID, t.now, newVersion(), set("a", "")), session.ErrTooLarge)
	t.wantStored("after Patch of full values", r)
	t.patched(r, set("a", ""), remove(full.Key))
}

func patchKeepsOddKeys(t *trial) {
	r := t.create(newUser())
	var changes []session.Change
	for _, key := range oddUsers("key") {
		changes = append(changes, set(key, key))
	}
	r = t.patched(r, changes...)
	r = t.patched(r, session.Change{Key: "null", Data: []byte("null")}, set("long", strings.Repeat("𝄞", 5000)))
	for _, c := range changes[:10] {
		r = t.patched(r, remove(c.Key))
	}
}

func changesAreCopied(t *trial) {
	r := t.create(newUser())
	changes := []session.Change{set("a", "1"), set("b", "1")}
	r = t.patched(r, changes...)
	if string(changes[0].Data) != `"1"` || string(changes[1].Data) != `"1"` {
		t.errorf("Patch changed the slices it was given")
	}
	for i := range changes {
		copy(changes[i].Data, "XXX")
		changes[i].Key = "X"
	}
	t.wantStored("after the caller changed the slices it gave to Patch", r)
}

func loadedNeverPatched(t *trial) {
	r := t.create(newUser(), withValues(values(set("k", "first"))))
	loaded := t.load(r.ID)
	t.patched(r, set("k", "secnd"))
	for _, difference := range diff(loaded, r) {
		t.errorf("record returned before Patch: %s", difference)
	}
}

const patchWriters, patchWrites = 8, 10

func patchesLoseNothing(t *trial) {
	r := t.create(newUser())
	t.parallel(patchWriters, func(w int) {
		for i := range patchWrites {
			t.must("Patch", t.patch(r.ID, t.now, newVersion(), set(fmt.Sprintf("%d.%d", w, i), "kept")))
		}
	})
	t.wantKeys(r.ID, patchWriters, patchWrites)
}

func patchesBesideUpdates(t *trial) {
	r := t.create(newUser())
	t.parallel(patchWriters, func(w int) {
		for i := range patchWrites {
			change := set(fmt.Sprintf("%d.%d", w, i), "kept")
			if w%4 == 0 {
				t.merge(r.ID, change)
				continue
			}
			t.must("Patch", t.patch(r.ID, t.now, newVersion(), change))
		}
	})
	t.wantKeys(r.ID, patchWriters, patchWrites)
}

func (t *trial) patchOf(r *session.Record) error {
	return t.patch(r.ID, t.now, newVersion(), set("k", "v"))
}

func patchNeverRevives(t *trial) {
	t.interleave("Patch", t.patchOf, func(r *session.Record) error { return t.store.Delete(t.ctx, r.ID) })
}

func patchNeverRevivesUser(t *trial) {
	t.interleave("Patch", t.patchOf, func(r *session.Record) error {
		_, err := t.store.DeleteUser(t.ctx, r.UserID, t.now)
		return err
	})
}

func cancelledPatch(t *trial) {
	r := t.create(newUser())
	err := t.store.(session.Patcher).Patch(t.cancelled(), r.ID, []session.Change{set("k", "v")}, newVersion(), t.now)
	t.wantCancelled("Patch", err)
	t.wantStored("after Patch with a cancelled context", r)
}
