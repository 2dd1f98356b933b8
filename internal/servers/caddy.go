//go:build unix

package servers

import "testing"

// StartCaddy starts Debian's Caddy, or the program at path unless that is empty,
// and stops it at the end of the test. caddyfile returns its configuration for the
// address to listen on.
func StartCaddy(tb testing.TB, path string, caddyfile func(addr string) string) *Proxy {
	tb.Helper()
	if path == "" {
		path = Need(tb, "caddy", "caddy")
	}
	return startProxy(tb, program{
		path: path,
		args: []string{"run", "--config", "Caddyfile", "--adapter", "caddyfile"},
		files: func(addr string) map[string]string {
			return map[string]string{"Caddyfile": caddyfile(addr)}
		},
	})
}
