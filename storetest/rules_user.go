package storetest

import (
	"strings"
	"time"

	"github.com/updateage/session"
)

// userRules are about the records of one user.
var userRules = []rule{
	{"ListUser returns the user's records as Load does",
		because("the user decides by this list which device to sign out"), listReturnsRecords},
	{"a record expires at ExpiresAt, not a millisecond before or after",
		because("every store has to give the same answer to the caller's clock"), expiryIsExact},
	{"a refreshed record is listed until its new expiry",
		because("an index that keeps the first expiry loses sessions that can still be used"), updateMovesExpiry},
	{"pending records are listed and deleted",
		because("revoking everything has to end a half-finished sign-in of a thief as well"), pendingIsListed},
	{"moved records are neither listed nor deleted",
		because("they are no sessions; they only tell a late request what became of one"), movedIsNotListed},
	{"an anonymous record belongs to no user",
		because("the empty user ID is nobody, not the user of every visitor"), anonymousHasNoUser},
	{"DeleteUser removes all but the excepted and counts",
		because("signing out everywhere else keeps this device and tells how many there were"), deleteUserKeepsExcepted},
	{"a repeated DeleteUser removes nothing",
		because("the client repeats it when the reply to the first was lost"), deleteUserIsRepeatable},
	{"odd user IDs are users of their own",
		because("user IDs are compared byte by byte: whoever may choose one must not get at another's sessions"), oddUsersAreDistinct},
	{"a user with 1,100 records is listed and deleted completely",
		because("a page or batch that is not followed up leaves sessions that nobody can revoke"), manyRecordsAreComplete},
}

func listReturnsRecords(t *trial) {
	user := newUser()
	t.create(newUser())
	want := make(map[string]*session.Record)
	for seed := range 3 {
		r := t.filled(t.record(user), seed)
		t.must("Create", t.store.Create(t.ctx, r))
		want[r.ID] = r
	}
	got, err := t.store.ListUser(t.ctx, user, t.now)
	t.must("ListUser", err)
	if len(got) != len(want) {
		t.errorf("ListUser: got %d records, want %d", len(got), len(want))
	}
	for _, r := range got {
		if want[r.ID] == nil {
			t.fatalf("ListUser: got %v, which is not the user's", r)
		}
		for _, difference := range diff(r, want[r.ID]) {
			t.errorf("ListUser: %s", difference)
		}
	}
	t.wantListed("unknown user", newUser(), t.now)
}

func expiryIsExact(t *trial) {
	user := newUser()
	first := t.create(user)
	second := t.create(user, expiresAt(first.ExpiresAt.Add(time.Millisecond)))
	t.wantListed("a millisecond before the expiry", user, first.ExpiresAt.Add(-time.Millisecond), first, second)
	t.wantListed("a nanosecond before the expiry", user, first.ExpiresAt.Add(-time.Nanosecond), first, second)
	t.wantListed("at the expiry", user, first.ExpiresAt, second)
	t.deleteUser("at the expiry", user, first.ExpiresAt, 1)
	t.wantGone("after DeleteUser", second.ID)

	third := t.create(user)
	t.deleteUser("a millisecond before the expiry", user, third.ExpiresAt.Add(-time.Millisecond), 1)
	t.wantGone("after DeleteUser", third.ID)
}

func updateMovesExpiry(t *trial) {
	user := newUser()
	r := t.create(user)
	early := r.ExpiresAt
	r = t.update(r, expiresAt(early.Add(time.Minute)))
	t.wantListed("after Update to a later expiry", user, early, r)
	r = t.update(r, expiresAt(early.Add(-time.Minute)))
	t.wantListed("after Update to an earlier expiry, before it", user, r.ExpiresAt.Add(-time.Millisecond), r)
	t.wantListed("after Update to an earlier expiry, at it", user, r.ExpiresAt)
}

func pendingIsListed(t *trial) {
	user := newUser()
	signedIn, pending := t.create(user), t.create(user, inState(session.StatePending))
	t.wantListed("signed in and pending", user, t.now, signedIn, pending)
	t.deleteUser("signed in and pending", user, t.now, 2)
	t.wantGone("after DeleteUser", signedIn.ID, pending.ID)
}

func movedIsNotListed(t *trial) {
	user := newUser()
	stays, old := t.create(user), t.create(user)
	moved := t.update(old, inState(session.StateMoved))
	t.wantListed("after Update to moved", user, t.now, stays)
	t.wantErr("repeated Update to moved", t.store.Update(t.ctx, moved, old.Version), nil)
	t.wantListed("after a repeated Update to moved", user, t.now, stays)
	t.deleteUser("beside a moved record", user, t.now, 1)
	t.wantGone("after DeleteUser", stays.ID)
	t.wantStored("after DeleteUser", moved)
	t.must("Delete", t.store.Delete(t.ctx, moved.ID))
	t.wantGone("after Delete", moved.ID)
}

