package main

import (
	"slices"
	"strings"
	"testing"
)

const events = `
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:9: starting chromium\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:10: missing: chromium (browser test)\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:3: missing: nothing, only talk\n"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"skip","Package":"empty"}
`

func TestScan(t *testing.T) {
	got, err := scan(strings.NewReader(events))
	want := []string{"p TestA: missing: chromium (browser test)", "p TestC: "}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestList(t *testing.T) {
	for _, test := range []struct {
		name  string
		skips []string
		text  string
		want  bool
	}{
		{"nothing", nil, "nothing was skipped\n", true},
		{"for another reason", []string{"p TestA: needs Linux"}, "skipped: p TestA: needs Linux\n", true},
		{"for a missing program", []string{"p TestA: missing: chromium"}, "skipped: p TestA: missing: chromium\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b strings.Builder
			if got := list(&b, test.skips); got != test.want || b.String() != test.text {
				t.Errorf("got %v and %q, want %v and %q", got, b.String(), test.want, test.text)
			}
		})
	}
}
