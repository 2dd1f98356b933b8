//go:build unix && !linux

package servers

import "syscall"

// dieWithTest does nothing where the kernel has no such service: a test's
// process that dies without cleaning up leaves its servers.
func dieWithTest() *syscall.SysProcAttr { return nil }
