package storetest_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/updateage/session"
)

var brokenWrites = []breakage{
	{"creates at Update",
		[]string{"Update never creates a record", "no Update brings back what Delete removes", "no Update brings back what DeleteUser removes"},
		upsert},
	{"ignores the version",
		[]string{"Update of another version is ErrConflict and changes nothing"}, ignoreVersion},
	{"answers a repeated Update with a conflict",
		[]string{"a repeated Update succeeds"}, refuseRepeatedUpdate},
	{"compares first and writes then",
		[]string{"parallel Updates of one version have one winner", "parallel writers who merge lose nothing"},
		compareThenWrite},
	{"deletes after it has answered",
		[]string{"a record is gone when Delete returns"}, deleteLate},
	{"fails to delete what is gone",
		[]string{"a repeated Delete succeeds"}, deleteOnce},
	{"reads first and writes back then",
		[]string{
			"no Update brings back what Delete removes", "no Update brings back what DeleteUser removes",
			"no Patch brings back what Delete removes", "no Patch brings back what DeleteUser removes",
		}, readThenWrite},
	{"lags behind with the index",
		[]string{"a record is listed from the moment its Create returns"}, indexLags},
	{"reads the index, changes it and writes it back",
		[]string{"the list is exact after parallel creates and deletes"}, indexReadAndWritten},
	{"clears the index at DeleteUser",
		[]string{"DeleteUser removes whatever was created before, during sign-ins too"}, indexCleared},
}

func upsert(b *broken) {
	b.update = func(ctx context.Context, r *session.Record, version uint64) error {
		err := b.good.Update(ctx, r, version)
		if err == session.ErrNotFound {
			return b.good.Create(ctx, r)
		}
		return err
	}
}

func ignoreVersion(b *broken) {
	b.update = func(ctx context.Context, r *session.Record, _ uint64) error { return b.force(ctx, r) }
}

func refuseRepeatedUpdate(b *broken) {
	b.update = func(ctx context.Context, r *session.Record, version uint64) error {
		if old, err := b.good.Load(ctx, r.ID); err == nil && old.Version != version {
			return session.ErrConflict
		}
		return b.good.Update(ctx, r, version)
	}
}

func compareThenWrite(b *broken) {
	b.update = func(ctx context.Context, r *session.Record, version uint64) error {
		old, err := b.good.Load(ctx, r.ID)
		if err != nil {
			return err
		}
		if old.Version != version {
			return session.ErrConflict
		}
		gap()
		return b.force(ctx, r)
	}
}

func deleteLate(b *broken) {
	late := ""
	b.remove = func(_ context.Context, id string) error {
		late = id
		return nil
	}
	b.create = func(ctx context.Context, r *session.Record) error {
		if err := b.good.Delete(ctx, late); err != nil {
			return err
		}
		return b.good.Create(ctx, r)
	}
}

func deleteOnce(b *broken) {
	b.remove = func(ctx context.Context, id string) error {
		if _, err := b.good.Load(ctx, id); err != nil {
			return err
		}
		return b.good.Delete(ctx, id)
	}
}

func readThenWrite(b *broken) {
	b.update = func(ctx context.Context, r *session.Record, _ uint64) error {
		if _, err := b.good.Load(ctx, r.ID); err != nil {
			return err
		}
		gap()
		return b.put(ctx, r)
	}
	b.patch = func(ctx context.Context, id string, _ []session.Change, _ uint64, _ time.Time) error {
		r, err := b.good.Load(ctx, id)
		if err != nil {
			return err
		}
		gap()
		return b.put(ctx, r)
	}
}

func indexLags(b *broken) {
	var mu sync.Mutex
	newest := ""
	b.create = func(ctx context.Context, r *session.Record) error {
		mu.Lock()
		defer mu.Unlock()
		newest = r.ID
		return b.good.Create(ctx, r)
	}
	b.list = func(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
		mu.Lock()
		defer mu.Unlock()
		records, err := b.good.ListUser(ctx, userID, now)
		return without(records, newest), err
	}
}

func indexReadAndWritten(b *broken) {
	var mu sync.Mutex
	index := make(map[string]bool)
	read := func() map[string]bool {
		mu.Lock()
		defer mu.Unlock()
		return index
	}
	b.create = func(ctx context.Context, r *session.Record) error {
		next := map[string]bool{r.ID: true}
		for id := range read() {
			next[id] = true
		}
		gap()
		mu.Lock()
		index = next
		mu.Unlock()
		return b.good.Create(ctx, r)
	}
	b.list = func(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
		records, err := b.good.ListUser(ctx, userID, now)
		known := read()
		return slices.DeleteFunc(records, func(r *session.Record) bool { return !known[r.ID] }), err
	}
}

// indexCleared deletes what is listed and then the list, with what came into it
// between.
func indexCleared(b *broken) {
	var mu sync.Mutex
	var orphans []string
	b.list = func(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
		mu.Lock()
		defer mu.Unlock()
		records, err := b.good.ListUser(ctx, userID, now)
		return without(records, orphans...), err
	}
	b.removeUser = func(ctx context.Context, userID string, now time.Time, _ ...string) (int, error) {
		listed, err := b.list(ctx, userID, now)
		for _, r := range listed {
			_ = b.good.Delete(ctx, r.ID)
		}
		time.Sleep(time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		rest, _ := b.good.ListUser(ctx, userID, now)
		for _, r := range rest {
			orphans = append(orphans, r.ID)
		}
		return len(listed), err
	}
}

func without(records []*session.Record, ids ...string) []*session.Record {
	return slices.DeleteFunc(records, func(r *session.Record) bool { return slices.Contains(ids, r.ID) })
}