func anonymousHasNoUser(t *trial) {
	r := t.create("")
	t.wantListed("the empty user ID", "", t.now)
	t.deleteUser("the empty user ID", "", t.now, 0)
	t.wantStored("after DeleteUser of the empty user ID", r)
}

func deleteUserKeepsExcepted(t *trial) {
	user := newUser()
	stranger := t.create(newUser())
	kept, alsoKept := t.create(user), t.create(user)
	removed := ids(t.create(user), t.create(user), t.create(user))
	t.deleteUser("with exceptions", user, t.now, 3, kept.ID, alsoKept.ID, stranger.ID, newID(user), "")
	t.wantGone("after DeleteUser", removed...)
	t.wantStored("excepted", kept)
	t.wantListed("after DeleteUser", user, t.now, kept, alsoKept)
	t.wantStored("another user's", stranger)
	t.deleteUser("without exceptions", user, t.now, 2)
	t.wantListed("after both", user, t.now)
	t.wantStored("another user's", stranger)
}

func deleteUserIsRepeatable(t *trial) {
	user := newUser()
	kept := t.create(user)
	t.create(user)
	t.deleteUser("first", user, t.now, 1, kept.ID)
	t.deleteUser("repeated", user, t.now, 0, kept.ID)
	t.deleteUser("unknown user", newUser(), t.now, 0)
	t.wantListed("after both", user, t.now, kept)
}

func oddUsersAreDistinct(t *trial) {
	users := oddUsers(newUser())
	records := make([]*session.Record, len(users))
	for i, user := range users {
		records[i] = t.create(user)
	}
	for i, user := range users {
		t.wantStored("odd user", records[i])
		t.wantListed("odd user", user, t.now, records[i])
	}
	for i, user := range users {
		t.deleteUser("odd user", user, t.now, 1)
		t.wantGone("after DeleteUser", records[i].ID)
		if i+1 < len(users) {
			t.wantListed("after DeleteUser of another", users[i+1], t.now, records[i+1])
		}
	}
}

// oddUsers returns user IDs that some database, pattern or key scheme takes for
// one another. Those that are easily mixed up stand side by side.
func oddUsers(base string) []string {
	return []string{
		base, base + " ", base + "  ", " " + base, base + "\t", base + "\n", base + "\r\n", base + "\u00a0", base + "\u200b",
		base + "a", base + "A", base + "á", base + "é", base + "e\u0301", base + "e", base + "ß", base + "ss", base + "ẞ",
		base + "i", base + "I", base + "ı", base + "İ", base + "ﬁ", base + "fi", base + "Ａ", base + "𝄞", base + "𝄟", base + "😀",
		base + ":", base + ":a", base + "::", "{" + base, base + "}", "{" + base + "}", "{a}" + base, base + "{a}", base + "{}",
		base + "%", base + "_", base + "*", base + "?", base + "[a]", base + "/", base + "/..", base + ",", base + ";", base + "|", base + "\x01", base + "\x7f",
		base + "'", base + "''", base + `"`, base + "`", base + `\`, base + `\\`, base + `\'`, base + "$1", base + "' OR '1'='1", base + "'; DROP TABLE sessions; --",
		base + "0", base + "00", base + "0.0", base + "null", base + "NULL", base + "+", base + "%20",
		longUser(base, "a"), longUser(base, "b"), longUser(base, "𝄞"), longUser(base, "𝄟"),
	}
}

// longUser returns a user ID of 1 KiB with the given end.
func longUser(base, end string) string {
	return base + strings.Repeat("x", 1024-len(base)-len(end)) + end
}

func manyRecordsAreComplete(t *trial) {
	const records, lanes = 1100, 10
	user := newUser()
	kept := t.create(user)
	t.parallel(lanes, func(int) {
		for range records / lanes {
			t.create(user)
		}
	})
	if got := t.list(user, t.now); len(got) != records+1 {
		t.errorf("ListUser: got %d records, want %d", len(got), records+1)
	}
	t.deleteUser("but for one", user, t.now, records, kept.ID)
	t.wantListed("after DeleteUser but for one", user, t.now, kept)
	t.deleteUser("the last one", user, t.now, 1)
	t.wantGone("after DeleteUser", kept.ID)
}
