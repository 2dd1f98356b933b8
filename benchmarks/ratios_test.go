package benchmarks

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// window is how long a contender has in a round.
const window = 300 * time.Millisecond

func BenchmarkSerial(b *testing.B)     { redisContest(b, 1) }
func BenchmarkParallel64(b *testing.B) { redisContest(b, 64) }

func redisContest(b *testing.B, parallel int) {
	client := connect(b)
	batched := pipelined(b, client)
	contest(b, parallel,
		byHand(b, "GET", client),
		withSessions(b, "session", newStore(b, client)),
		withSCS(b, client),
		byHand(b, "GET", client).within(time.Second),
		byHand(b, "GET-pipelined", batched),
		withSessions(b, "session-pipelined", newStore(b, batched)),
	)
}

func BenchmarkSCSParallel64(b *testing.B) {
	client := connect(b)
	contest(b, 64, withSCS(b, client), withSessions(b, "session", newStore(b, client)))
}

func BenchmarkHTTPSerial(b *testing.B)     { httpContest(b, 1) }
func BenchmarkHTTPParallel64(b *testing.B) { httpContest(b, 64) }

func httpContest(b *testing.B, parallel int) {
	client := connect(b)
	contest(b, parallel,
		byHand(b, "GET", client).overHTTP(b),
		withSessions(b, "session", newStore(b, client)).overHTTP(b),
		withSCS(b, client).overHTTP(b),
	)
}

func BenchmarkCacheSerial(b *testing.B)     { contest(b, 1, withMemory(b), withCache(b, connect(b))) }
func BenchmarkCacheParallel64(b *testing.B) { contest(b, 64, withMemory(b), withCache(b, connect(b))) }

// contest compares requests per second with those of the first contender. In
// each round all take turns, beginning with another one every time.
func contest(b *testing.B, parallel int, sites ...*site) {
	b.Helper()
	for _, s := range sites {
		for i := range 10 {
			s.get(b, i)
		}
	}
	rates := make([][]float64, len(sites))
	round := 0
	for b.Loop() {
		for i := range sites {
			i = (i + round) % len(sites)
			rates[i] = append(rates[i], sites[i].rate(b, parallel))
		}
		round++
	}
	b.ReportMetric(0, "ns/op") // means nothing
	for i, s := range sites {
		ratios := make([]float64, round)
		for n, rate := range rates[i] {
			ratios[n] = rate / rates[0][n]
		}
		r := median(rates[i])
		b.ReportMetric(r, s.name+"-req/s")
		b.Logf("%d parallel, %-18s %8.0f requests/s, %8.1f us each, %5.2f of %s (rounds %s)",
			parallel, s.name, r, float64(parallel)*1e6/r, median(slices.Clone(ratios)), sites[0].name, list(ratios))
	}
}

func median(numbers []float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func list(ratios []float64) string {
	var text strings.Builder
	for _, r := range ratios {
		fmt.Fprintf(&text, "%.2f ", r)
	}
	return strings.TrimSpace(text.String())
}

// rate returns requests per second. Each of the clients has sessions of its own.
func (s *site) rate(tb testing.TB, parallel int) float64 {
	counts := make([]int, parallel)
	var wg sync.WaitGroup
	start := time.Now()
	for c := range parallel {
		wg.Go(func() { counts[c] = s.hammer(tb, c, start.Add(window)) })
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(start).Seconds()
}

const each = 15 // sessions of a client: 64 clients share 1,000

func (s *site) hammer(tb testing.TB, client int, end time.Time) (n int) {
	var requests [each]*http.Request
	for i := range requests {
		requests[i] = s.request(tb, client*each+i)
	}
	w := &discard{header: make(http.Header)}
	for ; time.Now().Before(end); n++ {
		clear(w.header)
		w.status = 0
		s.handler.ServeHTTP(w, requests[n%each])
		if w.status != 0 && w.status != http.StatusOK {
			tb.Errorf("%s: got status %d", s.name, w.status)
			return n
		}
	}
	return n
}

// discard is a response that nobody reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }
