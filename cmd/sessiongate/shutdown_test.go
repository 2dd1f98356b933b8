package main_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
)

// frozen returns a gate with a request under way that Redis does not answer, and
// a function that returns its answer.
func frozen(t *testing.T, args ...string) (*gate, *servers.Redis, func() (answer, error)) {
	t.Helper()
	server := servers.StartRedis(t)
	app := newSite(t, redisAt(server.Addr), session.Config{})
	g := start(t, nil, append([]string{"-redis=redis://" + server.Addr + "?read_timeout=60s", "-redis-timeout=60s"}, args...)...)
	cookie := app.signIn("ada", session.SignInOptions{})
	want(t, g.auth(cookie), http.StatusOK)

	server.Freeze()
	type result struct {
		answer
		error
	}
	done := make(chan result, 1)
	go func() {
		a, err := try(http.MethodGet, "http://"+g.addr+"/auth", "Cookie", cookie)
		done <- result{a, err}
	}()
	eventually(t, "request under way", func() bool { return g.scrape().value("sessiongate_requests_in_flight") == 1 })
	return g, server, func() (answer, error) {
		r := <-done
		return r.answer, r.error
	}
}

func TestShutdownFinishesRequests(t *testing.T) {
	g, server, wait := frozen(t)
	g.signal(syscall.SIGTERM)
	// The admin server is there until the last request is answered.
	eventually(t, "not ready", func() bool { return g.adminGet("/readyz").body == "shutting down\n" })
	want(t, g.adminGet("/healthz"), http.StatusOK)
	server.Thaw()
	a, err := wait()
	if err != nil {
		t.Fatal(err)
	}
	want(t, a, http.StatusOK)
	wantHeader(t, a, "X-User-Id", "ada")
	g.wantExit(0)
}

func TestShutdownIsBounded(t *testing.T) {
	g, server, wait := frozen(t, "-shutdown-timeout=50ms")
	defer server.Thaw()
	g.signal(syscall.SIGTERM)
	g.wantExit(1)
	if a, err := wait(); err == nil {
		t.Errorf("the request that was cut off is answered with %d", a.StatusCode)
	}
	if !strings.Contains(g.logged(), "cut off") {
		t.Errorf("log does not say so:\n%s", g.logged())
	}
}

// TestDrain: for a while the gate says that it is not ready and goes on to serve.
func TestDrain(t *testing.T) {
	g := start(t, nil, "-store=memory", "-trial-user=ada", "-drain=1m")
	cookie := g.trialCookie()
	g.signal(syscall.SIGTERM)
	eventually(t, "not ready", func() bool { return g.adminGet("/readyz").StatusCode == http.StatusServiceUnavailable })
	a := g.auth(cookie)
	want(t, a, http.StatusOK)
	if !a.Close {
		t.Error("the connection is kept, and would break in use")
	}
	g.signal(syscall.SIGTERM) // the second ends it at once
	g.wantExit(-1)
}
