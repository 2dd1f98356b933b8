package benchmarks

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"github.com/valyala/fasthttp"
)

// End to end: each contender serves in a process of its own, over HTTP on
// loopback. A closed load, in which 32 connections send the next request when
// the last one is answered, finds out how many requests per second there can be;
// an open one, at a rate that all can keep, how long they take from when they are
// sent. The load comes from vegeta, which has been kept well for a decade.

var (
	httpRate   = flag.Int("http-rate", 2000, "requests per `second` of the open load")
	httpWindow = flag.Duration("http-window", time.Second, "how long each of the two loads lasts")
)

const (
	httpConns    = 32
	httpSessions = 1000

	serveEnv = "BENCHMARKS_SERVE" // "memory/scs": what this process is to serve
	redisEnv = "BENCHMARKS_REDIS" // the address of the server to use
)

// BenchmarkHTTPMemory loads the contenders in memory.
func BenchmarkHTTPMemory(b *testing.B) { httpContest(b, "memory", inMemory(), "") }

// BenchmarkHTTPRedis loads the contenders on Redis.
func BenchmarkHTTPRedis(b *testing.B) {
	client := connect(b)
	httpContest(b, "redis", onRedis(b, client), client.Options().Addr)
}

// httpContest has the contenders take turns. All servers run, one is busy.
func httpContest(b *testing.B, where string, contenders []contender, redisAddr string) {
	var remotes []*remote
	for _, c := range chosen(b, contenders) {
		if c.plain {
			continue
		}
		r := startRemote(b, where, c, redisAddr)
		r.load(b, vegeta.Rate{}, *httpWindow/4)
		remotes = append(remotes, r)
	}
	round := 0
	for b.Loop() {
		var lines []string
		for _, i := range rand.Perm(len(remotes)) {
			r := remotes[i]
			lines = append(lines, "BenchmarkHTTP/"+where+"/"+r.name+" "+r.measure(b))
		}
		round++
		note(b, round, lines...)
	}
	b.ReportMetric(0, "ns/op")
}

// remote is a contender in a process of its own.
type remote struct {
	name    string
	url     string
	answer  []byte // of each request
	targets []vegeta.Target
}

// startRemote runs this test binary once more, as a server.
func startRemote(b *testing.B, where string, c contender, redisAddr string) *remote {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestServe$", "-test.timeout", "0")
	cmd.Env = append(os.Environ(), serveEnv+"="+where+"/"+c.name, redisEnv+"="+redisAddr)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // the server ends when this closes, or this process dies
	must(b, err)
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	r := &remote{name: c.name}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "ready: "); ok {
			var cookies []string
			r.url, text, _ = strings.Cut(text, " ")
			must(b, json.Unmarshal([]byte(text), &cookies))
			r.aim(cookies)
			return r
		}
	}
	b.Fatalf("%s: the server did not start", c.name)
	return nil
}

// aim prepares the requests of as many users as there are cookies.
func (r *remote) aim(cookies []string) {
	r.answer = welcome
	if cookies[0] == "" { // a contender without sessions
		r.answer = hello
	}
	for _, cookie := range cookies {
		r.targets = append(r.targets, vegeta.Target{
			Method: http.MethodGet, URL: r.url + readPage,
			Header: http.Header{"Cookie": {cookie}, "User-Agent": {agent}},
		})
	}
}

// measure applies both loads.
func (r *remote) measure(b *testing.B) string {
	b.Helper()
	before := r.usage(b)
	closed := r.load(b, vegeta.Rate{}, *httpWindow)
	after := r.usage(b)
	open := r.load(b, vegeta.Rate{Freq: *httpRate, Per: time.Second}, *httpWindow)
	return fmt.Sprintf("%d %.0f req/s %.0f cpu-ns/op %d RSS-B %d p50-ns %d p99-ns %d p99.9-ns",
		closed.Requests, closed.Throughput, float64(after.CPU-before.CPU)/float64(closed.Requests), after.RSS,
		open.Latencies.P50, open.Latencies.P99, open.Latencies.Quantile(0.999))
}

// load sends requests and makes sure that all are answered.
func (r *remote) load(b *testing.B, rate vegeta.Rate, d time.Duration) *vegeta.Metrics {
	b.Helper()
	attacker := vegeta.NewAttacker(vegeta.Workers(httpConns), vegeta.MaxWorkers(httpConns),
		vegeta.Connections(httpConns), vegeta.HTTP2(false), vegeta.Timeout(10*time.Second))
	var m vegeta.Metrics
	for res := range attacker.Attack(vegeta.NewStaticTargeter(r.targets...), rate, d, r.name) {
		m.Add(res)
	}
	m.Close()
	if m.Success < 1 {
		b.Fatalf("%s: %.2f %% of the requests succeeded: %v", r.name, 100*m.Success, m.Errors)
	}
	if want := m.Requests * uint64(len(r.answer)); m.BytesIn.Total != want {
		b.Fatalf("%s: %d bytes in %d answers, want %d", r.name, m.BytesIn.Total, m.Requests, want)
	}
	return &m
}

// usage is what a server says about itself.
type usage struct {
	CPU time.Duration
	RSS int64
}

func (r *remote) usage(b *testing.B) (u usage) {
	b.Helper()
	res, err := http.Get(r.url + "/usage")
	must(b, err)
	defer res.Body.Close()
	must(b, json.NewDecoder(res.Body).Decode(&u))
	return u
}

// TestServe is the other side: it serves until its standard input closes.
func TestServe(t *testing.T) {
	where, name, _ := strings.Cut(os.Getenv(serveEnv), "/")
	contenders := inMemory()
	switch where {
	case "":
		return // an ordinary run
	case "redis":
		contenders = onRedis(t, client(t, os.Getenv(redisEnv)))
	}
	for _, c := range contenders {
		if c.name == name {
			serve(t, c)
		}
	}
}

func serve(t *testing.T, c contender) {
	s := c.start(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go s.listen(l)
	cookies := make([]string, httpSessions)
	for i := range cookies {
		cookies[i] = s.signIn(t, userID(i))
	}
	list, err := json.Marshal(cookies)
	must(t, err)
	fmt.Printf("ready: http://%s %s\n", l.Addr(), list)
	_, _ = os.Stdin.Read(make([]byte, 1))
	l.Close()
}

// listen answers requests, those for /usage without the contender.
func (s *server) listen(l net.Listener) {
	if s.fast != nil {
		_ = fasthttp.Serve(l, func(c *fasthttp.RequestCtx) {
			if string(c.Path()) == "/usage" {
				_, _ = c.Write(used())
				return
			}
			s.fast(c)
		})
		return
	}
	err := http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/usage" {
			_, _ = w.Write(used())
			return
		}
		s.http.ServeHTTP(w, r)
	}))
	if !errors.Is(err, net.ErrClosed) {
		panic(err)
	}
}

// used returns the processor time of this process so far, and its memory.
func used() []byte {
	runtime.GC()
	data, err := json.Marshal(usage{processorTime(), resident()})
	if err != nil {
		panic(err)
	}
	return data
}

// processorTime returns what this process has had of the processors so far. What
// other processes take does not count, so that it is steadier than time.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident returns the memory that the process occupies, where Linux says so.
func resident() (n int64) {
	data, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, _ = fmt.Sscanf(text, "%d kB", &n)
		}
	}
	return n << 10
}
