package conformance

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/updateage/session"
)

// faulty is a store that can be down, and whose records can be made older.
type faulty struct {
	session.Store
	down    atomic.Bool
	updates atomic.Int64
}

var errDown = errors.New("connection refused")

// change changes a record behind everybody's back, as time does.
func (f *faulty) change(t *testing.T, id string, change func(*session.Record)) {
	t.Helper()
	old, err := f.Store.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	record := *old
	record.Version++
	change(&record)
	if err := f.Store.Update(t.Context(), &record, old.Version); err != nil {
		t.Fatal(err)
	}
}

func (f *faulty) Create(ctx context.Context, r *session.Record) error {
	if f.down.Load() {
		return errDown
	}
	return f.Store.Create(ctx, r)
}

func (f *faulty) Load(ctx context.Context, id string) (*session.Record, error) {
	if f.down.Load() {
		return nil, errDown
	}
	return f.Store.Load(ctx, id)
}

func (f *faulty) Update(ctx context.Context, r *session.Record, version uint64) error {
	if f.down.Load() {
		return errDown
	}
	f.updates.Add(1)
	return f.Store.Update(ctx, r, version)
}

func (f *faulty) Delete(ctx context.Context, id string) error {
	if f.down.Load() {
		return errDown
	}
	return f.Store.Delete(ctx, id)
}

func (f *faulty) ListUser(ctx context.Context, user string, now time.Time) ([]*session.Record, error) {
	if f.down.Load() {
		return nil, errDown
	}
	return f.Store.ListUser(ctx, user, now)
}

func (f *faulty) DeleteUser(ctx context.Context, user string, now time.Time, except ...string) (int, error) {
	if f.down.Load() {
		return 0, errDown
	}
	return f.Store.DeleteUser(ctx, user, now, except...)
}
