//go:build unix

package servers_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/updateage/session/internal/servers"
)

// proxies are the least configurations that answer "here" to everything.
var proxies = map[string]func(testing.TB) *servers.Proxy{
	"nginx": func(tb testing.TB) *servers.Proxy {
		return servers.StartNginx(tb, func(addr string) string {
			return "server { listen " + addr + "; return 200 here; }"
		})
	},
	"Caddy": func(tb testing.TB) *servers.Proxy {
		return servers.StartCaddy(tb, "", func(addr string) string {
			_, port, _ := strings.Cut(addr, ":")
			return "{\n admin off\n}\nhttp://:" + port + " {\n bind 127.0.0.1\n respond here\n}\n"
		})
	},
	"HAProxy": func(tb testing.TB) *servers.Proxy {
		return servers.StartHAProxy(tb, func(addr string) map[string]string {
			return map[string]string{"haproxy.cfg": "defaults\n mode http\n timeout client 5s\nfrontend f\n bind " + addr +
				"\n http-request return status 200 content-type text/plain string here\n"}
		})
	},
}

func TestProxiesAnswerAndAreGoneAfterTheirTest(t *testing.T) {
	for name, start := range proxies {
		t.Run(name, func(t *testing.T) {
			var p *servers.Proxy
			t.Run("its test", func(t *testing.T) {
				p = start(t)
				resp, err := http.Get("http://" + p.Addr)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if body, _ := io.ReadAll(resp.Body); string(body) != "here" {
					t.Errorf("got %q, want %q", body, "here")
				}
			})
			if p == nil {
				t.Skip("missing: " + name)
			}
			if conn, err := net.Dial("tcp", p.Addr); err == nil {
				_ = conn.Close()
				t.Error("the proxy outlived its test")
			}
		})
	}
}
