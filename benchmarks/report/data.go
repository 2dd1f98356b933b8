package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// data is what was measured: values by name, unit and round.
type data struct {
	names  []string // in the order in which they came
	values map[string]map[string]map[int]float64
	config config // of the first file
	scaled config // of what was measured by number of sessions

	refused map[string]bool // names for which a ratio was refused
}

// config is what a file says about how it was measured.
type config map[string]string

func newData() *data {
	return &data{
		values: make(map[string]map[string]map[int]float64), config: make(config), scaled: make(config), refused: make(map[string]bool),
	}
}

func readFiles(paths []string) (*data, error) {
	d := newData()
	files := benchfmt.Files{Paths: paths, AllowStdin: true}
	for files.Scan() {
		switch r := files.Result().(type) {
		case *benchfmt.Result:
			if err := d.add(r); err != nil {
				return nil, err
			}
		case *benchfmt.SyntaxError:
			return nil, r
		}
	}
	return d, files.Err()
}

func (d *data) add(r *benchfmt.Result) error {
	round, err := strconv.Atoi(r.GetConfig("round"))
	if err != nil {
		return fmt.Errorf("%s has no round", r.Name)
	}
	name := string(r.Name.Full())
	units := d.values[name]
	if units == nil {
		d.names = append(d.names, name)
		units = make(map[string]map[int]float64)
		d.values[name] = units
	}
	for _, v := range r.Values {
		if v.OrigUnit != "" {
			v.Value, v.Unit = v.OrigValue, v.OrigUnit // nanoseconds, as they were written
		}
		if units[v.Unit] == nil {
			units[v.Unit] = make(map[int]float64)
		}
		if _, twice := units[v.Unit][round]; twice {
			return fmt.Errorf("%s is there twice in round %d: the results are of several runs", name, round)
		}
		units[v.Unit][round] = v.Value
	}
	for _, c := range r.Config {
		if _, ok := d.config[c.Key]; !ok {
			d.config[c.Key] = string(c.Value)
		}
		if strings.HasPrefix(name, "Scale/") {
			d.scaled[c.Key] = string(c.Value)
		}
	}
	return nil
}

// confidence is that of the intervals: as benchstat has it.
const confidence = 0.95

// summary returns the median of the rounds and its confidence interval.
func summary(values []float64) benchmath.Summary {
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(values, &benchmath.DefaultThresholds), confidence)
}

// median returns the median of the rounds; false if there is none.
func (d *data) median(name, unit string) (float64, bool) {
	rounds := d.values[name][unit]
	if len(rounds) == 0 {
		return 0, false
	}
	values := make([]float64, 0, len(rounds))
	for _, v := range rounds {
		values = append(values, v)
	}
	return summary(values).Center, true
}

// leastRounds is from how many rounds a ratio is made. It takes one more until its
// interval, which is that of benchstat, is finite.
const leastRounds = 5

// ratio returns the median of the ratios of a to b within each round. Rounds
// that only one of them has do not count: what else the machine did then, it did
// to one of them.
func (d *data) ratio(a, b, unit string) (float64, bool) {
	ratios := d.ratios(a, b, unit)
	if len(ratios) < leastRounds {
		if len(ratios) > 0 {
			d.refused[a] = true
		}
		return 0, false
	}
	return summary(ratios).Center, true
}

func (d *data) ratios(a, b, unit string) (ratios []float64) {
	with := d.values[b][unit]
	for round, v := range d.values[a][unit] {
		if w, ok := with[round]; ok && round > 0 && w > 0 {
			ratios = append(ratios, v/w)
		}
	}
	return ratios
}

// warnings say for what a ratio was refused.
func (d *data) warnings() (lines []string) {
	for name := range d.refused {
		lines = append(lines, fmt.Sprintf("%s: no ratio, as that takes %d rounds in which both took part", name, leastRounds))
	}
	slices.Sort(lines)
	return lines
}
