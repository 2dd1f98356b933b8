package sqlstore

import (
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/updateage/session"
)

// What a row looks like. Each fact is in one place: what has a column is not in
// the record column, which holds the rest, in the record format with those fields
// zero. So a change that an administrator makes by hand is a change, and not a
// disagreement of two columns about when a session expires.

const (
	maxUserID    = 1024
	maxIPAddress = 255
	maxUserAgent = 512
	maxMillis    = 1 << 43 // in the year 2248, as in the record format
)

// row are the values of the columns, but for the ID.
type row struct {
	userID               sql.NullString
	tokenHash            sql.RawBytes
	expiresAt            int64
	ipAddress, userAgent string
	createdAt, updatedAt int64
	state                int64
	version              int64
	record               sql.RawBytes

	to [10]any // for destinations
}

// newRow returns the row of a record. It fails if the table could not hold it:
// a database that is not strict would cut it.
func newRow(r *session.Record) (*row, error) {
	if err := checkSizes(r); err != nil {
		return nil, err
	}
	rest := *r
	rest.UserID, rest.IPAddress, rest.UserAgent = "", "", ""
	rest.TokenHash, rest.State, rest.Version = [32]byte{}, 0, 0
	rest.ExpiresAt, rest.CreatedAt, rest.UpdatedAt = time.Time{}, time.Time{}, time.Time{}
	record, err := rest.AppendBinary(nil)
	if err != nil {
		return nil, err
	}
	return &row{
		userID:    sql.NullString{String: r.UserID, Valid: r.UserID != ""},
		tokenHash: r.TokenHash[:], record: record,
		expiresAt: millis(r.ExpiresAt), createdAt: millis(r.CreatedAt), updatedAt: millis(r.UpdatedAt),
		ipAddress: r.IPAddress, userAgent: r.UserAgent,
		state: int64(r.State), version: int64(r.Version),
	}, nil
}

func checkSizes(r *session.Record) error {
	for _, t := range [...]time.Time{r.ExpiresAt, r.CreatedAt, r.UpdatedAt} {
		if ms := millis(t); ms < 0 || ms >= maxMillis {
			return fmt.Errorf("a time is before 1970 or after 2248")
		}
	}
	if len(r.UserID) > maxUserID || len(r.IPAddress) > maxIPAddress || len(r.UserAgent) > maxUserAgent {
		return fmt.Errorf("%d bytes of user ID, %d of address, %d of user agent", len(r.UserID), len(r.IPAddress), len(r.UserAgent))
	}
	return nil
}

// forCreate returns the arguments of the create statement.
func (w *row) forCreate(id string) []any {
	return []any{
		id, w.userID, []byte(w.tokenHash), w.expiresAt, w.ipAddress, w.userAgent,
		w.createdAt, w.updatedAt, w.state, w.version, []byte(w.record),
	}
}

// forUpdate returns the arguments of the update statement.
func (w *row) forUpdate(id string, version uint64) []any {
	return []any{
		[]byte(w.tokenHash), w.expiresAt, w.ipAddress, w.userAgent,
		w.updatedAt, w.state, w.version, []byte(w.record), id, int64(version),
	}
}

// destinations are where to scan the columns to.
func (w *row) destinations() []any {
	w.to = [...]any{
		&w.userID, &w.tokenHash, &w.expiresAt, &w.ipAddress, &w.userAgent,
		&w.createdAt, &w.updatedAt, &w.state, &w.version, &w.record,
	}
	return w.to[:]
}

// parse returns the record of the row. The error wraps session.ErrUnreadable.
func (w *row) parse(id string) (*session.Record, error) {
	r, err := session.ParseRecord(id, []byte(w.record))
	if err != nil {
		return nil, err
	}
	for _, ms := range [...]int64{w.expiresAt, w.createdAt, w.updatedAt} {
		if ms < 0 || ms >= maxMillis {
			return nil, fmt.Errorf("time %d of session %s: %w", ms, id, session.ErrUnreadable)
		}
	}
	if w.state < 0 || w.state > int64(session.StateMoved) || len(w.tokenHash) != len(r.TokenHash) {
		return nil, fmt.Errorf("state or token hash of session %s: %w", id, session.ErrUnreadable)
	}
	copy(r.TokenHash[:], w.tokenHash)
	r.UserID, r.IPAddress, r.UserAgent = w.userID.String, w.ipAddress, w.userAgent
	r.ExpiresAt, r.CreatedAt, r.UpdatedAt = toTime(w.expiresAt), toTime(w.createdAt), toTime(w.updatedAt)
	r.State, r.Version = session.State(w.state), uint64(w.version)
	return r, nil
}

// rowPool keeps rows to scan into. Nobody sees them: what a record needs of one is
// copied.
var rowPool = sync.Pool{New: func() any { return new(row) }}

// scan returns the record of the current row.
func scan(rows *sql.Rows, id string) (*session.Record, error) {
	w := rowPool.Get().(*row)
	defer w.release()
	if err := rows.Scan(w.destinations()...); err != nil {
		return nil, err
	}
	return w.parse(id)
}

func (w *row) release() {
	*w = row{}
	rowPool.Put(w)
}

// millis returns the time in milliseconds since 1970, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func toTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// validID says whether a session can have the ID. No other one reaches the
// database: some would be errors there, and some equal to another ID.
func validID(id string) bool {
	if len(id) != 24 {
		return false
	}
	var other byte
	for i := range len(id) {
		other |= notInID[id[i]]
	}
	return other == 0
}

// notInID is 1 for every byte that is in no ID. It never changes. IDs are random:
// branching on their characters would be guessed wrong every other time.
var notInID = func() (t [256]byte) {
	for c := range t {
		if !strings.Contains("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", string(rune(c))) {
			t[c] = 1
		}
	}
	return t
}()

// validUser says whether a user can have the ID.
func validUser(id string) bool {
	return id != "" && len(id) <= maxUserID && utf8.ValidString(id) && strings.IndexByte(id, 0) < 0
}
