package storetest_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/updateage/session"
)

var brokenRecords = []breakage{
	{"forgets the device",
		[]string{"Load returns every field of what was created"},
		editCreated(func(r *session.Record) { r.DeviceID = "" })},
	{"keeps seconds",
		[]string{"Load returns every field of what was created"},
		editCreated(func(r *session.Record) { r.UpdatedAt = r.UpdatedAt.Truncate(time.Second) })},
	{"returns times in another zone",
		[]string{"Load returns every field of what was created"},
		editLoaded(func(r *session.Record) { r.UpdatedAt = r.UpdatedAt.In(time.FixedZone("", 3600)) })},
	{"updates all but the token's hash",
		[]string{"Load returns every field of what was updated"}, keepTokenHash},
	{"returns no time as 1970",
		[]string{"zero fields stay zero"},
		editLoaded(func(r *session.Record) {
			if r.RotatedAt.IsZero() {
				r.RotatedAt = time.Unix(0, 0).UTC()
			}
		})},
	{"keeps users' sessions only",
		[]string{"an anonymous record is kept like any other"}, dropAnonymous},
	{"has a signed column for the version",
		[]string{"all 64 bits of a version count"},
		editLoaded(func(r *session.Record) { r.Version &^= 1 << 63 })},
	{"has room for 65,535 bytes of values",
		[]string{"values of 64 KiB fit"},
		editCreated(func(r *session.Record) { r.Values = r.Values[:min(len(r.Values), 65535)] })},
	{"cuts user agents to 255 bytes",
		[]string{"strings of the greatest length fit"},
		editCreated(func(r *session.Record) { r.UserAgent = r.UserAgent[:min(len(r.UserAgent), 255)] })},
	{"overwrites at Create",
		[]string{"Create refuses an ID that is taken"}, overwriteAtCreate},
	{"refuses a repeated Create",
		[]string{"a repeated Create succeeds"}, refuseRepeatedCreate},
	{"loads nothing without an error",
		[]string{"Load of an unknown ID is ErrNotFound"}, loadNilWithoutError},
	{"trims IDs",
		[]string{"odd IDs are not found"}, trimIDs},
	{"fails to load what is expired",
		[]string{"an expired record is the record or ErrNotFound"}, failOnExpired},
	{"overwrites in place the record it has returned",
		[]string{"a loaded record never changes", "a loaded record never changes by a Patch"}, overwriteInPlace},
	{"keeps the pointer it was given",
		[]string{"the store keeps a copy of what it is given"}, keepPointer},
	{"ignores the context",
		[]string{
			"a cancelled context ends every call and changes nothing",
			"a cancelled context ends CreateLimited and changes nothing",
			"a cancelled context ends Patch and changes nothing",
			"a cancelled context ends Sweep",
		}, ignoreContext},
}

func keepTokenHash(b *broken) {
	b.update = func(ctx context.Context, r *session.Record, version uint64) error {
		old, err := b.good.Load(ctx, r.ID)
		if err != nil {
			return err
		}
		return b.good.Update(ctx, edited(r, func(r *session.Record) { r.TokenHash = old.TokenHash }), version)
	}
}

func dropAnonymous(b *broken) {
	b.create = func(ctx context.Context, r *session.Record) error {
		if r.UserID == "" {
			return nil
		}
		return b.good.Create(ctx, r)
	}
}

func overwriteAtCreate(b *broken) {
	b.create = func(ctx context.Context, r *session.Record) error {
		if err := b.good.Delete(ctx, r.ID); err != nil {
			return err
		}
		return b.good.Create(ctx, r)
	}
}

func refuseRepeatedCreate(b *broken) {
	b.create = func(ctx context.Context, r *session.Record) error {
		if _, err := b.good.Load(ctx, r.ID); err == nil {
			return session.ErrExists
		}
		return b.good.Create(ctx, r)
	}
}

func loadNilWithoutError(b *broken) {
	b.load = func(ctx context.Context, id string) (*session.Record, error) {
		r, err := b.good.Load(ctx, id)
		if err == session.ErrNotFound {
			return nil, nil
		}
		return r, err
	}
}

func trimIDs(b *broken) {
	b.load = func(ctx context.Context, id string) (*session.Record, error) {
		return b.good.Load(ctx, strings.TrimSpace(id))
	}
}

func failOnExpired(b *broken) {
	expired := make(map[string]bool)
	b.create = func(ctx context.Context, r *session.Record) error {
		expired[r.ID] = time.Now().After(r.ExpiresAt)
		return b.good.Create(ctx, r)
	}
	b.load = func(ctx context.Context, id string) (*session.Record, error) {
		if expired[id] {
			return nil, errors.New("expired")
		}
		return b.good.Load(ctx, id)
	}
}

func overwriteInPlace(b *broken) {
	b.update = func(ctx context.Context, r *session.Record, version uint64) error {
		old, loadErr := b.good.Load(ctx, r.ID)
		err := b.good.Update(ctx, r, version)
		if loadErr == nil && err == nil {
			*old = *r
		}
		return err
	}
	b.patch = func(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
		old, loadErr := b.good.Load(ctx, id)
		err := b.good.Patch(ctx, id, changes, version, now)
		if r, again := b.good.Load(ctx, id); loadErr == nil && again == nil {
			*old = *r
		}
		return err
	}
}

func keepPointer(b *broken) {
	kept := make(map[string]*session.Record)
	b.create = func(ctx context.Context, r *session.Record) error {
		kept[r.ID] = r
		return b.good.Create(ctx, r)
	}
	b.load = func(_ context.Context, id string) (*session.Record, error) {
		return kept[id], nil
	}
}

func ignoreContext(b *broken) {
	good := b.good
	b.create = func(_ context.Context, r *session.Record) error {
		return good.Create(context.Background(), r)
	}
	b.limited = func(_ context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
		return good.CreateLimited(context.Background(), r, limit, now)
	}
	b.patch = func(_ context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
		return good.Patch(context.Background(), id, changes, version, now)
	}
	b.sweep = func(_ context.Context, now time.Time) (int, error) {
		return good.Sweep(context.Background(), now)
	}
}
