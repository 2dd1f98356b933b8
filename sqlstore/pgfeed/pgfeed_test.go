package pgfeed_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/sqlstore"
	"github.com/updateage/session/sqlstore/pgfeed"
	"github.com/updateage/session/storetest"
)

func TestStoreKeepsItsContract(t *testing.T) {
	db := open(t, servers.StartPostgres(t).DSN())
	storetest.Run(t, func(t *testing.T) session.Store { return newStore(t, db) })
}

func TestCacheKeepsItsContract(t *testing.T) {
	db := open(t, servers.StartPostgres(t).DSN())
	storetest.Run(t, func(t *testing.T) session.Store {
		cache, err := cachestore.New(newStore(t, db), cachestore.Options{})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- cache.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-ended })
		return cache
	})
}

// What a transaction sees must not be what everybody sees: neither the past, which
// it may look at, nor what it will roll back.
func TestCacheLeavesTransactionsAlone(t *testing.T) {
	db := open(t, servers.StartPostgres(t).DSN())
	s := newStore(t, db)
	cache, err := cachestore.New(s, cachestore.Options{MaxAge: patience})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cache.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	eventually(t, "be healthy", func() bool { return cache.Stats().Healthy })

	revoked, kept := create(t, s), create(t, cache)
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	inTx := s.WithTx(t.Context(), tx)
	_, err = cache.Load(inTx, revoked.ID) // sees the past from now on
	must(t, err)
	must(t, cache.Delete(t.Context(), revoked.ID))
	_, err = cache.Load(inTx, revoked.ID)
	must(t, err)
	if _, err := cache.Load(t.Context(), revoked.ID); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load of what was revoked: got error %v, want %v", err, session.ErrNotFound)
	}

	must(t, cache.Delete(inTx, kept.ID))
	_, err = cache.Load(t.Context(), kept.ID) // by another request
	must(t, err)
	if _, err := cache.Load(inTx, kept.ID); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load in the transaction that deleted it: got error %v, want %v", err, session.ErrNotFound)
	}
	must(t, tx.Rollback())
	_, err = cache.Load(t.Context(), kept.ID)
	must(t, err)
}

func TestNewReportsEveryMistake(t *testing.T) {
	_, err := pgfeed.New(nil, &pgfeed.Options{Options: sqlstore.Options{Table: "a.b.c"}, Heartbeat: -1})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"no database", "a.b.c", "Heartbeat"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got error %q, want it to tell of %s", err, want)
		}
	}
}

func TestFollowTakesTheDriverOfPgx(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	must(t, err)
	defer db.Close()
	err = bare(t, db, beat).Follow(t.Context(), func(string) {}, func(bool) {})
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got error %v, want %v", err, errors.ErrUnsupported)
	}
}

// Whoever changes the table is heard of.
func TestFollowTellsOfChangesByHand(t *testing.T) {
	db := open(t, servers.StartPostgres(t).DSN())
	s := newStore(t, db)
	updated, deleted := create(t, s), create(t, s)
	f := follow(t, s)
	exec(t, db, "UPDATE session SET user_agent = 'x' WHERE id = '%s'", updated.ID)
	f.wantTold(updated.ID)
	exec(t, db, "DELETE FROM session WHERE id = '%s'", deleted.ID)
	f.wantTold(deleted.ID)
	before := f.interruptions()
	exec(t, db, "TRUNCATE session")
	eventually(t, "be interrupted", func() bool { return f.interruptions() == before+2 })
	f.wantHealthy(true)
	exec(t, db, "NOTIFY session_feed, 'something else'")
	eventually(t, "be interrupted", func() bool { return f.interruptions() == before+4 })
}

// What is rolled back has not happened, and what happens in a transaction happens
// at its end.
func TestFollowTellsOfWhatIsCommitted(t *testing.T) {
	db := open(t, servers.StartPostgres(t).DSN())
	s := newStore(t, db)
	r := create(t, s)
	f := follow(t, s)
	for _, commit := range []bool{false, true} {
		tx, err := db.BeginTx(t.Context(), nil)
		must(t, err)
		must(t, s.Delete(s.WithTx(t.Context(), tx), r.ID))
		f.wantSilent(s, "before the end of the transaction", r.ID)
		if !commit {
			must(t, tx.Rollback())
			f.wantSilent(s, "rolled back", r.ID)
			continue
		}
		must(t, tx.Commit())
		f.wantTold(r.ID)
	}
}

