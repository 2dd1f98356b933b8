package main_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
)

const password = "hunter2-correct-horse"

// TestRedis shares sessions between an application and the gate, and looks for
// secrets in everything that others can see.
func TestRedis(t *testing.T) {
	server := servers.StartRedis(t, "--requirepass", password)
	app := newSite(t, redis.NewClient(&redis.Options{Addr: server.Addr, Password: password, ContextTimeoutEnabled: true}), session.Config{})
	key, keyID := newKey(t)
	g := start(t, nil, append(signing(file(t, key)), "-redis", server.Addr, "-redis-password-file", file(t, password+"\n"))...)
	service := newService(t, "http://"+g.addr+"/jwks.json")

	cookie := app.signIn("ada", session.SignInOptions{Level: session.AAL2})
	a := g.auth(cookie)
	want(t, a, http.StatusOK)
	wantHeader(t, a, "X-User-Id", "ada")
	wantHeader(t, a, "X-User-Level", "2")
	assertion := a.Header.Get("X-User-Assertion")
	b := ask(t, http.MethodGet, service.URL, "X-User-Assertion", assertion)
	if b.StatusCode != http.StatusOK || b.body != "ada []" {
		t.Errorf("service answers %d %q", b.StatusCode, b.body)
	}

	if _, err := app.RevokeAll(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	want(t, g.auth(cookie), http.StatusUnauthorized)

	other := app.signIn("grace", session.SignInOptions{})
	tampered := other[:len(other)-4] + "AAAA"
	want(t, g.auth(other), http.StatusOK)
	want(t, g.auth(tampered), http.StatusUnauthorized)

	seen := g.logged() + strings.Join(g.cmd.Args, " ") + g.adminGet("/metrics").body + g.adminGet("/readyz").body
	token := func(cookie string) string { return cookie[len(cookieName)+1+24:] } // without the public ID
	for name, secret := range map[string]string{
		"password": password, "key": strings.Split(key, "\n")[1], "token": token(cookie), "other token": token(other), "assertion": assertion,
	} {
		if strings.Contains(seen, secret) {
			t.Errorf("%s is visible:\n%s", name, seen)
		}
	}
	if !strings.Contains(seen, keyID) {
		t.Error("the log does not name the signing key")
	}
}

// TestRedisByURLInTheEnvironment has the password in the one place where a URL
// may have it.
func TestRedisByURLInTheEnvironment(t *testing.T) {
	server := servers.StartRedis(t, "--requirepass", password)
	g := start(t, []string{"SESSIONGATE_REDIS=redis://default:" + password + "@" + server.Addr + "/0?pool_size=2"})
	want(t, g.adminGet("/readyz"), http.StatusOK)
	if strings.Contains(g.logged(), password) {
		t.Errorf("log shows the password:\n%s", g.logged())
	}
}

func TestRedisCluster(t *testing.T) {
	cluster := servers.StartRedisCluster(t)
	app := newSite(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addrs(), ContextTimeoutEnabled: true}), session.Config{})
	g := start(t, nil, "-redis-mode=cluster", "-redis", strings.Join(cluster.Addrs(), ","))
	want(t, g.adminGet("/readyz"), http.StatusOK)
	want(t, g.auth(app.signIn("ada", session.SignInOptions{})), http.StatusOK)
}

func TestRedisSentinel(t *testing.T) {
	sentinel := servers.StartRedisSentinel(t)
	app := newSite(t, redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: sentinel.MasterName, SentinelAddrs: sentinel.Addrs(), ContextTimeoutEnabled: true,
	}), session.Config{})
	g := start(t, nil, "-redis-mode=sentinel", "-redis", strings.Join(sentinel.Addrs(), ","), "-redis-master", sentinel.MasterName)
	want(t, g.adminGet("/readyz"), http.StatusOK)
	want(t, g.auth(app.signIn("ada", session.SignInOptions{})), http.StatusOK)
}

// TestOutage: while Redis is away nobody passes, nobody loses his cookie, and the
// gate says that it is not ready, but alive.
func TestOutage(t *testing.T) {
	server := servers.StartRedis(t)
	app := newSite(t, redisAt(server.Addr), session.Config{})
	g := start(t, nil, "-redis", server.Addr)
	cookie := app.signIn("ada", session.SignInOptions{})
	want(t, g.auth(cookie), http.StatusOK)

	server.Kill()
	a := g.auth(cookie)
	want(t, a, http.StatusServiceUnavailable)
	wantHeader(t, a, "X-Auth-Reason", "unavailable")
	wantHeader(t, a, "Set-Cookie", "")
	wantHeader(t, a, "Cache-Control", "no-store")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	a = g.adminGet("/readyz")
	want(t, a, http.StatusServiceUnavailable)
	if a.body != "store unavailable\n" {
		t.Errorf("not ready because of %q", a.body)
	}
	want(t, g.adminGet("/healthz"), http.StatusOK)
	if n := g.scrape().value("sessiongate_session_events_total", "kind", "store_error"); n < 1 {
		t.Errorf("store errors: %v", n)
	}
	want(t, g.auth(""), http.StatusUnauthorized) // it needs no store

	server.Restart()
	eventually(t, "ready", func() bool { return g.adminGet("/readyz").StatusCode == http.StatusOK })
	want(t, g.auth(cookie), http.StatusUnauthorized) // Redis has forgotten it
	want(t, g.auth(app.signIn("ada", session.SignInOptions{})), http.StatusOK)
}

// TestStartsBeforeRedis: the order in which a rack comes back is not ours.
func TestStartsBeforeRedis(t *testing.T) {
	server := servers.StartRedis(t)
	server.Kill()
	g := start(t, nil, "-redis", server.Addr)
	want(t, g.adminGet("/readyz"), http.StatusServiceUnavailable)
	server.Restart()
	eventually(t, "ready", func() bool { return g.adminGet("/readyz").StatusCode == http.StatusOK })
}
