package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// section is a part of the report: a table in Markdown.
type section struct{ name, title, text string }

// The names that stand for themselves. All others are peers, except what only
// measures a framework without sessions.
const (
	floor   = "floor"
	library = "session"
)

func peer(name string) bool {
	return !strings.HasPrefix(name, floor) && !strings.HasPrefix(name, library) && !bare(name) && !strings.HasSuffix(name, "plain")
}
func bare(name string) bool { return strings.HasSuffix(name, "bare") }

var workloads = []string{"read", "anonymous", "write", "sign-in"}

func (d *data) sections() []section {
	list := []section{
		{"environment", "Environment", d.environment()},
		{"scale-environment", "Environment of the sizes", d.scaled.environment()},
		{"readme", "In memory, serial, for README", d.overview("Memory/serial", "memory")},
	}
	for _, place := range []struct{ name, title, results string }{{"memory", "In memory", "Memory"}, {"redis", "On Redis", "Redis"}} {
		list = append(list,
			section{place.name + "-serial", place.title + ", one request at a time", d.details(place.results+"/serial", place.name)},
			section{place.name + "-parallel", place.title + ", 64 clients", d.overview(place.results+"/parallel", place.name)},
			section{place.name + "-http", place.title + ", over HTTP", d.overHTTP(place.name)},
			section{place.name + "-herd", place.title + ", a herd of 20", d.herd(place.name)},
			section{place.name + "-scale", place.title + ", by number of sessions", d.scale(place.name)},
		)
	}
	return slices.DeleteFunc(list, func(s section) bool { return s.text == "" })
}

// environment says when and where the requests were measured, or if there are none
// the sizes.
func (d *data) environment() string { return d.config.environment() }

func (c config) environment() string {
	if c["date"] == "" {
		return ""
	}
	return fmt.Sprintf("%s, Go %s, %s, %s cores (%s), go-redis %s.\n",
		c["date"], c["go"], c["platform"], c["cores"], c["cpu"], c["version-go-redis"])
}

// contenders returns who took part in something, what is to be compared first.
func (d *data) contenders(prefix string) (names []string) {
	for _, name := range d.names {
		if rest, ok := strings.CutPrefix(name, prefix+"/"); ok && !strings.Contains(rest, "/") {
			names = append(names, rest)
		}
	}
	slices.SortFunc(names, byRank)
	return names
}

func byRank(a, b string) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a, b)) }

// rank puts what is to be compared first.
func rank(name string) int {
	switch {
	case bare(name):
		return 3
	case strings.HasPrefix(name, library):
		return 0
	case strings.HasPrefix(name, floor):
		return 1
	}
	return 2
}

// label is the contender with its version.
func (d *data) label(place, name string) string {
	_, version, _ := strings.Cut(d.config["version-"+place+"-"+name], " ")
	if parts := strings.Split(version, "-"); len(parts) == 3 && len(parts[2]) >= 7 {
		version = parts[2][:7] // a commit, without its time
	}
	if name == library {
		return "**session**"
	}
	return strings.TrimSpace(name + " " + version)
}

// failures are the probes that a contender has failed.
func (d *data) failures(place, name string) string {
	var failed []string
	for _, probe := range []struct{ unit, text string }{{"lost-updates", "loses updates"}, {"resurrections", "resurrects"}} {
		if n, _ := d.median("Probe/"+place+"/"+name, probe.unit); n > 0 {
			failed = append(failed, probe.text)
		}
	}
	if _, probed := d.median("Probe/"+place+"/"+name, "resurrections"); !probed {
		return ""
	}
	if len(failed) == 0 {
		return "passes"
	}
	return strings.Join(failed, ", ")
}

// fastest returns the fastest peer.
func (d *data) fastest(prefix string) (name string) {
	best := math.Inf(1)
	for _, c := range d.contenders(prefix) {
		if v, ok := d.median(prefix+"/"+c, "ns/op"); ok && peer(c) && v < best {
			name, best = c, v
		}
	}
	return name
}

