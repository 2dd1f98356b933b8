package adaptertest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
)

// Streams and upgraded connections work as without sessions, and the session is
// stored before they begin.

var streaming = []row{
	{"server-sent events arrive one by one, after the cookie", func(t *testing.T, build Build) {
		next := make(chan struct{})
		s := open(t, build, App{Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			w.Header().Set("Content-Type", "text/event-stream")
			check(t, "Set", name.Set(s, "x"), nil)
			for range 3 {
				check(t, "write", write(w, "data: tick\n\n"), nil)
				w.(http.Flusher).Flush()
				<-next
				check(t, "Set", name.Set(s, "y"), session.ErrCommitted)
			}
			return nil
		}})
		res := s.begin(http.MethodGet, "/page", "")
		defer res.Body.Close()
		cookie := response{Response: res}.sent()
		lines := bufio.NewReader(res.Body)
		for range 3 {
			line, err := lines.ReadString('\n')
			if line != "data: tick\n" || err != nil {
				t.Fatalf("got %q, %v", line, err)
			}
			_, _ = lines.ReadString('\n')
			next <- struct{}{} // only now is there another event
		}
		if s.read(cookie, name) != "x" {
			t.Error("the value is lost")
		}
	}},
	{"a flush before the first byte sends the cookie", func(t *testing.T, build Build) {
		// scs sends headers without it, and leaves an orphan record.
		for _, flush := range []func(http.ResponseWriter){
			func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
			func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
		} {
			s := open(t, build, App{Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
				check(t, "Set", name.Set(s, "x"), nil)
				flush(w)
				check(t, "Set after the flush", name.Set(s, "y"), session.ErrCommitted)
				return nil
			}})
			if res := s.get(""); s.read(res.sent(), name) != "x" {
				t.Error("the value is lost")
			}
		}
	}},
	{"an upgraded connection is the application's", upgraded},
	{"Live ends a stream with its session", func(t *testing.T, build Build) {
		s := open(t, build, App{Guard: Live, Page: func(w http.ResponseWriter, r *http.Request, _ *session.Session) error {
			check(t, "write", write(w, "data: tick\n\n"), nil)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			check(t, "the context's cause", context.Cause(r.Context()), session.ErrRevoked)
			return nil
		}})
		res := s.begin(http.MethodGet, "/page", s.signedIn("alice"))
		defer res.Body.Close()
		n, err := s.m.RevokeAll(context.Background(), "alice")
		if n != 1 || err != nil {
			t.Fatalf("RevokeAll: %d, %v", n, err)
		}
		if body, err := io.ReadAll(res.Body); string(body) != "data: tick\n\n" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		s.wantsLog(http.StatusOK)
	}},
	{"deadlines and full duplex reach the connection", func(t *testing.T, build Build) {
		s := open(t, build, App{Page: func(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
			rc := http.NewResponseController(w)
			check(t, "SetWriteDeadline", rc.SetWriteDeadline(time.Now().Add(time.Hour)), nil)
			check(t, "SetReadDeadline", rc.SetReadDeadline(time.Now().Add(time.Hour)), nil)
			check(t, "EnableFullDuplex", rc.EnableFullDuplex(), nil)
			check(t, "Set after them", name.Set(s, "x"), nil)
			return nil
		}})
		if res := s.get(""); s.read(res.sent(), name) != "x" {
			t.Error("the value is lost")
		}
	}},
}

// upgraded takes the connection over as WebSocket libraries do: by type
// assertion, by http.ResponseController, and after sending 101 by WriteHeader.
func upgraded(t *testing.T, build Build) {
	const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	byHand := func(hijack func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error)) func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
		return func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			conn, rw, err := hijack(w)
			if err == nil {
				err = write(conn, switching)
			}
			return conn, rw, err
		}
	}
	for _, upgrade := range []func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error){
		byHand(func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { return w.(http.Hijacker).Hijack() }),
		byHand(func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		}),
		func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { // github.com/coder/websocket
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "echo")
			w.WriteHeader(http.StatusSwitchingProtocols)
			if gin, ok := w.(interface{ WriteHeaderNow() }); ok {
				gin.WriteHeaderNow()
			}
			return http.NewResponseController(w).Hijack()
		},
	} {
		s := open(t, build, App{Guard: RequireUser, Page: func(w http.ResponseWriter, r *http.Request, s *session.Session) error {
			check(t, "Set", name.Set(s, "x"), nil)
			conn, rw, err := upgrade(w)
			if err != nil {
				t.Errorf("upgrade: %v", err)
				return nil
			}
			defer conn.Close()
			check(t, "Set after the upgrade", name.Set(s, "y"), session.ErrCommitted)
			_, _ = io.Copy(conn, rw)
			return nil
		}})
		cookie := s.signedIn("alice")
		echoes(t, s, cookie)
		if s.read(cookie, name) != "x" {
			t.Error("the value is lost")
		}
	}
}

// echoes speaks with an upgraded connection.
func echoes(t *testing.T, s *site, cookie string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	check(t, "ask", write(conn, "GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\nCookie: "+cookie+"\r\n\r\n"), nil)
	lines := bufio.NewReader(conn)
	res, err := http.ReadResponse(lines, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", res, err)
	}
	check(t, "say", write(conn, "hello\n"), nil)
	if line, err := lines.ReadString('\n'); !strings.HasPrefix(line, "hello") {
		t.Errorf("got %q, %v", line, err)
	}
}
