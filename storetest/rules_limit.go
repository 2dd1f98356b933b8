package storetest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/updateage/session"
)

// limitRules are about session.LimitedCreator.
var limitRules = []rule{
	{"CreateLimited below the limit is Create",
		because("the limit decides whether there is room, not what is stored"), limitedIsCreate},
	{"the sessions that expire soonest make room",
		because("the user expects to lose the device he has not used for longest"), soonestMakesRoom},
	{"the new session is never evicted",
		because("a short session, not remembered, would sign itself out"), newIsNeverEvicted},
	{"refusing changes nothing",
		because("who asks for refusal does not want a stranger's sign-in to end his sessions"), refusalChangesNothing},
	{"only live signed-in records of the user count",
		because("a half-finished sign-in by a stranger must not push out the user"), onlyLiveSignedInCount},
	{"a pending record counts from the moment it is signed in",
		because("a second factor must not be a way around the limit"), completedPendingCounts},
	{"a lowered limit evicts as many as it takes",
		because("the configuration may change while users are signed in"), loweredLimitEvictsMore},
	{"a repeated CreateLimited succeeds and evicts nothing",
		because("the client repeats it when the reply to the first was lost"), limitedIsRepeatable},
	{"CreateLimited of a taken ID evicts nothing",
		because("what fails must not sign anybody out"), takenIDEvictsNothing},
	{"50 parallel sign-ins with eviction leave 5, and never more",
		because("who signs in from many places at once would get past the limit"), parallelEvictionIsExact},
	{"50 parallel sign-ins with refusal let in 5",
		because("counting first and inserting then lets everybody in"), parallelRefusalIsExact},
	{"odd user IDs are limited each on their own",
		because("whoever may choose a user ID must not sign out another user"), oddUsersAreLimited},
	{"a cancelled context ends CreateLimited and changes nothing",
		because("a caller who was told that the sign-in failed must not have signed out another device"), cancelledLimited},
}

func evicting(max int) session.Limit { return session.Limit{Max: max} }
func refusing(max int) session.Limit { return session.Limit{Max: max, Refuse: true} }

func (t *trial) limited(r *session.Record, l session.Limit, now time.Time) ([]string, error) {
	return t.store.(session.LimitedCreator).CreateLimited(t.ctx, r, l, now)
}

// wantEvicted creates the record and checks which others made room.
func (t *trial) wantEvicted(when string, r *session.Record, l session.Limit, now time.Time, want ...*session.Record) {
	evicted, err := t.limited(r, l, now)
	t.must(when+": CreateLimited", err)
	slices.Sort(evicted)
	if !slices.Equal(evicted, ids(want...)) {
		t.errorf("%s: CreateLimited: got evicted %q, want %q", when, evicted, ids(want...))
	}
	t.wantGone(when+": evicted", ids(want...)...)
	t.wantStored(when, r)
}

// wantRefused checks that the limit refuses the record.
func (t *trial) wantRefused(when string, r *session.Record, max int, now time.Time) {
	evicted, err := t.limited(r, refusing(max), now)
	t.wantErr(when+": CreateLimited", err, session.ErrLimit)
	if len(evicted) > 0 {
		t.errorf("%s: CreateLimited: refused and evicted %q", when, evicted)
	}
	t.wantGone(when, r.ID)
}

// createEach stores n records of a user, each expiring a minute after the one
// before.
func (t *trial) createEach(userID string, n int) []*session.Record {
	records := make([]*session.Record, n)
	for i := range records {
		records[i] = t.create(userID, expiresAt(t.now.Add(life+time.Duration(i)*time.Minute)))
	}
	return records
}

func limitedIsCreate(t *trial) {
	user := newUser()
	first := t.create(user)
	second := t.filled(t.record(user), 1)
	t.wantEvicted("below the limit", second, refusing(2), t.now)
	t.wantListed("below the limit", user, t.now, first, second)
	kept := *second
	second.TokenHash[0]++
	t.wantStored("after the caller changed the record it gave to CreateLimited", &kept)
}

func soonestMakesRoom(t *trial) {
	user := newUser()
	r := t.createEach(user, 3)
	r[0] = t.update(r[0], expiresAt(t.now.Add(2*life)))
	fourth := t.record(user, expiresAt(t.now.Add(3*life)))
	t.wantEvicted("at the limit", fourth, evicting(3), t.now, r[1])
	t.wantListed("at the limit", user, t.now, r[0], r[2], fourth)
	fifth := t.record(user, expiresAt(t.now.Add(3*life)))
	t.wantEvicted("at the limit again", fifth, evicting(3), t.now, r[2])
	t.wantListed("at the limit again", user, t.now, r[0], fourth, fifth)
}

func newIsNeverEvicted(t *trial) {
	user := newUser()
	old := t.create(user)
	short := t.record(user, expiresAt(t.now.Add(life/2)))
	t.wantEvicted("shorter than the old one", short, evicting(1), t.now, old)
	t.wantListed("shorter than the old one", user, t.now, short)
}

func refusalChangesNothing(t *trial) {
	user := newUser()
	r := t.createEach(user, 3)
	t.wantRefused("at the limit", t.record(user), 3, t.now)
	t.wantRefused("above the limit", t.record(user), 2, t.now)
	t.wantListed("after refusals", user, t.now, r...)
	t.must("Delete", t.store.Delete(t.ctx, r[1].ID))
	next := t.record(user)
	t.wantEvicted("after Delete", next, refusing(3), t.now)
	t.wantListed("after Delete", user, t.now, r[0], r[2], next)
}

