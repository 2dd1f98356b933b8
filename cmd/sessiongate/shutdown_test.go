package main_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

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

// wire is a connection as a proxy keeps it.
type wire struct {
	t *testing.T
	net.Conn
	answers *bufio.Reader
}

func dial(t *testing.T, addr string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the test may have
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &wire{t, conn, bufio.NewReader(conn)}
}

// ask sends a question and does not wait for the answer.
func (c *wire) ask(cookie string) {
	c.t.Helper()
	if _, err := io.WriteString(c, "GET /auth HTTP/1.1\r\nHost: gate\r\nCookie: "+cookie+"\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *wire) auth(cookie string) *http.Response {
	c.t.Helper()
	c.ask(cookie)
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		c.t.Fatalf("the connection broke: %v", err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp
}

// TestClientThatHangsUpIsNoOutage: a proxy does whenever its own client does, and
// an alert for outages must not tell of that.
func TestClientThatHangsUpIsNoOutage(t *testing.T) {
	server := servers.StartRedis(t)
	app := newSite(t, redisAt(server.Addr), session.Config{})
	// Redis is silent for long enough that the client has gone when that is noticed.
	g := start(t, nil, "-redis=redis://"+server.Addr+"?read_timeout=60s", "-redis-timeout=5s")
	cookie := app.signIn("ada", session.SignInOptions{})
	want(t, g.auth(cookie), http.StatusOK)

	server.Freeze()
	c := dial(t, g.addr)
	c.ask(cookie)
	eventually(t, "request under way", func() bool { return g.scrape().value("sessiongate_requests_in_flight") == 1 })
	_ = c.Close()
	eventually(t, "verdict canceled", func() bool {
		return g.scrape().value("sessiongate_requests_total", "code", "499", "verdict", "canceled") == 1
	})
	server.Thaw()
	s := g.scrape()
	if n := s.value("sessiongate_requests_total", "code", "503", "verdict", "unavailable"); n != 0 {
		t.Errorf("%v requests are unavailable", n)
	}
	if n := s.value("sessiongate_session_events_total", "kind", "store_error"); n != 0 {
		t.Errorf("%v store errors", n)
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

// TestDrain: for a while the gate says that it is not ready and goes on to serve,
// also on connections that were idle when it began.
func TestDrain(t *testing.T) {
	g := start(t, nil, "-store=memory", "-trial-user=ada", "-drain=1m")
	cookie := g.trialCookie()
	idle := dial(t, g.addr)
	if a := idle.auth(cookie); a.StatusCode != http.StatusOK || a.Close {
		t.Fatalf("status %d, connection closed: %t", a.StatusCode, a.Close)
	}
	g.signal(syscall.SIGTERM)
	eventually(t, "not ready", func() bool { return g.adminGet("/readyz").StatusCode == http.StatusServiceUnavailable })
	a := g.auth(cookie)
	want(t, a, http.StatusOK)
	if !a.Close {
		t.Error("the connection is kept, and would break in use")
	}
	if a := idle.auth(cookie); a.StatusCode != http.StatusOK || !a.Close {
		t.Errorf("on an idle connection: status %d, connection closed: %t", a.StatusCode, a.Close)
	}
	g.signal(syscall.SIGTERM) // the second ends it at once
	g.wantExit(-1)
}
