//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
)

const openFlags = os.O_RDONLY

// isPrivate says whether nobody but the owner may do anything to a file.
func isPrivate(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 == 0 }

// tryLock fails: without a lock that ends with its process, two of them could
// lose each other's session.
func tryLock(*os.File) (bool, error) {
	return false, fmt.Errorf("locks on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
