package memstore

import "maps"

// shrinkFrom is the size below which a table is not worth rebuilding.
const shrinkFrom = 64

// table is a map that gives memory back: a Go map keeps the size of its peak
// for ever. The zero table is empty and ready.
type table[V any] struct {
	m    map[string]V
	peak int // the greatest len(m) since m was made
}

func (t *table[V]) put(key string, v V) {
	if t.m == nil {
		t.m = make(map[string]V)
	}
	t.m[key] = v
	t.peak = max(t.peak, len(t.m))
}

// delete removes the key. A rebuild copies a quarter of the peak, after three
// quarters of it were deleted: a third of a copy per deletion.
func (t *table[V]) delete(key string) {
	delete(t.m, key)
	if t.peak < shrinkFrom || len(t.m) >= t.peak/4 {
		return
	}
	m := make(map[string]V, len(t.m))
	maps.Copy(m, t.m)
	t.m, t.peak = m, len(m)
}