// details are one table for each workload.
func (d *data) details(prefix, place string) string {
	var b strings.Builder
	for _, work := range workloads {
		names := d.contenders(prefix + "/" + work)
		if len(names) == 0 {
			continue
		}
		calls, units := "loads | writes", []string{"loads/op", "writes/op"}
		if place == "redis" {
			calls, units = "round trips | commands", []string{"trips/op", "commands/op"}
		}
		fmt.Fprintf(&b, "| %s | time | to floor | to fastest peer | CPU | to floor | B | allocations | %s | Set-Cookie | probes |\n", work, calls)
		b.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n")
		fastest := d.fastest(prefix + "/" + work)
		for _, name := range names {
			full := prefix + "/" + work + "/" + name
			row := []string{
				d.label(place, name), d.show(full, "ns/op", nanos),
				d.interval(full, prefix+"/"+work+"/"+floor), d.times(full, prefix+"/"+work+"/"+fastest),
				d.show(full, "cpu-ns/op", nanos), d.ratioOf(full, prefix+"/"+work+"/"+floor, "cpu-ns/op"),
				d.show(full, "B/op", whole), d.show(full, "allocs/op", whole),
			}
			for _, unit := range append(units, "cookies/op") {
				row = append(row, d.show("Counts/"+place+"/"+work+"/"+name, unit, whole))
			}
			writeRow(&b, append(row, d.failures(place, name))...)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// overview has a column for each workload.
func (d *data) overview(prefix, place string) string {
	names := d.contenders(prefix + "/read")
	if len(names) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| | read | anonymous | write | sign-in | probes |\n| --- | ---: | ---: | ---: | ---: | --- |\n")
	for _, name := range names {
		row := []string{d.label(place, name)}
		for _, work := range workloads {
			full := prefix + "/" + work + "/" + name
			cell := d.show(full, "ns/op", nanos)
			if times := d.times(full, prefix+"/"+work+"/"+floor); times != "" {
				cell += " (" + times + ")"
			}
			row = append(row, cell)
		}
		writeRow(&b, append(row, d.failures(place, name))...)
	}
	b.WriteString("\nIn parentheses: how many times the floor.\n")
	return b.String()
}

func (d *data) overHTTP(place string) string {
	names := d.contenders("HTTP/" + place)
	if len(names) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| signed-in read | requests/s | to floor | CPU of the server | to floor | p50 | p99 | p99.9 | memory | probes |\n")
	b.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n")
	for _, name := range names {
		full, base := "HTTP/"+place+"/"+name, "HTTP/"+place+"/"+floor
		writeRow(&b, d.label(place, name), d.show(full, "req/s", whole), d.ratioOf(full, base, "req/s"),
			d.show(full, "cpu-ns/op", nanos), d.ratioOf(full, base, "cpu-ns/op"),
			d.show(full, "p50-ns", nanos), d.show(full, "p99-ns", nanos), d.show(full, "p99.9-ns", nanos),
			d.show(full, "RSS-B", mebibytes), d.failures(place, name))
	}
	return b.String()
}

func (d *data) herd(place string) string {
	names := d.contenders("Herd/" + place)
	if len(names) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| 20 requests of a session that is due | writes | refused attempts | Set-Cookie |\n| --- | ---: | ---: | ---: |\n")
	for _, name := range names {
		full := "Herd/" + place + "/" + name
		writeRow(&b, d.label(place, name), d.show(full, "writes", whole), d.show(full, "refused", whole), d.show(full, "cookies", whole))
	}
	return b.String()
}

func (d *data) scale(place string) string {
	names := d.contendersOfScale(place)
	if len(names) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| sessions | | bytes each | lookup | list one user | revoke one user | garbage collection | its pause | longest read | while half is freed |\n")
	b.WriteString("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, n := range d.sizes(place) {
		for _, name := range names {
			full := fmt.Sprintf("Scale/%s/%s/n=%d", place, name, n)
			if d.values[full] == nil {
				continue
			}
			writeRow(&b, plain(float64(n)), d.label(place, name), d.show(full, "B/session", whole), d.show(full, "ns/lookup", nanos),
				d.show(full, "ns/list", nanos), d.show(full, "ns/revoke", nanos), d.show(full, "ns/gc", nanos),
				d.show(full, "ns/pause", nanos), d.show(full, "ns/quiet", nanos), d.show(full, "ns/stall", nanos))
		}
	}
	return b.String()
}

func (d *data) contendersOfScale(place string) (names []string) {
	for _, name := range d.names {
		rest, ok := strings.CutPrefix(name, "Scale/"+place+"/")
		if c, _, _ := strings.Cut(rest, "/"); ok && !slices.Contains(names, c) {
			names = append(names, c)
		}
	}
	slices.SortFunc(names, byRank)
	return names
}

func (d *data) sizes(place string) (sizes []int) {
	for _, name := range d.names {
		_, text, ok := strings.Cut(name, "/n=")
		if n, err := strconv.Atoi(text); ok && err == nil && strings.HasPrefix(name, "Scale/"+place+"/") && !slices.Contains(sizes, n) {
			sizes = append(sizes, n)
		}
	}
	slices.Sort(sizes)
	return sizes
}

// times is a ratio of time, with enough digits to be read and none to be believed.
func (d *data) times(a, b string) string { return d.ratioOf(a, b, "ns/op") }

// interval is times with the confidence interval of the median, where it is finite.
func (d *data) interval(a, b string) string {
	text := d.times(a, b)
	if text == "" || a == b {
		return text
	}
	if s := summary(d.ratios(a, b, "ns/op")); !math.IsInf(s.Hi, 0) {
		text += " (" + factor(s.Lo) + "–" + factor(s.Hi) + ")"
	}
	return text
}

func (d *data) ratioOf(a, b, unit string) string {
	if r, ok := d.ratio(a, b, unit); ok {
		return factor(r)
	}
	return ""
}

func factor(r float64) string {
	switch {
	case r < 0.1:
		return fmt.Sprintf("%.3f", r)
	case r < 10:
		return fmt.Sprintf("%.2f", r)
	}
	return fmt.Sprintf("%.0f", r)
}

func (d *data) show(name, unit string, format func(float64) string) string {
	v, ok := d.median(name, unit)
	if !ok {
		return ""
	}
	return format(v)
}

func whole(v float64) string { return plain(math.Round(v)) }

// plain writes thousands apart.
func plain(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	head, fraction, _ := strings.Cut(text, ".")
	for i := len(head) - 3; i > 0; i -= 3 {
		head = head[:i] + "," + head[i:]
	}
	if fraction != "" {
		return head + "." + fraction
	}
	return head
}

func mebibytes(v float64) string { return fmt.Sprintf("%.0f MiB", v/(1<<20)) }

// nanos writes a time with three digits.
func nanos(v float64) string {
	unit := "ns"
	for _, next := range []string{"µs", "ms", "s"} {
		if v < 1000 {
			break
		}
		v, unit = v/1000, next
	}
	digits := 0
	if unit != "ns" || v < 10 {
		digits = max(0, 2-int(math.Log10(max(v, 1))))
	}
	return fmt.Sprintf("%.*f %s", digits, v, unit)
}

func writeRow(b *strings.Builder, cells ...string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}
