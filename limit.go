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
	switch {
	case m.limiter == nil:
		return m.createAndEnforce(ctx, r, limit)
	case m.someEnded():
		if _, _, err := m.purge(ctx, r.UserID); err != nil {
			return nil, err
		}
	}
	evicted, err = m.createLimited(ctx, r, limit)
	if !errors.Is(err, ErrLimit) {
		return evicted, err
	}
	// Some of those that keep the user out may have ended by a lifetime that was
	// shortened since.
	if _, purged, err := m.purge(ctx, r.UserID); err != nil || purged == 0 {
		return nil, cmp.Or(err, ErrLimit)
	}
	return m.createLimited(ctx, r, limit)
}

func (m *Manager) createLimited(ctx context.Context, r *Record, limit Limit) (evicted []string, err error) {
	err = insist(func() error {
		evicted, err = m.limiter.CreateLimited(ctx, r, limit, now())
		return err
	})
	return evicted, err
}

// someEnded says whether NotBefore may have ended sessions that a store still
// counts. One of them would outlast a live session that is not remembered, which
// would have to make room.
func (m *Manager) someEnded() bool {
	return m.cfg.NotBefore != nil && now().Before(m.cfg.NotBefore().Add(m.cfg.MaxLifetime))
}

// purge deletes the user's sessions that have ended by the configuration, of
// which the store knows nothing, and returns the others that count.
func (m *Manager) purge(ctx context.Context, userID string) (live []*Record, purged int, err error) {
	records, err := m.signedIn(ctx, userID)
	for _, r := range records {
		if !m.cfg.expired(r, now()) {
			live = append(live, r)
			continue
		}
		if err := m.store.Delete(ctx, r.ID); err != nil {
			return nil, purged, err
		}
		purged++
	}
	return live, purged, err
}

// createAndEnforce is for stores that cannot enforce a limit at Create.
func (m *Manager) createAndEnforce(ctx context.Context, r *Record, limit Limit) (evicted []string, err error) {
	before, _, err := m.purge(ctx, r.UserID)
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
