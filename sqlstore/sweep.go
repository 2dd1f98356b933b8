package sqlstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// sweepTimeout bounds a batch, of which nobody waits for the end.
const sweepTimeout = 30 * time.Second

// firstBatch is how many rows are swept before it is known how long they take.
const firstBatch = 20

// Sweep frees the sessions that are expired at now, as [session.Sweeper] says: the
// oldest first, in batches each of which takes some milliseconds, so that nobody
// waits for it for long. Between two it rests as long as the first has taken, so
// that it never has the database for itself. Several may sweep at once; on
// PostgreSQL and MySQL they share the work. What was freed before an error is
// counted and stays freed.
func (s *Store) Sweep(ctx context.Context, now time.Time) (total int, err error) {
	for limit := firstBatch; ; {
		began := time.Now()
		n, err := s.sweepBatch(ctx, now.UnixMilli(), limit)
		total += n
		if err == nil && n < limit {
			return total, nil
		}
		took := time.Since(began)
		if err == nil {
			err = rest(ctx, took)
		}
		if err != nil {
			return total, fmt.Errorf("sqlstore: sweep: %w", err)
		}
		limit = s.dialect.nextBatch(limit, took)
	}
}

// nextBatch returns how many rows to sweep at once after so many have taken so
// long. It grows slowly: a batch may have been quick by luck.
func (d *dialect) nextBatch(limit int, took time.Duration) int {
	fitting := int(int64(limit) * int64(d.pace) / max(int64(took), 1))
	return max(firstBatch/4, min(fitting, limit*3/2, d.batch))
}

func (s *Store) sweepBatch(ctx context.Context, now int64, limit int) (n int, err error) {
	err = s.doWithin(ctx, max(sweepTimeout, s.timeout), func(ctx context.Context) error {
		if s.dialect.kind == MySQL {
			n, err = s.sweepOnMySQL(ctx, now, limit)
			return err
		}
		deleted, err := s.exec(ctx, s.dialect.sweep, now, limit)
		n = int(deleted)
		return err
	})
	return n, err
}

// rest waits, or returns the context's error.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats are what a store has done so far.
type Stats struct {
	// Sweeps is how many times Run has swept, and FailedSweeps how many of
	// those ended with an error.
	Sweeps, FailedSweeps int64
	// Swept is how many sessions those have freed.
	Swept int64
	// LastSweep is when the last of them that succeeded ended, and LastTook how
	// long it took. Zero: none.
	LastSweep time.Time
	LastTook  time.Duration
	// Retries is how many times any operation was attempted again, after a
	// deadlock for example.
	Retries int64
}

type stats struct {
	retries atomic.Int64

	mu    sync.Mutex
	sweep Stats // guarded by mu; without Retries
}

// Stats returns what the store has done so far.
func (s *Store) Stats() Stats {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	all := s.stats.sweep
	all.Retries = s.stats.retries.Load()
	return all
}

// Run sweeps at this interval until ctx is done, and returns the context's error,
// or until Close, and returns nil. An interval varies by a tenth, and the first
// one is shorter by chance, so that processes which were started together do not
// sweep together. A sweep that fails is a warning in the log, and the next one
// goes on. every has to be positive; a minute is good for most.
func (s *Store) Run(ctx context.Context, every time.Duration) error {
	if every <= 0 {
		return fmt.Errorf("sqlstore: run: interval %v is not positive", every)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	for wait := rand.N(every); ; wait = every - every/10 + rand.N(every/5+1) {
		if err := rest(ctx, wait); err != nil {
			return s.runEnded(err)
		}
		s.sweepOnce(ctx)
	}
}

func (s *Store) runEnded(err error) error {
	select {
	case <-s.closed:
		return nil
	default:
		return err
	}
}

// sweepOnce sweeps and notes what came of it.
func (s *Store) sweepOnce(ctx context.Context) {
	began := time.Now()
	n, err := s.Sweep(ctx, began)
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	all := &s.stats.sweep
	all.Sweeps++
	all.Swept += int64(n)
	switch {
	case err == nil:
		all.LastSweep, all.LastTook = time.Now(), time.Since(began)
	case ctx.Err() == nil:
		all.FailedSweeps++
		s.log.Warn("sqlstore: expired sessions were not all freed", "freed", n, "err", err)
	}
}
