package gateway

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/updateage/session"
)

// Identity is what an assertion says about the user of a request.
type Identity struct {
	// UserID is the signed-in user.
	UserID string
	// SessionID is the public ID of the session. It authenticates nobody.
	SessionID string
	// Level is how well the user has authenticated.
	Level session.Level
	// AuthenticatedAt is when, to the second. What needs a recent
	// authentication (ASVS 5.0 7.5.1) compares it with the clock.
	AuthenticatedAt time.Time
	// ExpiresAt is when the assertion expires. The session mostly goes on.
	ExpiresAt time.Time
}

// String shows the user and the public session ID.
func (id Identity) String() string {
	return fmt.Sprintf("user %q (session %s, level %d)", id.UserID, id.SessionID, id.Level)
}

// FromContext returns the identity of a request that came through
// Verifier.Handler. It is false elsewhere.
func FromContext(ctx context.Context) (Identity, bool) {
	x, _ := ctx.Value(contextKey{}).(*identified)
	if x == nil {
		return Identity{}, false
	}
	return x.id, true
}

type contextKey struct{}

// identified is the context of a request whose user is known.
type identified struct {
	context.Context
	id Identity
}

// Value returns the identity, or what the request's own context has.
func (x *identified) Value(key any) any {
	if key == any(contextKey{}) {
		return x
	}
	return x.Context.Value(key)
}

// Format keeps fmt from printing what else a context has in it.
func (x *identified) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "gateway.Verifier context")
}
