package storetest

import (
	"time"

	"github.com/updateage/session"
)

// sweepRules are about session.Sweeper. They tolerate records of others in the
// store: those are counted along.
var sweepRules = []rule{
	{"Sweep frees what is expired, counts it and leaves the rest",
		because("a store that is never freed grows until it fails, and one freed too early signs users out"), sweepFreesExpired},
	{"Sweep goes by the expiry of the last Update",
		because("a refreshed session that is swept signs out a user who is there"), sweepSeesUpdates},
	{"Sweep frees records of every state",
		because("visitors and late requests leave the most records behind"), sweepFreesEveryState},
	{"Sweep frees 1,100 records of one user",
		because("a batch that is not followed up lets the store grow"), sweepFreesMany},
	{"a cancelled context ends Sweep",
		because("the server shuts down and waits for it"), cancelledSweep},
}

// sweep sweeps and checks that at least so many records were freed.
func (t *trial) sweep(when string, now time.Time, atLeast int) {
	n, err := t.store.(session.Sweeper).Sweep(t.ctx, now)
	t.must(when+": Sweep", err)
	if n < atLeast {
		t.errorf("%s: Sweep: got %d, want at least %d", when, n, atLeast)
	}
}

func sweepFreesExpired(t *trial) {
	user := newUser()
	due := t.create(user)
	later := t.create(user, expiresAt(due.ExpiresAt.Add(time.Millisecond)))
	t.sweep("a millisecond before the expiry", due.ExpiresAt.Add(-time.Millisecond), 0)
	t.wantStored("a millisecond before the expiry", due)
	t.sweep("at the expiry", due.ExpiresAt, 1)
	t.wantGone("after Sweep", due.ID)
	t.wantStored("after Sweep", later)
	t.wantListed("after Sweep", user, t.now, later)
	t.deleteUser("after Sweep", user, t.now, 1)
}

func sweepSeesUpdates(t *trial) {
	user := newUser()
	first := t.create(user)
	longer := t.update(first, expiresAt(first.ExpiresAt.Add(time.Minute)))
	shorter := t.update(t.create(user), expiresAt(first.ExpiresAt.Add(-time.Minute)))
	t.sweep("at the first expiry", first.ExpiresAt, 1)
	t.wantStored("after Update to a later expiry", longer)
	t.wantGone("after Update to an earlier expiry", shorter.ID)
}

func sweepFreesEveryState(t *trial) {
	user := newUser()
	anonymous, pending := t.create(""), t.create(user, inState(session.StatePending))
	moved := t.update(t.create(user), inState(session.StateMoved))
	movedVisitor := t.update(t.create(""), inState(session.StateMoved))
	t.sweep("at the expiry", anonymous.ExpiresAt, 4)
	t.wantGone("after Sweep", anonymous.ID, pending.ID, moved.ID, movedVisitor.ID)
}

func sweepFreesMany(t *trial) {
	const records, lanes = 1100, 10
	user := newUser()
	t.parallel(lanes, func(int) {
		for range records / lanes {
			t.create(user)
		}
	})
	kept := t.create(user, expiresAt(t.now.Add(2*life)))
	t.sweep("at the expiry", t.now.Add(life), records)
	t.wantListed("after Sweep", user, t.now, kept)
}

func cancelledSweep(t *trial) {
	r := t.create(newUser())
	_, err := t.store.(session.Sweeper).Sweep(t.cancelled(), r.ExpiresAt)
	t.wantCancelled("Sweep", err)
}
