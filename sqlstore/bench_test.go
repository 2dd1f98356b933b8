package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/sqlstore"
	"github.com/updateage/session/storetest"
)

func BenchmarkStore(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			db := e.open(b)
			storetest.Bench(b, func(b *testing.B) session.Store { return db.store(b) })
		})
	}
}

// rows is how many rows the tables of benchmarks have: SQLSTORE_ROWS, or 10,000.
func rows(b *testing.B) int {
	b.Helper()
	n, err := strconv.Atoi(os.Getenv("SQLSTORE_ROWS"))
	if os.Getenv("SQLSTORE_ROWS") == "" {
		return 10_000
	}
	must(b, err)
	return n
}

// fill inserts n sessions that expire at this time, by the database itself, and
// returns the IDs of some of them.
func fill(b *testing.B, db *database, n int, expiry time.Time) (ids []string) {
	b.Helper()
	r := &session.Record{
		AuthenticatedAt: expiry, ExpiresIn: life, Persistent: true, Method: "password",
		Values: newRecord("", withValue("theme", `"dark"`), withValue("lang", `"en-GB"`), withValue("cart", `[1,2,3]`)).Values,
	}
	record, err := r.AppendBinary(nil)
	must(b, err)
	agent := "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"
	columns := "(id, user_id, token_hash, expires_at, ip_address, user_agent, created_at, updated_at, state, version, record) "
	numbers := fmt.Sprintf("'203.0.113.7', '%s', %[2]d, %[2]d, 1, 42, ", agent, time.Now().UnixMilli())
	ms := expiry.UnixMilli()
	text := map[sqlstore.Dialect]string{
		sqlstore.PostgreSQL: fmt.Sprintf("SELECT substr(md5(random()::text || i), 1, 24), 'user-' || i / 3, sha256(i::text::bytea), %d + i %% 1000, %s'\\x%x' FROM generate_series(1, %d) AS i",
			ms, numbers, record, n),
		sqlstore.MySQL: fmt.Sprintf("SELECT substr(sha2(concat(uuid(), seq), 256), 1, 24), concat('user-', seq DIV 3), unhex(sha2(seq, 256)), %d + seq %% 1000, %sx'%x' FROM seq_1_to_%d",
			ms, numbers, record, n),
		sqlstore.SQLite: fmt.Sprintf("SELECT hex(randomblob(12)), 'user-' || i / 3, randomblob(32), %d + i %% 1000, %sx'%x' FROM (WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) SELECT i FROM c)",
			ms, numbers, record, n),
	}[db.dialect]
	_, err = db.ExecContext(b.Context(), "INSERT INTO "+db.table+" "+columns+text)
	must(b, err)
	switch db.dialect { // what the database would otherwise do about it later
	case sqlstore.PostgreSQL:
		db.exec(b, "VACUUM ANALYZE %s")
		db.exec(b, "CHECKPOINT -- %s")
	case sqlstore.MySQL:
		db.exec(b, "ANALYZE TABLE %s")
	case sqlstore.SQLite:
		db.exec(b, "PRAGMA wal_checkpoint(TRUNCATE) -- %s")
	}
	found, err := db.QueryContext(b.Context(), "SELECT id FROM "+db.table+" WHERE expires_at >= "+fmt.Sprint(ms)+" AND id LIKE '%0' LIMIT 20000")
	must(b, err)
	defer found.Close()
	for found.Next() {
		var id string
		must(b, found.Scan(&id))
		ids = append(ids, id)
	}
	must(b, found.Err())
	mathrand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids
}

// BenchmarkLookup compares Load with a SELECT that was written by hand and
// prepared, of the same row, side by side.
func BenchmarkLookup(b *testing.B) {
	for _, e := range engines {
		b.Run(fmt.Sprintf("%s/%d rows", e.name, rows(b)), func(b *testing.B) {
			db := e.open(b)
			s := db.store(b)
			ids := fill(b, db, rows(b), time.Now().Add(life))
			st, err := db.PrepareContext(b.Context(), db.selectByHand())
			must(b, err)
			defer st.Close()
			for _, clients := range []int{1, 8} {
				b.Run(fmt.Sprint(clients, " clients"), func(b *testing.B) {
					contest(b, clients, ids,
						func(ctx context.Context, id string) error { return byHand(ctx, st, id) },
						func(ctx context.Context, id string) error { return byHandInTime(ctx, st, id) },
						func(ctx context.Context, id string) error { _, err := s.Load(ctx, id); return err })
				})
			}
		})
	}
}

