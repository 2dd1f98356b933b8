package storetest_test

import (
	"context"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// breakage is a way in which a store can be broken, and the rules that have to
// notice.
type breakage struct {
	store string
	rules []string
	do    func(b *broken)
}

// broken is a good store but for the methods that a breakage replaces.
type broken struct {
	good *memstore.Store

	create     func(ctx context.Context, r *session.Record) error
	load       func(ctx context.Context, id string) (*session.Record, error)
	update     func(ctx context.Context, r *session.Record, version uint64) error
	remove     func(ctx context.Context, id string) error
	list       func(ctx context.Context, userID string, now time.Time) ([]*session.Record, error)
	removeUser func(ctx context.Context, userID string, now time.Time, except ...string) (int, error)
	limited    func(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error)
	patch      func(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error
	sweep      func(ctx context.Context, now time.Time) (int, error)

	feed feed
}

var (
	_ session.Store          = (*broken)(nil)
	_ session.LimitedCreator = (*broken)(nil)
	_ session.Patcher        = (*broken)(nil)
	_ session.Sweeper        = (*broken)(nil)
	_ session.Feed           = (*broken)(nil)
)

// breakStore returns a new store that is broken in this way.
func (br breakage) breakStore() *broken {
	s := memstore.New(memstore.Options{})
	b := &broken{
		good: s, create: s.Create, load: s.Load, update: s.Update, remove: s.Delete, list: s.ListUser,
		removeUser: s.DeleteUser, limited: s.CreateLimited, patch: s.Patch, sweep: s.Sweep,
	}
	br.do(b)
	return b
}

func (b *broken) Create(ctx context.Context, r *session.Record) error {
	return b.create(ctx, r)
}

func (b *broken) Load(ctx context.Context, id string) (*session.Record, error) {
	return b.load(ctx, id)
}

func (b *broken) Update(ctx context.Context, r *session.Record, version uint64) error {
	err := b.update(ctx, r, version)
	b.feed.tell("Update", r.ID)
	return err
}

func (b *broken) Delete(ctx context.Context, id string) error {
	err := b.remove(ctx, id)
	b.feed.tell("Delete", id)
	return err
}

func (b *broken) ListUser(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
	return b.list(ctx, userID, now)
}

func (b *broken) DeleteUser(ctx context.Context, userID string, now time.Time, except ...string) (int, error) {
	records, _ := b.good.ListUser(ctx, userID, now)
	n, err := b.removeUser(ctx, userID, now, except...)
	for _, r := range records {
		b.feed.tell("DeleteUser", r.ID)
	}
	return n, err
}

func (b *broken) CreateLimited(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
	evicted, err := b.limited(ctx, r, limit, now)
	b.feed.tell("CreateLimited", evicted...)
	return evicted, err
}

func (b *broken) Patch(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
	err := b.patch(ctx, id, changes, version, now)
	b.feed.tell("Patch", id)
	return err
}

func (b *broken) Sweep(ctx context.Context, now time.Time) (int, error) {
	return b.sweep(ctx, now)
}

// gap lets other callers in between a check and the write that relies on it.
func gap() { time.Sleep(200 * time.Microsecond) }

// edited returns a changed copy.
func edited(r *session.Record, edit func(*session.Record)) *session.Record {
	c := *r
	edit(&c)
	return &c
}

// editCreated breaks Create by what it stores.
func editCreated(edit func(*session.Record)) func(*broken) {
	return func(b *broken) {
		b.create = func(ctx context.Context, r *session.Record) error {
			return b.good.Create(ctx, edited(r, edit))
		}
	}
}

// editLoaded breaks Load by what it returns.
func editLoaded(edit func(*session.Record)) func(*broken) {
	return func(b *broken) {
		b.load = func(ctx context.Context, id string) (*session.Record, error) {
			r, err := b.good.Load(ctx, id)
			if err != nil {
				return nil, err
			}
			return edited(r, edit), nil
		}
	}
}

// force replaces the record whatever its version is.
func (b *broken) force(ctx context.Context, r *session.Record) error {
	for {
		old, err := b.good.Load(ctx, r.ID)
		if err != nil {
			return err
		}
		if err := b.good.Update(ctx, r, old.Version); err != session.ErrConflict {
			return err
		}
	}
}

// put replaces the record, or creates it.
func (b *broken) put(ctx context.Context, r *session.Record) error {
	if err := b.force(ctx, r); err != session.ErrNotFound {
		return err
	}
	return b.good.Create(ctx, r)
}
