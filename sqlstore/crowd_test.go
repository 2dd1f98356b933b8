package sqlstore_test

import (
	"errors"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/updateage/session"
)

// crowd are visitors of an application, who know what they were promised.
type crowd struct {
	*testing.T
	store    session.Store
	visitors []*visitor

	tried, unavailable atomic.Int64
	lastFailure        atomic.Int64 // ns since 1970
	slowest            atomic.Int64 // ns
}

// visitor is one user, who does one thing at a time.
type visitor struct {
	*crowd
	user     string
	sessions map[string]*session.Record // that were acknowledged
	revoked  []string                   // whose end was acknowledged
	unsure   map[string]bool            // of which an operation failed
}

func newCrowd(t *testing.T, store session.Store) *crowd {
	c := &crowd{T: t, store: store}
	for range 8 {
		c.visitors = append(c.visitors, &visitor{
			crowd: c, user: newUser(), sessions: make(map[string]*session.Record), unsure: make(map[string]bool),
		})
	}
	return c
}

// call notes how an operation ended, and says whether it was acknowledged. It is
// repeated once, as the core does.
func (c *crowd) call(operation func() error) bool {
	began := time.Now()
	err := operation()
	if err != nil {
		err = operation()
	}
	c.tried.Add(1)
	if took := int64(time.Since(began)); took > c.slowest.Load() {
		c.slowest.Store(took) // to within what matters
	}
	if err == nil {
		return true
	}
	for _, answer := range []error{session.ErrNotFound, session.ErrConflict, session.ErrExists, session.ErrUnreadable} {
		if errors.Is(err, answer) {
			c.Errorf("got %v, which is an answer, and not the right one", err)
		}
	}
	c.unavailable.Add(1)
	c.lastFailure.Store(time.Now().UnixNano())
	time.Sleep(5 * time.Millisecond)
	return false
}

func (v *visitor) step() {
	var r *session.Record
	for _, r = range v.sessions { // any one
		break
	}
	switch n := mathrand.N(100); {
	case r == nil || n < 15:
		v.signIn()
	case n < 60:
		v.look(r)
	case n < 85:
		v.change(r)
	case n < 98:
		v.signOut(r)
	default:
		v.signOutEverywhere()
	}
}

func (v *visitor) signIn() {
	r := newRecord(v.user)
	limited := v.store.(session.LimitedCreator)
	created := v.call(func() error {
		if mathrand.N(2) == 0 {
			return v.store.Create(v.Context(), r)
		}
		_, err := limited.CreateLimited(v.Context(), r, session.Limit{Max: 1000}, time.Now())
		return err
	})
	if created {
		v.sessions[r.ID] = r
	} else {
		v.unsure[r.ID] = true
	}
}

func (v *visitor) look(r *session.Record) {
	var got *session.Record
	if v.call(func() (err error) { got, err = v.store.Load(v.Context(), r.ID); return err }) && *got != *r {
		v.Errorf("an acknowledged change is lost: got %+v, want %+v", got, r)
	}
}

func (v *visitor) change(r *session.Record) {
	next := changed(r)
	next.ExpiresAt = next.ExpiresAt.Add(time.Millisecond)
	if v.call(func() error { return v.store.Update(v.Context(), next, r.Version) }) {
		v.sessions[r.ID] = next
		return
	}
	v.forget(r.ID)
}

func (v *visitor) forget(id string) {
	delete(v.sessions, id)
	v.unsure[id] = true
}

func (v *visitor) signOut(r *session.Record) {
	if v.call(func() error { return v.store.Delete(v.Context(), r.ID) }) {
		delete(v.sessions, r.ID)
		v.revoked = append(v.revoked, r.ID)
		return
	}
	v.forget(r.ID)
}

func (v *visitor) signOutEverywhere() {
	ended := v.call(func() error {
		_, err := v.store.DeleteUser(v.Context(), v.user, time.Now())
		return err
	})
	for id := range v.sessions {
		if ended {
			delete(v.sessions, id)
			v.revoked = append(v.revoked, id)
			continue
		}
		v.forget(id)
	}
}

// endure lets the visitors in, breaks something, waits until all is well, and
// checks that every promise was kept. The fault lasts until the function returns.
func (c *crowd) endure(fault func()) {
	c.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, v := range c.visitors {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					v.step()
				}
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	fault()
	lasted := time.Since(began)
	eventually(c.T, "recover", func() bool {
		before := c.tried.Load()
		time.Sleep(50 * time.Millisecond)
		return c.tried.Load() > before && time.Since(time.Unix(0, c.lastFailure.Load())) > 500*time.Millisecond
	})
	close(stop)
	wg.Wait()
	recovery := max(0, time.Duration(c.lastFailure.Load()-began.UnixNano()))
	c.Logf("fault: tried %d, unavailable %d, fault %.2fs, last failure %.2fs, slowest %.2fs",
		c.tried.Load(), c.unavailable.Load(), lasted.Seconds(), recovery.Seconds(), time.Duration(c.slowest.Load()).Seconds())
	for _, v := range c.visitors {
		v.recall()
	}
}

// recall checks what is stored against what was promised.
func (v *visitor) recall() {
	v.Helper()
	for _, r := range v.sessions {
		wantLoaded(v.T, v.store, r)
	}
	for _, id := range v.revoked {
		wantGone(v.T, v.store, id)
	}
	listed, err := v.store.ListUser(v.Context(), v.user, time.Now())
	must(v.T, err)
	for _, r := range listed {
		if v.sessions[r.ID] == nil && !v.unsure[r.ID] {
			v.Errorf("session %s is listed, which was never acknowledged or is revoked", r.ID)
		}
	}
	if len(listed) < len(v.sessions) {
		v.Errorf("got %d sessions listed, want at least %d", len(listed), len(v.sessions))
	}
}
