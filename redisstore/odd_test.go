package redisstore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/redisstore"
)

// What is under a session's key can be of a later version, or somebody else's.
func TestUnreadableSessionsAreUnreadableAndCanBeDeleted(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store := newStore(t, client, nil)
	for name, spoil := range map[string]func(good string) string{
		"empty":                          func(good string) string { return "" },
		"of a later format":              func(good string) string { return "\x02" + good[1:] },
		"cut off in the expiry":          func(good string) string { return good[:15] },
		"cut off in the head":            func(good string) string { return good[:100] },
		"cut off behind the head":        func(good string) string { return good[:134] },
		"cut off in the user ID":         func(good string) string { return good[:136] },
		"cut off in the strings":         func(good string) string { return good[:150] },
		"cut off in a value":             func(good string) string { return good[:len(good)-1] },
		"cut off in the head of a value": func(good string) string { return good[:len(good)-6] },
		"text":                           func(good string) string { return strings.Repeat("session ", 100) },
		"no string":                      nil,
	} {
		t.Run(name, func(t *testing.T) {
			user := newUser()
			r, other := create(t, store, user, func(r *session.Record) { r.Values = values(t, set("k", "1")) }), create(t, store, user)
			good, err := r.AppendBinary(nil)
			must(t, err)
			ruin := func() {
				t.Helper()
				must(t, client.Del(t.Context(), sessionKey(r.ID)).Err())
				must(t, client.ZAdd(t.Context(), indexKey(user), score(r)).Err())
				if spoil == nil {
					must(t, client.HSet(t.Context(), sessionKey(r.ID), "f", "v").Err())
					return
				}
				must(t, client.Set(t.Context(), sessionKey(r.ID), spoil(string(good)), time.Hour).Err())
			}
			ruin()
			wantUnreadable(t, store, r)
			wantListed(t, store, user, other)
			if _, err := store.CreateLimited(t.Context(), newRecord(user), session.Limit{Max: 2}, time.Now()); err != nil {
				t.Errorf("CreateLimited beside it: %v", err)
			}
			must(t, newStore(t, client, nil).Delete(t.Context(), r.ID))
			wantGone(t, store, r.ID)

			ruin()
			_, err = store.DeleteUser(t.Context(), user, time.Now())
			must(t, err)
			wantGone(t, store, r.ID)
			if n := client.Exists(t.Context(), sessionKey(r.ID), indexKey(user)).Val(); n != 0 {
				t.Errorf("after DeleteUser: %d keys are left", n)
			}
		})
	}
}

func wantUnreadable(t *testing.T, store *redisstore.Store, r *session.Record) {
	t.Helper()
	if _, err := store.Load(t.Context(), r.ID); !errors.Is(err, session.ErrUnreadable) {
		t.Errorf("Load: got error %v, want %v", err, session.ErrUnreadable)
	}
	err := store.Patch(t.Context(), r.ID, []session.Change{set("l", "1")}, newVersion(), time.Now())
	if !errors.Is(err, session.ErrUnreadable) {
		t.Errorf("Patch: got error %v, want %v", err, session.ErrUnreadable)
	}
	if err := store.Create(t.Context(), changed(r)); !errors.Is(err, session.ErrExists) {
		t.Errorf("Create: got error %v, want %v", err, session.ErrExists)
	}
	if _, err := store.CreateLimited(t.Context(), changed(r), session.Limit{Max: 1}, time.Now()); !errors.Is(err, session.ErrExists) {
		t.Errorf("CreateLimited: got error %v, want %v", err, session.ErrExists)
	}
	// Where the version can still be read, an Update mends it.
	if err := store.Update(t.Context(), changed(r), newVersion()); !errors.Is(err, session.ErrUnreadable) && !errors.Is(err, session.ErrConflict) {
		t.Errorf("Update: got error %v, want %v or %v", err, session.ErrUnreadable, session.ErrConflict)
	}
}

// A release that writes a later format is under way, and this one is not to spoil
// what that has written, nor to let anybody past the limit.
func TestLaterFormatIsLeftAloneAndCounts(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store, user := newStore(t, client, nil), newUser()
	r := create(t, store, user)
	must(t, client.SetRange(t.Context(), sessionKey(r.ID), 0, "\x02").Err())
	before := client.Get(t.Context(), sessionKey(r.ID)).Val()
	if err := store.Update(t.Context(), changed(r), r.Version); !errors.Is(err, session.ErrUnreadable) {
		t.Errorf("Update: got error %v, want %v", err, session.ErrUnreadable)
	}
	if err := store.Patch(t.Context(), r.ID, nil, newVersion(), time.Now()); !errors.Is(err, session.ErrUnreadable) {
		t.Errorf("Patch: got error %v, want %v", err, session.ErrUnreadable)
	}
	_, err := store.CreateLimited(t.Context(), newRecord(user), session.Limit{Max: 1, Refuse: true}, time.Now())
	if !errors.Is(err, session.ErrLimit) {
		t.Errorf("CreateLimited: got error %v, want %v", err, session.ErrLimit)
	}
	if after := client.Get(t.Context(), sessionKey(r.ID)).Val(); after != before {
		t.Errorf("the session has changed from %q to %q", before, after)
	}
}

