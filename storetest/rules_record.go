package storetest

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/updateage/session"
)

// recordRules are about one record, alone.
var recordRules = []rule{
	{"Load returns every field of what was created",
		because("a field that a store forgets is a check that no longer happens"), loadReturnsEveryField},
	{"Load returns every field of what was updated",
		because("an old hash or expiry that stays behind keeps a revoked secret alive"), updateReplacesEveryField},
	{"zero fields stay zero",
		because("the zero time means none; as 1970 it would be a time long past"), zeroStaysZero},
	{"an anonymous record is kept like any other",
		because("a visitor's cart is there before the visitor signs in"), anonymousIsKept},
	{"all 64 bits of a version count",
		because("versions are random: in a signed or a floating point column half of them would be mangled"), versionsHave64Bits},
	{"values of 64 KiB fit",
		because("the core promises that much to the application"), fullValuesFit},
	{"strings of the greatest length fit",
		because("a client must not be able to make a sign-in fail by its user agent"), longestStringsFit},
	{"Create refuses an ID that is taken",
		because("who overwrites a record takes over its session"), createRefusesTakenID},
	{"a repeated Create succeeds",
		because("the client repeats it when the reply to the first was lost"), createIsRepeatable},
	{"Load of an unknown ID is ErrNotFound",
		because("anything else means an outage to the core, and every visitor with an old cookie would see it"), unknownIDIsNotFound},
	{"odd IDs are not found",
		because("IDs come from outside, and none may be an error, a panic or another record"), oddIDsAreNotFound},
	{"an expired record is the record or ErrNotFound",
		because("the caller judges the expiry; an error would be taken for an outage"), expiredIsJudgedByCaller},
	{"a loaded record never changes",
		because("requests share it without a lock and without a copy"), loadedNeverChanges},
	{"the store keeps a copy of what it is given",
		because("the caller goes on with its record, and a change of it is not a write"), givenIsCopied},
	{"a cancelled context ends every call and changes nothing",
		because("a caller who was told that the call failed must be able to rely on it"), cancelledChangesNothing},
}

func loadReturnsEveryField(t *trial) {
	r := t.filled(t.record(newUser()), 1)
	t.must("Create", t.store.Create(t.ctx, r))
	t.wantStored("after Create", r)
}

func updateReplacesEveryField(t *trial) {
	r := t.create(newUser())
	for seed := range 3 {
		t.load(r.ID) // into whatever caches
		next := t.filled(r, seed)
		t.must("Update", t.store.Update(t.ctx, next, r.Version))
		t.wantStored("after Update", next)
		r = next
	}
}

func zeroStaysZero(t *trial) {
	full := t.filled(t.record(newUser()), 1)
	zero := &session.Record{ID: full.ID, UserID: full.UserID, CreatedAt: full.CreatedAt, ExpiresAt: full.ExpiresAt, Version: newVersion()}
	zero.State = session.StateSignedIn
	t.must("Create", t.store.Create(t.ctx, full))
	t.must("Update", t.store.Update(t.ctx, zero, full.Version))
	t.wantStored("after Update to a record with zero fields", zero)

	zero = changed(zero, func(r *session.Record) { r.ID = newID(r.UserID) })
	t.must("Create", t.store.Create(t.ctx, zero))
	t.wantStored("after Create of a record with zero fields", zero)
}

func anonymousIsKept(t *trial) {
	r := t.filled(t.record(""), 1)
	t.must("Create", t.store.Create(t.ctx, r))
	t.wantStored("after Create", r)
	r = t.update(r, withValues(values(set("cart", "full"))))
	t.wantStored("after Update", r)
	t.must("Delete", t.store.Delete(t.ctx, r.ID))
	t.wantGone("after Delete", r.ID)
}

func versionsHave64Bits(t *trial) {
	versions := []uint64{1, 1<<53 + 1, 1<<63 - 1, 1 << 63, 1<<63 + 1, math.MaxUint64 - 1, math.MaxUint64}
	old := t.create(newUser())
	for _, v := range versions {
		r := changed(old, func(r *session.Record) { r.Version = v })
		t.wantErr("Update of the version before the right one", t.store.Update(t.ctx, r, old.Version-1), session.ErrConflict)
		t.must("Update", t.store.Update(t.ctx, r, old.Version))
		t.wantStored("after Update", r)
		old = r
	}
}

func fullValuesFit(t *trial) {
	r := t.create(newUser(), withValues(values(fullValues("a"))))
	t.wantStored("after Create with values of 64 KiB", r)
	r = t.update(r, withValues(values(fullValues("b"))))
	t.wantStored("after Update to values of 64 KiB", r)
}

func longestStringsFit(t *trial) {
	user := longUser(newUser(), "𝄞")
	r := t.create(user, func(r *session.Record) {
		r.UserAgent = strings.Repeat("𝄞", 512/4)
		r.Method = strings.Repeat("𝄞", 128/4)
		r.DeviceID = strings.Repeat("𝄞", 128/4)
		r.IPAddress = "2001:0db8:1111:2222:3333:4444:5555:6666%enp0s31f6"
	})
	t.wantStored("after Create", r)
	t.wantListed("after Create", user, t.now, r)
}

