// Skipped lists the tests that were skipped, with their reasons, from the
// output of go test -json in the named files; -also adds one that is no test.
//
// A test skips with "missing: …" where a program is absent that it starts. With
// CI=true that is a failure: there everything has to run.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

func main() {
	also := flag.String("also", "", "what else was skipped")
	flag.Parse()

	var skips []string
	if *also != "" {
		skips = append(skips, *also)
	}
	for _, name := range flag.Args() {
		found, err := read(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, "skipped:", err)
			os.Exit(2)
		}
		skips = append(skips, found...)
	}
	if !list(os.Stdout, skips) && os.Getenv("CI") == "true" {
		fmt.Println("CI=true: nothing may be missing")
		os.Exit(1)
	}
}

// list prints the skips and tells whether nothing was missing.
func list(w io.Writer, skips []string) bool {
	if len(skips) == 0 {
		fmt.Fprintln(w, "nothing was skipped")
	}
	complete := true
	for _, s := range skips {
		fmt.Fprintln(w, "skipped:", s)
		complete = complete && !strings.Contains(s, "missing: ")
	}
	return complete
}

func read(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return scan(f)
}

// The testing package puts the place in front of a message that a test logs.
var message = regexp.MustCompile(`^\s*\S+\.go:\d+: (.*)`)

// scan returns a line for each skipped test. What a test logged last is its
// reason: Skip ends the test.
func scan(r io.Reader) ([]string, error) {
	var skips []string
	reason := map[string]string{}
	for d := json.NewDecoder(r); ; {
		var e struct{ Action, Package, Test, Output string }
		if err := d.Decode(&e); err == io.EOF {
			return skips, nil
		} else if err != nil {
			return nil, err
		}
		test := e.Package + " " + e.Test
		switch {
		case e.Test == "": // a package without tests also counts as skipped
		case e.Action == "output":
			if m := message.FindStringSubmatch(e.Output); m != nil {
				reason[test] = m[1]
			}
		case e.Action == "skip":
			skips = append(skips, fmt.Sprintf("%s: %s", test, reason[test]))
		}
	}
}
