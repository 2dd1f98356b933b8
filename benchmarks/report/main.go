// Report turns what the benchmarks of this module have measured into tables and
// plots. It reads files in the format of Go's benchmarks, as -results writes them.
//
//	go run ./report -docs ../docs/performance.md,../README.md -svg ../docs results.txt
//
// The tables go to standard output, and into the documents where they have a
// place, between "<!-- begin NAME -->" and "<!-- end NAME -->".
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("report: ")
	docs := flag.String("docs", "", "documents to bring up to date, separated by commas")
	svg := flag.String("svg", "", "directory for the plots")
	flag.Parse()
	if err := run(flag.Args(), *docs, *svg); err != nil {
		log.Fatal(err)
	}
}

func run(files []string, docs, svg string) error {
	d, err := readFiles(files)
	if err != nil {
		return err
	}
	sections := d.sections()
	for _, s := range sections {
		fmt.Printf("%s\n\n%s\n", s.title, s.text)
	}
	for _, w := range d.warnings() {
		log.Print(w)
	}
	for doc := range strings.SplitSeq(docs, ",") {
		if doc == "" {
			continue
		}
		if err := bringUpToDate(doc, sections); err != nil {
			return err
		}
	}
	if svg == "" {
		return nil
	}
	return d.plot(svg)
}

// bringUpToDate replaces the sections that a document has a place for.
func bringUpToDate(path string, sections []section) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(data)
	for _, s := range sections {
		if text, err = s.insert(text); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// insert puts the section where the document has its marks, if it has.
func (s section) insert(text string) (string, error) {
	begin, end := "<!-- begin "+s.name+" -->\n", "<!-- end "+s.name+" -->"
	before, rest, ok := strings.Cut(text, begin)
	if !ok || s.text == "" {
		return text, nil
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("no %q", end)
	}
	return before + begin + s.text + end + after, nil
}
