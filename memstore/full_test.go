package memstore_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

const room = 3

// fullStore returns a store that holds as many anonymous sessions as it may.
func fullStore(t *testing.T) (s *memstore.Store, records []*session.Record) {
	s = memstore.New(memstore.Options{MaxSessions: room})
	for range room {
		records = append(records, create(t, s, newRecord("", time.Now().Add(time.Hour))))
	}
	return s, records
}

func pending(r *session.Record) *session.Record {
	r.State = session.StatePending
	return r
}

func TestFullStore(t *testing.T) {
	tests := []struct {
		does string
		next func(old *session.Record) *session.Record
		want error
	}{
		{"refuses a visitor", func(*session.Record) *session.Record { return newRecord("", hence(time.Hour)) }, session.ErrFull},
		{"takes a user", func(*session.Record) *session.Record { return newRecord("alice", hence(time.Hour)) }, nil},
		{"takes a pending sign-in", func(*session.Record) *session.Record { return pending(newRecord("alice", hence(time.Hour))) }, nil},
		{"answers a repeated Create as before", func(old *session.Record) *session.Record { return old }, nil},
		{"says that an ID is taken", func(old *session.Record) *session.Record {
			r := newRecord("", hence(time.Hour))
			r.ID, r.Version = old.ID, 2
			return r
		}, session.ErrExists},
	}
	for _, tt := range tests {
		t.Run(tt.does, func(t *testing.T) {
			s, records := fullStore(t)
			if err := s.Create(t.Context(), tt.next(records[0])); err != tt.want {
				t.Errorf("Create: got error %v, want %v", err, tt.want)
			}
			for _, r := range records {
				load(t, s, r.ID)
			}
		})
	}
}

func hence(d time.Duration) time.Time { return time.Now().Add(d) }

func TestFullStoreLimitsUsersAsEver(t *testing.T) {
	s, records := fullStore(t)
	limit := session.Limit{Max: 1}
	for range 2 {
		if _, err := s.CreateLimited(t.Context(), newRecord("alice", hence(time.Hour)), limit, time.Now()); err != nil {
			t.Errorf("CreateLimited: got error %v, want none", err)
		}
	}
	if got, want := s.Len(), len(records)+1; got != want {
		t.Errorf("got %d sessions, want %d", got, want)
	}
}

func TestFullStoreHasRoomAfterDelete(t *testing.T) {
	s, records := fullStore(t)
	if err := s.Delete(t.Context(), records[0].ID); err != nil {
		t.Fatal(err)
	}
	create(t, s, newRecord("", hence(time.Hour)))
	if err := s.Create(t.Context(), newRecord("", hence(time.Hour))); err != session.ErrFull {
		t.Errorf("Create: got error %v, want %v", err, session.ErrFull)
	}
}

func TestFullStoreFreesWhatIsExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, records := fullStore(t)
		signedIn := create(t, s, newRecord("alice", hence(2*time.Hour)))

		time.Sleep(time.Hour + time.Second)
		if err := s.Create(t.Context(), newRecord("", hence(time.Hour))); err != session.ErrFull {
			t.Errorf("Create a second after the others expired: got error %v, want %v", err, session.ErrFull)
		}
		time.Sleep(time.Minute)
		for range room - 1 {
			create(t, s, newRecord("", hence(time.Hour)))
		}
		if err := s.Create(t.Context(), newRecord("", hence(time.Hour))); err != session.ErrFull {
			t.Errorf("Create when it is full again: got error %v, want %v", err, session.ErrFull)
		}
		for _, r := range records {
			if _, err := s.Load(t.Context(), r.ID); err != session.ErrNotFound {
				t.Errorf("Load of an expired session: got error %v, want %v", err, session.ErrNotFound)
			}
		}
		load(t, s, signedIn.ID)
	})
}

func TestVisitorsInParallelNeverExceedMaxSessions(t *testing.T) {
	const most, callers, each = 100, 8, 50
	s := memstore.New(memstore.Options{MaxSessions: most})
	var created atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if s.Create(t.Context(), newRecord("", hence(time.Hour))) == nil {
					created.Add(1)
				}
				if n := s.Len(); n > most {
					t.Errorf("got %d sessions, want at most %d", n, most)
				}
			}
		})
	}
	wg.Wait()
	if got := created.Load(); got != most {
		t.Errorf("got %d sessions created, want %d", got, most)
	}
}
