package storetest_test

import (
	"context"
	"strings"
	"time"

	"github.com/updateage/session"
)

var brokenUsers = []breakage{
	{"lists records without their values",
		[]string{"ListUser returns the user's records as Load does"}, listWithoutValues},
	{"is a millisecond late with the expiry",
		[]string{"a record expires at ExpiresAt, not a millisecond before or after"}, expireLate(time.Millisecond)},
	{"is a millisecond early with the expiry",
		[]string{"a record expires at ExpiresAt, not a millisecond before or after"}, expireLate(-time.Millisecond)},
	{"keeps the first expiry in the index",
		[]string{"a refreshed record is listed until its new expiry"}, indexFirstExpiry},
	{"lists who is signed in only",
		[]string{"pending records are listed and deleted"}, listSignedInOnly},
	{"lists moved records",
		[]string{"moved records are neither listed nor deleted"}, listMoved},
	{"takes the empty user for one",
		[]string{"an anonymous record belongs to no user"}, listVisitors},
	{"excepts nothing",
		[]string{"DeleteUser removes all but the excepted and counts"}, exceptNothing},
	{"counts the excepted",
		[]string{"DeleteUser removes all but the excepted and counts"}, countExcepted},
	{"finds no user without records",
		[]string{"a repeated DeleteUser removes nothing"}, deleteUserOnce},
	{"folds the case of user IDs",
		[]string{"odd user IDs are users of their own", "odd user IDs are limited each on their own"}, mapUsers(strings.ToLower)},
	{"trims user IDs",
		[]string{"odd user IDs are users of their own", "odd user IDs are limited each on their own"}, mapUsers(strings.TrimSpace)},
	{"cuts user IDs to 1,023 bytes",
		[]string{"odd user IDs are users of their own", "odd user IDs are limited each on their own"}, mapUsers(cutUser)},
	{"lists a page of 1,000",
		[]string{"a user with 1,100 records is listed and deleted completely"}, listPage},
}

func cutUser(id string) string { return id[:min(len(id), 1023)] }

// editListed breaks ListUser by what it returns.
func editListed(b *broken, edit func([]*session.Record) []*session.Record) {
	b.list = func(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
		records, err := b.good.ListUser(ctx, userID, now)
		return edit(records), err
	}
}

func listWithoutValues(b *broken) {
	editListed(b, func(records []*session.Record) []*session.Record {
		for i, r := range records {
			records[i] = edited(r, func(r *session.Record) { r.Values = "" })
		}
		return records
	})
}

func expireLate(by time.Duration) func(*broken) {
	return func(b *broken) {
		b.list = func(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
			return b.good.ListUser(ctx, userID, now.Add(-by))
		}
	}
}

func indexFirstExpiry(b *broken) {
	first := make(map[string]time.Time)
	b.create = func(ctx context.Context, r *session.Record) error {
		first[r.ID] = r.ExpiresAt
		return b.good.Create(ctx, r)
	}
	b.list = func(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
		records, err := b.good.ListUser(ctx, userID, time.UnixMilli(0))
		var listed []*session.Record
		for _, r := range records {
			if now.Before(first[r.ID]) {
				listed = append(listed, r)
			}
		}
		return listed, err
	}
}

func listSignedInOnly(b *broken) {
	editListed(b, func(records []*session.Record) (signedIn []*session.Record) {
		for _, r := range records {
			if r.State == session.StateSignedIn {
				signedIn = append(signedIn, r)
			}
		}
		return signedIn
	})
}

func listMoved(b *broken) {
	var moved []*session.Record
	b.update = func(ctx context.Context, r *session.Record, version uint64) error {
		if r.State == session.StateMoved {
			moved = append(moved, r)
		}
		return b.good.Update(ctx, r, version)
	}
	editListed(b, func(records []*session.Record) []*session.Record { return append(records, moved...) })
}

func listVisitors(b *broken) {
	var visitors []*session.Record
	b.create = func(ctx context.Context, r *session.Record) error {
		visitors = append(visitors, r)
		return b.good.Create(ctx, r)
	}
	b.list = func(context.Context, string, time.Time) ([]*session.Record, error) { return visitors, nil }
}

func exceptNothing(b *broken) {
	b.removeUser = func(ctx context.Context, userID string, now time.Time, _ ...string) (int, error) {
		return b.good.DeleteUser(ctx, userID, now)
	}
}

func countExcepted(b *broken) {
	b.removeUser = func(ctx context.Context, userID string, now time.Time, except ...string) (int, error) {
		n, err := b.good.DeleteUser(ctx, userID, now, except...)
		return n + len(except), err
	}
}

func deleteUserOnce(b *broken) {
	b.removeUser = func(ctx context.Context, userID string, now time.Time, except ...string) (int, error) {
		n, err := b.good.DeleteUser(ctx, userID, now, except...)
		if err == nil && n == 0 {
			return 0, session.ErrNotFound
		}
		return n, err
	}
}

// mapUsers breaks the comparison of user IDs.
func mapUsers(to func(string) string) func(*broken) {
	rename := func(r *session.Record) { r.UserID = to(r.UserID) }
	return func(b *broken) {
		editCreated(rename)(b)
		b.limited = func(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
			return b.good.CreateLimited(ctx, edited(r, rename), limit, now)
		}
		b.list = func(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
			return b.good.ListUser(ctx, to(userID), now)
		}
	}
}

func listPage(b *broken) {
	editListed(b, func(records []*session.Record) []*session.Record { return records[:min(len(records), 1000)] })
}
