package sqlstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/updateage/session/sqlstore"
)

func TestSeveralSweepAtOnce(t *testing.T) {
	const due, sweepers = 2500, 4
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		createMany(t, s, due, expiresIn(-time.Second))
		kept := create(t, s, newUser())
		var total atomic.Int64
		parallel(sweepers, func(int) {
			n, err := db.again(t).store(t).Sweep(t.Context(), time.Now())
			if err != nil {
				t.Errorf("Sweep: %v", err)
			}
			total.Add(int64(n))
		})
		if total.Load() != due {
			t.Errorf("swept %d together, want each of %d once", total.Load(), due)
		}
		wantLoaded(t, s, kept)
	})
}

// A request that is changing a session does not make the sweep wait, nor is its
// session swept under its feet.
func TestSweepDoesNotWaitForLockedRows(t *testing.T) {
	for _, e := range engines[:2] { // SQLite locks all or nothing
		t.Run(e.name, func(t *testing.T) {
			db := e.open(t)
			s := db.store(t)
			locked := createMany(t, s, 3, expiresIn(-time.Minute))
			createMany(t, s, 300, expiresIn(-time.Second))
			tx, err := db.BeginTx(t.Context(), nil)
			must(t, err)
			defer func() { _ = tx.Rollback() }()
			for _, r := range locked {
				_, err := tx.ExecContext(t.Context(), fmt.Sprintf("UPDATE %s SET state = 0 WHERE id = '%s'", db.table, r.ID))
				must(t, err)
			}
			if n, err := s.Sweep(t.Context(), time.Now()); n != 300 || err != nil {
				t.Errorf("Sweep beside locked rows: got %d and error %v, want 300", n, err)
			}
			must(t, tx.Rollback())
			if n, err := s.Sweep(t.Context(), time.Now()); n != 3 || err != nil {
				t.Errorf("Sweep after that: got %d and error %v, want 3", n, err)
			}
		})
	}
}

// What was freed until then stays freed.
const interrupted = 1500

func TestSweepEndsWithItsContext(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		createMany(t, s, interrupted, expiresIn(-time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for db.number(t, "SELECT count(*) FROM %s") == interrupted {
			}
			cancel()
		}()
		n, err := s.Sweep(ctx, time.Now())
		<-done
		cancel()
		if err == nil && n == interrupted {
			t.Skip("it was done before it could be cancelled")
		}
		wantErr(t, "Sweep", err, context.Canceled)
		// The batch that was interrupted may have been freed, and is not counted.
		if left := int(db.number(t, "SELECT count(*) FROM %s")); left == interrupted || left+n > interrupted {
			t.Errorf("Sweep: freed %d and left %d of %d", n, left, interrupted)
		}
	})
}

func TestRunSweepsUntilClose(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		s := db.store(t)
		createMany(t, s, 10, expiresIn(-time.Second))
		kept := create(t, s, newUser())
		ended := background(t.Context(), func(ctx context.Context) error { return s.Run(ctx, 10*time.Millisecond) })
		eventually(t, "sweep", func() bool { return s.Stats().Swept == 10 && s.Stats().Sweeps > 2 })
		if st := s.Stats(); st.FailedSweeps != 0 || st.LastSweep.IsZero() || st.LastTook <= 0 {
			t.Errorf("got %+v", st)
		}
		wantLoaded(t, s, kept)
		must(t, s.Close())
		if err := <-ended; err != nil {
			t.Errorf("Run after Close: got error %v, want none", err)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	db := engines[2].open(t)
	s := db.store(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := background(ctx, func(ctx context.Context) error { return s.Run(ctx, time.Hour) })
	cancel()
	wantErr(t, "Run", <-ended, context.Canceled)
	if err := s.Run(t.Context(), 0); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("Run without an interval: got error %v, want another", err)
	}
}

// A sweep that fails is a warning, and the next one goes on.
func TestRunGoesOnAfterAFailure(t *testing.T) {
	db := engines[2].open(t)
	var log bytes.Buffer
	s := db.bare(t, sqlstore.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	ended := background(ctx, func(ctx context.Context) error { return s.Run(ctx, 5*time.Millisecond) })
	eventually(t, "fail", func() bool { return s.Stats().FailedSweeps > 1 })
	other := db.again(t).store(t) // now there is a table
	createMany(t, other, 5, expiresIn(-time.Second))
	eventually(t, "sweep", func() bool { return s.Stats().Swept == 5 })
	cancel()
	<-ended
	if !strings.Contains(log.String(), "no such table") {
		t.Errorf("got log %q, want the cause in it", log.String())
	}
}
