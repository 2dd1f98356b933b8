//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package client

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// tryLock fails: without a lock that ends with its process, two of them could
// lose each other's session.
func tryLock(*os.File) (bool, error) {
	return false, fmt.Errorf("locks on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
