package client

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"unsafe"
)

const openFlags = os.O_RDONLY

// isPrivate is true: the access rights are those of the directory.
func isPrivate(fs.FileInfo) bool { return true }

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

// From the documentation of LockFileEx.
const (
	lockFailImmediately = 1
	lockExclusive       = 2

	errorLockViolation = syscall.Errno(33)
)

// tryLock locks the open file against every other one that was opened, in this
// process or another.
func tryLock(f *os.File) (bool, error) {
	var at syscall.Overlapped
	ok, _, err := lockFileEx.Call(f.Fd(), lockExclusive|lockFailImmediately, 0, 1, 0, uintptr(unsafe.Pointer(&at)))
	if ok != 0 {
		return true, nil
	}
	if errors.Is(err, errorLockViolation) || errors.Is(err, syscall.ERROR_IO_PENDING) {
		return false, nil
	}
	return false, err
}
