package gateway_test

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
	"github.com/updateage/session/internal/servers"
)

// front is a gateway in front of a service that verifies assertions.
type front struct {
	kind     string
	addr     string // where clients connect to
	store    *store
	sessions *session.Manager
	signer   *gateway.Signer
	service  *service

	handler atomic.Pointer[http.Handler] // ForwardAuth or NewProxy
}

const newProxy = "NewProxy"

// forEachFront runs a test on every gateway: on NewProxy, and on real proxies
// with the very configurations that docs/gateways shows.
func forEachFront(t *testing.T, test func(t *testing.T, f *front)) {
	for _, kind := range []struct {
		name  string
		start func(tb testing.TB, gate, service string) (addr string)
	}{
		{newProxy, func(_ testing.TB, gate, _ string) string { return gate }},
		{"nginx", startNginx},
		{"Caddy of Debian", startCaddy},
		{"newest Caddy", startNewestCaddy},
		{"HAProxy", startHAProxy},
		{"Traefik", startTraefik},
	} {
		t.Run(kind.name, func(t *testing.T) {
			f := &front{kind: kind.name, signer: newSigner(t)}
			gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				(*f.handler.Load()).ServeHTTP(w, r)
			}))
			t.Cleanup(gate.Close)
			jwks := httptest.NewServer(f.signer.JWKS())
			t.Cleanup(jwks.Close)
			f.service = newService(t, newVerifier(t, gateway.VerifierConfig{JWKS: jwks.URL}))
			f.reset(t, session.Config{}, gateway.Config{})
			f.addr = kind.start(t, gate.Listener.Addr().String(), f.service.Listener.Addr().String())
			test(t, f)
		})
	}
}

// reset begins anew, without sessions.
func (f *front) reset(tb testing.TB, sessions session.Config, cfg gateway.Config) {
	tb.Helper()
	f.store = &store{}
	f.sessions = newManager(tb, f.store, sessions)
	cfg.Signer, cfg.Audience = f.signer, audience
	cfg.LoginURL, cfg.Origins = cmp.Or(cfg.LoginURL, loginURL), []string{origin}
	var h http.Handler
	if f.kind == newProxy {
		upstream := must[*url.URL](tb)(url.Parse(f.service.URL))
		h = must[http.Handler](tb)(gateway.NewProxy(f.sessions, upstream, cfg))
	} else {
		cfg.StatusOnly = f.kind == "nginx"
		h = must[http.Handler](tb)(gateway.ForwardAuth(f.sessions, cfg))
	}
	f.handler.Store(&h)
	f.service.take()
}

// want checks the status, and what of the requests reaches the service.
func (f *front) want(tb testing.TB, resp *http.Response, status int, userIDs ...string) {
	tb.Helper()
	wantStatus(tb, resp, status)
	var got []string
	for _, s := range f.service.take() {
		got = append(got, s.identity.UserID)
	}
	if !slices.Equal(got, userIDs) {
		tb.Errorf("service got requests of %q, want %q", got, userIDs)
	}
}

// example returns a file of docs/gateways with the ports of this test in place of
// 8080, 9100 and 9200, which is all that is changed of it.
func example(tb testing.TB, name, listen, gate, service string) string {
	tb.Helper()
	text := must[[]byte](tb)(os.ReadFile(filepath.Join("..", "docs", "gateways", name)))
	return strings.NewReplacer("8080", port(listen), "9100", port(gate), "9200", port(service)).Replace(string(text))
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

func startNginx(tb testing.TB, gate, service string) string {
	return servers.StartNginx(tb, func(listen string) string {
		return example(tb, "nginx.conf", listen, gate, service)
	}).Addr
}

func startCaddy(tb testing.TB, gate, service string) string {
	return servers.StartCaddy(tb, "", func(listen string) string {
		return example(tb, "Caddyfile", listen, gate, service)
	}).Addr
}

// startNewestCaddy starts what "make caddy" has built.
func startNewestCaddy(tb testing.TB, gate, service string) string {
	path := built(tb, "caddy")
	if path == "" {
		if os.Getenv("CI") == "true" {
			tb.Fatal("missing: newest Caddy (make caddy)")
		}
		tb.Skip("missing: newest Caddy (make caddy)")
	}
	return servers.StartCaddy(tb, path, func(listen string) string {
		return example(tb, "Caddyfile", listen, gate, service)
	}).Addr
}

// startTraefik starts bin/traefik. No package manager has it, and building it
// takes minutes and patience, so that only whoever changes its configuration
// needs it: see docs/gateways.md.
func startTraefik(tb testing.TB, gate, service string) string {
	path := built(tb, "traefik")
	if path == "" {
		tb.Skip("not applicable: there is no bin/traefik")
	}
	addr := servers.StartTraefik(tb, path, func(listen string) map[string]string {
		return map[string]string{
			"traefik.yml":         example(tb, "traefik.yml", listen, gate, service),
			"traefik-dynamic.yml": example(tb, "traefik-dynamic.yml", listen, gate, service),
		}
	}).Addr
	eventually(tb, "Traefik has read its routes", func() bool {
		resp, _ := fetch(tb, addr, "GET", "/", nil)
		return resp.StatusCode != http.StatusNotFound
	})
	return addr
}

// built returns the path of a program in bin, or "".
func built(tb testing.TB, name string) string {
	path := must[string](tb)(filepath.Abs(filepath.Join("..", "bin", name)))
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

func startHAProxy(tb testing.TB, gate, service string) string {
	return servers.StartHAProxy(tb, func(listen string) map[string]string {
		return map[string]string{
			"haproxy.cfg": example(tb, "haproxy.cfg", listen, gate, service),
			"haproxy.lua": example(tb, "haproxy.lua", listen, gate, service),
		}
	}).Addr
}
