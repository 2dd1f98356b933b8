package sqlstore_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/sqlstore"
)

// What has a column is there and nowhere else: what an administrator changes by
// hand is what counts.
func TestChangesByHandCount(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		r := create(t, s, newUser())
		later := r.ExpiresAt.Add(time.Minute)
		db.exec(t, "UPDATE %s SET expires_at = "+fmt.Sprint(later.UnixMilli())+", user_agent = 'seen', ip_address = '192.0.2.9', state = 2 WHERE id = '"+r.ID+"'")
		want := *r
		want.ExpiresAt, want.UserAgent, want.IPAddress, want.State = later, "seen", "192.0.2.9", session.StatePending
		wantLoaded(t, s, &want)
		db.exec(t, "DELETE FROM %s WHERE id = '"+r.ID+"'")
		wantGone(t, s, r.ID)
	})
}

// Somebody sets the version to what no write does.
func TestVersionZeroByHand(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		r := create(t, s, newUser())
		db.exec(t, "UPDATE %s SET version = 0 WHERE id = '"+r.ID+"'")
		wantErr(t, "Update", s.Update(t.Context(), changed(r), r.Version), session.ErrConflict)
		wantErr(t, "Create", s.Create(t.Context(), changed(r)), session.ErrExists)
		must(t, s.Update(t.Context(), changed(r), 0))
	})
}

// The charset of the connection is the application's.
func TestCharsetsChangeNoText(t *testing.T) {
	for _, parameters := range []string{
		"charset=utf8", "charset=latin1", "charset=utf8&interpolateParams=true", "charset=latin1&interpolateParams=true",
		"charset=utf8&sql_mode=''", "collation=utf8mb4_bin",
	} {
		t.Run(parameters, func(t *testing.T) {
			db := engines[1].open(t, parameters)
			s := db.store(t)
			user := "ü😀\\'\"" + newUser()
			r := create(t, s, user, withValue("😀", `"😀"`), func(r *session.Record) {
				r.UserAgent, r.IPAddress = "ä😀 \\'", "fe80::1%ü"
			})
			plain := engines[1].open(t)
			plain.table = db.table
			for _, s := range []session.Store{s, plain.bare(t, sqlstore.Options{})} {
				wantLoaded(t, s, r)
				wantListed(t, s, user, r)
			}
		})
	}
}

// A row that cannot be read signs nobody in, hides no other one, and is deleted
// with them.
func TestUnreadableRows(t *testing.T) {
	spoiled := []string{
		"record = 'x'", "expires_at = -1", "expires_at = 9000000000000000", "created_at = -5", "updated_at = 9000000000000000",
		"state = 4", "state = -1",
	}
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		for _, set := range append(spoiled, "token_hash = 'short'") {
			if db.dialect == sqlstore.SQLite {
				set = strings.NewReplacer("record = 'x'", "record = x'78'", "'short'", "x'78'").Replace(set)
			}
			if db.dialect == sqlstore.MySQL && strings.Contains(set, "short") {
				continue // its column has 32 bytes
			}
			user := newUser()
			r, other := create(t, s, user), create(t, s, user)
			db.exec(t, "UPDATE %s SET "+set+" WHERE id = '"+r.ID+"'")
			if _, err := s.Load(t.Context(), r.ID); !errors.Is(err, session.ErrUnreadable) {
				t.Errorf("Load after %s: got error %v, want %v", set, err, session.ErrUnreadable)
			}
			wantListed(t, s, user, other)
			if _, err := s.DeleteUser(t.Context(), user, time.Now()); err != nil {
				t.Errorf("DeleteUser: %v", err)
			}
			wantGone(t, s, r.ID)
		}
	})
}

func TestRecordsThatDoNotFitAreRefused(t *testing.T) {
	tooLong := func(n int) string { return strings.Repeat("x", n) }
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		for name, edit := range map[string]func(*session.Record){
			"an ID of another form":           func(r *session.Record) { r.ID = "short" },
			"a user ID of 1,025 bytes":        func(r *session.Record) { r.UserID = tooLong(1025) },
			"a user agent of 513 bytes":       func(r *session.Record) { r.UserAgent = tooLong(513) },
			"an address of 256 bytes":         func(r *session.Record) { r.IPAddress = tooLong(256) },
			"an expiry before 1970":           func(r *session.Record) { r.ExpiresAt = time.UnixMilli(-1) },
			"an expiry after 2248":            func(r *session.Record) { r.ExpiresAt = time.UnixMilli(1 << 43) },
			"an authentication before 1970":   func(r *session.Record) { r.AuthenticatedAt = time.UnixMilli(-1) },
			"values of more than 64 kibibyte": func(r *session.Record) { r.Values = session.Values(tooLong(65537)) },
		} {
			r := newRecord(newUser(), edit)
			if err := s.Create(t.Context(), r); err == nil {
				t.Errorf("Create with %s: got no error", name)
			}
			wantGone(t, s, r.ID)
		}
		err := s.Create(t.Context(), newRecord("", func(r *session.Record) { r.Values = session.Values(tooLong(65537)) }))
		wantErr(t, "Create with too large values", err, session.ErrTooLarge)
	})
}

