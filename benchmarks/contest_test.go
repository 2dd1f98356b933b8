package benchmarks

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

var window = flag.Duration("window", 25*time.Millisecond, "how long a contender has in a round")

// workload is what a contender is measured with.
type workload struct {
	name     string
	page     string
	answer   []byte
	signedIn bool
	newUser  bool // every request is of another user
}

var workloads = []workload{
	{name: "read", page: readPage, answer: welcome, signedIn: true},
	{name: "anonymous", page: readPage, answer: hello},
	{name: "write", page: writePage, answer: saved, signedIn: true},
	{name: "sign-in", page: signInPage, answer: saved, newUser: true},
}

const clientSessions = 15 // of each client: 64 clients have 960

// entrant is a contender at its place.
type entrant struct {
	contender
	server  *server
	clients []func() int // each sends its requests in turn
}

// enter starts a contender and prepares its clients' requests.
func enter(tb testing.TB, c contender, work workload, clients int) *entrant {
	tb.Helper()
	e := &entrant{contender: c, server: c.start(tb, nil)}
	for i := range clients {
		var requests []request
		for j := range clientSessions {
			requests = append(requests, work.request(tb, e.server, userID(i*clientSessions+j)))
		}
		e.clients = append(e.clients, e.server.repeat(tb, requests...))
	}
	return e
}

func userID(i int) string { return fmt.Sprintf("user-%08d", i) }

// request returns a request of a user, who is signed in if the work is theirs.
func (work workload) request(tb testing.TB, s *server, user string) request {
	tb.Helper()
	q := request{path: work.page, answer: work.answer, newUser: work.newUser}
	if work.newUser {
		q.header = map[string]string{userHeader: user}
	}
	if work.signedIn {
		q.cookie = s.signIn(tb, user)
	}
	if work.signedIn && q.cookie == "" { // a contender without sessions
		q.answer = hello
	}
	return q
}

// signIn returns the cookie of a user who has signed in and has three values.
func (s *server) signIn(tb testing.TB, user string) (cookie string) {
	tb.Helper()
	got := s.ask(tb, request{path: signInPage, header: map[string]string{userHeader: user}})
	cookie = got.cookie("")
	if got.status != 200 {
		return "" // a contender without sessions
	}
	got = s.ask(tb, request{path: whoPage, cookie: cookie})
	if got.body != user {
		tb.Fatalf("after the sign-in of %s: got %q", user, got.body)
	}
	got = s.ask(tb, request{path: fillPage, cookie: cookie})
	return got.cookie(cookie)
}

// run lets the clients work for a while.
func (e *entrant) run(d time.Duration) result {
	counts := make([]int, len(e.clients))
	var before, after runtime.MemStats
	var wg sync.WaitGroup
	runtime.ReadMemStats(&before)
	cpu, start := processorTime(), time.Now()
	for i, send := range e.clients {
		wg.Go(func() { counts[i] = hammer(send, start.Add(d)) })
	}
	wg.Wait()
	elapsed, cpu := time.Since(start), processorTime()-cpu
	runtime.ReadMemStats(&after)
	n := 0
	for _, count := range counts {
		n += count
	}
	return result{
		n: n, nanos: float64(elapsed.Nanoseconds()) / float64(n),
		cpu:    float64(cpu) / float64(n),
		bytes:  float64(after.TotalAlloc-before.TotalAlloc) / float64(n),
		allocs: float64(after.Mallocs-before.Mallocs) / float64(n),
	}
}

// hammer sends requests until the end, and looks at the clock now and then.
func hammer(send func() int, end time.Time) (n int) {
	for time.Now().Before(end) {
		for range clientSessions {
			send()
		}
		n += clientSessions
	}
	return n
}

type result struct {
	n                         int
	nanos, cpu, bytes, allocs float64
}

// line is the result in the format of Go's benchmarks.
func (r result) line(name string) string {
	return fmt.Sprintf("Benchmark%s %d %.1f ns/op %.1f cpu-ns/op %.0f B/op %.2f allocs/op", name, r.n, r.nanos, r.cpu, r.bytes, r.allocs)
}

// contest has the contenders take turns, one turn each in every iteration of the
// benchmark, each time in another order. Those who start sessions in their turns
// begin with an empty store each time.
func contest(b *testing.B, name string, contenders []contender, work workload, clients int, empty func(*entrant)) {
	b.Helper()
	var entrants []*entrant
	for _, c := range chosen(b, contenders) {
		if c.bare && work.page != readPage {
			continue
		}
		e := enter(b, c, work, clients)
		e.run(*window)
		entrants = append(entrants, e)
	}
	round := 0
	for b.Loop() {
		var lines []string
		for _, i := range rand.Perm(len(entrants)) {
			e := entrants[i]
			if !work.signedIn {
				empty(e)
			}
			runtime.GC()
			lines = append(lines, e.run(*window).line(name+"/"+work.name+"/"+e.name))
		}
		round++
		note(b, round, lines...)
	}
	b.ReportMetric(0, "ns/op") // of a round: means nothing
}
