package storetest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"reflect"
	"strings"
	"time"

	"github.com/updateage/session"
)

// life is how long the records of a trial live.
const life = time.Hour

// newUser returns a user ID that no other trial uses.
func newUser() string { return "user-" + hex.EncodeToString(randomBytes(8)) }

// newID returns an ID as the core makes them: the routing tag of the user,
// random for an anonymous session, and 22 random characters.
func newID(userID string) string {
	id := base64.RawURLEncoding.EncodeToString(randomBytes(18))
	if userID == "" {
		return id
	}
	tag := session.RoutingTag(userID)
	return tag + id[len(tag):]
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// newVersion returns a random version, never zero.
func newVersion() uint64 { return mathrand.Uint64() | 1 }

// record returns a record of the user that lives for an hour from the start of
// the trial: signed in, or anonymous if there is no user.
func (t *trial) record(userID string, edits ...func(*session.Record)) *session.Record {
	return newRecord(userID, t.now, edits...)
}

func newRecord(userID string, now time.Time, edits ...func(*session.Record)) *session.Record {
	r := &session.Record{
		ID:        newID(userID),
		UserID:    userID,
		CreatedAt: now,
		UpdatedAt: now,
		ExpiresAt: now.Add(life),
		ExpiresIn: life,
		IPAddress: "192.0.2.1",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		Version:   newVersion(),
	}
	if userID != "" {
		r.State = session.StateSignedIn
		r.AuthenticatedAt = now
	}
	rand.Read(r.TokenHash[:])
	for _, edit := range edits {
		edit(r)
	}
	return r
}

// changed returns a copy of the record with a new version and the edits.
func changed(r *session.Record, edits ...func(*session.Record)) *session.Record {
	c := *r
	c.Version = newVersion()
	for _, edit := range edits {
		edit(&c)
	}
	return &c
}

func expiresAt(at time.Time) func(*session.Record) {
	return func(r *session.Record) { r.ExpiresAt = at }
}

func inState(s session.State) func(*session.Record) {
	return func(r *session.Record) { r.State = s }
}

func withValues(v session.Values) func(*session.Record) {
	return func(r *session.Record) { r.Values = v }
}

// set is the change that sets a key to a string.
func set(key, value string) session.Change {
	return session.Change{Key: key, Data: fmt.Appendf(nil, "%q", value)}
}

// values returns the values that the changes make of none.
func values(changes ...session.Change) session.Values {
	v, err := session.Values("").Apply(changes)
	if err != nil {
		panic(err) // a mistake in a rule
	}
	return v
}

// valueHead is what a value takes besides its key and data.
const valueHead = 6

// fullValues returns a change that by itself makes values of exactly 64 KiB.
func fullValues(fill string) session.Change {
	c := set("full", "")
	room := 64<<10 - valueHead - len(c.Key) - len(c.Data)
	return set("full", strings.Repeat(fill, room))
}

// fill sets every field of the record to something that is not zero and differs
// from one seed to the next. It knows the fields by their types, so that a field
// added to Record is checked without anybody thinking of it.
func fill(r *session.Record, seed int) error {
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch p := v.Field(i).Addr().Interface().(type) {
		case *string:
			*p = fmt.Sprintf("%s %d ü 𝄞 '\"\\%%", name, seed)
		case *bool:
			*p = seed%2 == 1
		case *uint64:
			*p = newVersion() | 1<<63
		case *[32]byte:
			rand.Read(p[:])
		case *time.Time:
			k := time.Duration(1 + seed*100 + i) // below 1,000, so that the milliseconds are not 0
			*p = time.UnixMilli(1_700_000_000_000).UTC().Add(k*time.Hour + k*time.Millisecond)
		case *time.Duration:
			*p = 400*24*time.Hour + time.Duration(seed)*time.Millisecond
		case *session.State:
			*p = session.StatePending
		case *session.Level:
			*p = session.Level(1 + seed%3)
		case *session.Values:
			*p = values(set(fmt.Sprint("key ", seed), "ü 𝄞 '\"\\"), set("k%", "null"))
		default:
			return fmt.Errorf("storetest: fill record: field %s has type %T, which is new here", name, p)
		}
	}
	return nil
}

// filled returns a copy of the record with all fields set, but for those that
// have to stay as they are.
func (t *trial) filled(r *session.Record, seed int) *session.Record {
	c := *r
	if err := fill(&c, seed); err != nil {
		t.fatalf("%v", err)
	}
	c.ID, c.UserID, c.CreatedAt, c.State = r.ID, r.UserID, r.CreatedAt, r.State
	c.ExpiresAt = r.ExpiresAt.Add(time.Duration(seed) * time.Millisecond)
	return &c
}

// diff returns how the records differ, a sentence for each field.
func diff(got, want *session.Record) (differences []string) {
	g, w := reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem()
	for i := range g.NumField() {
		name := g.Type().Field(i).Name
		a, b := g.Field(i).Interface(), w.Field(i).Interface()
		if !same(a, b) {
			differences = append(differences, fmt.Sprintf("%s: got %v, want %v", name, a, b))
		}
	}
	return differences
}

// same compares two fields. Times have to be in UTC; values are in no
// particular order.
func same(got, want any) bool {
	switch g := got.(type) {
	case time.Time:
		return g.Equal(want.(time.Time)) && g.Location() == time.UTC
	case session.Values:
		w := want.(session.Values)
		return len(g) == len(w) && maps.Equal(maps.Collect(g.All()), maps.Collect(w.All()))
	}
	return got == want
}
