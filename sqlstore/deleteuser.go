package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// DeleteUser removes the sessions of a user, as [session.Store] says, by one
// DELETE, of which MySQL needs two to be able to count. It removes his expired
// ones with them: a server whose clock is behind might still take one of those for
// live, and refresh it.
func (s *Store) DeleteUser(ctx context.Context, userID string, now time.Time, except ...string) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("sqlstore: delete sessions of user: %w", err)
	}
	if !validUser(userID) {
		return 0, nil
	}
	args := []any{userID}
	for _, id := range except {
		if validID(id) { // no other one is there
			args = append(args, id)
		}
	}
	args = append(args, now.UnixMilli())
	err = s.do(ctx, func(ctx context.Context) (err error) {
		n, err = s.deleteUser(ctx, args)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sqlstore: delete sessions of user: %w", err)
	}
	return n, nil
}

// deleteUser takes as arguments the user, the IDs to keep, and the time.
func (s *Store) deleteUser(ctx context.Context, args []any) (live int, err error) {
	d, excepted := s.dialect, len(args)-2
	expired, all := d.once(d.deleteExpiredText(excepted)), d.once(d.deleteText(excepted))
	if excepted < len(d.deleteUser) {
		expired, all = d.deleteExpired[excepted], d.deleteUser[excepted]
	}
	if d.kind != MySQL {
		err = s.query(ctx, all, func(rows *sql.Rows) error {
			var counts bool
			err := rows.Scan(&counts)
			if counts {
				live++
			}
			return err
		}, args...)
		return live, err
	}
	// The expired ones first: one that is refreshed before it is deleted here is
	// live then, and deleted there.
	if _, err := s.exec(ctx, expired, args...); err != nil {
		return 0, err
	}
	n, err := s.exec(ctx, all, args...)
	return int(n), err
}

// deleteText returns the statement that deletes the sessions of a user but for so
// many, and says of each whether it was live; MySQL, which cannot say so, deletes
// those that are.
func (d *dialect) deleteText(excepted int) string {
	if d.kind == MySQL {
		return d.deleteWhere(excepted) + " AND expires_at + 0 > ?"
	}
	return d.deleteWhere(excepted) + " RETURNING expires_at > ?"
}

// deleteExpiredText adds a zero, as deleteText does for MySQL: it must not look in
// the index of expiries, where it would lock, and wait for, rows of other users.
func (d *dialect) deleteExpiredText(excepted int) string {
	return d.deleteWhere(excepted) + " AND expires_at + 0 <= ?"
}

func (d *dialect) deleteWhere(excepted int) string {
	text := "DELETE FROM {t} WHERE user_id = ? AND state <> {moved}"
	if excepted > 0 {
		text += " AND id NOT IN (" + placeholders(excepted) + ")"
	}
	return text
}

// placeholders returns n question marks.
func placeholders(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }
