package main_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
)

// TestNginx goes the whole way: browser, nginx with the file that docs/gateways
// shows, this program, Redis, and a service that believes assertions only.
func TestNginx(t *testing.T) {
	server := servers.StartRedis(t)
	app := newSite(t, redisAt(server.Addr), session.Config{})
	key, _ := newKey(t)
	g := start(t, nil, append(signing(file(t, key)), "-redis", server.Addr, "-status-only",
		"-login-url=https://login.example.com/in", "-origins=https://app.example.com")...)
	service := newService(t, "http://"+g.addr+"/jwks.json")
	config, err := os.ReadFile(filepath.Join("..", "..", "docs", "gateways", "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	nginx := servers.StartNginx(t, func(listen string) string {
		return strings.NewReplacer("8080", port(listen), "9100", port(g.addr), "9200", port(service.Listener.Addr().String())).Replace(string(config))
	})
	browse := func(cookie string, headers ...string) answer {
		headers = append(headers, "Host", "app.example.com", "Accept", "text/html", "Sec-Fetch-Mode", "navigate")
		if cookie != "" {
			headers = append(headers, "Cookie", cookie)
		}
		return ask(t, http.MethodGet, "http://"+nginx.Addr+"/cart", headers...)
	}

	a := browse("", "X-User-Id", "root", "X-User-Assertion", "x.y.z")
	want(t, a, http.StatusFound)
	wantHeader(t, a, "Location", "https://login.example.com/in?return_to=https%3A%2F%2Fapp.example.com%2Fcart")

	cookie := app.signIn("ada", session.SignInOptions{})
	a = browse(cookie+"; theme=dark", "X-User-Id", "root", "X-User-Assertion", "x.y.z")
	want(t, a, http.StatusOK)
	if a.body != `ada ["theme=dark"]` {
		t.Errorf("service answers %q", a.body)
	}

	if _, err := app.RevokeAll(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	want(t, browse(cookie), http.StatusFound)

	server.Kill()
	a = browse(cookie)
	want(t, a, http.StatusServiceUnavailable)
	wantHeader(t, a, "Set-Cookie", "")
	g.end()
	want(t, browse(cookie), http.StatusServiceUnavailable) // without a gate nobody passes, either
}

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
