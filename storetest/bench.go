package storetest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/updateage/session"
)

// Bench measures the store that newStore returns, an operation per
// sub-benchmark. It calls newStore for each. Creating includes making the
// record, about half a microsecond.
func Bench(b *testing.B, newStore func(b *testing.B) session.Store) {
	for _, m := range measures {
		b.Run(m.name, func(b *testing.B) {
			w := &workload{B: b, store: newStore(b), now: time.Now().UTC().Truncate(time.Millisecond)}
			if m.offered != nil && !m.offered(w.store) {
				b.Skipf("%T does not offer it", w.store)
			}
			b.ReportAllocs()
			m.measure(w)
		})
	}
}

var measures = []struct {
	name    string
	offered func(session.Store) bool
	measure func(*workload)
}{
	{"load", nil, measureLoad},
	{"load parallel", nil, measureLoadParallel},
	{"create", nil, measureCreate},
	{"create and delete", nil, measureCreateDelete},
	{"update", nil, measureUpdate},
	{"patch", is[session.Patcher], measurePatch},
	{"list user with 5", nil, measureList},
	{"delete user with 5, created before", nil, measureDeleteUser},
	{"limited create, evicting", is[session.LimitedCreator], measureLimited},
}

// workload is a benchmark of a store.
type workload struct {
	*testing.B
	store session.Store
	now   time.Time
}

func (w *workload) must(err error) {
	if err != nil {
		w.Fatal(err)
	}
}

func (w *workload) create(userID string) *session.Record {
	r := newRecord(userID, w.now, withValues(values(set("theme", "dark"), set("cart", "a few things"))))
	w.must(w.store.Create(w.Context(), r))
	return r
}

// population creates a thousand sessions and returns their IDs.
func (w *workload) population() []string {
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = w.create(newUser()).ID
	}
	return ids
}

func measureLoad(w *workload) {
	ids := w.population()
	for w.Loop() {
		_, err := w.store.Load(w.Context(), ids[rand.N(len(ids))])
		w.must(err)
	}
}

func measureLoadParallel(w *workload) {
	ids := w.population()
	w.ResetTimer()
	w.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.store.Load(w.Context(), ids[rand.N(len(ids))]); err != nil {
				w.Error(err)
				return
			}
		}
	})
}

func measureCreate(w *workload) {
	for w.Loop() {
		w.create("")
	}
}

func measureCreateDelete(w *workload) {
	user := newUser()
	for w.Loop() {
		w.must(w.store.Delete(w.Context(), w.create(user).ID))
	}
}

func measureUpdate(w *workload) {
	r := w.create(newUser())
	for w.Loop() {
		next := changed(r)
		w.must(w.store.Update(w.Context(), next, r.Version))
		r = next
	}
}

func measurePatch(w *workload) {
	r := w.create(newUser())
	patcher := w.store.(session.Patcher)
	changes := []session.Change{set("theme", "light")}
	for w.Loop() {
		w.must(patcher.Patch(w.Context(), r.ID, changes, newVersion(), w.now))
	}
}

// devices is how many sessions the user of a benchmark has.
const devices = 5

func measureList(w *workload) {
	user := newUser()
	for range devices {
		w.create(user)
	}
	for w.Loop() {
		_, err := w.store.ListUser(w.Context(), user, w.now)
		w.must(err)
	}
}

func measureDeleteUser(w *workload) {
	user := newUser()
	for w.Loop() {
		for range devices {
			w.create(user)
		}
		_, err := w.store.DeleteUser(w.Context(), user, w.now)
		w.must(err)
	}
}

func measureLimited(w *workload) {
	user := newUser()
	limited := w.store.(session.LimitedCreator)
	for w.Loop() {
		_, err := limited.CreateLimited(w.Context(), newRecord(user, w.now), evicting(devices), w.now)
		w.must(err)
	}
}
