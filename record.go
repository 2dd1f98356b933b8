package session

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"
)

// State says what a session is.
type State uint8

const (
	// StateAnonymous is a session of nobody in particular.
	StateAnonymous State = iota
	// StateSignedIn is a session of a user.
	StateSignedIn
	// StatePending is a session of a user whose second factor is outstanding.
	// It does not count as signed in.
	StatePending
	// StateMoved is what remains for a while of a session that a sign-in
	// replaced, so that a late request with the old token is recognised and
	// does not replace the new cookie. It has no values, authenticates nobody,
	// and is neither listed nor counted.
	StateMoved
)

// String returns the state in words.
func (s State) String() string {
	switch s {
	case StateAnonymous:
		return "anonymous"
	case StateSignedIn:
		return "signed in"
	case StatePending:
		return "pending"
	case StateMoved:
		return "moved"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Level is the authentication assurance level of NIST SP 800-63B-4, section 2.
// The zero Level is "not stated".
type Level uint8

// The levels of NIST SP 800-63B-4.
const (
	AAL1 Level = 1
	AAL2 Level = 2
	AAL3 Level = 3
)

// Record is a session as a [Store] keeps it. Nothing in it authenticates: the
// token's secret is there only as its SHA-256 (ASVS 5.0 11.5.1, CVE-2019-16782).
//
// A Record is immutable once it was given to or returned by a store. Times are
// in UTC with millisecond precision; the zero time means "none". Formatting a
// Record shows neither hashes nor values.
type Record struct {
	// ID is the public session ID, 24 characters.
	ID string
	// UserID is the user, empty for an anonymous session.
	UserID string
	// State says what the session is.
	State State
	// Level is the assurance level of the user's last authentication.
	Level Level
	// Persistent says that the cookie outlives the browser.
	Persistent bool

	// TokenHash is the SHA-256 of the token's secret.
	TokenHash [32]byte
	// PreviousTokenHash is the TokenHash before the last rotation.
	PreviousTokenHash [32]byte
	// PreviousReads says that the previous secret still authenticates until
	// PreviousUntil: it was replaced by a periodic rotation.
	PreviousReads bool
	// PreviousUntil ends the time in which the previous secret counts as late;
	// after it, it counts as replayed. It is zero until the new secret is seen
	// for the first time, where PreviousReads is set.
	PreviousUntil time.Time

	// CreatedAt is when the session was created.
	CreatedAt time.Time
	// UpdatedAt is when it was last refreshed. A change of values leaves it.
	UpdatedAt time.Time
	// ExpiresAt is when it expires unless it is refreshed before.
	ExpiresAt time.Time
	// AuthenticatedAt is when the user last authenticated.
	AuthenticatedAt time.Time
	// RotatedAt is when the token's secret was last changed.
	RotatedAt time.Time
	// ExpiresIn is how far a refresh moves ExpiresAt: the session's own policy,
	// which a later change of the configuration does not alter.
	ExpiresIn time.Duration

	// Method is how the user authenticated, in the application's words. In
	// StateMoved it is the ID of the session that took the place of this one.
	Method string
	// IPAddress, UserAgent and DeviceID describe the client that signed in.
	IPAddress string
	UserAgent string
	DeviceID  string

	// Version is a random number, never zero, that changes with every write.
	Version uint64
	// Values are the session's values.
	Values Values
}

// String shows the record without its hashes and values.
func (r Record) String() string {
	return fmt.Sprintf("session record %s (%s, user %q, expires %s)",
		r.ID, r.State, r.UserID, r.ExpiresAt.Format(time.RFC3339))
}

// Format shows String under every verb.
func (r Record) Format(f fmt.State, _ rune) { show(f, r.String()) }

// LogValue shows the record in a log without its hashes and values.
func (r Record) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", r.ID),
		slog.String("user_id", r.UserID),
		slog.String("state", r.State.String()),
		slog.Time("expires_at", r.ExpiresAt),
	)
}

// newVersion returns a version. It has to be unique among the versions of one
// record, not secret.
func newVersion() uint64 {
	for {
		if v := rand.Uint64(); v != 0 {
			return v
		}
	}
}

// millis cuts t to what every store keeps: UTC, milliseconds, no monotonic clock.
func millis(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

const (
	maxUserID    = 1024
	maxUserAgent = 512
	maxShort     = 128 // bytes of DeviceID and Method
)

// checkUserID says why no store could keep the user ID, if it could not.
func checkUserID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("session: user ID is empty")
	case len(id) > maxUserID:
		return fmt.Errorf("session: user ID has %d bytes, at most %d are allowed", len(id), maxUserID)
	case !utf8.ValidString(id):
		return fmt.Errorf("session: user ID is not valid UTF-8")
	case strings.ContainsRune(id, 0):
		return fmt.Errorf("session: user ID contains a NUL byte")
	}
	return nil
}

// clip makes what a client sent fit to be stored: valid UTF-8 without NUL of at
// most max bytes.
func clip(s string, max int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	// A clone, so that the record does not keep the client's whole header alive.
	return strings.Clone(s[:max])
}
