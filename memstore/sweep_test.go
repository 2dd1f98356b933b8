package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// fill creates sessions, every second one of a user, three to a user.
func fill(t testing.TB, s *memstore.Store, n int, expires time.Time) (records []*session.Record) {
	for i := range n {
		user := ""
		if i%2 == 0 {
			user = fmt.Sprint("user ", i/6)
		}
		records = append(records, create(t, s, newRecord(user, expires)))
	}
	return records
}

func wantLen(t *testing.T, when string, s *memstore.Store, want int) {
	t.Helper()
	if got := s.Len(); got != want {
		t.Errorf("%s: got %d sessions, want %d", when, got, want)
	}
}

func TestSweepFreesSessionsAndTheirIndex(t *testing.T) {
	s := memstore.New(memstore.Options{})
	now := time.Now().Truncate(time.Millisecond)
	fill(t, s, 3000, now.Add(time.Hour))
	kept := create(t, s, newRecord("user 0", now.Add(2*time.Hour)))

	if n, err := s.Sweep(t.Context(), now); n != 0 || err != nil {
		t.Errorf("Sweep before the expiry: got %d and error %v, want 0 and none", n, err)
	}
	if n, err := s.Sweep(t.Context(), now.Add(time.Hour)); n != 3000 || err != nil {
		t.Errorf("Sweep at the expiry: got %d and error %v, want 3000 and none", n, err)
	}
	wantLen(t, "after Sweep", s, 1)
	if users, ids := s.Indexed(); users != 1 || ids != 1 {
		t.Errorf("after Sweep: got %d users with %d sessions in the index, want 1 with 1", users, ids)
	}
	load(t, s, kept.ID)
}

func TestSweepStopsWhenItsContextEnds(t *testing.T) {
	s := memstore.New(memstore.Options{})
	now := time.Now()
	fill(t, s, 3000, now.Add(time.Hour))
	ctx := &countdown{Context: t.Context(), left: memstore.Shards / 2}
	n, err := s.Sweep(ctx, now.Add(2*time.Hour))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Sweep: got error %v, want %v", err, context.Canceled)
	}
	if n == 0 || n == 3000 {
		t.Errorf("Sweep: got %d, want a part of 3000", n)
	}
	wantLen(t, "after a part of a Sweep", s, 3000-n)
}

// countdown is a context that ends when it was asked so many times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestCreatesFreeWhatIsExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const old = 20_000
		s := memstore.New(memstore.Options{})
		fill(t, s, old, hence(time.Hour))
		time.Sleep(2 * time.Hour)

		const creates = old/64 + 20*memstore.Shards
		fill(t, s, creates, hence(time.Hour))
		wantLen(t, "after as many creates as sweep all shards", s, creates)
		if _, ids := s.Indexed(); ids != creates/2 {
			t.Errorf("got %d sessions in the index, want %d", ids, creates/2)
		}
	})
}

func TestCreatesOfVisitorsThatExpireKeepMemoryBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		for range 40 {
			fill(t, s, 1000, hence(time.Minute))
			time.Sleep(time.Minute)
		}
		// At most 3,000 are live or not a minute past their expiry.
		if got := s.Len(); got > 10_000 {
			t.Errorf("got %d sessions of 40,000, want at most 10,000", got)
		}
	})
}

func TestCreatesFreeNothingThatJustExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		old := fill(t, s, 1000, hence(time.Hour))
		time.Sleep(time.Hour + 30*time.Second)
		fill(t, s, 20*memstore.Shards, hence(time.Hour))
		for _, r := range old {
			load(t, s, r.ID)
		}
	})
}

func TestSweepSparesWhatWasRefreshed(t *testing.T) {
	s := memstore.New(memstore.Options{})
	now := time.Now()
	records := fill(t, s, 1000, now.Add(time.Hour))
	for _, r := range records {
		longer := *r
		longer.Version++
		longer.ExpiresAt = r.ExpiresAt.Add(time.Hour)
		if err := s.Update(t.Context(), &longer, r.Version); err != nil {
			t.Fatal(err)
		}
	}
	for _, after := range []time.Duration{time.Hour, 90 * time.Minute} {
		if n, err := s.Sweep(t.Context(), now.Add(after)); n != 0 || err != nil {
			t.Errorf("Sweep at the first expiry: got %d and error %v, want 0 and none", n, err)
		}
	}
	if n, err := s.Sweep(t.Context(), now.Add(2*time.Hour)); n != 1000 || err != nil {
		t.Errorf("Sweep at the second expiry: got %d and error %v, want 1000 and none", n, err)
	}
}

func TestTableGivesMemoryBack(t *testing.T) {
	var table memstore.Table
	key := func(i int) string { return fmt.Sprint(i) }
	for i := range 1000 {
		table.Put(key(i))
	}
	for i := range 750 {
		table.Delete(key(i))
	}
	if got := table.Peak(); got != 1000 {
		t.Errorf("with a quarter left: got a map for %d, want 1000", got)
	}
	table.Delete(key(750))
	if got := table.Peak(); got != 249 || table.Len() != 249 {
		t.Errorf("with less than a quarter left: got a map for %d with %d in it, want 249 and 249", got, table.Len())
	}
}
