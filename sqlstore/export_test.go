package sqlstore

// Statement is a statement of a store with arguments for an example.
type Statement struct {
	Name, Text string
	Args       []any
}

// Statements returns those that a store executes while it serves requests, for a
// session and its user at a time.
func (s *Store) Statements(id, userID string, now int64) []Statement {
	d := s.dialect
	hash, rec := make([]byte, 32), make([]byte, 144)
	all := []Statement{
		{"Load", d.load.text, []any{id}},
		{"ListUser", d.list.text, []any{userID, now}},
		{"Create", d.create.text, []any{"x", userID, hash, now, "", "", now, now, 1, 1, rec}},
		{"Create, Update: repeated?", d.version.text, []any{id}},
		{"Update", d.update.text, []any{hash, now, "", "", now, 1, 1, rec, id, 1}},
		{"Delete", d.delete.text, []any{id}},
		{"DeleteUser", d.deleteUser[0].text, []any{userID, now}},
		{"DeleteUser but for one", d.deleteUser[1].text, []any{userID, id, now}},
		{"CreateLimited: who counts", d.rivals.text, []any{userID, now}},
		{"Sweep", d.sweep.text, []any{now - 1, 20}},
	}
	switch d.kind {
	case MySQL:
		all = append(all, Statement{"DeleteUser, before", d.deleteExpired[0].text, []any{userID, now}},
			Statement{"CreateLimited: lock", d.lock.text, []any{7}},
			Statement{"CreateLimited: who counts, in a transaction of the caller's", d.lockRivals.text, []any{userID, now}})
	case PostgreSQL:
		all = append(all, Statement{"CreateLimited: lock", d.lock.text, []any{7}})
	case SQLite:
		all = append(all, Statement{"CreateLimited: lock", d.lock.text, nil})
	}
	return all
}
