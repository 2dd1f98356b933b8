package redisstore_test

import (
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
)

// The numbers are those of a server that knows the scripts already.
func TestRoundTrips(t *testing.T) {
	client := single(t, servers.StartRedis(t))
	store, other := newStore(t, client, nil), newStore(t, client, nil)
	teach(t, client)
	ctx, now := t.Context(), time.Now()
	script := "evalsha"

	user := newUser()
	r, anonymous, expired := newRecord(user), newRecord(""), newRecord(user)
	limited := func(userID string, max int, refuse bool) error {
		_, err := store.CreateLimited(ctx, newRecord(userID), session.Limit{Max: max, Refuse: refuse}, now)
		if refuse && err == session.ErrLimit {
			return nil
		}
		return err
	}
	stale := newUser()
	create(t, store, stale)
	past := []*session.Record{newRecord(stale, expiresIn(-time.Hour)), newRecord(stale, expiresIn(-time.Hour))}
	index(t, client, past...)
	crowded := newUser()
	for range 1001 {
		create(t, store, crowded)
	}
	recorder := record(client)
	for _, op := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"create", func() error { return store.Create(ctx, r) }, []string{script}},
		{"create anonymous", func() error { return store.Create(ctx, anonymous) }, []string{script}},
		{"load", func() error { _, err := store.Load(ctx, r.ID); return err }, []string{"get"}},
		{"update", func() error {
			next := changed(r, expiresIn(2*life))
			err := store.Update(ctx, next, r.Version)
			r = next
			return err
		}, []string{script}},
		{"patch", func() error {
			return store.Patch(ctx, r.ID, []session.Change{set("k", "1")}, newVersion(), now)
		}, []string{script}},
		{"create below the limit", func() error { return limited(user, 2, false) }, []string{script}},
		{"create below the limit beside entries of expired sessions", func() error { return limited(stale, 2, true) }, []string{script}},
		{"create over the limit, evicting", func() error { return limited(user, 2, false) }, []string{script, script}},
		{"create over the limit, refused", func() error { return limited(user, 2, true) }, []string{script, script}},
		{"list", func() error { _, err := store.ListUser(ctx, user, now); return err }, []string{"zrange", "mget"}},
		{"list of nobody", func() error { _, err := store.ListUser(ctx, newUser(), now); return err }, []string{"zrange"}},
		{"delete what this store has seen", func() error { return store.Delete(ctx, r.ID) }, []string{script}},
		{"delete again", func() error { return store.Delete(ctx, r.ID) }, []string{script}},
		{"delete anonymous", func() error { return other.Delete(ctx, anonymous.ID) }, []string{script}},
		{"delete what is not there", func() error { return other.Delete(ctx, newID("")) }, []string{script}},
		{"create for another", func() error { return store.Create(ctx, expired) }, []string{script}},
		{"delete what only another store has seen", func() error { return other.Delete(ctx, expired.ID) }, []string{script, script}},
		{"delete user", func() error { _, err := store.DeleteUser(ctx, user, now); return err }, []string{"zrange", script}},
		{"delete user with 1,001 sessions", func() error { _, err := store.DeleteUser(ctx, crowded, now); return err },
			[]string{"zrange", script, script}},
		{"load of an impossible ID", func() error { _, _ = store.Load(ctx, "../../etc/passwd"); return nil }, nil},
		{"delete of an impossible ID", func() error { return store.Delete(ctx, "") }, nil},
	} {
		if err := op.do(); err != nil {
			t.Fatalf("%s: %v", op.name, err)
		}
		if got := recorder.take(); !slices.Equal(got, op.want) {
			t.Errorf("%s: got commands %q, want %q", op.name, got, op.want)
		}
	}
}

// teach makes the server know all scripts.
func teach(t *testing.T, client redis.UniversalClient) {
	t.Helper()
	store, user := newStore(t, client, nil), newUser()
	r := create(t, store, user)
	must(t, store.Patch(t.Context(), r.ID, nil, newVersion(), time.Now()))
	r, err := store.Load(t.Context(), r.ID)
	must(t, err)
	must(t, store.Update(t.Context(), changed(r), r.Version))
	_, err = store.CreateLimited(t.Context(), newRecord(user), session.Limit{Max: 1}, time.Now())
	must(t, err)
	must(t, store.Delete(t.Context(), r.ID))
	_, err = store.DeleteUser(t.Context(), user, time.Now())
	must(t, err)
}
