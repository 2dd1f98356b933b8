package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
)

// TestFronts is the way of a browser's request: cookie, gateway, service.
func TestFronts(t *testing.T) {
	forEachFront(t, func(t *testing.T, f *front) {
		for _, c := range []struct {
			name string
			test func(*testing.T, *front)
		}{
			{"the service knows the signed-in user", testSignedIn},
			{"a script without a session gets 401", testScript},
			{"a browser without a session is sent to sign in", testBrowser},
			{"a sign-in page on the site itself is a path", testLoginPath},
			{"a refresh reaches the browser", testRefresh},
			{"the cookie of an expired session goes", testExpired},
			{"too weak an authentication gets 403", testLevel},
			{"an outage is 503 and signs nobody out", testOutage},
			{"without an answer of the gate nothing passes", testGateDown},
			{"a revoked session ends with the next request", testRevoked},
			{"the client is not believed where it is", testClientAddress},
			{"headers that leave no room for the identity", testLargeHeaders},
			{"a body passes whole", testBody},
			{"the service's own answers pass", testOwnAnswers},
			{"what the service says to caches stays", testOwnCacheControl},
			{"an event stream passes as it comes", testEvents},
			{"a WebSocket passes", testWebSocket},
		} {
			t.Run(c.name, func(t *testing.T) {
				f.reset(t, session.Config{}, gateway.Config{})
				c.test(t, f)
			})
		}
	})
}

func testSignedIn(t *testing.T, f *front) {
	cookie, _ := signIn(t, f.sessions, "alice ü,%", session.SignInOptions{Level: session.AAL2})
	resp, body := fetch(t, f.addr, "GET", "/orders?id=1", headers("Cookie", "theme=dark,light; "+cookieName+"="+cookie+"; lang=en"))
	wantStatus(t, resp, http.StatusOK)
	if want := "hello alice ü,%"; body != want {
		t.Errorf("body is %q, want %q", body, want)
	}
	all := f.service.take()
	if len(all) != 1 {
		t.Fatalf("service got %d requests, want 1", len(all))
	}
	got := all[0]
	if got.RequestURI != "/orders?id=1" || got.identity.Level != session.AAL2 || got.identity.SessionID != cookie[:24] {
		t.Errorf("service got %s, %v", got.RequestURI, got.identity)
	}
	wantHeader(t, got.Header, gateway.HeaderUserID, "alice%20%C3%BC%2C%25")
	wantHeader(t, got.Header, gateway.HeaderSession, cookie[:24])
	wantHeader(t, got.Header, gateway.HeaderLevel, "2")
	wantHeader(t, got.Header, gateway.HeaderAuthTime, fmt.Sprint(got.identity.AuthenticatedAt.Unix()))
	wantHeader(t, got.Header, "Cookie", "theme=dark,light; lang=en")
	wantHeader(t, got.Header, "X-Forwarded-For", "127.0.0.1")
	for name, values := range got.Header {
		if strings.Contains(strings.Join(values, " "), cookie[24:]) {
			t.Errorf("header %s has the session's secret", name)
		}
	}
	wantHeader(t, resp.Header, "Set-Cookie", "")
}

func testScript(t *testing.T, f *front) {
	resp, _ := fetch(t, f.addr, "GET", "/", headers("Accept", "application/json"))
	f.want(t, resp, http.StatusUnauthorized)
	wantHeader(t, resp.Header, "Location", "")
	wantHeader(t, resp.Header, gateway.HeaderReason, "session")
	wantHeader(t, resp.Header, "Cache-Control", "no-store")
}

func testBrowser(t *testing.T, f *front) {
	resp, _ := fetch(t, f.addr, "GET", "/orders?ids=1,2&x=%20", headers("Accept", "text/html,*/*;q=0.8", "Sec-Fetch-Mode", "navigate"))
	f.want(t, resp, http.StatusFound)
	wantHeader(t, resp.Header, "Location", loginURL+"?return_to="+url.QueryEscape(origin+"/orders?ids=1,2&x=%20"))
	wantHeader(t, resp.Header, "Cache-Control", "no-store")
}

func testLoginPath(t *testing.T, f *front) {
	f.reset(t, session.Config{}, gateway.Config{LoginURL: "/sign-in?lang=en"})
	resp, _ := fetch(t, f.addr, "GET", "/orders", headers("Accept", "text/html"))
	f.want(t, resp, http.StatusFound)
	wantHeader(t, resp.Header, "Location", "/sign-in?lang=en&return_to="+url.QueryEscape(origin+"/orders"))
}

