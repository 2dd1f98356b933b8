package memstore_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// These benchmarks answer what a store costs with a million sessions. One round
// each is enough: go test -run '^$' -bench Scale -benchtime 1x ./memstore
const (
	few  = 10_000
	many = 1_000_000
)

// plain is the least that a sharded map can be, to tell what the size of the
// store costs from what the caches of the processor cost.
type plain struct {
	shards [memstore.Shards]struct {
		mu sync.RWMutex
		m  map[string]*session.Record
		_  [32]byte
	}
}

func (p *plain) shard(id string) int { return int(id[23]^id[22]<<3) % memstore.Shards }

func (p *plain) put(r *session.Record) {
	sh := &p.shards[p.shard(r.ID)]
	if sh.m == nil {
		sh.m = make(map[string]*session.Record)
	}
	sh.m[r.ID] = r
}

func (p *plain) load(id string) *session.Record {
	sh := &p.shards[p.shard(id)]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.m[id]
}

// realistic returns the i-th session: three to a user, one of 1,000 user agents
// of 111 bytes in a string of its own, as net/http makes them.
func realistic(i int, expires time.Time) *session.Record {
	r := newRecord(fmt.Sprintf("user-%08d", i/3), expires)
	r.CreatedAt, r.UpdatedAt, r.AuthenticatedAt = expires, expires, expires
	r.IPAddress = fmt.Sprintf("192.0.%d.%d", i>>8&255, i&255)
	r.UserAgent = fmt.Sprintf("%0111d", i%1000)
	return r
}

func populated(b *testing.B, n int, expires func(i int) time.Time) (s *memstore.Store, ids []string) {
	s = memstore.New(memstore.Options{})
	ids = make([]string, n)
	for i := range ids {
		ids[i] = create(b, s, realistic(i, expires(i))).ID
	}
	return s, ids
}

func inAnHour(int) time.Time { return time.Now().Add(time.Hour) }

// BenchmarkScaleLookup compares random lookups among 10,000 and among a million
// sessions, in the store and in a plain sharded map of the same records. Each
// round takes the four in turn; the medians of the rounds are reported.
func BenchmarkScaleLookup(b *testing.B) {
	var nanos [4][]float64
	var lookups [4]func(int)
	ctx := b.Context()
	for i, n := range []int{few, many} {
		s, ids := populated(b, n, inAnHour)
		p := new(plain)
		for _, id := range ids {
			p.put(load(b, s, id))
		}
		rand.Shuffle(n, func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		lookups[i] = func(k int) { sink, _ = s.Load(ctx, ids[k%n]) }
		lookups[2+i] = func(k int) { sink = p.load(ids[k%n]) }
	}
	runtime.GC()
	for b.Loop() {
		for i, lookup := range lookups {
			nanos[i] = append(nanos[i], timed(lookup))
		}
	}
	var median [4]float64
	for i, unit := range []string{"ns/load-10k", "ns/load-1M", "ns/plain-10k", "ns/plain-1M"} {
		slices.Sort(nanos[i])
		median[i] = nanos[i][len(nanos[i])/2]
		b.ReportMetric(median[i], unit)
	}
	b.ReportMetric(median[1]/median[0], "x-load")
	b.ReportMetric(median[3]/median[2], "x-plain")
	b.ReportMetric(median[1]/median[0]/(median[3]/median[2]), "x-beyond-caches")
}

var sink *session.Record

// timed returns the nanoseconds of one lookup, on the average of many.
func timed(lookup func(int)) float64 {
	const n = 500_000
	start, from := time.Now(), rand.N(many)
	for k := range n {
		lookup(from + k)
	}
	return float64(time.Since(start).Nanoseconds()) / n
}

// BenchmarkScaleMemory reports the bytes of a session without values, and of
// the same records as they come in a plain sharded map without an index.
func BenchmarkScaleMemory(b *testing.B) {
	for b.Loop() {
		before := heap()
		s := memstore.New(memstore.Options{})
		for i := range many {
			create(b, s, realistic(i, inAnHour(i)))
		}
		b.ReportMetric(float64(heap()-before)/many, "B/session")
		runtime.KeepAlive(s)

		s, before = nil, heap()
		p := new(plain)
		for i := range many {
			p.put(realistic(i, inAnHour(i)))
		}
		b.ReportMetric(float64(heap()-before)/many, "B/plain-session")
		runtime.KeepAlive(p)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkScaleExpiry reports how long readers wait while half of a million
// sessions are swept. To tell waiting for the store from waiting for the
// processor, it first has them read one store while another one is swept.
func BenchmarkScaleExpiry(b *testing.B) {
	b.StopTimer()
	now := time.Now()
	halfDue := func(i int) time.Time { return now.Add(time.Duration(1+i%2) * time.Hour) }
	for range b.N {
		s, ids := populated(b, many, halfDue)
		other, _ := populated(b, many, halfDue)
		runtime.GC()
		report(b, "other", latencies(b, s, ids, func() { sweepHalf(b, other, now.Add(time.Hour)) }))
		start := time.Now()
		report(b, "sweep", latencies(b, s, ids, func() { sweepHalf(b, s, now.Add(time.Hour)) }))
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/sweep")
	}
}

func sweepHalf(b *testing.B, s *memstore.Store, now time.Time) {
	if n, err := s.Sweep(b.Context(), now); n != many/2 || err != nil {
		b.Errorf("Sweep: got %d and error %v, want %d and none", n, err, many/2)
	}
}

// latencies returns how long each lookup takes that is made while do runs.
func latencies(b *testing.B, s *memstore.Store, ids []string, do func()) []time.Duration {
	ctx, done := b.Context(), make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	taken := make([]time.Duration, 0, 10*many)
	for {
		select {
		case <-done:
			return taken
		default:
		}
		id := ids[rand.N(len(ids))]
		start := time.Now()
		sink, _ = s.Load(ctx, id)
		taken = append(taken, time.Since(start))
	}
}

func report(b *testing.B, swept string, taken []time.Duration) {
	slices.Sort(taken)
	b.ReportMetric(float64(taken[len(taken)*999/1000].Nanoseconds()), "ns/p99.9-"+swept)
	b.ReportMetric(float64(taken[len(taken)-1].Nanoseconds()), "ns/max-"+swept)
}
