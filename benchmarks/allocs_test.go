//go:build !race

package benchmarks

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"
)

// Allocations differ under the race detector: these tests run without it.

var update = flag.Bool("update", false, "write the baseline anew; what the floor allocates is only ever lowered")

const baselineFile = "testdata/baseline.txt"

// slack is how much more bytes than in the baseline may be: where maps grow, they
// vary. An allocation more is never tolerated.
const slack = 1.1

// TestAllocBaseline compares what a request of this library costs, and of the
// floor, with the baseline that is committed: allocations, bytes, calls of the
// store, commands, cookies. Time is not compared.
func TestAllocBaseline(t *testing.T) {
	got := costs(t)
	want := readBaseline(t)
	if *update {
		writeBaseline(t, got, want)
		return
	}
	for _, r := range got {
		compare(t, r, want[r.name])
	}
	if len(got) != len(want) {
		t.Errorf("got %d workloads, the baseline has %d", len(got), len(want))
	}
}

func compare(t *testing.T, got, want costLine) {
	t.Helper()
	if len(got.values) != len(want.values) {
		t.Errorf("%s: %d units, the baseline has %d", got.name, len(got.values), len(want.values))
	}
	for unit, value := range got.values {
		limit, ok := want.values[unit]
		if unit == "B/op" {
			limit *= slack
		}
		switch {
		case !ok:
			t.Errorf("%s: %s is not in the baseline", got.name, unit)
		case value > limit:
			t.Errorf("%s: %.4g %s, the baseline has %.4g", got.name, value, unit, want.values[unit])
		case unit != "B/op" && value < limit:
			t.Logf("%s: %.4g %s, the baseline has %.4g: lower it, with -update", got.name, value, unit, limit)
		}
	}
}

// costLine is what a request costs, by unit.
type costLine struct {
	name   string
	values map[string]float64
}

var costUnits = []string{"allocs/op", "B/op", "loads/op", "writes/op", "trips/op", "commands/op", "cookies/op"}

func (c costLine) String() string {
	text := "Benchmark" + c.name + " 1"
	for _, unit := range costUnits {
		if v, ok := c.values[unit]; ok {
			text += fmt.Sprintf(" %.4g %s", v, unit)
		}
	}
	return text
}

// costs measures this library and the floor.
func costs(t *testing.T) (lines []costLine) {
	t.Helper()
	for _, c := range inMemory() {
		if c.name != "floor" && c.name != "session" {
			continue
		}
		for _, work := range workloads {
			n := countInMemory(t, c, work)
			line := costLine{"Memory/" + work.name + "/" + c.name, map[string]float64{
				"loads/op": share(n.reads), "writes/op": share(n.writes), "cookies/op": share(n.cookies),
			}}
			line.values["allocs/op"], line.values["B/op"] = allocated(t, c, work)
			lines = append(lines, line)
		}
	}
	client := connect(t)
	for _, c := range onRedis(t, client) {
		if c.name != "floor" && c.name != "session" {
			continue
		}
		for _, work := range workloads {
			n, _ := countOnRedis(t, client, c, work)
			lines = append(lines, costLine{"Redis/" + work.name + "/" + c.name, map[string]float64{
				"trips/op": share(n.trips), "commands/op": share(n.commands), "cookies/op": share(n.cookies),
			}})
		}
	}
	return lines
}

// share is the part of one request, to a quarter: now and then a script extends the
// expiry of an index, or a connection is asked whether it is alive.
func share(n int) float64 { return math.Round(4*float64(n)/counted) / 4 }

// allocated returns allocations and bytes of one request, what the handler itself
// allocates included, which is nothing.
func allocated(t *testing.T, c contender, work workload) (allocs, bytes float64) {
	t.Helper()
	s := c.start(t, nil)
	q := work.request(t, s, userID(1))
	q.newUser = false // for whom maps grow, whenever they do
	request := s.repeat(t, q)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const runs = 2000
	request()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		request()
	}
	runtime.ReadMemStats(&after)
	return math.Round(float64(after.Mallocs-before.Mallocs) / runs), math.Round(float64(after.TotalAlloc-before.TotalAlloc) / runs)
}

func readBaseline(t *testing.T) map[string]costLine {
	t.Helper()
	data, err := os.ReadFile(baselineFile)
	must(t, err)
	lines := make(map[string]costLine)
	r := benchfmt.NewReader(bytes.NewReader(data), baselineFile)
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.Result:
			line := costLine{string(rec.Name.Full()), make(map[string]float64)}
			for _, v := range rec.Values {
				line.values[v.Unit] = v.Value
			}
			lines[line.name] = line
		case *benchfmt.SyntaxError:
			t.Fatal(rec)
		}
	}
	must(t, r.Err())
	return lines
}

// writeBaseline writes what was measured. The floor is a yardstick: it must not
// be made longer.
func writeBaseline(t *testing.T, got []costLine, old map[string]costLine) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "go: %s\n", strings.TrimPrefix(runtime.Version(), "go"))
	for _, line := range got {
		was := old[line.name]
		if strings.HasSuffix(line.name, "/floor") && was.values != nil && line.values["allocs/op"] > was.values["allocs/op"] {
			t.Errorf("%s: %.4g allocations are more than %.4g", line.name, line.values["allocs/op"], was.values["allocs/op"])
			line = was
		}
		fmt.Fprintln(&text, line)
	}
	must(t, os.WriteFile(baselineFile, []byte(text.String()), 0o666))
}
