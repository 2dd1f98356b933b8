package memstore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// TestEverythingAtOnce lets all calls loose on a few users and checks what is
// left against each other.
func TestEverythingAtOnce(t *testing.T) {
	const callers, calls, users = 8, 2000, 5
	s := memstore.New(memstore.Options{MaxSessions: 500})
	st := &stress{T: t, s: s, now: time.Now().UTC().Truncate(time.Millisecond)}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range calls {
				st.call(userName(users))
			}
		})
	}
	wg.Wait()
	st.check(users)
}

func userName(users int) string { return fmt.Sprint("user ", rand.N(users)) }

type stress struct {
	*testing.T
	s   *memstore.Store
	now time.Time

	mu  sync.Mutex
	ids []string // guarded by mu; of all sessions ever created
}

// call makes a random call.
func (st *stress) call(user string) {
	ctx, id := st.Context(), st.anyID()
	var err error
	switch rand.N(10) {
	case 0, 1:
		err = st.s.Create(ctx, st.record(user))
	case 2:
		err = st.s.Create(ctx, st.record(""))
	case 3:
		_, err = st.s.CreateLimited(ctx, st.record(user), session.Limit{Max: 5, Refuse: rand.N(2) == 0}, st.now)
	case 4:
		err = st.change(id)
	case 5:
		err = st.s.Patch(ctx, id, []session.Change{{Key: "k", Data: []byte("1")}}, rand.Uint64(), st.now)
	case 6:
		err = st.s.Delete(ctx, id)
	case 7:
		_, err = st.s.ListUser(ctx, user, st.now)
	case 8:
		err = st.rarely(user)
	case 9:
		_, err = st.s.Load(ctx, id)
	}
	st.allow(err)
}

func (st *stress) rarely(user string) (err error) {
	switch rand.N(20) {
	case 0:
		_, err = st.s.DeleteUser(st.Context(), user, st.now, st.anyID())
	case 1:
		_, err = st.s.Sweep(st.Context(), st.now.Add(rand.N(time.Hour)))
	}
	return err
}

func (st *stress) allow(err error) {
	for _, expected := range []error{nil, session.ErrNotFound, session.ErrConflict, session.ErrLimit, session.ErrFull} {
		if errors.Is(err, expected) {
			return
		}
	}
	st.Error(err)
}

// change moves a session's expiry, or makes it a moved one.
func (st *stress) change(id string) error {
	old, err := st.s.Load(st.Context(), id)
	if err != nil {
		return err
	}
	next := *old
	next.Version = rand.Uint64()
	next.ExpiresAt = st.now.Add(rand.N(2 * time.Hour)).Truncate(time.Millisecond)
	if rand.N(4) == 0 {
		next.State = session.StateMoved
	}
	return st.s.Update(st.Context(), &next, old.Version)
}

func (st *stress) record(user string) *session.Record {
	r := newRecord(user, st.now.Add(rand.N(2*time.Hour)))
	st.mu.Lock()
	defer st.mu.Unlock()
	st.ids = append(st.ids, r.ID)
	return r
}

func (st *stress) anyID() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.ids) == 0 {
		return ""
	}
	return st.ids[len(st.ids)-1-rand.N(min(len(st.ids), 100))]
}

// check compares what Load finds with the lists, the index and Len.
func (st *stress) check(users int) {
	there, listable := 0, 0
	for _, id := range st.ids {
		r, err := st.s.Load(st.Context(), id)
		if err != nil {
			continue
		}
		there++
		if r.UserID != "" && r.State != session.StateMoved {
			listable++
		}
	}
	listed := 0
	for i := range users {
		records, err := st.s.ListUser(st.Context(), fmt.Sprint("user ", i), time.UnixMilli(0))
		st.allow(err)
		listed += len(records)
	}
	_, indexed := st.s.Indexed()
	if st.s.Len() != there || listed != listable || indexed != listable {
		st.Errorf("Load finds %d sessions, %d of them to be listed; Len has %d, the lists %d, the index %d",
			there, listable, st.s.Len(), listed, indexed)
	}
}
