package benchmarks

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
)

// What a store costs with many sessions: looking one up, memory, a garbage
// collection, the wait of a reader while expired sessions are freed, and finding
// one user among all.

var (
	scaleSizes = flag.String("sizes", "10000,100000,1000000,5000000", "numbers of sessions in memory")
	redisSizes = flag.String("redis-sizes", "10000,100000,1000000", "numbers of sessions on Redis")
)

// scs finds a user's sessions by reading all of them. With these many it is enough
// to see how that goes on.
const (
	enough        = 1_000_000
	enoughOnRedis = 100_000
)

// BenchmarkScaleMemory measures the stores in memory at each size.
func BenchmarkScaleMemory(b *testing.B) {
	round := 0
	for b.Loop() {
		round++
		for _, n := range sizes(b, *scaleSizes) {
			for name, make := range populations {
				line := fmt.Sprintf("BenchmarkScale/memory/%s/n=%d 1", name, n) + cost(b, make, n)
				note(b, round, line)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
}

func sizes(tb testing.TB, list string) (sizes []int) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		must(tb, err)
		sizes = append(sizes, n)
	}
	return sizes
}

// cost returns what a population of n sessions costs, unit by unit.
func cost(b *testing.B, make func(testing.TB) population, n int) string {
	ids, before := newIDs(n), heap()
	p, expires := make(b), time.Now().Add(24*time.Hour)
	for i := range n {
		p.add(i, idAt(ids, i), expires)
	}
	text := fmt.Sprintf(" %.0f B/session", float64(int64(heap()-before))/float64(n))
	text += collection() + lookups(b, p, ids, n)
	_, isSCS := p.(*scsPopulation)
	if d, ok := p.(directory); ok && (n <= enough || !isSCS) {
		text += finding(b, d, n)
	}
	runtime.KeepAlive(p)
	switch p.(type) {
	case sweepable:
		p, ids = nil, ""
		text += stall(b, make(b), n)
	case *scsPopulation:
		p, ids = nil, ""
		text += stallSCS(b, n)
	}
	return text
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// collection returns how long a garbage collection takes, and the longest of its
// pauses, of three.
func collection() string {
	var m runtime.MemStats
	var took, pause time.Duration
	for range 3 {
		start := time.Now()
		runtime.GC()
		took += time.Since(start) / 3
		runtime.ReadMemStats(&m)
		pause = max(pause, time.Duration(m.PauseNs[(m.NumGC+255)%256]))
	}
	return fmt.Sprintf(" %d ns/gc %d ns/pause", took, pause)
}

// lookups returns how long it takes to find a session, on the average of many.
func lookups(b *testing.B, p population, ids string, n int) string {
	b.Helper()
	const times = 300_000
	start := time.Now()
	for range times {
		if !p.lookup(idAt(ids, rand.IntN(n))) {
			b.Fatal("a session is missing")
		}
	}
	return fmt.Sprintf(" %.1f ns/lookup", float64(time.Since(start).Nanoseconds())/times)
}

// finding returns how long it takes to list and to revoke the sessions of one
// user: for half a second, but once in any case.
func finding(b *testing.B, d directory, n int) string {
	list, _ := timed(func(user string) {
		if got := d.list(user); got != sessionsPerUser {
			b.Errorf("listed %d sessions of %s", got, user)
		}
	}, n)
	revoked := make(map[string]bool)
	revoke, _ := timed(func(user string) {
		if got := d.revoke(user); got != sessionsPerUser && !revoked[user] {
			b.Errorf("revoked %d sessions of %s", got, user)
		}
		revoked[user] = true
	}, n)
	return fmt.Sprintf(" %.0f ns/list %.0f ns/revoke", list, revoke)
}

// timed returns the time of a call on the average, with users all of whose
// sessions are among the n.
func timed(f func(user string), n int) (nanos float64, times int) {
	start := time.Now()
	for end := start.Add(500 * time.Millisecond); times == 0 || time.Now().Before(end) && times < n/100; times++ {
		f(userID(rand.IntN(n/sessionsPerUser - 1)))
	}
	return float64(time.Since(start).Nanoseconds()) / float64(times), times
}

// stall returns the longest time for which a reader waits while half of the
// sessions, which have expired, are freed.
func stall(b *testing.B, p population, n int) string {
	ids := newIDs(n)
	soon, late := time.Now().Add(time.Hour), time.Now().Add(3*time.Hour)
	for i := range n {
		p.add(i, idAt(ids, i), []time.Time{soon, late}[i%2])
	}
	runtime.GC()
	return waited(p, ids, n, func() { p.(sweepable).sweep(soon.Add(time.Hour)) })
}

// stallSCS is stall for scs, which frees sessions when a timer says so.
func stallSCS(b *testing.B, n int) string {
	ids, data := newIDs(n), blob(b, 0, time.Now())
	for interval := 2 * time.Second; ; interval *= 2 {
		start := time.Now()
		store := memstore.NewWithCleanupInterval(interval)
		expires := []time.Time{start.Add(interval - 100*time.Millisecond), start.Add(time.Hour)}
		for i := range n {
			must(b, store.Commit(idAt(ids, i), data, expires[i%2]))
		}
		runtime.GC()
		if time.Since(start) > interval-500*time.Millisecond {
			store.StopCleanup()
			continue // it took longer to fill than the timer runs
		}
		defer store.StopCleanup()
		return waited(newSCSPopulation(b, store), ids, n, func() { time.Sleep(time.Until(start.Add(interval + interval/2))) })
	}
}

// waited returns the longest that one read took while f was running, and how long
// one takes without, for half a second: what else the machine does is in both.
func waited(p population, ids string, n int, f func()) string {
	quiet := longestRead(p, ids, n, func() { time.Sleep(500 * time.Millisecond) })
	return fmt.Sprintf(" %d ns/quiet %d ns/stall", quiet, longestRead(p, ids, n, f))
}

// longestRead reads until f returns.
func longestRead(p population, ids string, n int, f func()) time.Duration {
	var done atomic.Bool
	longest, started := time.Duration(0), make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for i := 0; !done.Load(); i++ {
			id := idAt(ids, rand.IntN(n))
			start := time.Now()
			p.lookup(id)
			longest = max(longest, time.Since(start))
			if i == 1000 {
				close(started)
			}
		}
	})
	<-started
	f()
	done.Store(true)
	reader.Wait()
	return longest
}

