//go:build unix

package servers

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Proxy is a reverse proxy.
type Proxy struct {
	// Addr is the host and port it listens on.
	Addr string
	*process
}

// Kill ends the proxy at once.
func (p *Proxy) Kill() { p.kill() }

// program is how a proxy is started: with files in a directory of its own, one
// of which is its configuration.
type program struct {
	path  string
	files func(addr string) map[string]string
	args  []string // relative to the directory
}

// daemon returns the path of a program that Debian keeps where only root looks.
func daemon(tb testing.TB, name string) string {
	tb.Helper()
	if path := filepath.Join("/usr/sbin", name); exists(path) {
		return path
	}
	return Need(tb, name, name)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// startProxy starts a proxy until the end of the test. Another process may take a
// port between its choice and its use, so some are tried.
func startProxy(tb testing.TB, program program) *Proxy {
	tb.Helper()
	for range 5 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(tb)))
		dir := tb.TempDir()
		for name, text := range program.files(addr) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				tb.Fatalf("servers: configure %s: %v", program.path, err)
			}
		}
		p, err := start(tb, dir, program.path, program.args...)
		if err != nil {
			tb.Fatalf("servers: start %s: %v", program.path, err)
		}
		if listens(tb, p, addr) {
			return &Proxy{Addr: addr, process: p}
		}
	}
	tb.Fatalf("servers: start %s: no port is free", program.path)
	return nil
}

// listens waits until the process takes connections. It returns false if the
// port was taken.
func listens(tb testing.TB, p *process, addr string) bool {
	tb.Helper()
	taken := false
	poll(tb, "start a proxy", func() error {
		if p.ended() != nil {
			taken = true
			return nil
		}
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	words := strings.ToLower(string(p.lastWords()))
	if taken && !strings.Contains(words, "address already in use") && !strings.Contains(words, "cannot bind") {
		tb.Fatalf("servers: start a proxy: %v", p.ended())
	}
	return !taken
}
