package gateway_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
	"github.com/updateage/session/memstore"
)

// newProxyFront returns a NewProxy in front of a service that trusts it, or
// verifies assertions if cfg has a Signer.
func newProxyFront(tb testing.TB, sessions session.Config, cfg gateway.Config, path string) *front {
	tb.Helper()
	f := &front{kind: newProxy, store: &store{}, service: newService(tb, nil)}
	f.sessions = newManager(tb, f.store, sessions)
	upstream := must[*url.URL](tb)(url.Parse(f.service.URL + path))
	server := httptest.NewServer(must[http.Handler](tb)(gateway.NewProxy(f.sessions, upstream, cfg)))
	tb.Cleanup(server.Close)
	f.addr = server.Listener.Addr().String()
	return f
}

func (f *front) one(tb testing.TB) *http.Request {
	tb.Helper()
	all := f.service.takeRaw()
	if len(all) != 1 {
		tb.Fatalf("service got %d requests, want 1", len(all))
	}
	return all[0]
}

func TestProxyWithoutASigner(t *testing.T) {
	f := newProxyFront(t, session.Config{}, gateway.Config{}, "/base")
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	h := withCookie(cookie)
	for _, name := range []string{"X-User-Assertion", "XUserID", "x--user--id", "X~User~Id", "xuserassertion", "X.Session.ID"} {
		h[name] = []string{"mallory"}
	}
	resp, _ := fetch(t, f.addr, "GET", "/a%2fb?c=d;e", h)
	wantStatus(t, resp, http.StatusOK)
	got := f.one(t)
	if got.RequestURI != "/base/a%2fb?c=d%3Be" && got.RequestURI != "/base/a%2fb" && got.RequestURI != "/base/a%2fb?" {
		t.Errorf("service got %s", got.RequestURI)
	}
	wantHeader(t, got.Header, gateway.HeaderUserID, "alice")
	wantHeader(t, got.Header, gateway.HeaderAssertion, "")
	wantNoTrace(t, got.Header, "mallory")
}

func TestProxyKeepsOtherCookiesAndTokens(t *testing.T) {
	f := newProxyFront(t, session.Config{HeaderTransport: true}, gateway.Config{}, "")
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	_, token := signIn(t, f.sessions, "bob", session.SignInOptions{Header: true})
	own := cookieName + "=" + cookie
	for _, row := range []struct {
		name                  string
		header                http.Header
		cookie, authorization string
	}{
		{"a cookie alone", headers("Cookie", own), "", ""},
		{"among others", headers("Cookie", "a=1;"+own+" ;  b=\"2\"", "Cookie", "c=3"), `a=1; b="2" | c=3`, ""},
		{"a bearer token", headers("Authorization", "Bearer "+token), "", ""},
		{"a token in a header", headers("X-Session-ID", token, "Authorization", "Basic YTpi"), "", "Basic YTpi"},
		{"both", headers("X-Session-ID", token, "Authorization", "Bearer "+token), "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp, _ := fetch(t, f.addr, "GET", "/", row.header)
			wantStatus(t, resp, http.StatusOK)
			got := f.one(t)
			wantHeader(t, got.Header, "Cookie", row.cookie)
			wantHeader(t, got.Header, "Authorization", row.authorization)
			wantHeader(t, got.Header, "X-Session-ID", "")
		})
	}
}

func TestProxyTellsOfTheClient(t *testing.T) {
	spoofed := []string{"X-Forwarded-For", "192.0.2.9", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "Forwarded", "for=192.0.2.9",
		"X-Real-IP", "192.0.2.9", "True-Client-IP", "192.0.2.9"}
	for _, row := range []struct {
		name             string
		trusted          []netip.Prefix
		forwarded        []string
		addr, host, prot string
	}{
		{"on its own", nil, nil, "127.0.0.1", host, "http"},
		{"although the client says otherwise", nil, spoofed, "127.0.0.1", host, "http"},
		{"from a proxy in front", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, spoofed, "192.0.2.9, 127.0.0.1", "evil.example", "https"},
		{"from another proxy in front", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, spoofed, "127.0.0.1", host, "http"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newProxyFront(t, session.Config{TrustedProxies: row.trusted}, gateway.Config{}, "")
			cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
			fetch(t, f.addr, "GET", "/", headers(append([]string{"Cookie", cookieName + "=" + cookie}, row.forwarded...)...))
			got := f.one(t)
			wantHeader(t, got.Header, "X-Forwarded-For", row.addr)
			wantHeader(t, got.Header, "X-Forwarded-Host", row.host)
			wantHeader(t, got.Header, "X-Forwarded-Proto", row.prot)
			for _, name := range []string{"Forwarded", "X-Real-Ip", "True-Client-Ip"} {
				wantHeader(t, got.Header, name, "")
			}
		})
	}
}

