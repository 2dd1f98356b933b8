package main

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

func TestDoccheck(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), analyzer, "a", "a/internal/b", "command")
}
