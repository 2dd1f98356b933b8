package memstore_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
	"github.com/updateage/session/storetest"
)

func TestZeroStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) session.Store { return new(memstore.Store) })
}

func TestNewStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) session.Store { return memstore.New(memstore.Options{}) })
}

func TestStoreWithMaxSessionsKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) session.Store { return memstore.New(memstore.Options{MaxSessions: 10_000}) })
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(*testing.B) session.Store { return memstore.New(memstore.Options{}) })
}

func TestLoadDoesNotAllocate(t *testing.T) {
	s := memstore.New(memstore.Options{})
	r := create(t, s, newRecord("alice", time.Now().Add(time.Hour)))
	ctx := t.Context()
	for name, id := range map[string]string{"known": r.ID, "unknown": newID(), "odd": "?", "empty": ""} {
		if n := testing.AllocsPerRun(1000, func() { _, _ = s.Load(ctx, id) }); n != 0 {
			t.Errorf("Load of a known or unknown ID (%s): got %v allocations, want 0", name, n)
		}
	}
}

func TestStoreDoesNotHoldOnToTheToken(t *testing.T) {
	s := memstore.New(memstore.Options{})
	token := newID() + "the secret of the token, 40 characters.."
	r := newRecord("", time.Now().Add(time.Hour))
	r.ID = token[:24]
	create(t, s, r)
	r = load(t, s, r.ID)
	if unsafe.StringData(r.ID) == unsafe.StringData(token) {
		t.Error("the ID that the store keeps is cut out of the token")
	}
}

func TestStoreSharesEqualUserAgents(t *testing.T) {
	s := memstore.New(memstore.Options{})
	var agents [2]string
	for i := range agents {
		r := newRecord("alice", time.Now().Add(time.Hour))
		r.UserAgent = string([]byte("Mozilla/5.0"))
		agents[i] = load(t, s, create(t, s, r).ID).UserAgent
	}
	if unsafe.StringData(agents[0]) != unsafe.StringData(agents[1]) {
		t.Error("two sessions keep a copy each of the same user agent")
	}
}

func TestErrorsNameTheCall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := memstore.New(memstore.Options{})
	r := newRecord("alice", time.Now())
	_, loadErr := s.Load(ctx, r.ID)
	_, sweepErr := s.Sweep(ctx, time.Now())
	for want, got := range map[string]error{
		"memstore: load session: context canceled":   loadErr,
		"memstore: create session: context canceled": s.Create(ctx, r),
		"memstore: sweep sessions: context canceled": sweepErr,
	} {
		if got == nil || got.Error() != want || !errors.Is(got, context.Canceled) {
			t.Errorf("got error %v, want %s", got, want)
		}
	}
}

func TestTieOfExpiryIsBrokenByAge(t *testing.T) {
	s := memstore.New(memstore.Options{})
	now := time.Now().Truncate(time.Millisecond)
	end := now.Add(time.Hour)
	var records []*session.Record
	for _, age := range []time.Duration{time.Minute, 3 * time.Minute, 2 * time.Minute} {
		r := newRecord("alice", end)
		r.CreatedAt = now.Add(-age)
		records = append(records, create(t, s, r))
	}
	evicted, err := s.CreateLimited(t.Context(), newRecord("alice", end), session.Limit{Max: 2}, now)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(evicted), fmt.Sprint([]string{records[1].ID, records[2].ID}); got != want {
		t.Errorf("got evicted %s, want the two oldest %s", got, want)
	}
}

func TestImpossibleLimitLeavesTheNewSession(t *testing.T) {
	s := memstore.New(memstore.Options{})
	now := time.Now()
	for range 2 {
		if _, err := s.CreateLimited(t.Context(), newRecord("alice", now.Add(time.Hour)), session.Limit{Max: -1}, now); err != nil {
			t.Errorf("CreateLimited with a limit below 1: got error %v, want none", err)
		}
	}
	if got := s.Len(); got != 1 {
		t.Errorf("got %d sessions, want 1", got)
	}
}

func newID() string {
	var b [18]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// newRecord returns a session of the user, an anonymous one if there is none.
func newRecord(userID string, expires time.Time) *session.Record {
	r := &session.Record{ID: newID(), UserID: userID, ExpiresAt: expires.UTC().Truncate(time.Millisecond), Version: 1}
	if userID != "" {
		r.State = session.StateSignedIn
	}
	return r
}

func create(t testing.TB, s *memstore.Store, r *session.Record) *session.Record {
	t.Helper()
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func load(t testing.TB, s *memstore.Store, id string) *session.Record {
	t.Helper()
	r, err := s.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
