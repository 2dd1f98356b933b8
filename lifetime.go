package session

import (
	"context"
	"time"
)

// When a session ends and when it is refreshed. The policy a session was made
// with lives in its record; what is in force is the stricter of record and
// configuration, so that a new configuration neither prolongs a live session
// nor corrupts it.

// expired says whether the session has ended at now. At the very moment of its
// expiry it has (fails closed).
func (c *Config) expired(r *Record, now time.Time) bool { return !now.Before(c.end(r)) }

// end returns when the session ends unless it is refreshed before.
func (c *Config) end(r *Record) time.Time {
	if r.State == StateMoved {
		return r.ExpiresAt
	}
	if c.NotBefore != nil && !r.AuthenticatedAt.IsZero() && r.AuthenticatedAt.Before(c.NotBefore()) {
		return r.AuthenticatedAt
	}
	end := earlier(r.ExpiresAt, c.absoluteEnd(r))
	if own := c.idle(r.State, r.Persistent); own < r.ExpiresIn {
		end = earlier(end, r.UpdatedAt.Add(own))
	}
	return end
}

// idle returns how long a session of the given kind lives unused.
func (c *Config) idle(state State, persistent bool) time.Duration {
	switch {
	case state == StateAnonymous:
		return c.AnonymousExpiresIn
	case state == StatePending:
		return pendingExpiresIn
	case !persistent:
		return min(forgetExpiresIn, c.ExpiresIn)
	}
	return c.ExpiresIn
}

// absoluteEnd returns the end that no refresh passes.
func (c *Config) absoluteEnd(r *Record) time.Time {
	if r.State == StateSignedIn && !r.Persistent {
		return r.AuthenticatedAt.Add(min(forgetExpiresIn, c.MaxLifetime))
	}
	if r.AuthenticatedAt.IsZero() {
		return r.CreatedAt.Add(c.MaxLifetime)
	}
	return r.AuthenticatedAt.Add(c.MaxLifetime)
}

// nextRefresh returns when the session is due for a refresh, or the zero time if
// it never is. A session that is not to be remembered is only refreshed if that
// can move its end: with an ExpiresIn of less than its 24 hours.
func (c *Config) nextRefresh(r *Record) time.Time {
	switch r.State {
	case StatePending, StateMoved:
		return time.Time{}
	case StateSignedIn:
		if !r.Persistent && !r.ExpiresAt.Before(c.absoluteEnd(r)) {
			return time.Time{}
		}
	}
	age := max(c.UpdateAge, 0)
	if own := min(r.ExpiresIn, c.idle(r.State, r.Persistent)); age > own || r.State == StateAnonymous {
		// A visitor's session, and one made when sessions were shorter: it would
		// end before it is due, although it is used.
		age = min(age, own/2)
	}
	return r.UpdatedAt.Add(age)
}

// WithoutRefresh returns a context for requests that are not the user's doing,
// such as a page that polls: given to Handler, it neither refreshes the session
// nor changes its secret, so that the session of a user who has left expires.
func WithoutRefresh(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutRefresh{}, true)
}

type withoutRefresh struct{}

// refreshDue says whether a request at now refreshes the session.
func (c *Config) refreshDue(r *Record, now time.Time) bool {
	due := c.nextRefresh(r)
	return !now.Before(due) && !due.IsZero()
}

// begin gives a record its times and its policy: of a session that begins or
// whose user has just authenticated.
func (c *Config) begin(r *Record, now time.Time) {
	r.ExpiresIn = c.idle(r.State, r.Persistent)
	c.refresh(r, now)
}

// refresh moves the end of a session. UpdatedAt moves even if the end cannot,
// or every further request would be due.
func (c *Config) refresh(r *Record, now time.Time) {
	r.UpdatedAt = now
	r.ExpiresAt = earlier(now.Add(min(r.ExpiresIn, c.idle(r.State, r.Persistent))), c.absoluteEnd(r))
}

// rotationDue says whether a request at now, which came with the current secret
// or else the previous one, changes the secret. A previous secret that still
// comes after the grace tells that the reply with the new one was lost.
func (c *Config) rotationDue(r *Record, current bool, now time.Time) bool {
	if c.RotateEvery == 0 || r.State != StateSignedIn {
		return false
	}
	since := now.Sub(r.RotatedAt)
	return current && since >= c.RotateEvery || !current && r.PreviousUntil.IsZero() && since >= c.RotationGrace
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