func TestProxyDropsASessionCookieOfTheService(t *testing.T) {
	f := newProxyFront(t, session.Config{}, gateway.Config{}, "")
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	f.service.setServe(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", cookieName+"="+strings.Repeat("A", 64)+"; Path=/; Secure")
		w.Header().Add("Set-Cookie", " "+cookieName+" =; Max-Age=0")
		w.Header().Add("Set-Cookie", "="+cookieName+"=evil; Secure") // sent by its value alone
		w.Header().Add("Set-Cookie", " = "+cookieName+" = evil")
		w.Header().Add("Set-Cookie", cookieName)
		w.Header().Add("Set-Cookie", "=b=2; Path=/")
	})
	resp, _ := fetch(t, f.addr, "GET", "/", withCookie(cookie))
	wantHeader(t, resp.Header, "Set-Cookie", "a=1 | =b=2; Path=/")
}

// An informational response passes, without a session cookie in it, and leaves
// that of a refresh to the final one.
func TestProxyPassesEarlyHints(t *testing.T) {
	f := newProxyFront(t, session.Config{UpdateAge: session.EveryRequest}, gateway.Config{}, "")
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	f.service.setServe(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Link"], h["Set-Cookie"] = []string{"</a.css>; rel=preload"}, []string{cookieName + "=evil", "a=1"}
		w.WriteHeader(http.StatusEarlyHints)
		h["Set-Cookie"] = []string{"b=2"}
		w.WriteHeader(http.StatusNoContent)
	})
	var early []http.Header
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
			early = append(early, http.Header(h))
			return nil
		},
	})
	r := must[*http.Request](t)(http.NewRequestWithContext(ctx, "GET", "http://"+f.addr, nil))
	r.Header = withCookie(cookie)
	resp := must[*http.Response](t)(client.Do(r))
	_ = resp.Body.Close()
	if len(early) != 1 {
		t.Fatalf("got %d informational responses, want 1", len(early))
	}
	wantHeader(t, early[0], "Link", "</a.css>; rel=preload")
	wantHeader(t, early[0], "Set-Cookie", "a=1")
	wantHeader(t, resp.Header, "Cache-Control", "no-store")
	values := make(map[string]string)
	for _, c := range resp.Cookies() {
		values[c.Name] = c.Value
	}
	if len(values) != 2 || values["b"] != "2" || values[cookieName] != cookie {
		t.Errorf("cookies are %v, want the service's and that of the session", resp.Header["Set-Cookie"])
	}
}

func TestProxyWebSocketOrigins(t *testing.T) {
	f := newProxyFront(t, session.Config{}, gateway.Config{Origins: []string{"https://admin.example.com"}}, "")
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	f.service.setServe(t, echo)
	for _, row := range []struct {
		name   string
		origin []string
		want   string
	}{
		{"the site's own", []string{"https://" + host}, "101"},
		{"the site's own with its port", []string{"https://" + host + ":443"}, "101"},
		{"one that is allowed", []string{"https://admin.example.com"}, "101"},
		{"none, of a program", nil, "101"},
		{"one that is allowed, without TLS", []string{"http://admin.example.com"}, "403"},
		{"a sibling", []string{"https://blog.example.com"}, "403"},
		{"another port", []string{"https://" + host + ":8443"}, "403"},
		{"null", []string{"null"}, "403"},
		{"two", []string{"https://" + host, "https://evil.example"}, "403"},
		{"an empty one", []string{""}, "403"},
	} {
		t.Run(row.name, func(t *testing.T) {
			lines, _, _ := strings.Cut(upgrade, "Origin:")
			for _, o := range row.origin {
				lines += "Origin: " + o + "\r\n"
			}
			f.open(t, cookie, lines).until(t, "HTTP/1.1 "+row.want)
		})
	}
	resp, _ := fetch(t, f.addr, "GET", "/", headers("Cookie", cookieName+"="+cookie, "Origin", "https://blog.example.com"))
	if resp.StatusCode == http.StatusForbidden {
		t.Error("a request that is no WebSocket is refused for its origin")
	}
}