func testRefresh(t *testing.T, f *front) {
	f.reset(t, session.Config{UpdateAge: session.EveryRequest}, gateway.Config{})
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	f.service.setServe(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "theme=dark")
		w.Header().Set("Cache-Control", "public, max-age=60")
	})
	resp, _ := fetch(t, f.addr, "GET", "/", withCookie(cookie))
	f.want(t, resp, http.StatusOK, "alice")
	got := make(map[string]*http.Cookie)
	for _, c := range resp.Cookies() {
		got[c.Name] = c
	}
	if c := got[cookieName]; c == nil || c.Value != cookie || c.MaxAge < 600_000 {
		t.Errorf("cookies are %v, want that of the session for 7 days", resp.Header["Set-Cookie"])
	}
	if c := got["theme"]; c == nil || c.Value != "dark" {
		t.Errorf("cookies are %v, want the service's own, too", resp.Header["Set-Cookie"])
	}
	if f.kind == "Traefik" {
		return // it adds the cookie alone: docs/gateways.md
	}
	if !strings.Contains(strings.Join(resp.Header["Cache-Control"], ","), "no-store") {
		t.Errorf("Cache-Control is %q, want no-store", resp.Header["Cache-Control"])
	}
}

func testExpired(t *testing.T, f *front) {
	ended := false
	f.reset(t, session.Config{NotBefore: func() time.Time {
		if ended {
			return time.Now().Add(time.Hour)
		}
		return time.Time{}
	}}, gateway.Config{})
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	ended = true
	resp, _ := fetch(t, f.addr, "GET", "/", withCookie(cookie))
	f.want(t, resp, http.StatusUnauthorized)
	if c := resp.Cookies(); len(c) != 1 || c[0].Name != cookieName || c[0].MaxAge >= 0 {
		t.Errorf("cookies are %v, want that of the session expired", resp.Header["Set-Cookie"])
	}
}

func testLevel(t *testing.T, f *front) {
	f.reset(t, session.Config{}, gateway.Config{Level: session.AAL2})
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{Level: session.AAL1})
	resp, _ := fetch(t, f.addr, "GET", "/", withCookie(cookie))
	f.want(t, resp, http.StatusForbidden)
	wantHeader(t, resp.Header, gateway.HeaderReason, "level")
	wantHeader(t, resp.Header, "Cache-Control", "no-store")
}

func testOutage(t *testing.T, f *front) {
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	f.store.down.Store(true)
	resp, _ := fetch(t, f.addr, "GET", "/", withCookie(cookie))
	f.want(t, resp, http.StatusServiceUnavailable)
	wantHeader(t, resp.Header, "Cache-Control", "no-store")
	wantHeader(t, resp.Header, "Retry-After", "5")
	wantHeader(t, resp.Header, "Set-Cookie", "")
	f.store.down.Store(false)
	resp, _ = fetch(t, f.addr, "GET", "/", withCookie(cookie))
	f.want(t, resp, http.StatusOK, "alice")
}

func testGateDown(t *testing.T, f *front) {
	if f.kind == newProxy {
		t.Skip("not applicable: NewProxy asks nobody")
	}
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	for _, gate := range []http.HandlerFunc{
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
	} {
		h := http.Handler(gate)
		f.handler.Store(&h)
		resp, _ := fetch(t, f.addr, "GET", "/", withCookie(cookie))
		if resp.StatusCode < 500 {
			t.Errorf("status is %d, want an error of the server", resp.StatusCode)
		}
		f.want(t, resp, resp.StatusCode)
	}
}

func testRevoked(t *testing.T, f *front) {
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	resp, _ := fetch(t, f.addr, "GET", "/", withCookie(cookie))
	f.want(t, resp, http.StatusOK, "alice")
	if err := f.sessions.Revoke(t.Context(), "alice", cookie[:24]); err != nil {
		t.Fatal(err)
	}
	resp, _ = fetch(t, f.addr, "GET", "/", withCookie(cookie))
	f.want(t, resp, http.StatusUnauthorized)
}

// testClientAddress sends what a proxy says of its client. Neither the gate nor
// the service may hear it of the client itself.
func testClientAddress(t *testing.T, f *front) {
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	asked := make(chan http.Header, 1)
	inner := *f.handler.Load()
	if f.kind != newProxy { // which is the gate itself
		spy := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- r.Header.Clone()
			inner.ServeHTTP(w, r)
		}))
		f.handler.Store(&spy)
	}
	said := withCookie(cookie)
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "True-Client-IP", "Forwarded"} {
		said[name] = []string{"spoofed"}
	}
	resp, _ := fetch(t, f.addr, "GET", "/", said)
	wantStatus(t, resp, http.StatusOK)
	got := f.one(t).Header
	wantNoTrace(t, got, "spoofed")
	heard := []http.Header{got}
	if f.kind != newProxy {
		heard = append(heard, <-asked)
	}
	for _, h := range heard {
		wantHeader(t, h, "X-Forwarded-For", "127.0.0.1")
		wantHeader(t, h, "X-Forwarded-Host", host)
		wantHeader(t, h, "X-Forwarded-Proto", "http")
	}
}

