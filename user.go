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
	// UserID is the user, empty for an anonymous session.
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
func (m *Manager) Revoke(ctx context.Context, userID, id string) error {
	if userID == "" || !validID(id) {
		return ErrNotFound
	}
	d := detach(ctx)
	defer d.end()
	r, err := m.store.Load(d, id)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrUnreadable):
		return ErrNotFound
	case err != nil:
		return m.unavailable(d, "revoke", id, err)
	case r.UserID != userID || r.State == StateMoved || m.cfg.expired(r, now()):
		return ErrNotFound
	}
	if err := m.store.Delete(d, id); err != nil {
		return m.unavailable(d, "revoke", id, err)
	}
	m.emit(ctx, nil, Event{Kind: EventRevoked, SessionID: id, UserID: userID})
	return nil
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

// create creates a record within the user's limit, and returns the IDs of the
// sessions that made room.
func (m *Manager) create(ctx context.Context, r *Record) (evicted []string, err error) {
	if m.cfg.MaxSessions == 0 || r.State != StateSignedIn {
		return nil, m.store.Create(ctx, r)
	}
	limit := Limit{Max: m.cfg.MaxSessions, Refuse: m.cfg.RefuseOverLimit}
	if m.limiter != nil {
		return m.limiter.CreateLimited(ctx, r, limit, now())
	}
	if err := m.store.Create(ctx, r); err != nil {
		return nil, err
	}
	return m.enforce(ctx, r, limit)
}

// enforce removes what is over the limit, for stores that cannot do it at
// Create. Sign-ins that run at once come to the same verdict, because it follows
// from what is stored: they neither evict too many nor refuse each other.
func (m *Manager) enforce(ctx context.Context, r *Record, limit Limit) (evicted []string, err error) {
	records, err := m.store.ListUser(ctx, r.UserID, now())
	if err != nil {
		return nil, err
	}
	for _, victim := range overLimit(records, limit) {
		switch {
		case limit.Refuse && victim.ID == r.ID:
			return nil, ErrLimit // the caller deletes it
		case limit.Refuse:
			continue // its own sign-in refuses it
		}
		if err := m.store.Delete(ctx, victim.ID); err != nil {
			return evicted, err
		}
		evicted = append(evicted, victim.ID)
	}
	return evicted, nil
}

// overLimit returns the sessions that would not be there if all had begun one
// after the other.
func overLimit(records []*Record, limit Limit) (victims []*Record) {
	slices.SortFunc(records, func(a, b *Record) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	var kept []*Record // soonest to expire first
	for _, r := range records {
		if r.State != StateSignedIn {
			continue
		}
		if len(kept) == limit.Max {
			if limit.Refuse {
				victims = append(victims, r)
				continue
			}
			victims = append(victims, kept[0])
			kept = kept[1:]
		}
		i, _ := slices.BinarySearchFunc(kept, r, func(a, b *Record) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
		for i < len(kept) && kept[i].ExpiresAt.Equal(r.ExpiresAt) {
			i++
		}
		kept = slices.Insert(kept, i, r)
	}
	return victims
}