// BenchmarkScaleRedis measures this library's store on Redis at each size, and
// scs where that ends.
func BenchmarkScaleRedis(b *testing.B) {
	round := 0
	for b.Loop() {
		round++
		for _, n := range sizes(b, *redisSizes) {
			client := connect(b)
			note(b, round, fmt.Sprintf("BenchmarkScale/redis/session/n=%d 1", n)+
				costOnRedis(b, client, populate(b, newStore(b, client, "session", false)), n))
			if n <= enoughOnRedis {
				must(b, client.FlushAll(b.Context()).Err())
				note(b, round, fmt.Sprintf("BenchmarkScale/redis/scs/n=%d 1", n)+
					costOnRedis(b, client, newSCSPopulation(b, goredisstore.New(client)), n))
			}
			must(b, client.FlushAll(b.Context()).Err())
		}
	}
	b.ReportMetric(0, "ns/op")
}

// tagged is a population whose IDs begin with the tag of their user.
type tagged interface{ tag(i int) string }

func (p *sessionPopulation) tag(i int) string { return session.RoutingTag(owner(i)) }

func costOnRedis(b *testing.B, client *redis.Client, p population, n int) string {
	ids := newIDs(n)
	if t, ok := p.(tagged); ok {
		ids = withTags(ids, n, t)
	}
	before, expires := memory(b, client), time.Now().Add(24*time.Hour)
	var group sync.WaitGroup
	for w := range redisConns {
		group.Go(func() {
			for i := w; i < n; i += redisConns {
				p.add(i, idAt(ids, i), expires)
			}
		})
	}
	group.Wait()
	text := fmt.Sprintf(" %.0f B/session", float64(memory(b, client)-before)/float64(n))
	nanos, _ := timed(func(string) { p.lookup(idAt(ids, rand.IntN(n))) }, n)
	return text + fmt.Sprintf(" %.0f ns/lookup", nanos) + finding(b, p.(directory), n)
}

func withTags(ids string, n int, t tagged) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(t.tag(i))
		b.WriteString(idAt(ids, i)[2:])
	}
	return b.String()
}

// memory returns what the server has in use.
func memory(tb testing.TB, client *redis.Client) int {
	tb.Helper()
	n, err := strconv.Atoi(client.InfoMap(context.Background(), "memory").Val()["Memory"]["used_memory"])
	must(tb, err)
	return n
}
