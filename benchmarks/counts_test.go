package benchmarks

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// counts is what one request costs in calls.
type counts struct {
	reads, writes int // of the store in memory
	trips         int // requests that Redis read
	commands      int // that it executed, those in scripts included
	cookies       int // Set-Cookie
}

const counted = 100 // requests

// TestCountsInMemory counts calls of the store and cookies.
func TestCountsInMemory(t *testing.T) {
	for _, c := range inMemory() {
		if c.bare {
			continue
		}
		for _, work := range workloads {
			got := countInMemory(t, c, work)
			note(t, 0, fmt.Sprintf("BenchmarkCounts/memory/%s/%s 1 %s", work.name, c.name, got.inMemory()))
		}
	}
}

func (c counts) inMemory() string {
	return fmt.Sprintf("%s loads/op %s writes/op %s cookies/op", each(c.reads), each(c.writes), each(c.cookies))
}

// each is the share of one request.
func each(n int) string { return fmt.Sprintf("%.4g", float64(n)/counted) }

func countInMemory(t *testing.T, c contender, work workload) (got counts) {
	t.Helper()
	m := new(meter)
	s := c.start(t, m)
	request := s.repeat(t, work.request(t, s, userID(1)))
	m.reset()
	for range counted {
		got.cookies += request()
	}
	got.reads, got.writes = int(m.reads.Load()), int(m.writes.Load())
	return got
}

// TestCountsOnRedis counts commands by INFO commandstats, and cookies.
func TestCountsOnRedis(t *testing.T) {
	client := connect(t)
	for _, c := range onRedis(t, client) {
		for _, work := range workloads {
			got, names := countOnRedis(t, client, c, work)
			note(t, 0, fmt.Sprintf("BenchmarkCounts/redis/%s/%s 1 %s", work.name, c.name, got.onRedis()))
			t.Logf("%s %s: %s", c.name, work.name, names)
		}
	}
}

func (c counts) onRedis() string {
	return fmt.Sprintf("%s trips/op %s commands/op %s cookies/op", each(c.trips), each(c.commands), each(c.cookies))
}

func countOnRedis(t *testing.T, client *redis.Client, c contender, work workload) (got counts, names string) {
	t.Helper()
	s := c.start(t, nil)
	request := s.repeat(t, work.request(t, s, userID(1)))
	for range 10 { // the server learns scripts, the cache its records
		request()
	}
	before, read := calls(t, client), reads(t, client)
	for range counted {
		got.cookies += request()
	}
	got.trips = reads(t, client) - read - 1 // this very question
	by := byRequests(calls(t, client), before)
	for _, name := range slices.Sorted(maps.Keys(by)) {
		got.commands += by[name]
		names += fmt.Sprintf("%s %s ", each(by[name]), strings.ToUpper(name))
	}
	return got, names
}

// reads returns how often the server has read from a connection: once for every
// request, if there is no other before the reply.
func reads(t *testing.T, client *redis.Client) int {
	t.Helper()
	n, err := strconv.Atoi(client.InfoMap(t.Context(), "stats").Val()["Stats"]["total_reads_processed"])
	must(t, err)
	return n
}

// byRequests leaves out what clients say when they connect, and what the cache
// of this library sends while nothing happens.
func byRequests(after, before map[string]int) map[string]int {
	more := minus(after, before)
	for _, name := range []string{"hello", "client", "client|setinfo", "client|maint_notifications", "config|get", "publish", "subscribe"} {
		delete(more, name)
	}
	return more
}