// A cache keeps nothing of what a transaction sees, serves others what they see
// until it commits, and nothing old after that.
func TestTransactionsBehindACache(t *testing.T) {
	db := open(t, servers.StartPostgres(t).DSN())
	s := newStore(t, db)
	cache, err := cachestore.New(s, cachestore.Options{MaxAge: time.Hour})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cache.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	r := create(t, cache)
	eventually(t, "serve from memory", func() bool {
		_, err := cache.Load(t.Context(), r.ID)
		must(t, err)
		return cache.Stats().Hits > 0
	})

	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	inside := s.WithTx(t.Context(), tx)
	if !s.InTx(inside) || s.InTx(t.Context()) {
		t.Error("InTx: got it the wrong way round")
	}
	must(t, cache.Delete(inside, r.ID))
	for range 3 { // the first one brings it back into memory
		if _, err := cache.Load(t.Context(), r.ID); err != nil {
			t.Errorf("Load beside the transaction: got error %v, want the record", err)
		}
		if _, err := cache.Load(inside, r.ID); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load in the transaction: got error %v, want %v", err, session.ErrNotFound)
		}
	}
	must(t, tx.Commit())
	eventually(t, "forget what was revoked", func() bool {
		_, err := cache.Load(t.Context(), r.ID)
		return errors.Is(err, session.ErrNotFound)
	})
}

// A sweep of millions must not fill the queue of notifications.
func TestSweepOfLongExpiredSessionsIsSilent(t *testing.T) {
	db := open(t, servers.StartPostgres(t).DSN())
	s := newStore(t, db)
	long := create(t, s, func(r *session.Record) { r.ExpiresAt = r.CreatedAt.Add(-time.Hour) })
	just := create(t, s, func(r *session.Record) { r.ExpiresAt = r.CreatedAt })
	f := follow(t, s)
	if n, err := s.Sweep(t.Context(), time.Now()); n != 2 || err != nil {
		t.Errorf("Sweep: got %d and error %v, want 2", n, err)
	}
	f.wantTold(just.ID) // by a clock that is behind, it may be live
	f.wantSilent(s, "expired an hour ago", long.ID)
}

func TestFollowComesBackAfterARestart(t *testing.T) {
	server := servers.StartPostgres(t)
	db := open(t, server.DSN())
	s := newStore(t, db)
	r := create(t, s)
	f := follow(t, s)
	server.Kill()
	f.wantHealthy(false)
	server.Restart()
	f.wantHealthy(true)
	must(t, s.Delete(t.Context(), r.ID))
	f.wantTold(r.ID)
}

// A connection over which nothing comes, and no error either.
func TestFollowNoticesSilence(t *testing.T) {
	server := servers.StartPostgres(t)
	between := newProxy(t, server.Addr)
	direct := newStore(t, open(t, server.DSN()))
	f := follow(t, bare(t, open(t, servers.PostgresDSN(between.addr)), beat))
	r := create(t, direct)
	between.held.Lock()
	began := time.Now()
	f.wantHealthy(false)
	took := time.Since(began)
	t.Logf("noticed after %v, with a heartbeat of %v", took, beat)
	must(t, direct.Delete(t.Context(), r.ID))
	between.held.Unlock()
	f.wantHealthy(true)
	r = create(t, direct)
	must(t, direct.Delete(t.Context(), r.ID))
	f.wantTold(r.ID)
}

