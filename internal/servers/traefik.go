//go:build unix

package servers

import "testing"

// StartTraefik starts the Traefik at path and stops it at the end of the test.
// files returns traefik.yml and what else that names, for the address to listen on.
func StartTraefik(tb testing.TB, path string, files func(addr string) map[string]string) *Proxy {
	tb.Helper()
	return startProxy(tb, program{path: path, args: []string{"--configFile=traefik.yml"}, files: files})
}
