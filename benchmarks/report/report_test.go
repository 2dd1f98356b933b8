package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// measured reads results as readFiles does.
func measured(t *testing.T, text string) *data {
	t.Helper()
	d, err := tryMeasured(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func tryMeasured(t *testing.T, text string) (*data, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "results")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return readFiles([]string{path})
}

// rounds writes a result in each of the rounds from first to last.
func rounds(name string, first, last int, nanos func(round int) float64) string {
	var b strings.Builder
	for r := first; r <= last; r++ {
		fmt.Fprintf(&b, "round: %d\nBenchmark%s 1 %g ns/op\n", r, name, nanos(r))
	}
	return b.String()
}

func always(v float64) func(int) float64 { return func(int) float64 { return v } }

func TestRatioTakesFiveRoundsOfBoth(t *testing.T) {
	for _, row := range []struct {
		name string
		text string
		want string
	}{
		{"five rounds of both", rounds("A", 1, 5, always(30)) + rounds("B", 1, 5, always(10)), "3.00"},
		{"four rounds of both", rounds("A", 1, 4, always(30)) + rounds("B", 1, 4, always(10)), ""},
		{"five rounds each, of which four are the same", rounds("A", 1, 5, always(30)) + rounds("B", 2, 6, always(10)), ""},
		{"one of them was not there", rounds("A", 1, 9, always(30)), ""},
		{"what is exact has no rounds", "round: 0\nBenchmarkA 1 30 ns/op\nBenchmarkB 1 10 ns/op\n", ""},
	} {
		if got := measured(t, row.text).times("A", "B"); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestRefusedRatioIsReported(t *testing.T) {
	d := measured(t, rounds("A", 1, 4, always(30))+rounds("B", 1, 4, always(10)))
	d.times("A", "B")
	if got := d.warnings(); len(got) != 1 || !strings.Contains(got[0], "takes 5 rounds") {
		t.Errorf("got %q", got)
	}
}

// The machine was ten times slower in half of the rounds: a ratio of medians
// would compare a slow round with a fast one.
func TestRatioIsThatOfTheSameRound(t *testing.T) {
	slow := func(v float64) func(int) float64 {
		return func(r int) float64 { return v * []float64{1, 10}[r%2] }
	}
	d := measured(t, rounds("A", 1, 6, slow(20))+rounds("B", 1, 6, slow(10)))
	if got := d.times("A", "B"); got != "2.00" {
		t.Errorf("got %q, want 2.00", got)
	}
}

func TestResultWithoutRoundIsRefused(t *testing.T) {
	if _, err := tryMeasured(t, "BenchmarkA 1 30 ns/op\n"); err == nil {
		t.Error("a result that belongs to no round was accepted")
	}
}

func TestFastestPeerIsNeitherOursNorBare(t *testing.T) {
	var text string
	for name, v := range map[string]float64{"session": 1, "floor": 1, "bare": 1, "gin-bare": 1, "slow": 30, "quick": 20} {
		text += rounds("Memory/serial/read/"+name, 1, 5, always(v))
	}
	if got := measured(t, text).fastest("Memory/serial/read"); got != "quick" {
		t.Errorf("got %q, want quick", got)
	}
}

func TestFailedProbesStandInTheTable(t *testing.T) {
	d := measured(t, rounds("Memory/serial/read/scs", 1, 5, always(9))+
		"round: 0\nBenchmarkProbe/memory/scs 1 1 lost-updates 1 resurrections\n")
	if got := d.details("Memory/serial", "memory"); !strings.Contains(got, "loses updates, resurrects |") {
		t.Errorf("got\n%s", got)
	}
}

func TestSectionReplacesWhatIsBetweenItsMarks(t *testing.T) {
	s := section{name: "x", text: "new\n"}
	got, err := s.insert("before\n<!-- begin x -->\nold\n<!-- end x -->\nafter\n")
	if want := "before\n<!-- begin x -->\nnew\n<!-- end x -->\nafter\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := s.insert("<!-- begin x -->\nold"); err == nil {
		t.Error("a section without an end was accepted")
	}
}

func TestNumbersAsPeopleReadThem(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{nanos(48), "48 ns"}, {nanos(712.4), "712 ns"}, {nanos(1200), "1.20 µs"}, {nanos(12_546), "12.5 µs"},
		{nanos(123_456), "123 µs"}, {nanos(7_159_965_510), "7.16 s"},
		{plain(999), "999"}, {plain(1000), "1,000"}, {plain(5_000_000), "5,000,000"}, {plain(0.25), "0.25"},
	} {
		if row.got != row.want {
			t.Errorf("got %q, want %q", row.got, row.want)
		}
	}
}

func TestPlotsAreWritten(t *testing.T) {
	text := rounds("Scale/memory/session/n=10000", 1, 1, always(0)) +
		"round: 1\nBenchmarkScale/memory/session/n=10000 1 300 B/session 80 ns/lookup\nBenchmarkScale/memory/session/n=1000000 1 310 B/session 200 ns/lookup\n"
	for _, name := range []string{"session", "floor", "scs"} {
		text += rounds("Memory/serial/read/"+name, 1, 5, always(100))
	}
	dir := t.TempDir()
	if err := measured(t, text).plot(dir); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"performance-memory.svg", "performance-scale-memory.svg"} {
		svg, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.Contains(string(svg), ">session</text>") {
			t.Errorf("%s: %v, %d bytes, without the name of a contender", file, err, len(svg))
		}
	}
}
