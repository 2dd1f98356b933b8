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
	limit := Limit{Max: m.cfg.MaxSessions, Refuse: m.cfg.RefuseOverLimit}
	before, err := m.purged(ctx, r.UserID)
	switch {
	case err != nil:
		return nil, err
	case m.limiter == nil:
		return m.createAndEnforce(ctx, r, before, limit)
	}
	err = insist(func() error {
		evicted, err = m.limiter.CreateLimited(ctx, r, limit, now())
		return err
	})
	return evicted, err
}

// purged returns the user's sessions that count, after deleting those that have
// ended by the configuration. The store knows ExpiresAt only: what NotBefore or a
// shorter lifetime has ended must neither keep the user out nor cost him a live
// session.
func (m *Manager) purged(ctx context.Context, userID string) (live []*Record, err error) {
	records, err := m.signedIn(ctx, userID)
	for _, r := range records {
		if !m.cfg.expired(r, now()) {
			live = append(live, r)
			continue
		}
		if err := m.store.Delete(ctx, r.ID); err != nil {
			return nil, err
		}
	}
	return live, err
}

// createAndEnforce is for stores that cannot enforce a limit at Create.
func (m *Manager) createAndEnforce(ctx context.Context, r *Record, before []*Record, limit Limit) (evicted []string, err error) {
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

// enforce removes what is over the limit. Sign-ins that run at once may all be refused where one had room left;
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
