package benchmarks

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strings"
	"testing"
	"time"
)

var results = flag.String("results", "", "append what is measured to this `file`, in the format of Go's benchmarks; ./report reads it")

// note writes lines of results. They belong to a round: only contenders of the
// same round are compared. Round 0 is for what is exact.
func note(tb testing.TB, round int, lines ...string) {
	tb.Helper()
	for _, line := range lines {
		tb.Log(line)
	}
	if *results == "" {
		return
	}
	f, err := os.OpenFile(*results, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	must(tb, err)
	defer f.Close()
	_, err = fmt.Fprintf(f, "round: %d\n%s\n", round, strings.Join(lines, "\n"))
	must(tb, err)
}

// TestNoteVersions writes down what is compared and where, before anything else.
func TestNoteVersions(t *testing.T) {
	lines := []string{
		"date: " + time.Now().UTC().Format(time.DateOnly),
		"go: " + strings.TrimPrefix(runtime.Version(), "go"),
		"platform: " + runtime.GOOS + "/" + runtime.GOARCH,
		fmt.Sprintf("cores: %d", runtime.NumCPU()),
		"cpu: " + processor(),
	}
	note(t, 0, append(lines, modules(t)...)...)
}

// modules returns the versions of what is compared. A test binary does not know
// its modules, the go command does.
func modules(t *testing.T) (lines []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Path}} {{.Version}}", "all").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	versions := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		module, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		versions[module] = version
	}
	for where, contenders := range map[string][]contender{"memory": inMemory(), "redis": onRedis(t, connect(t))} {
		for _, c := range contenders {
			if c.module != "" {
				lines = append(lines, "version-"+where+"-"+c.name+": "+path.Base(c.module)+" "+versions[c.module])
			}
		}
	}
	return append(lines, "version-go-redis: "+versions["github.com/redis/go-redis/v9"])
}

// processor returns the name of the processor, where it is to be had.
func processor() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
