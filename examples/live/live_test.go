package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// device is a browser with cookies of its own.
type device struct {
	t    *testing.T
	url  string
	http *http.Client
}

func newDevice(t *testing.T, url string) *device {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{t, url, &http.Client{Jar: jar}}
	d.post("/sign-in")
	return d
}

func (d *device) post(path string) {
	d.t.Helper()
	resp, err := d.http.Post(d.url+path, "", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		d.t.Fatalf("POST %s: status %d", path, resp.StatusCode)
	}
}

// socket opens the WebSocket.
func (d *device) socket() *websocket.Conn {
	d.t.Helper()
	conn, _, err := websocket.Dial(d.t.Context(), d.url+"/socket", &websocket.DialOptions{HTTPClient: d.http})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// events opens the event stream and has read its first event.
func (d *device) events() *bufio.Reader {
	d.t.Helper()
	resp, err := d.http.Get(d.url + "/events")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		d.t.Fatalf("GET /events: status %d, %s", resp.StatusCode, got)
	}
	stream := bufio.NewReader(resp.Body)
	if line, err := stream.ReadString('\n'); err != nil || line != "event: time\n" {
		d.t.Fatalf("stream begins with %q, %v", line, err)
	}
	return stream
}

func wantEcho(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.Read(ctx); err != nil || string(got) != "ada: hello" {
		t.Fatalf("socket answers %q, %v", got, err)
	}
}

func wantClosed(t *testing.T, conn *websocket.Conn, code websocket.StatusCode, reason string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, _, err := conn.Read(ctx)
	var closed websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != code || closed.Reason != reason {
		t.Errorf("socket: %v, want it closed with %v %q", err, code, reason)
	}
}

func wantEnd(t *testing.T, stream *bufio.Reader, reason string) {
	t.Helper()
	rest, err := io.ReadAll(stream)
	if err != nil || !strings.HasSuffix(string(rest), "event: end\ndata: \""+reason+"\"\n\n") {
		t.Errorf("stream ends with %q, %v, want the reason %q", rest, err, reason)
	}
}

func newServer(t *testing.T) string {
	t.Helper()
	app, err := newApp(&memstore.Store{}, session.Config{Cookie: session.Cookie{Insecure: true}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	return server.URL
}

func TestAnotherDeviceEndsSocketAndStream(t *testing.T) {
	url := newServer(t)
	phone, laptop := newDevice(t, url), newDevice(t, url)
	socket, stream, own := phone.socket(), phone.events(), laptop.socket()
	wantEcho(t, socket)

	laptop.post("/sign-out-others")
	wantClosed(t, socket, websocket.StatusPolicyViolation, "signed out")
	wantEnd(t, stream, "signed out")
	wantEcho(t, own) // the other session goes on

	resp, err := phone.http.Get(url + "/events")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the next stream gets %d, want 401", resp.StatusCode)
	}
}

func TestSigningOutEndsOwnStreams(t *testing.T) {
	phone := newDevice(t, newServer(t))
	socket, stream := phone.socket(), phone.events()
	phone.post("/sign-out")
	wantClosed(t, socket, websocket.StatusPolicyViolation, "signed out")
	wantEnd(t, stream, "signed out")
}

func TestWhoMayOpenStreams(t *testing.T) {
	url := newServer(t)
	ada, nobody := newDevice(t, url), &http.Client{}
	host := strings.TrimPrefix(url, "http://")
	for _, row := range []struct {
		name        string
		client      *http.Client
		header      string
		value       string
		events, web int
	}{
		{"the user, not in a browser", ada.http, "", "", 200, 101},
		{"the user's page", ada.http, "Origin", url, 200, 101},
		{"the user's page, by fetch metadata", ada.http, "Sec-Fetch-Site", "same-origin", 200, 101},
		{"nobody", nobody, "", "", 401, 401},
		{"another site's page", ada.http, "Origin", "https://evil.example", 403, 403},
		{"a page of no origin", ada.http, "Origin", "null", 403, 403},
		{"another port of the host", ada.http, "Origin", "http://" + strings.Split(host, ":")[0] + ":1", 403, 403},
		{"a sibling domain, by fetch metadata", ada.http, "Sec-Fetch-Site", "same-site", 403, 403},
		{"another site, by fetch metadata", ada.http, "Sec-Fetch-Site", "cross-site", 403, 403},
	} {
		t.Run(row.name, func(t *testing.T) {
			upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg=="}
			if got := statusOf(t, row.client, url+"/events", row.header, row.value); got != row.events {
				t.Errorf("event stream: status %d, want %d", got, row.events)
			}
			if got := statusOf(t, row.client, url+"/socket", append(upgrade, row.header, row.value)...); got != row.web {
				t.Errorf("WebSocket: status %d, want %d", got, row.web)
			}
		})
	}
}

// statusOf returns the status of the answer to a GET with these headers.
func statusOf(t *testing.T, client *http.Client, url string, headers ...string) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestEventsOfAnyUser: an ID with line breaks in it makes no event of its own.
func TestEventsOfAnyUser(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 2 {
			if err := send(w, "time", "ada\n\nevent: end\r\rdata: 💥"); err != nil {
				t.Error(err)
			}
		}
	}))
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if want := strings.Repeat(`event: time`+"\n"+`data: "ada\n\nevent: end\r\rdata: 💥"`+"\n\n", 2); err != nil || string(got) != want {
		t.Errorf("stream is %q, %v, want %q", got, err, want)
	}
}