// One in 4,096 users has the same tag: his sessions are in the same slot.
func TestUsersWithTheSameTagAreStrangers(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store, user := newStore(t, client, nil), newUser()
	stranger := newUser()
	for session.RoutingTag(stranger) != session.RoutingTag(user) {
		stranger = newUser()
	}
	r := create(t, store, user)
	theirs := changed(r, func(r *session.Record) { r.UserID = stranger })
	if err := store.Update(t.Context(), theirs, r.Version); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Update: got error %v, want %v", err, session.ErrNotFound)
	}
	if err := store.Create(t.Context(), theirs); !errors.Is(err, session.ErrExists) {
		t.Errorf("Create: got error %v, want %v", err, session.ErrExists)
	}
	wantListed(t, store, stranger)
	wantListed(t, store, user, r)
}

// An ID without the user's tag would put the session and the index of the user
// into different slots.
func TestIDsWithoutTheTagOfTheirUserAreRefused(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store := newStore(t, client, nil)
	r := newRecord(newUser())
	r.ID = otherTag(r.ID)
	if err := store.Create(t.Context(), r); err == nil {
		t.Error("Create: got no error")
	}
	if _, err := store.CreateLimited(t.Context(), r, session.Limit{Max: 1}, time.Now()); err == nil {
		t.Error("CreateLimited: got no error")
	}
	if err := store.Update(t.Context(), changed(r), r.Version); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Update: got error %v, want %v", err, session.ErrNotFound)
	}
	if n := client.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}

// otherTag returns the ID with another tag.
func otherTag(id string) string {
	if id[0] == 'A' {
		return "B" + id[1:]
	}
	return "A" + id[1:]
}

func TestImpossibleIDsAreRefused(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store := newStore(t, client, nil)
	for _, id := range []string{"", "a", strings.Repeat("a", 23), strings.Repeat("a", 25), strings.Repeat("}", 24), strings.Repeat("a", 22) + "é"} {
		r := newRecord("", func(r *session.Record) { r.ID = id })
		if err := store.Create(t.Context(), r); err == nil {
			t.Errorf("Create with ID %q: got no error", id)
		}
		if err := store.Update(t.Context(), r, 1); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Update with ID %q: got error %v, want %v", id, err, session.ErrNotFound)
		}
	}
}

func TestStoresWithDifferentPrefixesShareNothing(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	shop, admin := newStore(t, client, &redisstore.Options{KeyPrefix: "shop"}), newStore(t, client, &redisstore.Options{KeyPrefix: "}admin:"})
	user := newUser()
	r := create(t, shop, user)
	wantGone(t, admin, r.ID)
	wantListed(t, admin, user)
	_, err := admin.DeleteUser(t.Context(), user, time.Now())
	must(t, err)
	must(t, admin.Delete(t.Context(), r.ID))
	wantListed(t, shop, user, r)
	if n := client.Exists(t.Context(), strings.Replace(sessionKey(r.ID), "session", "shop", 1)).Val(); n != 1 {
		t.Error("the session is not under its prefix")
	}
}

// The server forgets scripts when it restarts, and when it is told to.
func TestScriptsComeBackWhenTheServerForgetsThem(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store, user := newStore(t, client, nil), newUser()
	flush := func() { must(t, client.ScriptFlush(t.Context()).Err()) }
	flush()
	r := create(t, store, user)
	flush()
	must(t, store.Patch(t.Context(), r.ID, []session.Change{set("k", "1")}, newVersion(), time.Now()))
	r = newRecordOf(t, store, r.ID)
	flush()
	must(t, store.Update(t.Context(), changed(r), r.Version))
	flush()
	_, err := store.CreateLimited(t.Context(), newRecord(user), session.Limit{Max: 1}, time.Now())
	must(t, err)
	wantGone(t, store, r.ID)
	flush()
	must(t, store.Delete(t.Context(), create(t, store, user).ID))
	flush()
	if n, err := store.DeleteUser(t.Context(), user, time.Now()); n != 1 || err != nil {
		t.Errorf("DeleteUser: got %d and error %v, want 1", n, err)
	}
}

// A server that is full must not sign out one device for another that it then
// has no room for, and must go on answering and revoking.
func TestFullServerSignsNobodyOut(t *testing.T) {
	client := single(t, servers.StartRedis(t, "--maxmemory", "8mb", "--maxmemory-policy", "noeviction"))
	store, user := newStore(t, client, nil), newUser()
	records := []*session.Record{create(t, store, user), create(t, store, user)}
	var full error
	for i := 0; full == nil && i < 1000; i++ {
		full = store.Create(t.Context(), newRecord("", func(r *session.Record) {
			r.Values = values(t, set("k", strings.Repeat("x", 60_000)))
		}))
	}
	if full == nil || errors.Is(full, session.ErrExists) {
		t.Fatalf("filling the server: got error %v, want one", full)
	}
	// Until small records do not fit either.
	for client.Set(t.Context(), "filler:"+newUser(), strings.Repeat("x", 100), time.Hour).Err() == nil {
	}
	if _, err := store.CreateLimited(t.Context(), newRecord(user), session.Limit{Max: 2}, time.Now()); err == nil {
		t.Error("CreateLimited: got no error")
	}
	wantListed(t, store, user, records...)
	must(t, store.Delete(t.Context(), records[0].ID))
	wantListed(t, store, user, records[1])
	if n, err := store.DeleteUser(t.Context(), user, time.Now()); n != 1 || err != nil {
		t.Errorf("DeleteUser: got %d and error %v, want 1", n, err)
	}
}
