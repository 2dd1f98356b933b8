package servers

import "syscall"

// dieWithTest makes the kernel end the process when a test's process dies
// without cleaning up.
func dieWithTest() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
