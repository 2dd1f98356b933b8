package memstore

// Shards is how many shards a store has.
const Shards = shards

// Indexed returns how many users and IDs the index holds.
func (s *Store) Indexed() (users, ids int) {
	for i := range s.users {
		u := &s.users[i]
		u.mu.RLock()
		users += len(u.ids.m)
		for _, list := range u.ids.m {
			ids += len(list)
		}
		u.mu.RUnlock()
	}
	return users, ids
}

// Table is a table of the tests.
type Table struct{ t table[int] }

func (t *Table) Put(key string)    { t.t.put(key, 0) }
func (t *Table) Delete(key string) { t.t.delete(key) }
func (t *Table) Len() int          { return len(t.t.m) }

// Peak returns the greatest length of the map since it was made.
func (t *Table) Peak() int { return t.t.peak }
