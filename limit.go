package session

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// create creates a record within the user's limit, and returns the IDs of the
// sessions that made room.
func (m *Manager) create(ctx context.Context, r *Record) (evicted []string, err error) {
	if m.cfg.MaxSessions == 0 || r.State != StateSignedIn {
		return nil, insist(func() error { return m.store.Create(ctx, r) })
	}
	if m.cfg.NotBefore != nil {
		// The store knows ExpiresAt only. What has ended by the configuration
		// must neither keep the user out nor cost him a live session.
		if _, err := m.purge(ctx, r.UserID); err != nil {
			return nil, err
		}
	}
	evicted, err = m.createWithin(ctx, r)
	if !errors.Is(err, ErrLimit) {
		return evicted, err
	}
	if purged, purgeErr := m.purge(ctx, r.UserID); purgeErr != nil || !purged {
		return nil, errors.Join(err, purgeErr)
	}
	return m.createWithin(ctx, r)
}

// purge deletes the sessions of a user that have ended by the configuration.
func (m *Manager) purge(ctx context.Context, userID string) (purged bool, err error) {
	records, err := m.store.ListUser(ctx, userID, now())
	for _, r := range records {
		if !m.cfg.expired(r, now()) {
			continue
		}
		if err := m.store.Delete(ctx, r.ID); err != nil {
			return purged, err
		}
		purged = true
	}
	return purged, err
}

func (m *Manager) createWithin(ctx context.Context, r *Record) (evicted []string, err error) {
	limit := Limit{Max: m.cfg.MaxSessions, Refuse: m.cfg.RefuseOverLimit}
	if m.limiter != nil {
		err = insist(func() error {
			evicted, err = m.limiter.CreateLimited(ctx, r, limit, now())
			return err
		})
		return evicted, err
	}
	before, err := m.signedIn(ctx, r.UserID)
	if err != nil {
		return nil, err
	}
	if limit.Refuse && len(before) >= limit.Max {
		return nil, ErrLimit
	}
	// A sign-in is later than all that it sees, whatever the clocks of the nodes
	// say: everybody agrees on the order.
	for _, o := range before {
		if !r.CreatedAt.After(o.CreatedAt) {
			r.CreatedAt = o.CreatedAt.Add(time.Millisecond)
		}
	}
	if err := insist(func() error { return m.store.Create(ctx, r) }); err != nil {
		return nil, err
	}
	return m.enforce(ctx, r, limit)
}

// signedIn returns the user's sessions that count.
func (m *Manager) signedIn(ctx context.Context, userID string) ([]*Record, error) {
	records, err := m.store.ListUser(ctx, userID, now())
	return slices.DeleteFunc(records, func(r *Record) bool { return r.State != StateSignedIn }), err
}

// enforce removes what is over the limit, for stores that cannot do it at
// Create. Sign-ins that run at once may all be refused where one had room left;
// where they evict, they come to one verdict, because it follows from what is
// stored.
func (m *Manager) enforce(ctx context.Context, r *Record, limit Limit) (evicted []string, err error) {
	records, err := m.signedIn(ctx, r.UserID)
	if err != nil {
		return nil, err
	}
	if limit.Refuse {
		if len(records) <= limit.Max {
			return nil, nil
		}
		return nil, errors.Join(ErrLimit, m.store.Delete(ctx, r.ID))
	}
	for _, victim := range overLimit(records, limit.Max) {
		if err := m.store.Delete(ctx, victim.ID); err != nil {
			return evicted, err
		}
		evicted = append(evicted, victim.ID)
	}
	return evicted, nil
}

// overLimit returns the sessions that would have been evicted if all had begun
// one after the other.
func overLimit(records []*Record, most int) (victims []*Record) {
	slices.SortFunc(records, func(a, b *Record) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	var kept []*Record // soonest to expire first
	for _, r := range records {
		if len(kept) == most {
			victims, kept = append(victims, kept[0]), kept[1:]
		}
		i, _ := slices.BinarySearchFunc(kept, r, func(a, b *Record) int {
			return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
		})
		kept = slices.Insert(kept, i, r)
	}
	return victims
}
