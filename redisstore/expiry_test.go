package redisstore_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
)

// remaining returns the time to live of a key, which must have one.
func remaining(t *testing.T, client *redis.Client, key string) time.Duration {
	t.Helper()
	left, err := client.PTTL(t.Context(), key).Result()
	must(t, err)
	if left <= 0 {
		t.Errorf("key %q: got time to live %v, want one", key, left)
	}
	return left
}

// wantExpiry checks that a session lives until its record expires, and not a
// millisecond less.
func wantExpiry(t *testing.T, client *redis.Client, r *session.Record) {
	t.Helper()
	left := remaining(t, client, sessionKey(r.ID))
	if want := time.Until(r.ExpiresAt); left < want || left > want+5*time.Second {
		t.Errorf("session lives for %v, want %v", left, want)
	}
}

func TestSessionsLiveUntilTheyExpire(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store := newStore(t, client, nil)
	for _, user := range []string{newUser(), ""} {
		r := create(t, store, user)
		wantExpiry(t, client, r)

		later := changed(r, expiresIn(3*life))
		must(t, store.Update(t.Context(), later, r.Version))
		wantExpiry(t, client, later)

		sooner := changed(r, expiresIn(life/2))
		must(t, store.Update(t.Context(), sooner, later.Version))
		wantExpiry(t, client, sooner)

		must(t, store.Patch(t.Context(), r.ID, []session.Change{set("k", "1")}, newVersion(), time.Now()))
		wantExpiry(t, client, sooner)
	}
}

// An index that expired before one of its sessions would leave it where nobody
// can list or revoke it.
func TestIndexOutlivesItsSessions(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store, user := newStore(t, client, nil), newUser()
	wantAtLeast := func(want time.Duration) {
		t.Helper()
		if got := remaining(t, client, indexKey(user)); got < want-5*time.Second {
			t.Errorf("index lives for %v, want %v", got, want)
		}
	}
	create(t, store, user)
	long := create(t, store, user, expiresIn(3*life))
	wantAtLeast(3 * life)
	create(t, store, user)
	wantAtLeast(3 * life)
	must(t, store.Update(t.Context(), changed(long, expiresIn(5*life)), long.Version))
	wantAtLeast(5 * life)
	_, err := store.CreateLimited(t.Context(), newRecord(user, expiresIn(7*life)), session.Limit{Max: 10}, time.Now())
	must(t, err)
	wantAtLeast(7 * life)
	must(t, store.Update(t.Context(), changed(newRecordOf(t, store, long.ID), expiresIn(-life)), newRecordOf(t, store, long.ID).Version))
	wantAtLeast(7 * life)
}

func newRecordOf(t *testing.T, store session.Store, id string) *session.Record {
	t.Helper()
	r, err := store.Load(t.Context(), id)
	must(t, err)
	return r
}

func TestWhatIsCreatedOrUpdatedExpiredIsGoneAtOnce(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store, user := newStore(t, client, nil), newUser()
	for _, left := range []time.Duration{0, -time.Nanosecond, -time.Millisecond, -time.Hour} {
		created := create(t, store, user, expiresIn(left))
		updated := create(t, store, user)
		must(t, store.Update(t.Context(), changed(updated, expiresIn(left)), updated.Version))
		none := create(t, store, user, func(r *session.Record) { r.ExpiresAt = time.Time{} })
		eventually(t, "expire", func() bool {
			n, err := client.Exists(t.Context(), sessionKey(created.ID), sessionKey(updated.ID), sessionKey(none.ID)).Result()
			return err == nil && n == 0
		})
	}
	for key, ttl := range scanAll(t, client).ttl {
		if ttl <= 0 {
			t.Errorf("key %q has no time to live", key)
		}
	}
	wantListed(t, store, user)
}

func TestListingForgetsWhatHasExpired(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store, user := newStore(t, client, nil), newUser()
	stays := create(t, store, user)
	expire(t, client, create(t, store, user, expiresIn(time.Millisecond)))
	wantListed(t, store, user, stays)
	scanAll(t, client).wantExact(t)
}

// expire waits until the server has dropped the sessions.
func expire(t *testing.T, client *redis.Client, records ...*session.Record) {
	t.Helper()
	for _, r := range records {
		eventually(t, "expire", func() bool {
			n, err := client.Exists(t.Context(), sessionKey(r.ID)).Result()
			return err == nil && n == 0
		})
	}
}

// Somebody who signs in daily and never looks at his list of sessions.
func TestSignInsForgetWhatHasExpired(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store := newStore(t, client, nil)
	for name, signIn := range map[string]func(user string, edits ...func(*session.Record)){
		"Create": func(user string, edits ...func(*session.Record)) { create(t, store, user, edits...) },
		"CreateLimited": func(user string, edits ...func(*session.Record)) {
			_, err := store.CreateLimited(t.Context(), newRecord(user, edits...), session.Limit{Max: 5}, time.Now())
			must(t, err)
		},
	} {
		user := newUser()
		create(t, store, user) // it keeps the index alive
		most := int64(0)
		for range 100 {
			expired := newRecord(user, expiresIn(0))
			signIn(user, func(r *session.Record) { r.ID, r.ExpiresAt = expired.ID, expired.ExpiresAt })
			expire(t, client, expired)
			n, err := client.ZCard(t.Context(), indexKey(user)).Result()
			must(t, err)
			most = max(most, n)
		}
		if most > 20 {
			t.Errorf("%s: the index of a user with one live session has grown to %d entries", name, most)
		}
	}
}

// A node whose clock is ahead takes sessions for expired that others do not: it
// must not take them out of the index.
func TestClockAheadForgetsNothing(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store, user := newStore(t, client, nil), newUser()
	ahead := time.Now().Add(2 * life)
	records := []*session.Record{create(t, store, user), create(t, store, user)}
	if listed, err := store.ListUser(t.Context(), user, ahead); err != nil || len(listed) > 0 {
		t.Errorf("ListUser after the expiry: got %v and error %v, want nothing", listed, err)
	}
	next := newRecord(user, expiresIn(4*life))
	_, err := store.CreateLimited(t.Context(), next, session.Limit{Max: 1}, ahead)
	must(t, err)
	wantListed(t, store, user, append(records, next)...)
}
