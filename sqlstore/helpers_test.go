package sqlstore_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/updateage/session"
)

// life is how long the sessions of a test live.
const life = time.Hour

// newRecord returns a record as a sign-in makes it, anonymous without a user.
func newRecord(userID string, edits ...func(*session.Record)) *session.Record {
	now := time.Now().UTC().Truncate(time.Millisecond)
	r := &session.Record{
		ID: newID(userID), UserID: userID,
		CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(life), ExpiresIn: life,
		IPAddress: "192.0.2.1", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		Version: newVersion(),
	}
	if userID != "" {
		r.State, r.AuthenticatedAt = session.StateSignedIn, now
	}
	rand.Read(r.TokenHash[:])
	for _, edit := range edits {
		edit(r)
	}
	return r
}

func newID(userID string) string {
	b := make([]byte, 18)
	rand.Read(b)
	id := base64.RawURLEncoding.EncodeToString(b)
	if userID == "" {
		return id
	}
	return session.RoutingTag(userID) + id[2:]
}

func newUser() string { return "user-" + rand.Text() }

func newVersion() uint64 { return mathrand.Uint64() | 1 }

// changed returns a copy of the record with a new version and the edits.
func changed(r *session.Record, edits ...func(*session.Record)) *session.Record {
	c := *r
	c.Version = newVersion()
	for _, edit := range edits {
		edit(&c)
	}
	return &c
}

// expiresIn makes a record expire so long from now.
func expiresIn(d time.Duration) func(*session.Record) {
	return func(r *session.Record) { r.ExpiresAt = time.Now().UTC().Truncate(time.Millisecond).Add(d) }
}

func withValue(key, data string) func(*session.Record) {
	return func(r *session.Record) {
		v, err := r.Values.Apply([]session.Change{{Key: key, Data: []byte(data)}})
		if err != nil {
			panic(err) // a mistake in the test
		}
		r.Values = v
	}
}

// create stores a new record of the user.
func create(t testing.TB, store session.Store, userID string, edits ...func(*session.Record)) *session.Record {
	t.Helper()
	r := newRecord(userID, edits...)
	must(t, store.Create(t.Context(), r))
	return r
}

// createMany stores n records of anybody's.
func createMany(t testing.TB, store session.Store, n int, edits ...func(*session.Record)) []*session.Record {
	t.Helper()
	const lanes = 8
	records := make([]*session.Record, n)
	for i := range records {
		records[i] = newRecord("", edits...)
	}
	parallel(lanes, func(lane int) {
		for i := lane; i < n; i += lanes {
			if err := store.Create(t.Context(), records[i]); err != nil {
				t.Error(err)
				return
			}
		}
	})
	return records
}

// parallel calls f n times at once, with 0 to n-1, and waits.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func wantLoaded(t testing.TB, store session.Store, want *session.Record) {
	t.Helper()
	got, err := store.Load(t.Context(), want.ID)
	if err != nil {
		t.Errorf("Load: got error %v, want the record", err)
		return
	}
	if *got != *want {
		t.Errorf("Load: got %+v, want %+v", got, want)
	}
}

func wantGone(t testing.TB, store session.Store, id string) {
	t.Helper()
	if r, err := store.Load(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load: got %v and error %v, want %v", r, err, session.ErrNotFound)
	}
}

// wantListed checks which of the user's sessions are listed.
func wantListed(t testing.TB, store session.Store, userID string, want ...*session.Record) {
	t.Helper()
	records, err := store.ListUser(t.Context(), userID, time.Now())
	must(t, err)
	if got, want := ids(records), ids(want); !slices.Equal(got, want) {
		t.Errorf("ListUser: got %q, want %q", got, want)
	}
}

func ids(records []*session.Record) []string {
	list := make([]string, len(records))
	for i, r := range records {
		list[i] = r.ID
	}
	slices.Sort(list)
	return list
}

func wantErr(t testing.TB, call string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", call, got, want)
	}
}

// eventually waits for what a server does in its own time.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// background calls f in a goroutine and returns what it will have returned.
func background(ctx context.Context, f func(context.Context) error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f(ctx) }()
	return result
}