func onlyLiveSignedInCount(t *trial) {
	user := newUser()
	t.create(newUser())
	moved := t.update(t.create(user), inState(session.StateMoved))
	pending := t.create(user, inState(session.StatePending), expiresAt(t.now.Add(life/2)))
	expiring := t.create(user, expiresAt(t.now.Add(life/4)))
	almost := expiring.ExpiresAt.Add(-time.Millisecond)
	t.wantRefused("a millisecond before the expiry of the only other", t.record(user), 1, almost)

	next := t.record(user)
	t.wantEvicted("at the expiry of the only other", next, refusing(1), expiring.ExpiresAt)
	t.wantStored("moved", moved)
	third := t.record(user)
	t.wantEvicted("beside a pending one that expires sooner", third, evicting(1), expiring.ExpiresAt, next)
	t.wantListed("after eviction", user, expiring.ExpiresAt, pending, third)
}

func completedPendingCounts(t *trial) {
	user := newUser()
	r := t.create(user, inState(session.StatePending))
	r = t.update(r, inState(session.StateSignedIn))
	t.wantRefused("after the second factor", t.record(user), 1, t.now)
	next := t.record(user)
	t.wantEvicted("after the second factor", next, evicting(1), t.now, r)
	t.wantListed("after the second factor", user, t.now, next)
}

func loweredLimitEvictsMore(t *trial) {
	user := newUser()
	r := t.createEach(user, 5)
	next := t.record(user)
	t.wantEvicted("limit lowered to 2", next, evicting(2), t.now, r[:4]...)
	t.wantListed("limit lowered to 2", user, t.now, r[4], next)
}

func limitedIsRepeatable(t *trial) {
	user := newUser()
	r := t.createEach(user, 2)
	next := t.record(user, expiresAt(t.now.Add(life/2)))
	t.wantEvicted("at the limit", next, evicting(2), t.now, r[0])
	for _, l := range []session.Limit{evicting(2), refusing(2), evicting(1), refusing(1)} {
		t.wantEvicted("repeated", next, l, t.now)
	}
	t.wantListed("after repetitions", user, t.now, r[1], next)
}

func takenIDEvictsNothing(t *trial) {
	user := newUser()
	r := t.createEach(user, 2)
	for _, l := range []session.Limit{evicting(1), evicting(2), evicting(3), refusing(3)} {
		evicted, err := t.limited(changed(r[1]), l, t.now)
		t.wantErr("CreateLimited with a taken ID", err, session.ErrExists)
		if len(evicted) > 0 {
			t.errorf("CreateLimited with a taken ID: evicted %q", evicted)
		}
	}
	t.wantListed("after CreateLimited with a taken ID", user, t.now, r...)
}

func parallelEvictionIsExact(t *trial) {
	const limit, signIns = 5, 50
	user := newUser()
	var mu sync.Mutex
	var created, evicted []string
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { t.watchLimit(user, limit, done) })
	t.parallel(signIns, func(int) {
		r := t.record(user)
		victims, err := t.limited(r, evicting(limit), t.now)
		t.must("CreateLimited", err)
		mu.Lock()
		defer mu.Unlock()
		created, evicted = append(created, r.ID), append(evicted, victims...)
	})
	close(done)
	watching.Wait()
	t.wantRest(user, limit, created, evicted)
}

// watchLimit lists the user's records until done and checks that they are never
// more than the limit.
func (t *trial) watchLimit(userID string, limit int, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		default:
		}
		if n := len(t.list(userID, t.now)); n > limit {
			t.errorf("ListUser during parallel CreateLimited: got %d records, want at most %d", n, limit)
		}
	}
}

// wantRest checks that the limit is used up and that every other record was
// reported as evicted, once.
func (t *trial) wantRest(userID string, limit int, created, evicted []string) {
	rest := t.list(userID, t.now)
	if len(rest) != limit {
		t.errorf("after parallel CreateLimited: got %d records, want %d", len(rest), limit)
	}
	accounted := slices.Sorted(slices.Values(slices.Concat(rest, evicted)))
	slices.Sort(created)
	if !slices.Equal(accounted, created) {
		t.errorf("after parallel CreateLimited: %d left and %d evicted are not the %d created", len(rest), len(evicted), len(created))
	}
	t.wantGone("evicted", evicted...)
}

func parallelRefusalIsExact(t *trial) {
	const limit, signIns = 5, 50
	user := newUser()
	var mu sync.Mutex
	var in []*session.Record
	t.parallel(signIns, func(int) {
		r := t.record(user)
		_, err := t.limited(r, refusing(limit), t.now)
		if errors.Is(err, session.ErrLimit) {
			return
		}
		t.must("CreateLimited", err)
		mu.Lock()
		defer mu.Unlock()
		in = append(in, r)
	})
	if len(in) != limit {
		t.errorf("parallel CreateLimited: %d succeeded, want %d", len(in), limit)
	}
	t.wantListed("after parallel CreateLimited", user, t.now, in...)
}

func oddUsersAreLimited(t *trial) {
	users := oddUsers(newUser())
	records := make([]*session.Record, len(users))
	for i, user := range users {
		records[i] = t.record(user)
		t.wantEvicted("first of an odd user", records[i], refusing(1), t.now)
	}
	for i, user := range users {
		t.wantEvicted("second of an odd user", t.record(user), evicting(1), t.now, records[i])
	}
}

func cancelledLimited(t *trial) {
	old := t.create(newUser())
	next := t.record(old.UserID)
	_, err := t.store.(session.LimitedCreator).CreateLimited(t.cancelled(), next, evicting(1), t.now)
	t.wantCancelled("CreateLimited", err)
	t.wantListed("after CreateLimited with a cancelled context", old.UserID, t.now, old)
	t.wantGone("after CreateLimited with a cancelled context", next.ID)
}