// TestProxyEndsWithTheSession revokes sessions under requests of every kind.
func TestProxyEndsWithTheSession(t *testing.T) {
	for _, row := range []struct {
		name  string
		lines string
		serve http.HandlerFunc
		begun string // the line after which the request is under way; "": it has no answer yet
	}{
		{"a WebSocket", upgrade, echo, "HTTP/1.1 101"},
		{"an event stream", "", func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, "data: one\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "data: one"},
		{"a slow answer", "", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newProxyFront(t, session.Config{}, gateway.Config{}, "")
			cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
			f.service.setServe(t, row.serve)
			conn := f.open(t, cookie, row.lines)
			if row.begun != "" {
				conn.until(t, row.begun)
			}
			eventually(t, "the service has the request", func() bool { return len(f.service.takeRaw()) == 1 })
			if _, err := f.sessions.RevokeAll(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			if row.begun == "" {
				conn.until(t, "HTTP/1.1 401")
				conn.until(t, gateway.HeaderReason+": session")
				return
			}
			if _, err := io.Copy(io.Discard, conn.in); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("goes on after its session was revoked")
			}
		})
	}
}

func TestProxyWithoutItsService(t *testing.T) {
	f := newProxyFront(t, session.Config{}, gateway.Config{}, "")
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	f.service.Close()
	resp, body := fetch(t, f.addr, "GET", "/", withCookie(cookie))
	wantStatus(t, resp, http.StatusBadGateway)
	wantHeader(t, resp.Header, "Cache-Control", "no-store")
	if body != "Bad Gateway\n" {
		t.Errorf("body is %q: the reason is for the log", body)
	}
}

func TestProxyRefusesConnect(t *testing.T) {
	f := newProxyFront(t, session.Config{}, gateway.Config{}, "")
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	conn := must[net.Conn](t)(net.Dial("tcp", f.addr))
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = fmt.Fprintf(conn, "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\nCookie: %s=%s\r\n\r\n", cookieName, cookie)
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 405" {
		t.Errorf("got %q, %v, want 405", answer, err)
	}
	if all := f.service.takeRaw(); len(all) > 0 {
		t.Errorf("service got %s %s", all[0].Method, all[0].RequestURI)
	}
}

func TestProxyMistakes(t *testing.T) {
	m := newManager(t, &store{}, session.Config{})
	good := must[*url.URL](t)(url.Parse("http://127.0.0.1:9200"))
	for _, row := range []struct {
		name     string
		upstream *url.URL
		cfg      gateway.Config
		want     string
	}{
		{"the least", good, gateway.Config{}, ""},
		{"a transport", good, gateway.Config{Transport: http.DefaultTransport}, ""},
		{"no upstream", nil, gateway.Config{}, "upstream"},
		{"a path as upstream", &url.URL{Path: "/"}, gateway.Config{}, "upstream"},
		{"a file as upstream", &url.URL{Scheme: "file", Host: "a"}, gateway.Config{}, "upstream"},
		{"StatusOnly", good, gateway.Config{StatusOnly: true}, "StatusOnly"},
		{"MaxReuse", good, gateway.Config{MaxReuse: time.Second}, "MaxReuse"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := gateway.NewProxy(m, row.upstream, row.cfg)
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("error is %v, want one about %q", err, row.want)
			}
		})
	}
}

// capture is a transport that keeps the request it is to send.
type capture struct{ got *http.Request }

func (c *capture) RoundTrip(r *http.Request) (*http.Response, error) {
	c.got = r
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: make(http.Header), Request: r}, nil
}

// FuzzProxyHeaders looks for a header that reaches a service as an identity.
func FuzzProxyHeaders(f *testing.F) {
	m := newManager(f, &memstore.Store{}, session.Config{})
	transport := &capture{}
	upstream := must[*url.URL](f)(url.Parse("http://127.0.0.1:9200"))
	h := must[http.Handler](f)(gateway.NewProxy(m, upstream, gateway.Config{Transport: transport}))
	cookie, _ := signIn(f, m, "alice", session.SignInOptions{})
	for _, name := range spellings {
		f.Add(name, "a=1; b=2")
	}
	f.Add("Connection", "X-User-Id; "+cookieName+"=1")
	f.Fuzz(func(t *testing.T, name, cookies string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header[name] = []string{"mallory"}
		r.Header["Cookie"] = []string{cookies, cookieName + "=" + cookie, cookies}
		transport.got = nil
		h.ServeHTTP(httptest.NewRecorder(), r)
		if transport.got == nil {
			return // refused
		}
		wantHeader(t, transport.got.Header, gateway.HeaderUserID, "alice")
		for got, values := range transport.got.Header {
			letters := strings.Map(func(c rune) rune {
				if strings.ContainsRune("-_. ", c) {
					return -1
				}
				return c
			}, strings.ToLower(got))
			if letters == "xuserid" && slices.Contains(values, "mallory") {
				t.Errorf("service got %q: %q", got, values)
			}
		}
		for _, c := range transport.got.CookiesNamed(cookieName) {
			t.Errorf("service got a session cookie: %v, of %q", c, cookies)
		}
	})
}
