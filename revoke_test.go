package session_test

import (
	"context"
	"net/http"
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

// A revocation whose clean-up fails has happened, and is told of; but it is not
// acknowledged, as nobody knows what a failover would bring back.
func TestRevocationThatCouldNotBeFinished(t *testing.T) {
	events := &pxEvents{}
	store := pxFaulty()
	m := pxManager(t, store, session.Config{OnEvent: events.hook})
	cookie := pxSignIn(t, m, "alice")
	events.take()
	store.before = func(_ context.Context, op pxOp) error {
		if op.name == "Delete" {
			return errStoreDown
		}
		return nil
	}
	for range 2 {
		pxIs(t, "Revoke", m.Revoke(t.Context(), "alice", pxID(cookie)), session.ErrUnavailable)
	}
	if kinds := events.kinds(); kinds != "revoked, store error, store error" {
		t.Errorf("got events %q, want one revoked among them", kinds)
	}
	store.before = nil
	pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		pxIs(t, "Err", s.Err(), session.ErrNoSession)
		pxOK(t, "Set of a visitor", pxName.Set(s, "guest"))
	})
	pxIs(t, "Revoke again", m.Revoke(t.Context(), "alice", pxID(cookie)), session.ErrNotFound)
	if calls, good := store.called("Delete"); good != 1 {
		t.Errorf("%d of %d deletions succeeded, want the last", good, calls)
	}
}

// Between the two steps of a revocation.
func TestACommitDuringARevocationIsRevoked(t *testing.T) {
	for _, tc := range pxStores {
		t.Run(tc.name, func(t *testing.T) {
			store, fault := tc.make()
			m := pxManager(t, store, session.Config{})
			cookie := pxSignIn(t, m, "alice")
			in, goOn := make(chan struct{}), make(chan struct{})
			fault.before = func(_ context.Context, op pxOp) error {
				if op.name == "Delete" {
					close(in)
					<-goOn
				}
				return nil
			}
			revoked := make(chan error, 1)
			pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				go func() { revoked <- m.Revoke(context.Background(), "alice", pxID(cookie)) }()
				<-in
				pxOK(t, "Set", pxName.Set(s, "x"))
				pxIs(t, "Commit", s.Commit(r.Context()), session.ErrRevoked)
				pxIs(t, "Err", s.Err(), session.ErrRevoked)
			})
			close(goOn)
			pxOK(t, "Revoke", <-revoked)
		})
	}
}
