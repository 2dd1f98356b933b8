//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package client

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openFlags are for reading. A named pipe in the file's place must not make the
// reader wait for somebody who writes.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// isPrivate says whether a file belongs to the user of this process, and nobody
// else may do anything to it. The owner matters to root, who can read them all.
func isPrivate(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid() && info.Mode().Perm()&0o077 == 0
}

// tryLock locks the open file against every other one that was opened, in this
// process or another.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return err == nil, err
}
