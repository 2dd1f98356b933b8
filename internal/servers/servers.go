//go:build unix

// Package servers starts real servers for tests: on free ports of the loopback
// interface, in temporary directories, and gone when the test is over or its
// process has died.
//
// A test that needs a program which is not installed is skipped, with the name
// of the Debian package, or fails where the environment says CI=true.
package servers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// patience is how long anything here may take: a server that has not started by
// then never will.
const patience = 30 * time.Second

// Need returns the path of a program, or ends the test.
func Need(tb testing.TB, program, debianPackage string) string {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	missing := fmt.Sprintf("missing: %s (Debian package %s)", program, debianPackage)
	if os.Getenv("CI") == "true" {
		tb.Fatal(missing)
	}
	tb.Skip(missing)
	return ""
}

// freePort returns a port that was free a moment ago. Whoever uses it has to be
// ready to find it taken.
func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("servers: find a port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// poll calls ready until it returns nil, and ends the test if it never does.
func poll(tb testing.TB, what string, ready func() error) {
	tb.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = ready(); err == nil {
			return
		}
	}
	tb.Fatalf("servers: %s: not within %v: %v", what, patience, err)
}
