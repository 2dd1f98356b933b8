//go:build unix

package servers

import "testing"

// StartHAProxy starts HAProxy and stops it at the end of the test. files returns
// haproxy.cfg and what else that names, for the address to listen on.
func StartHAProxy(tb testing.TB, files func(addr string) map[string]string) *Proxy {
	tb.Helper()
	return startProxy(tb, program{
		path:  daemon(tb, "haproxy"),
		args:  []string{"-db", "-f", "haproxy.cfg"},
		files: files,
	})
}