// TestOldSessionEndsNoOthers: it may be stolen, and its owner is told to sign in
// again.
func TestOldSessionEndsNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memstore.Store{}
		app, err := newApp(store, session.Config{Cookie: session.Cookie{Insecure: true}})
		if err != nil {
			t.Fatal(err)
		}
		post := func(path string, cookie *http.Cookie) *http.Response {
			r := httptest.NewRequest("POST", path, nil)
			if cookie != nil {
				r.AddCookie(cookie)
			}
			w := httptest.NewRecorder()
			app.ServeHTTP(w, r)
			return w.Result()
		}
		post("/sign-in", nil)
		old := post("/sign-in", nil).Cookies()[0]
		time.Sleep(24 * time.Hour)

		resp := post("/sign-out-others", old)
		page, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(page), "Sign in again as ada") {
			t.Errorf("status %d, page %s", resp.StatusCode, page)
		}
		if n := store.Len(); n != 2 {
			t.Errorf("%d sessions are left, want both", n)
		}
		fresh := post("/sign-in", old).Cookies()[0]
		if resp := post("/sign-out-others", fresh); resp.StatusCode != http.StatusSeeOther || store.Len() != 1 {
			t.Errorf("after signing in again: status %d, %d sessions are left", resp.StatusCode, store.Len())
		}
	})
}

func TestHeaders(t *testing.T) {
	url := newServer(t)
	for _, path := range []string{"/", "/page.js", "/style.css", "/events"} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'self';") || strings.Contains(policy, "unsafe") || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, resp.Header)
		}
	}
}

func TestListenRefusesTheNetwork(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "example.com:0"} {
		l, err := listen(addr)
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("listen(%q) = %v, want a refusal", addr, err)
		}
	}
}

func TestShutdownEndsStreams(t *testing.T) {
	l, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- run(ctx, l) }()
	phone := newDevice(t, "http://"+l.Addr().String())
	socket, stream := phone.socket(), phone.events()
	stop()
	wantClosed(t, socket, websocket.StatusGoingAway, "back soon")
	wantEnd(t, stream, "back soon")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	conn := newDevice(t, newServer(t)).socket()
	if err := conn.Write(t.Context(), websocket.MessageText, make([]byte, longest+1)); err != nil {
		t.Fatal(err)
	}
	_, _, err := conn.Read(t.Context())
	if got := websocket.CloseStatus(err); got != websocket.StatusMessageTooBig {
		t.Errorf("a long message: %v, want it refused", err)
	}
}