// A user ID that no store could keep owns nothing, and is no error.
func TestInvalidUsersHaveNoSessions(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		create(t, s, "")
		for _, user := range []string{"", "\x00", "a\x00", "\xff", strings.Repeat("x", 1025)} {
			wantListed(t, s, user)
			if n, err := s.DeleteUser(t.Context(), user, time.Now()); n != 0 || err != nil {
				t.Errorf("DeleteUser of %q: got %d and error %v, want 0", user, n, err)
			}
		}
	})
}

// A server whose clock is behind could refresh what is expired here.
func TestDeleteUserRemovesExpiredSessionsUncounted(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		user := newUser()
		expired, live := create(t, s, user, expiresIn(-time.Second)), create(t, s, user)
		if n, err := s.DeleteUser(t.Context(), user, time.Now()); n != 1 || err != nil {
			t.Errorf("DeleteUser: got %d and error %v, want 1", n, err)
		}
		wantGone(t, s, expired.ID)
		wantGone(t, s, live.ID)
	})
}

func TestDeleteUserKeepsAnyNumberOfSessions(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		for _, keep := range []int{0, 1, 2, 300} {
			user := newUser()
			gone := create(t, s, user)
			var kept []*session.Record
			var except []string
			for range keep {
				r := create(t, s, user)
				kept, except = append(kept, r), append(except, r.ID, "no ID")
			}
			if n, err := s.DeleteUser(t.Context(), user, time.Now(), except...); n != 1 || err != nil {
				t.Errorf("DeleteUser but for %d: got %d and error %v, want 1", keep, n, err)
			}
			wantGone(t, s, gone.ID)
			wantListed(t, s, user, kept...)
		}
	})
}

// TestTimeZones runs again in a process whose zone is odd, with connections that
// ask their servers for yet another one.
func TestTimeZonesMoveNoExpiry(t *testing.T) {
	if os.Getenv("SQLSTORE_TEST_ZONE") == "" {
		for _, zone := range []string{"America/St_Johns", "Pacific/Chatham", "Africa/Monrovia"} {
			cmd := exec.Command(os.Args[0], "-test.run=^TestTimeZonesMoveNoExpiry$", "-test.v", "-test.count=1")
			cmd.Env = append(os.Environ(), "TZ="+zone, "SQLSTORE_TEST_ZONE="+zone)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("TZ=%s: %v:\n%s", zone, err, out)
			}
			if strings.Contains(string(out), "missing: ") {
				t.Log(string(out))
			}
		}
		return
	}
	parameters := map[sqlstore.Dialect][]string{
		sqlstore.PostgreSQL: {"timezone=Australia/Lord_Howe", "datestyle=German"},
		sqlstore.MySQL:      {"time_zone=%27%2B12%3A45%27", "parseTime=true", "loc=Asia%2FKathmandu"},
		sqlstore.SQLite:     {"_time_format=sqlite"},
	}
	onEach(t, func(t *testing.T, db *database) { timesAreKept(t, db.store(t), db, parameters[db.dialect]) })
}

// timesAreKept stores sessions that expire around changes of summer time and looks
// at them through connections in another zone.
func timesAreKept(t *testing.T, s *sqlstore.Store, db *database, parameters []string) {
	other := db.again(t, parameters...).store(t)
	for _, at := range []string{
		"2031-03-09T06:59:59.999Z", "2031-03-09T07:00:00Z", // St. John's, forward
		"2031-11-02T05:30:00.001Z", "2031-10-05T15:30:00Z", // back; Lord Howe, by half an hour
		"2038-01-19T03:14:07.999Z", "2100-02-28T23:59:59.999Z",
	} {
		expiry, err := time.Parse(time.RFC3339Nano, at)
		must(t, err)
		r := create(t, other, newUser(), func(r *session.Record) { r.ExpiresAt = expiry })
		wantLoaded(t, s, r)
		if got := db.number(t, "SELECT expires_at FROM %s WHERE id = '"+r.ID+"'"); got != expiry.UnixMilli() {
			t.Errorf("expiry %s: got %d in the table, want %d", at, got, expiry.UnixMilli())
		}
		for d, want := range map[time.Duration]int{-time.Millisecond: 1, 0: 0} {
			listed, err := other.ListUser(t.Context(), r.UserID, expiry.Add(d).Local())
			if err != nil || len(listed) != want {
				t.Errorf("ListUser %v from the expiry: got %d and error %v, want %d", d, len(listed), err, want)
			}
		}
		if _, err := other.Sweep(t.Context(), expiry.Add(-time.Millisecond).Local()); err != nil {
			t.Error(err)
		}
		wantLoaded(t, s, r)
		if _, err := other.Sweep(t.Context(), expiry.Local()); err != nil {
			t.Error(err)
		}
		wantGone(t, s, r.ID)
	}
}