// Without triggers there is nothing to hear, which must not be taken for peace.
func TestFollowTakesTriggers(t *testing.T) {
	db := open(t, servers.StartPostgres(t).DSN())
	plain, err := sqlstore.New(db, sqlstore.PostgreSQL, nil)
	must(t, err)
	must(t, plain.Migrate(t.Context()))
	s := bare(t, db, beat)
	f := listen(t, s)
	time.Sleep(5 * beat)
	if f.interruptions() != 0 {
		t.Error("was healthy without triggers")
	}
	must(t, s.Migrate(t.Context())) // adds them to a table that is there
	f.wantHealthy(true)
	for _, trigger := range []string{"session_feed_updated", "session_feed_deleted", "session_feed_truncated"} {
		exec(t, db, "ALTER TABLE session DISABLE TRIGGER %s", trigger)
		f.wantHealthy(false)
		exec(t, db, "ALTER TABLE session ENABLE TRIGGER %s", trigger)
		f.wantHealthy(true)
	}
	exec(t, db, "DROP TABLE session")
	f.wantHealthy(false)
}

// What the warning of Follow recommends helps.
func TestMigrateRestoresTriggers(t *testing.T) {
	db := open(t, servers.StartPostgres(t).DSN())
	s := newStore(t, db)
	f := follow(t, s)
	for _, trigger := range []string{"session_feed_updated", "session_feed_deleted", "session_feed_truncated"} {
		for _, undo := range []string{"ALTER TABLE session DISABLE TRIGGER " + trigger, "DROP TRIGGER " + trigger + " ON session"} {
			exec(t, db, "%s", undo)
			f.wantHealthy(false)
			must(t, s.Migrate(t.Context()))
			f.wantHealthy(true)
		}
	}
	r := create(t, s)
	must(t, s.Delete(t.Context(), r.ID))
	f.wantTold(r.ID)
}

// A connection that listens must not be used for anything else.
func TestFollowKeepsItsConnectionToItself(t *testing.T) {
	db := open(t, servers.StartPostgres(t).DSN())
	s := newStore(t, db)
	f := follow(t, s)
	f.stop()
	err := <-f.ended
	f.ended <- err
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Follow: got error %v, want %v", err, context.Canceled)
	}
	conns := make([]*sql.Conn, 8)
	for i := range conns {
		conn, err := db.Conn(t.Context())
		must(t, err)
		defer conn.Close()
		conns[i] = conn
	}
	for _, conn := range conns {
		var n int
		must(t, conn.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_listening_channels()").Scan(&n))
		if n != 0 {
			t.Error("a connection of the pool listens")
		}
	}
}

// How long after a revocation was answered it is heard of.
func BenchmarkRevocationIsHeard(b *testing.B) {
	db := open(b, servers.StartPostgres(b).DSN())
	s := newStore(b, db)
	heard := make(chan string, 1)
	healthy := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go func() {
		_ = s.Follow(ctx, func(id string) { heard <- id }, func(ok bool) {
			if ok {
				healthy <- struct{}{}
			}
		})
	}()
	<-healthy
	var after time.Duration
	for b.Loop() {
		b.StopTimer()
		r := create(b, s)
		b.StartTimer()
		must(b, s.Delete(b.Context(), r.ID))
		answered := time.Now()
		<-heard
		after += time.Since(answered)
	}
	b.ReportMetric(float64(after.Microseconds())/float64(b.N), "us-after-answer")
}

// What notifications cost whoever writes.
func BenchmarkUpdateParallel(b *testing.B) {
	db := open(b, servers.StartPostgres(b, "-c", "fsync=on").DSN())
	for _, notify := range []bool{false, true} {
		name := map[bool]string{false: "silent", true: "notifying"}[notify]
		b.Run(name, func(b *testing.B) {
			var s session.Store
			if notify {
				s = newStore(b, db)
			} else {
				plain, err := sqlstore.New(db, sqlstore.PostgreSQL, &sqlstore.Options{Table: "silent"})
				must(b, err)
				must(b, plain.Migrate(b.Context()))
				s = plain
			}
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				r := create(b, s)
				for pb.Next() {
					next := *r
					next.Version++
					if err := s.Update(b.Context(), &next, r.Version); err != nil {
						b.Error(err)
						return
					}
					r = &next
				}
			})
		})
	}
}
