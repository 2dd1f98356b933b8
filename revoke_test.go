package session_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// meetingStore lets nobody past Load before all have loaded.
type meetingStore struct {
	session.Store
	left atomic.Int32
	all  sync.WaitGroup
}

func (m *meetingStore) Load(ctx context.Context, id string) (*session.Record, error) {
	r, err := m.Store.Load(ctx, id)
	if m.left.Add(-1) >= 0 {
		m.all.Done()
		m.all.Wait()
	}
	return r, err
}

func TestOneOfParallelRevocationsWins(t *testing.T) {
	const n = 8
	events := &pxEvents{}
	store := &meetingStore{Store: &memstore.Store{}}
	m := pxManager(t, store, session.Config{OnEvent: events.hook})
	id := pxID(pxSignIn(t, m, "alice"))
	events.take()
	store.all.Add(n)
	store.left.Store(n)
	var won atomic.Int32
	pxParallel(n, func(int) {
		switch err := m.Revoke(t.Context(), "alice", id); err {
		case nil:
			won.Add(1)
		default:
			pxIs(t, "Revoke", err, session.ErrNotFound)
		}
	})
	if kinds := events.kinds(); won.Load() != 1 || kinds != "revoked" {
		t.Errorf("%d of %d revocations succeeded, events %q, want one of each", won.Load(), n, kinds)
	}
}

// Whoever writes all the time to a session cannot keep it.
func TestRevokeEndsASessionThatIsWrittenToAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		store.before = func(_ context.Context, op pxOp) error {
			if op.name == "Update" {
				return session.ErrConflict
			}
			return nil
		}
		pxOK(t, "Revoke", m.Revoke(t.Context(), "alice", pxID(cookie)))
		store.before = nil
		if user := pxUser(m, cookie); user != "" {
			t.Errorf("after Revoke: got user %q, want nobody", user)
		}
	})
}
