package storetest

import (
	"github.com/updateage/session"
)

// deleteRules are about revocation.
var deleteRules = []rule{
	{"a record is gone when Delete returns",
		because("the user was told that the device is signed out"), deletedIsGone},
	{"a repeated Delete succeeds",
		because("the client repeats it when the reply to the first was lost"), deleteIsRepeatable},
	{"no Update brings back what Delete removes",
		because("a request in flight must not undo the sign-out"), updateNeverRevives},
	{"no Update brings back what DeleteUser removes",
		because("a request in flight must not undo the change of a password"), updateNeverRevivesUser},
}

func deletedIsGone(t *trial) {
	user := newUser()
	other := t.create(user)
	for range 20 {
		r := t.create(user)
		t.load(r.ID) // into whatever caches
		t.must("Delete", t.store.Delete(t.ctx, r.ID))
		t.wantGone("after Delete", r.ID)
		t.wantListed("after Delete", user, t.now, other)
	}
	t.wantStored("after Delete of others", other)
}

func deleteIsRepeatable(t *trial) {
	r := t.create(newUser())
	t.must("Delete", t.store.Delete(t.ctx, r.ID))
	t.wantErr("repeated Delete", t.store.Delete(t.ctx, r.ID), nil)
	t.wantErr("Delete of an unknown ID", t.store.Delete(t.ctx, newID("")), nil)
}

func updateNeverRevives(t *trial) {
	t.interleave("Update", t.updateOf, func(r *session.Record) error { return t.store.Delete(t.ctx, r.ID) })
}

func updateNeverRevivesUser(t *trial) {
	t.interleave("Update", t.updateOf, func(r *session.Record) error {
		_, err := t.store.DeleteUser(t.ctx, r.UserID, t.now)
		return err
	})
}

func (t *trial) updateOf(r *session.Record) error {
	return t.store.Update(t.ctx, changed(r), r.Version)
}

// interleave lets a write and a removal of the same record meet 1,000 times and
// checks that the removal wins.
func (t *trial) interleave(name string, write, remove func(*session.Record) error) {
	const lanes, meetings = 4, 250
	t.parallel(lanes, func(int) {
		user := newUser()
		for range meetings {
			r := t.create(user)
			t.parallel(2, func(i int) {
				if i == 0 {
					t.must("removal", remove(r))
					return
				}
				if err := write(r); err != nil && !isNotFound(err) {
					t.errorf("%s during removal: got error %v, want none or %v", name, err, session.ErrNotFound)
				}
			})
			t.wantGone("after removal during "+name, r.ID)
		}
		t.wantListed("after removals", user, t.now)
	})
}
