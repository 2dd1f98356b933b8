package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
)

// TestAttacks tries every attack on every gateway.
func TestAttacks(t *testing.T) {
	forEachFront(t, func(t *testing.T, f *front) {
		t.Run("spoofed identity", func(t *testing.T) { testSpoofed(t, f) })
		t.Run("without a session", func(t *testing.T) { testNobody(t, f) })
		t.Run("open redirect", func(t *testing.T) { testOpenRedirect(t, f) })
		t.Run("request smuggling", func(t *testing.T) { testSmuggling(t, f) })
	})
}

// spellings are names that some server behind a gateway takes for X-User-ID: CGI
// and its children take "-" for "_", PHP "." as well, all ignore case.
var spellings = []string{
	"X-User-ID", "X-User-Id", "x-user-id", "X-USER-ID", "x-USER-iD",
	"X_User_ID", "x_user_id", "X_User-ID", "X-User_ID",
	"X.User.ID", "X.User-ID", "X-User.Id", "X_User.ID",
}

// otherSpellings are names that hardly any server takes for X-User-ID.
var otherSpellings = []string{"X!User!ID", "X~User-ID", "X+User_ID", "X'User-ID", "X-_User.ID", "x-user+id"}

// testSpoofed sends identities along with a good session. The service must see
// that session's and no trace of the other.
func testSpoofed(t *testing.T, f *front) {
	f.reset(t, session.Config{}, gateway.Config{})
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	stolen, _, err := f.signer.Assert(audience, session.Info{
		ID: "s", UserID: "mallory", State: session.StateSignedIn, ExpiresAt: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string // header lines
	for _, name := range spellings {
		rows = append(rows, []string{name + ": mallory"})
	}
	if !strings.Contains(f.kind, "Caddy") { // of which docs/gateways.md tells
		for _, name := range otherSpellings {
			rows = append(rows, []string{name + ": mallory"})
		}
	}
	for _, name := range []string{"X-User-Assertion", "x_user_assertion", "X.User.Assertion"} {
		rows = append(rows, []string{name + ": " + stolen})
	}
	for _, name := range []string{"X-User-Session", "X-User-Level", "X-User-Auth-Time", "X_User_Level", "X-Session-ID"} {
		rows = append(rows, []string{name + ": mallory"})
	}
	rows = append(rows,
		[]string{"X-User-ID: mallory", "X-User-ID: mallory", "x-user-id: mallory"},
		[]string{"X-User-ID: mallory", "Connection: close, X-User-ID"},
		[]string{"Connection: close, X-User-ID, X-User-Assertion, X-User-Session"},
		[]string{"Connection: close, Cookie", "X-User-ID: mallory"},
		[]string{"X-User-ID:mallory", "X-User-ID: "},
		[]string{"X-User-Assertion: " + stolen, "X-User-Assertion: " + stolen},
	)
	for _, lines := range rows {
		t.Run(strings.ReplaceAll(strings.Join(lines, "; "), stolen, "STOLEN"), func(t *testing.T) {
			f.raw(t, patient, "GET / HTTP/1.1\r\nHost: "+host+"\r\nCookie: "+cookieName+"="+cookie+"\r\n"+
				strings.Join(lines, "\r\n")+"\r\n\r\n")
			all := f.service.takeRaw()
			if len(all) == 0 {
				return // refused altogether
			}
			for _, r := range all {
				wantHeader(t, r.Header, gateway.HeaderUserID, "alice")
				wantHeader(t, r.Header, gateway.HeaderSession, cookie[:24])
				wantHeader(t, r.Header, gateway.HeaderLevel, "0")
				wantNoTrace(t, r.Header, "mallory", stolen)
			}
		})
	}
}

// wantNoTrace looks for the texts as whole values, or items of a list.
func wantNoTrace(tb testing.TB, h http.Header, texts ...string) {
	tb.Helper()
	for name, values := range h {
		for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
			if slices.Contains(texts, strings.TrimSpace(item)) {
				tb.Errorf("service got %q: %q", name, values)
			}
		}
	}
}

// testNobody sends requests that have no session, whatever they say. The service
// must not hear of them.
func testNobody(t *testing.T, f *front) {
	ended := false
	f.reset(t, session.Config{NotBefore: func() time.Time {
		if ended {
			return time.Now().Add(time.Hour)
		}
		return time.Time{}
	}}, gateway.Config{})
	alice, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	bob, _ := signIn(t, f.sessions, "bob", session.SignInOptions{})
	pending, _ := signIn(t, f.sessions, "alice", session.SignInOptions{Pending: true})
	assertion, _, err := f.signer.Assert(audience, session.Info{
		ID: "s", UserID: "mallory", State: session.StateSignedIn, ExpiresAt: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	own := cookieName + "="
	for _, row := range []struct{ name, line, headers string }{
		{"a user ID", "GET /", "X-User-ID: mallory"},
		{"a valid assertion", "GET /", "X-User-Assertion: " + assertion},
		{"another path for the gate", "GET /", "X-Forwarded-Uri: /public/\r\nX-Original-URL: /public/\r\nX-Rewrite-URL: /public/"},
		{"another method for the gate", "GET /", "X-Forwarded-Method: OPTIONS\r\nX-HTTP-Method-Override: OPTIONS"},
		{"a preflight", "OPTIONS /", "Origin: https://app.example.com\r\nAccess-Control-Request-Method: POST"},
		{"HEAD", "HEAD /", "X-Nothing: 1"},
		{"an unknown method", "PROPFIND /", "X-Nothing: 1"},
		{"a health check", "GET /healthz", "User-Agent: kube-probe/1.30"},
		{"a favicon", "GET /favicon.ico", "Accept: image/*"},
		{"the address of the machine", "GET /", "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1"},
		{"a WebSocket", "GET /", strings.TrimSpace(upgrade)},
		{"a path with a second slash", "GET //", "X-Nothing: 1"},
		{"a path with dots", "GET /public/../orders", "X-Nothing: 1"},
		{"a path with encoded dots", "GET /public/%2e%2e/orders", "X-Nothing: 1"},
		{"a path with an encoded slash", "GET /public%2f..%2forders", "X-Nothing: 1"},
		{"a path with a semicolon", "GET /public;/orders", "X-Nothing: 1"},
		{"the gate's own path", "GET /_session", "X-Nothing: 1"},
		{"a URL as target", "GET http://" + host + "/", "X-Nothing: 1"},
		{"the token in the query", "GET /?session=" + alice + "&token=" + alice, "X-Nothing: 1"},
		{"the token in a header that is not enabled", "GET /", "X-Session-ID: " + alice},
		{"the token as bearer that is not enabled", "GET /", "Authorization: Bearer " + alice},
		{"the public ID", "GET /", "Cookie: " + own + alice[:24]},
		{"the public ID and another secret", "GET /", "Cookie: " + own + alice[:24] + bob[24:]},
		{"an unknown token", "GET /", "Cookie: " + own + strings.Repeat("A", 64)},
		{"a quoted cookie", "GET /", "Cookie: " + own + `"` + alice + `"`},
		{"a cookie of another case", "GET /", "Cookie: __host-session=" + alice},
		{"a cookie without a prefix", "GET /", "Cookie: session=" + alice},
		{"cookies of two users", "GET /", "Cookie: " + own + alice + "; " + own + bob},
		{"cookies of two users in two headers", "GET /", "Cookie: " + own + alice + "\r\nCookie: " + own + bob},
		{"five cookies", "GET /", "Cookie: " + strings.Repeat(own+alice+"; ", 5)},
		{"a session that waits for the second factor", "GET /", "Cookie: " + own + pending},
		{"a cookie that is called hop-by-hop", "GET /", "Connection: close, Cookie"},
	} {
		t.Run(row.name, func(t *testing.T) { f.wantRefused(t, row.line, row.headers) })
	}
	ended = true
	t.Run("an expired session", func(t *testing.T) { f.wantRefused(t, "GET /", "Cookie: "+own+alice) })
}

func (f *front) wantRefused(tb testing.TB, line, headers string) {
	tb.Helper()
	answer := f.raw(tb, patient, line+" HTTP/1.1\r\nHost: "+host+"\r\n"+headers+"\r\n\r\n")
	if len(answer) != 1 || answer[0].StatusCode < 400 {
		tb.Errorf("answers are %v, want a refusal", answer)
	}
	for _, r := range f.service.takeRaw() {
		tb.Errorf("service got %s %s", r.Method, r.RequestURI)
	}
}

// testOpenRedirect tries to make the sign-in page send users elsewhere.
func testOpenRedirect(t *testing.T, f *front) {
	f.reset(t, session.Config{}, gateway.Config{})
	for _, row := range []struct{ name, target, host, headers string }{
		{"a forwarded host", "/", host, "X-Forwarded-Host: evil.example"},
		{"two forwarded hosts", "/", host, "X-Forwarded-Host: app.example.com, evil.example"},
		{"a host of its own", "/", "evil.example", "X-Nothing: 1"},
		{"a host with a user", "/", "app.example.com@evil.example", "X-Nothing: 1"},
		{"a host that begins alike", "/", "app.example.com.evil.example", "X-Nothing: 1"},
		{"a forwarded URL", "/", host, "X-Forwarded-Uri: https://evil.example/"},
		{"a forwarded user", "/", host, "X-Forwarded-Uri: @evil.example/"},
		{"a forwarded port", "/", host, "X-Forwarded-Uri: :80@evil.example/"},
		{"a forwarded scheme", "/", host, "X-Forwarded-Proto: javascript"},
		{"a URL as target", "http://evil.example/", host, "X-Nothing: 1"},
		{"a path that looks like a host", "//evil.example/", host, "X-Nothing: 1"},
		{"a path with a backslash", `/\evil.example/`, host, "X-Nothing: 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			answers := f.raw(t, patient, "GET "+row.target+" HTTP/1.1\r\nHost: "+row.host+"\r\nAccept: text/html\r\n"+row.headers+"\r\n\r\n")
			for _, answer := range answers {
				wantSafeLocation(t, answer.Header.Get("Location"))
			}
			if all := f.service.takeRaw(); len(all) > 0 {
				t.Errorf("service got %d requests, want none", len(all))
			}
		})
	}
}

func wantSafeLocation(tb testing.TB, location string) {
	tb.Helper()
	if location == "" {
		return
	}
	to := must[*url.URL](tb)(url.Parse(location))
	if got := to.Scheme + "://" + to.Host + to.Path; got != loginURL {
		tb.Errorf("browser is sent to %q, want %q", got, loginURL)
	}
	back := to.Query().Get("return_to")
	if u := must[*url.URL](tb)(url.Parse(back)); back != "" && (u.Scheme+"://"+u.Host != origin || u.User != nil) {
		tb.Errorf("user returns to %q, want a page of %s", back, origin)
	}
}

// testSmuggling sends requests that two servers could divide in two ways. The
// service must not get a request that the gateway has not seen.
func testSmuggling(t *testing.T, f *front) {
	f.reset(t, session.Config{}, gateway.Config{})
	cookie, _ := signIn(t, f.sessions, "alice", session.SignInOptions{})
	const hidden = "GET /hidden HTTP/1.1\r\nHost: " + host + "\r\nX-User-ID: mallory\r\n\r\n"
	length, chunk := fmt.Sprint(len(hidden)), fmt.Sprintf("%x\r\n", len(hidden))
	for _, row := range []struct{ name, headers, body string }{
		{"Content-Length and Transfer-Encoding", "Content-Length: " + length + "\r\nTransfer-Encoding: chunked", "0\r\n\r\n" + hidden},
		{"Transfer-Encoding and Content-Length", "Transfer-Encoding: chunked\r\nContent-Length: 4", chunk + hidden + "\r\n0\r\n\r\n"},
		{"two lengths", "Content-Length: 0\r\nContent-Length: " + length, hidden},
		{"a list of lengths", "Content-Length: 0, " + length, hidden},
		{"a length with a sign", "Content-Length: +0", hidden},
		{"two encodings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: 5", "0\r\n\r\n" + hidden},
		{"an unknown encoding", "Transfer-Encoding: xchunked\r\nContent-Length: 5", "0\r\n\r\n" + hidden},
		{"a space before the colon", "Transfer-Encoding : chunked\r\nContent-Length: 5", "0\r\n\r\n" + hidden},
		{"a tab before the encoding", "Transfer-Encoding:\tchunked\r\nContent-Length: 5", "0\r\n\r\n" + hidden},
		{"a folded line", "X-Folded: 1\r\n X-User-ID: mallory", ""},
		{"a bare line feed", "X-Bare: 1\nX-User-ID: mallory", ""},
		{"a bare carriage return", "X-Bare: 1\rX-User-ID: mallory", ""},
		{"a zero byte", "X-Zero: 1\x00X-User-ID: mallory", ""},
		{"a name with a space", "X-User-ID : mallory", ""},
		{"a trailer", "Transfer-Encoding: chunked\r\nTrailer: X-User-ID", "1\r\nx\r\n0\r\nX-User-ID: mallory\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f.service.setServe(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if f.kind == newProxy { // of the others some pass on trailers, which are no headers
					wantNoTrace(t, r.Trailer, "mallory")
				}
			})
			f.raw(t, impatient, "POST /first HTTP/1.1\r\nHost: "+host+"\r\nCookie: "+cookieName+"="+cookie+"\r\n"+row.headers+"\r\n\r\n"+row.body)
			for _, r := range f.service.takeRaw() {
				if r.URL.Path != "/first" {
					t.Errorf("service got %s %s", r.Method, r.RequestURI)
				}
				wantHeader(t, r.Header, gateway.HeaderUserID, "alice")
				wantNoTrace(t, r.Header, "mallory")
			}
		})
	}
}

const (
	patient   = 10 * time.Second
	impatient = 300 * time.Millisecond
)

// raw sends bytes and returns the answers until the gateway closes the connection
// or has no more to say. A client that is impatient ends its side of the
// connection if the gateway waits for more.
func (f *front) raw(tb testing.TB, patience time.Duration, text string) (answers []*http.Response) {
	tb.Helper()
	conn := must[net.Conn](tb)(net.Dial("tcp", f.addr))
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patient))
	if _, err := io.WriteString(conn, text); err != nil {
		return nil // refused before the end
	}
	if patience == impatient {
		defer time.AfterFunc(impatient, func() { _ = conn.(*net.TCPConn).CloseWrite() }).Stop()
	}
	method, _, _ := strings.Cut(text, " ")
	in := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return answers
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		answers = append(answers, resp)
		// A second answer, if there is one, is on its way by now.
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	}
}