func (d *database) selectByHand() string {
	place := map[bool]string{true: "$1", false: "?"}[d.dialect == sqlstore.PostgreSQL]
	return "SELECT user_id, token_hash, expires_at, ip_address, user_agent, created_at, updated_at, state, version, record FROM " +
		d.table + " WHERE id = " + place
}

// byHand is what an application would do that has the seed's columns.
func byHand(ctx context.Context, st *sql.Stmt, id string) error {
	var (
		userID                    sql.NullString
		hash, record              []byte
		expires, created, updated int64
		address, agent            string
		state                     int
		version                   int64
	)
	return st.QueryRowContext(ctx, id).Scan(&userID, &hash, &expires, &address, &agent, &created, &updated, &state, &version, &record)
}

// byHandInTime is byHand with a time-out, as the store has one.
func byHandInTime(ctx context.Context, st *sql.Stmt, id string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return byHand(ctx, st, id)
}

type lookup func(ctx context.Context, id string) error

// contest compares the times that lookups take with that of the first. They take
// turns, for so short that whatever else the machine does hits all of them.
func contest(b *testing.B, clients int, ids []string, hand, inTime, store lookup) {
	b.Helper()
	all := []lookup{hand, inTime, store}
	took := make([][]float64, len(all)) // microseconds
	for _, f := range all {
		rate(b, clients, ids, f)
	}
	for round := 0; b.Loop(); {
		for range 20 {
			for i := range all {
				i = (i + round) % len(all)
				took[i] = append(took[i], float64(clients)*1e6/rate(b, clients, ids, all[i]))
			}
			round++
		}
	}
	half := len(took[0]) / 2
	for _, t := range took {
		slices.Sort(t)
	}
	b.ReportMetric(0, "ns/op") // means nothing
	b.ReportMetric(took[0][half], "us-by-hand")
	b.ReportMetric(took[2][half], "us-store")
	b.ReportMetric(took[2][half]/took[0][half], "ratio")
	b.ReportMetric(took[2][half]/took[1][half], "ratio-with-time-out")
}

const turn = 10 * time.Millisecond

// rate returns lookups per second.
func rate(b *testing.B, clients int, ids []string, f lookup) float64 {
	counts := make([]int, clients)
	start := time.Now()
	parallel(clients, func(c int) {
		ctx, cancel := context.WithCancel(b.Context()) // as the context of a request
		defer cancel()
		for time.Since(start) < turn {
			if err := f(ctx, ids[mathrand.N(len(ids))]); err != nil {
				b.Error(err)
				return
			}
			counts[c]++
		}
	})
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(start).Seconds()
}

// BenchmarkSweep sweeps a table of expired sessions while others look up live
// ones, each a hundred times a second, and compares how long those take.
func BenchmarkSweep(b *testing.B) {
	n := rows(b)
	for _, e := range engines {
		b.Run(fmt.Sprintf("%s/%d rows", e.name, n), func(b *testing.B) {
			for b.Loop() {
				db := e.open(b)
				s := db.bare(b, sqlstore.Options{Timeout: 10 * time.Second})
				must(b, s.Migrate(b.Context()))
				live := fill(b, db, 10_000, time.Now().Add(life))
				fill(b, db, n, time.Now().Add(-life))
				idle := watch(b, s, live, 5*time.Second, nil)
				var swept int
				var took time.Duration
				busy := watch(b, s, live, 0, func() {
					began := time.Now()
					var err error
					swept, err = s.Sweep(b.Context(), time.Now())
					must(b, err)
					took = time.Since(began)
				})
				if swept != n {
					b.Errorf("Sweep: got %d, want %d", swept, n)
				}
				b.ReportMetric(0, "ns/op") // means nothing
				b.ReportMetric(float64(swept)/took.Seconds(), "rows/s")
				b.ReportMetric(ms(percentile(idle, 50)), "idle-p50-ms")
				b.ReportMetric(ms(percentile(idle, 99)), "idle-p99-ms")
				b.ReportMetric(ms(percentile(busy, 50)), "busy-p50-ms")
				b.ReportMetric(ms(percentile(busy, 99)), "busy-p99-ms")
				b.ReportMetric(ms(busy[len(busy)-1]), "busy-max-ms")
				b.ReportMetric(float64(percentile(busy, 99))/float64(percentile(idle, 99)), "p99-ratio")
			}
		})
	}
}