func createRefusesTakenID(t *trial) {
	r := t.create(newUser())
	again := changed(r, withValues(values(set("k", "other"))))
	t.wantErr("Create with a taken ID", t.store.Create(t.ctx, again), session.ErrExists)
	stranger := changed(again, func(r *session.Record) { r.UserID = newUser() })
	t.wantErr("Create with another user's ID", t.store.Create(t.ctx, stranger), session.ErrExists)
	t.wantStored("after a refused Create", r)
	t.wantListed("after a refused Create", stranger.UserID, t.now)
}

func createIsRepeatable(t *trial) {
	r := t.create(newUser())
	t.wantErr("repeated Create", t.store.Create(t.ctx, r), nil)
	t.wantStored("after a repeated Create", r)
	t.wantListed("after a repeated Create", r.UserID, t.now, r)
	t.deleteUser("after a repeated Create", r.UserID, t.now, 1)
}

func unknownIDIsNotFound(t *trial) {
	t.wantGone("unknown ID", newID(""), newID(newUser()))
}

func oddIDsAreNotFound(t *trial) {
	r := t.create(newUser())
	odd := []string{
		"", " ", "a", "abc", "*", "%", "{", "}", "{}", ":", "../x", "\x00", "a\x00b", "\n", "'", `"`, `\`, "\xff", "é", "𝄞",
		"' OR '1'='1", r.ID + " ", " " + r.ID, r.ID + "\x00", r.ID[:len(r.ID)-1], r.ID + "a", r.ID + "\n",
		strings.ToLower(r.ID) + "x", strings.Repeat("a", 100_000), strings.Repeat("𝄞", 1000),
	}
	t.wantGone("odd ID", odd...)
	for _, id := range odd {
		t.wantErr("Delete of an odd ID", t.store.Delete(t.ctx, id), nil)
	}
	t.wantStored("after Delete of odd IDs", r)
}

func expiredIsJudgedByCaller(t *trial) {
	long := t.now.Add(-life)
	r := t.create(newUser(), func(r *session.Record) { r.CreatedAt, r.UpdatedAt, r.ExpiresAt = long.Add(-life), long, long })
	if _, err := t.store.Load(t.ctx, r.ID); err != nil {
		t.wantErr("Load of an expired record", err, session.ErrNotFound)
	}
	t.wantListed("expired", r.UserID, t.now)
	t.wantErr("Delete of an expired record", t.store.Delete(t.ctx, r.ID), nil)
	t.wantGone("after Delete", r.ID)
}

func loadedNeverChanges(t *trial) {
	r := t.create(newUser(), withValues(values(set("k", "first"))))
	loaded := t.load(r.ID)
	listed, err := t.store.ListUser(t.ctx, r.UserID, t.now)
	t.must("ListUser", err)
	shared := append(listed, loaded)

	t.update(r, func(r *session.Record) {
		r.TokenHash[0]++
		r.Values = values(set("k", "second"))
		r.ExpiresAt = r.ExpiresAt.Add(time.Minute)
	})
	t.must("Delete", t.store.Delete(t.ctx, r.ID))
	for _, before := range shared {
		for _, difference := range diff(before, r) {
			t.errorf("record returned before Update and Delete: %s", difference)
		}
	}
}

func givenIsCopied(t *trial) {
	given := t.record(newUser())
	kept := *given
	spoil := func(r *session.Record) {
		r.TokenHash[0]++
		r.State = session.StateMoved
		r.Values = values(set("k", "spoilt"))
	}
	t.must("Create", t.store.Create(t.ctx, given))
	spoil(given)
	t.wantStored("after the caller changed the record it gave to Create", &kept)

	given = changed(&kept)
	version := kept.Version
	kept = *given
	t.must("Update", t.store.Update(t.ctx, given, version))
	spoil(given)
	t.wantStored("after the caller changed the record it gave to Update", &kept)
}

func cancelledChangesNothing(t *trial) {
	r := t.create(newUser())
	t.load(r.ID) // into whatever caches
	cancelled := t.cancelled()
	created := t.record(r.UserID)
	_, loadErr := t.store.Load(cancelled, r.ID)
	_, listErr := t.store.ListUser(cancelled, r.UserID, t.now)
	_, deleteErr := t.store.DeleteUser(cancelled, r.UserID, t.now)
	t.wantCancelled("Create", t.store.Create(cancelled, created))
	t.wantCancelled("Load", loadErr)
	t.wantCancelled("Update", t.store.Update(cancelled, changed(r), r.Version))
	t.wantCancelled("Delete", t.store.Delete(cancelled, r.ID))
	t.wantCancelled("ListUser", listErr)
	t.wantCancelled("DeleteUser", deleteErr)
	t.wantStored("after calls with a cancelled context", r)
	t.wantListed("after calls with a cancelled context", r.UserID, t.now, r)
	t.wantGone("after Create with a cancelled context", created.ID)
}

// isNotFound says whether a write came too late for its record.
func isNotFound(err error) bool { return errors.Is(err, session.ErrNotFound) }