// testLargeHeaders fills a request up to what a proxy can hold. One that it
// passes on has to say all about its user.
func testLargeHeaders(t *testing.T, f *front) {
	user, target := strings.Repeat("a", 128), "/"+strings.Repeat("u", 600) // which X-Forwarded-Uri repeats
	cookie, _ := signIn(t, f.sessions, user, session.SignInOptions{})
	passed, statuses := 0, make(map[int]bool)
	for size := 12_000; size < 16_400; size += 50 {
		line := "X-Fill: " + strings.Repeat("a", size/10) + "\r\n" // nginx takes 8 kB in a line at most
		for _, answer := range f.raw(t, patient, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\nCookie: "+cookieName+"="+cookie+
			"\r\n"+strings.Repeat(line, 10)+"Connection: close\r\n\r\n") {
			statuses[answer.StatusCode] = true
		}
		for _, r := range f.service.takeRaw() {
			passed++
			if r.Header.Get(gateway.HeaderAssertion) == "" {
				t.Errorf("%d bytes: service got no assertion", size)
			}
			wantHeader(t, r.Header, gateway.HeaderUserID, user)
			wantHeader(t, r.Header, gateway.HeaderSession, cookie[:24])
			wantHeader(t, r.Header, gateway.HeaderLevel, "0")
			wantHeader(t, r.Header, "Cookie", "")
		}
	}
	if passed == 0 || f.kind == "HAProxy" && !statuses[http.StatusRequestHeaderFieldsTooLarge] {
		t.Errorf("%d requests passed, with answers %v", passed, statuses)
	}
}

func testBody(t *testing.T, f *front) {
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	f.service.setServe(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	want := strings.Repeat("0123456789abcdef", 20_000)
	for _, length := range []int64{int64(len(want)), -1} {
		u := must[*url.URL](t)(url.Parse("http://" + f.addr + "/"))
		r := &http.Request{
			Method: "POST", URL: u, Host: host, Header: withCookie(cookie),
			Body: io.NopCloser(strings.NewReader(want)), ContentLength: length, Close: true,
		}
		resp := must[*http.Response](t)(client.Do(r))
		got := must[[]byte](t)(io.ReadAll(resp.Body))
		_ = resp.Body.Close()
		if string(got) != want {
			t.Errorf("length %d: got %d bytes back, status %d, want %d", length, len(got), resp.StatusCode, len(want))
		}
		f.want(t, resp, http.StatusOK, "alice")
	}
}

func testOwnAnswers(t *testing.T, f *front) {
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	for _, status := range []int{201, 204, 302, 401, 403, 404, 500, 503} {
		f.service.setServe(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		})
		resp, _ := fetch(t, f.addr, "GET", "/", withCookie(cookie))
		f.want(t, resp, status, "alice")
		wantHeader(t, resp.Header, "Location", "/elsewhere")
	}
}

func testOwnCacheControl(t *testing.T, f *front) {
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	f.service.setServe(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
	})
	resp, _ := fetch(t, f.addr, "GET", "/", withCookie(cookie))
	f.want(t, resp, http.StatusOK, "alice")
	wantHeader(t, resp.Header, "Cache-Control", "public, max-age=60")
	wantHeader(t, resp.Header, "Set-Cookie", "")
}

func testEvents(t *testing.T, f *front) {
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	proceed := make(chan struct{})
	f.service.setServe(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, event := range []string{"one", "two"} {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
			_ = http.NewResponseController(w).Flush()
			<-proceed
		}
	})
	lines := f.open(t, cookie, "Accept: text/event-stream\r\n")
	lines.until(t, "data: one")
	proceed <- struct{}{}
	lines.until(t, "data: two")
	close(proceed)
}

func testWebSocket(t *testing.T, f *front) {
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	f.service.setServe(t, echo)
	lines := f.open(t, cookie, upgrade)
	lines.until(t, "HTTP/1.1 101")
	lines.until(t, "")
	for range 2 {
		lines.send(t, "ping\n")
		lines.until(t, "ping")
	}
}

// upgrade and echo are the handshake of RFC 6455, 1.2, and then lines instead of
// frames, of which gateways know nothing.
const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: " + origin + "\r\n"

func echo(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	_, _ = io.Copy(conn, buffered)
}

// connection is a client's connection, read line by line.
type connection struct {
	net.Conn
	in *bufio.Reader
}

// open sends a request with further header lines.
func (f *front) open(tb testing.TB, cookie, lines string) *connection {
	tb.Helper()
	conn := must[net.Conn](tb)(net.Dial("tcp", f.addr))
	tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	c := &connection{conn, bufio.NewReader(conn)}
	c.send(tb, "GET /live HTTP/1.1\r\nHost: "+host+"\r\nCookie: "+cookieName+"="+cookie+"\r\n"+lines+"\r\n")
	return c
}

func (c *connection) send(tb testing.TB, text string) {
	tb.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		tb.Fatal(err)
	}
}

// until reads up to a line that begins like this; the empty one is empty.
func (c *connection) until(tb testing.TB, prefix string) {
	tb.Helper()
	var read strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		read.WriteString(line)
		if err != nil {
			tb.Fatalf("no line %q: %v, after:\n%s", prefix, err, &read)
		}
		if line = strings.TrimRight(line, "\r\n"); line == prefix || prefix != "" && strings.HasPrefix(line, prefix) {
			return
		}
	}
}
