package session

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// EventKind says what an [Event] reports.
type EventKind uint8

// The kinds of events (ASVS 5.0 16.3.1 to 16.3.3).
const (
	// EventCreated reports a new session, anonymous or by sign-in.
	EventCreated EventKind = iota + 1
	// EventRefreshed reports that a session's expiry was moved.
	EventRefreshed
	// EventRotated reports a new secret for the same session.
	EventRotated
	// EventSignedIn reports an authentication.
	EventSignedIn
	// EventSignedOut reports the end of a session by its own request.
	EventSignedOut
	// EventRevoked reports the end of one or, with Count, several sessions by
	// somebody else: the user on another device, an administrator, a limit.
	EventRevoked
	// EventExpired reports a request with a session that had expired.
	EventExpired
	// EventReplayed reports a secret that was replaced some time ago: somebody
	// uses a copy of an old token.
	EventReplayed
	// EventBindingMismatch reports a session used by another client than the
	// one it is bound to.
	EventBindingMismatch
	// EventRejectedToken reports a token that is malformed, unknown, wrong,
	// late or ambiguous. Many of them from one address are guessing.
	EventRejectedToken
	// EventUnreadableRecord reports a record or value that cannot be decoded.
	EventUnreadableRecord
	// EventStoreError reports that the store could not be asked.
	EventStoreError
)

var eventNames = [...]string{
	EventCreated:          "created",
	EventRefreshed:        "refreshed",
	EventRotated:          "rotated",
	EventSignedIn:         "signed in",
	EventSignedOut:        "signed out",
	EventRevoked:          "revoked",
	EventExpired:          "expired",
	EventReplayed:         "replayed",
	EventBindingMismatch:  "binding mismatch",
	EventRejectedToken:    "rejected token",
	EventUnreadableRecord: "unreadable record",
	EventStoreError:       "store error",
}

// String returns the kind in words.
func (k EventKind) String() string {
	if k == 0 || int(k) >= len(eventNames) {
		return fmt.Sprintf("EventKind(%d)", uint8(k))
	}
	return eventNames[k]
}

// level is where the kind stands in a log. A rejected token is everyday noise on
// a public address; one by one it tells nothing.
func (k EventKind) level() slog.Level {
	switch k {
	case EventCreated, EventRefreshed, EventExpired, EventRejectedToken:
		return slog.LevelDebug
	case EventReplayed, EventBindingMismatch, EventUnreadableRecord:
		return slog.LevelWarn
	case EventStoreError:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// Event reports what happened to a session. It contains no secret.
type Event struct {
	// Kind says what happened.
	Kind EventKind
	// Time is when.
	Time time.Time
	// SessionID is the public session ID, empty where there is none. In a
	// rejected token it is what the client claims.
	SessionID string
	// UserID is the user, empty where none is known.
	UserID string
	// IPAddress and UserAgent describe the client, where there is a request.
	IPAddress string
	UserAgent string
	// Count is the number of sessions a revocation ended, where it is not the one SessionID names.
	Count int
	// Err is the reason for a refusal or the store's error.
	Err error
}

// LogValue is the event as it is logged.
func (e Event) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 6)
	for _, a := range [...]slog.Attr{
		slog.String("session_id", e.SessionID), slog.String("user_id", e.UserID),
		slog.String("ip_address", e.IPAddress), slog.String("user_agent", e.UserAgent),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if e.Count > 0 {
		attrs = append(attrs, slog.Int("count", e.Count))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	return slog.GroupValue(attrs...)
}

// emit tells the application and the log of an event, of the client of r unless
// that is nil. No lock may be held: the hook may use the session. Where nobody
// listens it costs next to nothing: anybody can send malformed tokens.
func (m *Manager) emit(ctx context.Context, r *http.Request, e Event) {
	log, level := m.cfg.Logger, e.Kind.level()
	if log == nil {
		log = slog.Default()
	}
	logged := log.Enabled(ctx, level)
	if !logged && m.cfg.OnEvent == nil {
		return
	}
	e.Time = now()
	if r != nil {
		e.UserAgent = userAgent(r)
		if addr := m.cfg.clientAddr(r); addr.IsValid() {
			e.IPAddress = addr.String()
		}
	}
	if m.cfg.OnEvent != nil {
		m.cfg.OnEvent(ctx, e)
	}
	if logged {
		log.LogAttrs(ctx, level, "session "+e.Kind.String(), slog.Any("session", e))
	}
}
