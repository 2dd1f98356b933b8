//go:build !race

package echosession_test

import (
	"testing"

	"github.com/updateage/session/internal/adaptertest"
)

// The race detector adds allocations of its own. Echo v4 builds its chain anew for
// every request, which is one for any middleware.
func TestAllocations(t *testing.T) { adaptertest.Allocations(t, build, 3) }
