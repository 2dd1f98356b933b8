//go:build !race

package ginsession_test

import (
	"testing"

	"github.com/updateage/session/internal/adaptertest"
)

// The race detector adds allocations of its own.
func TestAllocations(t *testing.T) { adaptertest.Allocations(t, build, 2) }
