package storetest_test

import (
	"context"
	"slices"
	"time"

	"github.com/updateage/session"
)

var brokenPatches = []breakage{
	{"replaces all values by the changed ones",
		[]string{"Patch sets, replaces and deletes values and leaves the others"}, patchReplacesAll},
	{"counts a Patch as a refresh",
		[]string{"Patch changes the values and the version, nothing else"}, patchRefreshes},
	{"lets the first change of a key stand",
		[]string{"of several changes of one key the last one stands"}, firstChangeStands},
	{"answers a repeated Patch with a conflict",
		[]string{"a repeated Patch succeeds"}, refuseRepeatedPatch},
	{"keeps the version at Patch",
		[]string{"Update sees the version that Patch set"}, patchKeepsVersion},
	{"patches what is expired",
		[]string{"Patch of what is missing, expired or moved is ErrNotFound"}, patchExpired},
	{"patches what is moved",
		[]string{"Patch of what is missing, expired or moved is ErrNotFound"}, patchMoved},
	{"applies changes until the values are full",
		[]string{"Patch to more than 64 KiB is ErrTooLarge and changes nothing"}, patchHalf},
	{"looks keys up by their beginning",
		[]string{"Patch keeps odd keys and values apart"}, patchShortKeys},
	{"keeps the slices it was given",
		[]string{"the store keeps a copy of the changes and leaves them alone"}, patchSpoilsChanges},
	{"reads the values, changes them and writes them back",
		[]string{"parallel Patches lose nothing", "parallel Patches and Updates lose nothing"}, patchReadAndWritten},
}

// editPatch breaks Patch by what it makes of the record: edit gets the record
// as it was and as it should be.
func editPatch(edit func(old, patched *session.Record, changes []session.Change)) func(*broken) {
	return func(b *broken) {
		b.patch = func(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
			old, err := b.good.Load(ctx, id)
			if err != nil {
				return err
			}
			if err := b.good.Patch(ctx, id, changes, version, now); err != nil {
				return err
			}
			patched, err := b.good.Load(ctx, id)
			if err != nil {
				return err
			}
			// By way of another version, because an Update to the same one is a repetition.
			if err := b.force(ctx, edited(patched, func(r *session.Record) { r.Version++ })); err != nil {
				return err
			}
			return b.force(ctx, edited(patched, func(r *session.Record) { edit(old, r, changes) }))
		}
	}
}

func apply(v session.Values, changes ...session.Change) session.Values {
	v, _ = v.Apply(changes)
	return v
}

var patchReplacesAll = editPatch(func(_, r *session.Record, changes []session.Change) {
	r.Values = apply("", changes...)
})

var patchRefreshes = editPatch(func(_, r *session.Record, _ []session.Change) {
	r.UpdatedAt = r.UpdatedAt.Add(time.Second)
})

var firstChangeStands = editPatch(func(old, r *session.Record, changes []session.Change) {
	backwards := slices.Clone(changes)
	slices.Reverse(backwards)
	r.Values = apply(old.Values, backwards...)
})

var patchKeepsVersion = editPatch(func(old, r *session.Record, _ []session.Change) {
	r.Version = old.Version
})

var patchShortKeys = editPatch(func(old, r *session.Record, changes []session.Change) {
	short := slices.Clone(changes)
	for i := range short {
		short[i].Key = short[i].Key[:min(len(short[i].Key), 1000)]
	}
	r.Values = apply(old.Values, short...)
})

func refuseRepeatedPatch(b *broken) {
	b.patch = func(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
		if old, err := b.good.Load(ctx, id); err == nil && old.Version == version {
			return session.ErrConflict
		}
		return b.good.Patch(ctx, id, changes, version, now)
	}
}

func patchExpired(b *broken) {
	b.patch = func(ctx context.Context, id string, changes []session.Change, version uint64, _ time.Time) error {
		return b.good.Patch(ctx, id, changes, version, time.UnixMilli(0))
	}
}

func patchMoved(b *broken) {
	b.patch = func(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
		if old, err := b.good.Load(ctx, id); err == nil && old.State == session.StateMoved {
			return b.force(ctx, edited(old, func(r *session.Record) {
				r.Values, r.Version = apply(r.Values, changes...), version
			}))
		}
		return b.good.Patch(ctx, id, changes, version, now)
	}
}

func patchHalf(b *broken) {
	b.patch = func(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
		for i := range changes {
			if err := b.good.Patch(ctx, id, changes[i:i+1], version+uint64(i), now); err != nil {
				return err
			}
		}
		return nil
	}
}

func patchSpoilsChanges(b *broken) {
	b.patch = func(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
		err := b.good.Patch(ctx, id, changes, version, now)
		for _, c := range changes {
			clear(c.Data)
		}
		return err
	}
}

func patchReadAndWritten(b *broken) {
	b.patch = func(ctx context.Context, id string, changes []session.Change, version uint64, _ time.Time) error {
		old, err := b.good.Load(ctx, id)
		if err != nil {
			return err
		}
		gap()
		return b.force(ctx, edited(old, func(r *session.Record) {
			r.Values, r.Version = apply(r.Values, changes...), version
		}))
	}
}
