package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Info is what there is to show of a session. It contains no secret.
type Info struct {
	// ID is the public session ID, by which Revoke ends it.
	ID string
	// UserID is the user, empty for an anonymous session. In StatePending that
	// user is not signed in: Session.UserID is what to decide by.
	UserID string
	// State says whether the user is signed in.
	State State
	// CreatedAt is when the session was created, UpdatedAt when it was last
	// refreshed: "last active", UpdateAge old at most.
	CreatedAt, UpdatedAt time.Time
	// ExpiresAt is when it ends unless it is refreshed before.
	ExpiresAt time.Time
	// NextRefresh is from when on a request refreshes it; zero: never.
	NextRefresh time.Time
	// AuthenticatedAt is when the user last authenticated; Method and Level
	// are how.
	AuthenticatedAt time.Time
	Method          string
	Level           Level
	// Persistent says that the user is to be remembered.
	Persistent bool
	// IPAddress, UserAgent and DeviceID describe the client at the last
	// authentication. They are what the client says: escape them.
	IPAddress, UserAgent, DeviceID string
}

func (m *Manager) info(r *Record) Info {
	info := Info{
		ID: r.ID, UserID: r.UserID, State: r.State,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, ExpiresAt: m.cfg.end(r),
		AuthenticatedAt: r.AuthenticatedAt, Method: r.Method, Level: r.Level, Persistent: r.Persistent,
		IPAddress: r.IPAddress, UserAgent: r.UserAgent, DeviceID: r.DeviceID,
	}
	if next := m.cfg.nextRefresh(r); next.Before(info.ExpiresAt) {
		info.NextRefresh = next
	}
	return info
}

// Sessions returns the user's live sessions, the last refreshed first. Those
// that wait for a second factor are among them.
func (m *Manager) Sessions(ctx context.Context, userID string) ([]Info, error) {
	if err := checkUserID(userID); err != nil {
		return nil, err
	}
	now := now()
	records, err := m.store.ListUser(ctx, userID, now)
	if err != nil {
		return nil, m.unavailable(ctx, "list sessions", "", err)
	}
	infos := make([]Info, 0, len(records))
	for _, r := range records {
		if !m.cfg.expired(r, now) {
			infos = append(infos, m.info(r))
		}
	}
	slices.SortFunc(infos, func(a, b Info) int {
		return cmp.Or(b.UpdatedAt.Compare(a.UpdatedAt), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return infos, nil
}

// Revoke ends one session of the user, by its public ID. An ID that is unknown
// and one of another user's session are the same ErrNotFound (ASVS 5.0 8.2.2).
// For the request's own session use Session.SignOut, which also expires the cookie.
func (m *Manager) Revoke(ctx context.Context, userID, id string) error {
	if userID == "" || !validID(id) {
		return ErrNotFound
	}
	d := detach(ctx)
	defer d.end()
	err := m.revokeOnce(d, userID, id, false)
	for attempt := 1; errors.Is(err, ErrConflict); attempt++ { // a request wrote to it meanwhile
		if err = backOff(d, attempt); err == nil {
			err = m.revokeOnce(d, userID, id, attempt == revokeAttempts)
		}
	}
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrUnreadable):
		return ErrNotFound
	case err != nil:
		return m.unavailable(d, "revoke", id, err)
	}
	return nil
}

// revokeAttempts is how often Revoke goes by the version. Then it deletes: no
// steady writer keeps a session alive.
const revokeAttempts = 8

// revokeOnce is one attempt of Revoke. The tombstone replaces only what was read,
// so that of parallel revocations one is told that it was the one. From then on
// the session has ended; that what is left of it could not be deleted is an error
// all the same, because a failover may undo what no replica has confirmed.
func (m *Manager) revokeOnce(ctx context.Context, userID, id string, last bool) error {
	r, err := m.store.Load(ctx, id)
	switch {
	case err != nil:
		return err
	case r.UserID != userID || m.cfg.expired(r, now()):
		return ErrNotFound
	case r.State == StateMoved:
		return m.finishRevoking(ctx, r)
	}
	end := tombstone(r, "")
	err = insist(func() error { return m.store.Update(ctx, end, r.Version) })
	ended := err == nil
	if !ended && !(last && errors.Is(err, ErrConflict)) {
		return err
	}
	if err = insist(func() error { return m.store.Delete(ctx, id) }); err == nil || ended {
		m.emit(ctx, nil, Event{Kind: EventRevoked, SessionID: id, UserID: userID})
	}
	return err
}

// finishRevoking deletes what is left of a session that a revocation has ended.
func (m *Manager) finishRevoking(ctx context.Context, r *Record) error {
	if r.revoked() {
		if err := m.store.Delete(ctx, r.ID); err != nil {
			return err
		}
	}
	return ErrNotFound
}

// RevokeOthers ends all sessions of the user but this one, as after a change of
// the password (ASVS 5.0 7.4.3), and returns how many. It returns ErrNoSession
// if nobody is signed in.
func (m *Manager) RevokeOthers(ctx context.Context, s *Session) (int, error) {
	rec := s.record()
	if rec == nil || rec.State != StateSignedIn {
		return 0, ErrNoSession
	}
	return m.revokeAll(ctx, rec.UserID, rec.ID)
}

// RevokeAll ends all sessions of the user, as when an account is closed (ASVS
// 5.0 7.4.2), and returns how many.
func (m *Manager) RevokeAll(ctx context.Context, userID string) (int, error) {
	if err := checkUserID(userID); err != nil {
		return 0, err // "" would be everybody's anonymous session in a careless store
	}
	return m.revokeAll(ctx, userID)
}

func (m *Manager) revokeAll(ctx context.Context, userID string, except ...string) (int, error) {
	d := detach(ctx)
	defer d.end()
	n, err := m.store.DeleteUser(d, userID, now(), except...)
	if err != nil {
		return n, m.unavailable(d, "revoke all", "", err)
	}
	if n > 0 {
		m.emit(ctx, nil, Event{Kind: EventRevoked, UserID: userID, Count: n})
	}
	return n, nil
}

// Sweep frees expired sessions in a store that does not by itself, and returns
// how many. Call it now and then; how often changes only how much memory
// expired sessions take, never who is signed in.
func (m *Manager) Sweep(ctx context.Context) (int, error) {
	if m.sweeper == nil {
		return 0, nil
	}
	n, err := m.sweeper.Sweep(ctx, now())
	if err != nil {
		return n, fmt.Errorf("session: sweep: %w", err)
	}
	return n, nil
}