// watch looks up sessions by eight clients until the function returns or so long,
// and returns how long the lookups took, sorted.
func watch(b *testing.B, s session.Store, ids []string, d time.Duration, meanwhile func()) []time.Duration {
	b.Helper()
	var mu sync.Mutex
	var all []time.Duration
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			var took []time.Duration
			for {
				select {
				case <-tick.C:
				case <-stop:
					mu.Lock()
					defer mu.Unlock()
					all = append(all, took...)
					return
				}
				began := time.Now()
				if _, err := s.Load(b.Context(), ids[mathrand.N(len(ids))]); err != nil {
					b.Error(err)
				}
				took = append(took, time.Since(began))
			}
		})
	}
	if meanwhile == nil {
		time.Sleep(d)
	} else {
		meanwhile()
	}
	close(stop)
	wg.Wait()
	slices.Sort(all)
	return all
}

func percentile(sorted []time.Duration, p int) time.Duration { return sorted[len(sorted)*p/100] }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkMerge says what a session.Patcher would be worth: a merge of values in a
// transaction, as it would have to be, beside an Update by version, which the core
// repeats after a conflict.
func BenchmarkMerge(b *testing.B) {
	for _, e := range engines {
		for _, writers := range []int{1, 4, 16} {
			for _, way := range []string{"update", "transaction"} {
				b.Run(fmt.Sprintf("%s/%d writers/%s", e.name, writers, way), func(b *testing.B) {
					var parameters []string
					if e.dialect == sqlstore.SQLite {
						parameters = []string{"_txlock=immediate"}
					}
					db := e.open(b, parameters...)
					s := db.store(b)
					r := create(b, s, newUser())
					merge := byVersion
					if way == "transaction" {
						merge = byTransaction
					}
					b.ResetTimer()
					var next sync.Mutex
					left := b.N
					parallel(writers, func(int) {
						mine := r
						for {
							next.Lock()
							left--
							done := left < 0
							next.Unlock()
							if done {
								return
							}
							mine = merge(b, db, s, mine)
						}
					})
				})
			}
		}
	}
}

// byVersion is what the core does: it begins with what the request has loaded.
func byVersion(b *testing.B, _ *database, s *sqlstore.Store, r *session.Record) *session.Record {
	for {
		next := changed(r, withValue("k", strings.Repeat("1", 1+mathrand.N(9))))
		if err := s.Update(b.Context(), next, r.Version); err == nil {
			return next
		}
		var err error
		if r, err = s.Load(b.Context(), r.ID); err != nil {
			b.Error(err)
			return r
		}
		time.Sleep(time.Duration(mathrand.N(int64(time.Millisecond))))
	}
}

func byTransaction(b *testing.B, db *database, s *sqlstore.Store, r *session.Record) *session.Record {
	tx, err := db.BeginTx(b.Context(), nil)
	must(b, err)
	defer func() { _ = tx.Rollback() }()
	ctx := s.WithTx(b.Context(), tx)
	if db.dialect != sqlstore.SQLite {
		var id string
		must(b, tx.QueryRowContext(ctx, "SELECT id FROM "+db.table+" WHERE id = '"+r.ID+"' FOR UPDATE").Scan(&id))
	}
	now, err := s.Load(ctx, r.ID)
	must(b, err)
	next := changed(now, withValue("k", strings.Repeat("1", 1+mathrand.N(9))))
	must(b, s.Update(ctx, next, now.Version))
	must(b, tx.Commit())
	return next
}
