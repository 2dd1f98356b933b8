package client_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/client"
)

// web is some servers that note who brought them what.
type web struct {
	mu  sync.Mutex // guards got
	got map[string][]string
}

// note remembers what of the session a server was sent, anywhere in the request.
func (w *web) note(name string, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := "nothing"
	for header, values := range r.Header {
		if strings.Contains(strings.Join(values, " "), tokenA) {
			found = header
		}
	}
	if strings.Contains(r.URL.String(), tokenA) {
		found = "URL"
	}
	w.got[name] = append(w.got[name], found)
}

// seen returns what the servers have got, and forgets it.
func (w *web) seen() map[string][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.got
	w.got = map[string][]string{}
	return got
}

// TestSessionStaysAtItsOrigin has three origins: the API, another server, and the
// API's host without TLS. The API redirects wherever the query says.
func TestSessionStaysAtItsOrigin(t *testing.T) {
	w := &web{got: map[string][]string{}}
	start := func(name string, create func(http.Handler) *httptest.Server) *httptest.Server {
		s := create(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.note(name, r)
			if next, rest, ok := strings.Cut(r.URL.Query().Get("to"), "|"); next != "" {
				if ok {
					next += "?to=" + url.QueryEscape(rest)
				}
				http.Redirect(rw, r, next, http.StatusTemporaryRedirect) // which keeps method and body
				return
			}
			// An answer from elsewhere must not set the session, nor end it.
			rw.Header().Set("X-Session-ID", tokenB)
			http.SetCookie(rw, &http.Cookie{Name: "session", Value: tokenB})
			if name != "api" {
				rw.WriteHeader(http.StatusUnauthorized)
			}
		}))
		t.Cleanup(s.Close)
		return s
	}
	home := start("api", httptest.NewTLSServer)
	other := start("other", httptest.NewTLSServer)
	plain := start("plain", httptest.NewServer)
	// One transport for all: httptest's certificates are the same.
	trusting := home.Client().Transport.(*http.Transport).Clone()
	trusting.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == "example.com:443" { // the certificate's other name
			addr = home.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}

	rows := []struct {
		name, via string
		header    map[string][]string // what each server got, by header
	}{
		{"no redirect", "", map[string][]string{"api": {"S"}}},
		{"to the same origin", home.URL, map[string][]string{"api": {"S", "S"}}},
		{"to another origin", other.URL, map[string][]string{"api": {"S"}, "other": {"nothing"}}},
		{"to plain HTTP", plain.URL, map[string][]string{"api": {"S"}, "plain": {"nothing"}}},
		{"to another name of the same server", "https://example.com", map[string][]string{"api": {"S", "nothing"}}},
		{"away and back", other.URL + "|" + home.URL, map[string][]string{"api": {"S", "nothing"}, "other": {"nothing"}}},
		{"down and up again", plain.URL + "|" + home.URL, map[string][]string{"api": {"S", "nothing"}, "plain": {"nothing"}}},
		{"away, down and back", other.URL + "|" + plain.URL + "?to=" + url.QueryEscape(home.URL), map[string][]string{"api": {"S", "nothing"}, "other": {"nothing"}, "plain": {"nothing"}}},
	}
	for _, cookie := range []string{"", "session"} {
		as := map[string]string{"": "X-Session-Id", "session": "Cookie"}[cookie]
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, row := range rows {
				t.Run(as+" "+method+" "+row.name, func(t *testing.T) {
					w.seen()
					storage := &client.Memory{}
					_ = storage.Set(t.Context(), client.DefaultKey, tokenA)
					expired := 0
					c := &http.Client{Transport: &client.Transport{
						Origin: home.URL, Storage: storage, Cookie: cookie, Base: trusting, OnExpired: func(context.Context) { expired++ },
					}}
					req, _ := http.NewRequest(method, home.URL+"/?to="+url.QueryEscape(row.via), strings.NewReader("body"))
					res, err := c.Do(req)
					if err == nil {
						_, _ = io.Copy(io.Discard, res.Body)
						res.Body.Close()
					}
					got := w.seen()
					for name, parts := range got {
						for i, part := range parts {
							if part == as {
								parts[i] = "S"
							}
							if name != "api" && part != "nothing" {
								t.Errorf("%s got the session in %s", name, part)
							}
						}
					}
					if row.header != nil && !maps.EqualFunc(got, row.header, slices.Equal) {
						t.Errorf("servers got %v, want %v", got, row.header)
					}
					if expired > 0 {
						t.Error("401 of another server ended the session")
					}
				})
			}
		}
	}
}

// dialed returns the host that net/http dials for a URL, after its scheme.
func dialed(t *testing.T, raw string) string {
	t.Helper()
	to := ""
	dial := func(_ context.Context, _, addr string) (net.Conn, error) {
		to = addr
		return nil, io.ErrUnexpectedEOF
	}
	c := &http.Client{Transport: &http.Transport{DialContext: dial, DialTLSContext: dial}}
	if _, err := c.Get(raw); err == nil || to == "" {
		t.Fatalf("%s was not dialed: %v", raw, err)
	}
	u, _ := url.Parse(raw)
	return u.Scheme + " " + strings.ToLower(to) // DNS knows no case
}

func TestOriginIsComparedAsAWhole(t *testing.T) {
	for _, row := range []struct {
		origin, url string
		same        bool
	}{
		{"https://api.example.com", "https://api.example.com/x", true},
		{"https://api.example.com/v1", "https://api.example.com/x", true},
		{"https://api.example.com", "https://api.example.com:443/x", true},
		{"https://API.example.com:443", "https://api.EXAMPLE.com/x", true},
		{"http://127.0.0.1:80", "http://127.0.0.1/x", true},
		{"http://[::1]:8080", "http://[::1]:8080/x", true},
		{"HTTPS://api.example.com", "https://api.example.com/x", true},
		{"https://bücher.example", "https://bücher.example/x", true},
		{"https://api.example.com", "http://api.example.com/x", false},
		{"https://api.example.com", "http://api.example.com:443/x", false},
		{"https://api.example.com", "https://api.example.com:8443/x", false},
		{"https://api.example.com", "https://api.example.com./x", false},
		{"https://api.example.com", "https://example.com/x", false},
		{"https://api.example.com", "https://evil.api.example.com/x", false},
		{"https://api.example.com", "https://api.example.com.evil.example/x", false},
		{"https://api.example.com", "https://api.example.com@evil.example/x", false},
		{"http://[::1]:8080", "http://[::2]:8080/x", false},
		// What Unicode folds to ASCII is another host.
		{"https://api.example.com", "https://ap\u0130.example.com/x", false},
		{"https://api.example.com", "https://ap%C4%B0.example.com/x", false},
		{"https://ap\u0130.example.com", "https://api.example.com/x", false},
		{"https://bank.example", "https://ban\u212a.example/x", false},
		{"https://shop.example", "https://\u017fhop.example/x", false},
		// It is the same for net/http, but we do not fold that (fails closed).
		{"https://bücher.example", "https://BÜCHER.example/x", false},
		{"https://bücher.example", "https://xn--bcher-kva.example/x", false},
	} {
		if a, b := dialed(t, row.origin), dialed(t, row.url); row.same && a != b {
			t.Errorf("net/http dials %s for %s, and %s for %s", a, row.origin, b, row.url)
		}
		sent := ""
		storage := &client.Memory{}
		_ = storage.Set(t.Context(), client.DefaultKey, tokenA)
		c := &http.Client{Transport: &client.Transport{Origin: row.origin, Storage: storage, Base: server(func(r *http.Request) *http.Response {
			sent = r.Header.Get("X-Session-ID")
			return reply(200, "")
		})}}
		res, err := c.Get(row.url)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if (sent != "") != row.same {
			t.Errorf("origin %s, request to %s: session %q", row.origin, row.url, sent)
		}
		if equal := client.OriginKey(row.origin) == client.OriginKey(row.url); equal != row.same {
			t.Errorf("origin %s, address %s: one key for both is %t", row.origin, row.url, equal)
		}
	}
}

func TestOriginKey(t *testing.T) {
	for address, want := range map[string]string{
		"https://API.example.com:443/v1": client.DefaultKey + "@https://api.example.com",
		"http://127.0.0.1:8080":          client.DefaultKey + "@http://127.0.0.1:8080",
		"https://user:word@example.com":  client.DefaultKey + "@https://example.com",
		"example.com":                    client.DefaultKey + "@",
		"https://user:word@%zz":          client.DefaultKey + "@",
	} {
		if got := client.OriginKey(address); got != want {
			t.Errorf("OriginKey(%q) = %q, want %q", address, got, want)
		}
	}
}

// TestServersOfOneStorageAreApart by OriginKey.
func TestServersOfOneStorageAreApart(t *testing.T) {
	storage := &client.Memory{}
	home := &client.Client{BaseURL: api, Storage: storage, Key: client.OriginKey(api)}
	holding(t, home, tokenA)
	other := at(func(r *http.Request) *http.Response {
		if got := r.Header.Get("X-Session-ID"); got != "" {
			t.Errorf("%s got %s", r.URL, got)
		}
		return reply(204, "")
	})
	other.BaseURL, other.Storage, other.Key = "https://other.example", storage, client.OriginKey("https://other.example")
	if err := other.Get(t.Context(), "/", nil); err != nil {
		t.Error(err)
	}
	wantStored(t, other, "")
	wantStored(t, home, tokenA)
}

func TestOriginIsNeeded(t *testing.T) {
	for _, origin := range []string{"", "api.example.com", "//api.example.com", "ftp://api.example.com", "https://", "https://:443", "%", "unix:/run/api"} {
		for name, c := range map[string]*http.Client{
			"Transport": {Transport: &client.Transport{Origin: origin, Base: unreachable(t)}},
			"Client":    (&client.Client{BaseURL: origin, HTTPClient: &http.Client{Transport: unreachable(t)}}).HTTP(),
		} {
			if _, err := c.Get(api); err == nil || !strings.Contains(err.Error(), "client: the server's address") {
				t.Errorf("%s with origin %q: %v", name, origin, err)
			}
		}
		c := &client.Client{BaseURL: origin, HTTPClient: &http.Client{Transport: unreachable(t)}}
		if err := c.Get(t.Context(), "/", nil); err == nil {
			t.Errorf("Client with origin %q: no error", origin)
		}
	}
}

func unreachable(t *testing.T) server {
	return func(r *http.Request) *http.Response {
		t.Errorf("%s %s was sent", r.Method, r.URL)
		return nil
	}
}

// TestCallsStayAtTheirServer: a path cannot name another server, wherever it comes from.
func TestCallsStayAtTheirServer(t *testing.T) {
	for _, path := range []string{"https://evil.example/", "//evil.example/", "http:x", "\x00", "https:evil", "%zz"} {
		c := holding(t, at(unreachable(t)), tokenA)
		if err := c.Get(t.Context(), path, nil); err == nil {
			t.Errorf("Get(%q) was accepted", path)
		}
	}
	for path, want := range map[string]string{
		"/a":              api + "/v1/a",
		"a":               api + "/v1/a",
		"/a?b=c&d=%2F#no": api + "/v1/a?b=c&d=%2F",
		"/a%2Fb/c%20d":    api + "/v1/a%2Fb/c%20d",
		"":                api + "/v1/",
		"?q=1":            api + "/v1/?q=1",
	} {
		got := ""
		c := at(func(r *http.Request) *http.Response { got = r.URL.String(); return reply(204, "") })
		c.BaseURL = api + "/v1/"
		if err := c.Get(t.Context(), path, nil); err != nil || got != want {
			t.Errorf("Get(%q) went to %q (%v), want %q", path, got, err, want)
		}
	}
}

// TestPasswordStaysAtItsOrigin: a redirect that keeps the body (307, 308) must not
// carry the credentials of a sign-in away either. One that does not keep it fails as
// well, and whatever came with it is not kept.
func TestPasswordStaysAtItsOrigin(t *testing.T) {
	for _, to := range []string{"https://evil.example/login", "http://api.example.com/auth/login", "https://ap\u0130.example.com/"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			c := at(func(r *http.Request) *http.Response {
				if r.URL.Path != "/auth/login" || r.URL.Host != "api.example.com" || r.URL.Scheme != "https" {
					t.Errorf("the sign-in went to %s", r.URL)
				}
				return reply(status, "", "Location: "+to, "X-Session-ID: "+tokenB)
			})
			holding(t, c, tokenA)
			if err := c.SignIn(t.Context(), "/auth/login", credentials{Password: password}, nil); err == nil {
				t.Error("no error")
			}
			wantStored(t, c, tokenA)
		}
	}
}

// TestSignInThroughARedirect within the origin, as browsers' forms do: what follows
// carries the new session, and the answer there decides.
func TestSignInThroughARedirect(t *testing.T) {
	for _, row := range []struct {
		name string
		page *http.Response
		want string
	}{
		{"to a page", reply(200, "{}"), "S"},
		{"to a page that changes the secret", reply(200, "{}", "Set-Cookie: sid=S2"), "S2"},
		{"to a page that signs out", reply(200, "{}", "Set-Cookie: sid=; Max-Age=0"), tokenA},
		{"to a page that denies it", reply(200, `{"success":false}`), tokenA},
		{"to a refusal", reply(401, "{}"), tokenA},
	} {
		c := at(func(r *http.Request) *http.Response {
			if r.URL.Path == "/login" {
				return reply(303, "", "Location: /me", "Set-Cookie: sid=S")
			}
			if got := carriedBy(r); !slices.Equal(got, []string{"S"}) {
				t.Errorf("%s: the page got %q", row.name, got)
			}
			return row.page
		})
		c.Cookie = "sid"
		holding(t, c, tokenA)
		if err := c.SignIn(t.Context(), "/login", nil, nil); (err == nil) != (row.want != tokenA) {
			t.Errorf("%s: %v", row.name, err)
		}
		wantStored(t, c, row.want)
	}
}

// TestTheStorageAloneDecides: what a request brings of its own in the session's
// place is dropped, also on the way to other servers.
func TestTheStorageAloneDecides(t *testing.T) {
	for _, row := range []struct {
		name, cookie, stored, to string
		want                     http.Header
	}{
		{"header, nobody", "", "", api, http.Header{"X-Session-ID": nil, "x-session-id": nil}},
		{"header, names of its own", "", tokenA, api, http.Header{"X-Session-ID": nil, "x-session-id": nil}},
		{"header, names of its own, another server", "", tokenA, "https://other.example", http.Header{"X-Session-ID": nil, "x-session-id": nil}},
		{"cookie, names of its own", "session", tokenA, api, http.Header{"X-Session-ID": nil, "cookie": nil, "COOKIE": nil}},
		{"cookie, names of its own, another server", "session", tokenA, "https://other.example", http.Header{"cookie": nil, "COOKIE": nil}},
		{"header, signed in", "", tokenA, api, http.Header{"X-Session-Id": {tokenA}, "Cookie": {"a=1; session=x", "b=2"}}},
		{"header, signed out", "", "", api, http.Header{"X-Session-Id": nil, "Cookie": {"a=1; session=x", "b=2"}}},
		{"header, another server", "", tokenA, "https://other.example", http.Header{"X-Session-Id": nil}},
		{"cookie, signed in", "session", tokenA, api, http.Header{"X-Session-Id": nil, "Cookie": {"c=3; a=1; b=2; session=" + tokenA}}},
		{"cookie, signed out", "session", "", api, http.Header{"X-Session-Id": nil, "Cookie": {"c=3; a=1; b=2"}}},
		{"cookie, another server", "session", tokenA, "https://other.example", http.Header{"X-Session-Id": nil, "Cookie": {"c=3; a=1; b=2"}}},
	} {
		storage := &client.Memory{}
		_ = storage.Set(t.Context(), client.DefaultKey, row.stored)
		tr := &client.Transport{Origin: api, Storage: storage, Cookie: row.cookie, Base: server(func(r *http.Request) *http.Response {
			for name, want := range row.want {
				if got := r.Header[name]; !slices.Equal(got, want) {
					t.Errorf("%s: %s is %q, want %q", row.name, name, got, want)
				}
			}
			return reply(200, "")
		})}
		req, _ := http.NewRequest("GET", row.to, nil)
		req.Header.Set("X-Session-ID", tokenB)
		req.Header["Cookie"] = []string{"a=1; session=x", "b=2"}
		for _, name := range []string{"X-Session-ID", "x-session-id"} { // net/http sends them as they are
			req.Header[name] = []string{tokenB}
		}
		req.Header["COOKIE"], req.Header["cookie"] = []string{"c=3; session=y"}, []string{"session=z"}
		before := req.Header.Clone()
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Request != req || !maps.EqualFunc(req.Header, before, slices.Equal) {
			t.Errorf("%s: the request was changed, or the answer has another", row.name)
		}
	}
}

func TestHeadersGoToTheOriginOnly(t *testing.T) {
	seen := map[string]http.Header{}
	c := at(func(r *http.Request) *http.Response {
		seen[r.URL.Host] = r.Header
		return reply(302, "", "Location: https://other.example/")
	})
	c.Header = http.Header{"X-Device-ID": {"device-1"}, "User-Agent": {"tool/1"}, "X-Session-ID": {"no"}, "Cookie": {"no=1"}}
	_ = c.Get(t.Context(), "/", nil)
	home, other := seen["api.example.com"], seen["other.example"]
	if home.Get("X-Device-ID") != "device-1" || home.Get("User-Agent") != "tool/1" || home.Get("X-Session-ID") != "" || home.Get("Cookie") != "" {
		t.Errorf("our server got %v", home)
	}
	if other.Get("X-Device-ID") != "" {
		t.Errorf("the other server got %v", other)
	}
}

// TestOriginHeader: servers that take cookies want to know where a change comes from.
func TestOriginHeader(t *testing.T) {
	for _, row := range []struct{ cookie, method, own, want string }{
		{"session", "POST", "", api},
		{"session", "DELETE", "", api},
		{"session", "POST", "https://app.example.com", "https://app.example.com"},
		{"session", "GET", "", ""},
		{"", "POST", "", ""},
	} {
		got := ""
		c := at(func(r *http.Request) *http.Response { got = r.Header.Get("Origin"); return reply(204, "") })
		c.Cookie = row.cookie
		holding(t, c, tokenA)
		req, _ := http.NewRequest(row.method, api, nil)
		if row.own != "" {
			req.Header.Set("Origin", row.own)
		}
		res, err := c.HTTP().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got != row.want {
			t.Errorf("%s with cookie %q: Origin %q, want %q", row.method, row.cookie, got, row.want)
		}
	}
}

func TestWithoutSession(t *testing.T) {
	var expired counter
	c := at(func(r *http.Request) *http.Response {
		if r.Header.Get("X-Session-ID") != "" {
			t.Error("the session was sent")
		}
		return reply(401, "{}")
	})
	c.OnExpired = expired.add
	holding(t, c, tokenA)
	_ = c.Get(client.WithoutSession(t.Context()), "/", nil)
	wantStored(t, c, tokenA)
	if expired.count() > 0 {
		t.Error("a request without the session ended it")
	}
}

// TestSessionIDsDoNotBecomePaths: "" and dots would name the list of sessions,
// and DELETE on that ends all the others.
func TestSessionIDsDoNotBecomePaths(t *testing.T) {
	for _, id := range []string{"", ".", "..", "../sign-out", "a/b", "a?include=current", "a%2F", "a b", "ä"} {
		for _, contract := range []client.Contract{client.Native, client.BetterAuth} {
			c := at(unreachable(t))
			c.Contract = contract
			if err := holding(t, c, tokenA).Revoke(t.Context(), id); err == nil {
				t.Errorf("Revoke(%q) was accepted", id)
			}
		}
	}
}

// TestAJarIsNoSecondSession: a cookie jar of the caller's would hand the session of
// whoever signed in last to everybody who shares the connections.
func TestAJarIsNoSecondSession(t *testing.T) {
	jar, _ := cookiejar.New(nil)
	cookies := ""
	c := at(func(r *http.Request) *http.Response {
		cookies = r.Header.Get("Cookie")
		return reply(200, `{"session_id":"`+tokenA+`"}`, "Set-Cookie: __Host-session="+tokenA+"; Path=/; Secure; HttpOnly")
	})
	c.HTTPClient.Jar = jar
	if err := c.SignIn(t.Context(), "/auth/login", nil, nil); err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest("GET", "https://www.example.com", nil)
	r.Header.Set("X-Session-ID", tokenB)
	for name, ask := range map[string]func() error{
		"another user":    func() error { return c.WithStorage(client.FromRequest(r)).Get(t.Context(), "/", nil) },
		"nobody":          func() error { return c.WithStorage(&client.Memory{}).Get(t.Context(), "/", nil) },
		"WithoutSession":  func() error { return c.Get(client.WithoutSession(t.Context()), "/", nil) },
		"the user itself": func() error { return c.Get(t.Context(), "/", nil) },
	} {
		if err := ask(); err != nil || cookies != "" {
			t.Errorf("%s sends cookies %q, %v", name, cookies, err)
		}
	}
	if c.HTTP().Jar != nil || c.HTTPClient.Jar == nil {
		t.Error("the jar is in the copy, or no longer in the original")
	}
}

// TestAJarIsNoSecondSessionAtAServer is the same with a server that sets cookies.
func TestAJarIsNoSecondSessionAtAServer(t *testing.T) {
	s := startSite(t, client.Native, session.Config{})
	shared := *s.Client()
	shared.Jar, _ = cookiejar.New(nil)
	c := &client.Client{BaseURL: s.URL, HTTPClient: &shared}
	if err := c.Post(t.Context(), "/auth/login", credentials{Email: "ada", Password: password}, nil); err != nil {
		t.Fatal(err) // as a cookie, of which this client knows nothing
	}
	if err := c.WithStorage(&client.Memory{}).Get(t.Context(), "/orders", nil); !errors.Is(err, client.ErrNoSession) {
		t.Errorf("a client without a session: %v", err)
	}
	id, _ := signIn(t, s.client(client.Native, byHeader), "grace").SessionID(t.Context())
	var orders []string
	if err := holding(t, c.WithStorage(&client.Memory{}), id).Get(t.Context(), "/orders", &orders); err != nil || !slices.Equal(orders, []string{"order of grace"}) {
		t.Errorf("grace's orders are %q, %v", orders, err)
	}
}

// TestTransportsInAStack: each origin gets its own session, however the Transports
// stand above each other and however their sessions travel.
func TestTransportsInAStack(t *testing.T) {
	for _, cookies := range [][2]string{{"", ""}, {"session", ""}, {"", "session"}, {"session", "session"}, {"a", "b"}} {
		got := map[string][]string{}
		stack := transports(t, cookies, func(r *http.Request) *http.Response {
			got[r.URL.Host] = carriedBy(r)
			return reply(200, `{"session_id":"S"}`)
		})
		for _, to := range []string{"https://a.example", "https://b.example", "https://c.example"} {
			res, err := (&http.Client{Transport: stack}).Get(to)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}
		want := map[string][]string{"a.example": {tokenA}, "b.example": {tokenB}, "c.example": nil}
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("cookies %q: servers got %v", cookies, got)
		}
		c := &client.Client{BaseURL: "https://a.example", HTTPClient: &http.Client{Transport: stack.Base}}
		for range 2 { // without a session, and with one
			if err := c.SignIn(t.Context(), "/login", nil, nil); err != nil {
				t.Errorf("cookies %q: sign in through another's Transport: %v", cookies, err)
			}
			wantStored(t, c, "S")
		}
	}
}

// transports returns two Transports, that of a.example above that of b.example.
func transports(t *testing.T, cookies [2]string, s server) *client.Transport {
	a, b := &client.Memory{}, &client.Memory{}
	_ = a.Set(t.Context(), client.DefaultKey, tokenA)
	_ = b.Set(t.Context(), client.DefaultKey, tokenB)
	beneath := &client.Transport{Origin: "https://b.example", Storage: b, Cookie: cookies[1], Base: s}
	return &client.Transport{Origin: "https://a.example", Storage: a, Cookie: cookies[0], Base: beneath}
}

// carriedBy returns the sessions in a request.
func carriedBy(r *http.Request) (found []string) {
	found = append(found, r.Header.Values("X-Session-ID")...)
	for _, c := range r.Cookies() {
		found = append(found, c.Value)
	}
	return found
}

// TestTransportsInAStackKeepApart: a redirect from one origin to the other is made
// with the session of neither, not even with what a sign-out sends.
func TestTransportsInAStackKeepApart(t *testing.T) {
	for name, call := range map[string]func(*client.Client) error{
		"Get":     func(c *client.Client) error { return c.Get(t.Context(), "/", nil) },
		"SignOut": func(c *client.Client) error { return c.SignOut(t.Context()) },
	} {
		asked := false
		stack := transports(t, [2]string{}, func(r *http.Request) *http.Response {
			if r.URL.Host == "b.example" {
				if asked = true; carriedBy(r) != nil {
					t.Errorf("%s: the other server got %q", name, carriedBy(r))
				}
				return reply(401, "{}")
			}
			return reply(307, "", "Location: https://b.example/")
		})
		c := &client.Client{BaseURL: "https://a.example", HTTPClient: &http.Client{Transport: stack}}
		if err := call(holding(t, c, "S")); err == nil || errors.Is(err, client.ErrNoSession) || !asked {
			t.Errorf("%s: %v, asked %t", name, err, asked)
		}
	}
}

// between is a RoundTripper that somebody puts beneath a Transport.
type between func(*http.Request) (*http.Response, error)

func (f between) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRequestsFromBeneathHaveTheirOwnSession: a RoundTripper that calls something
// itself, with the context of the request, is not taken for a Transport above.
func TestRequestsFromBeneathHaveTheirOwnSession(t *testing.T) {
	got := map[string][]string{}
	answer := server(func(r *http.Request) *http.Response {
		got[r.URL.Path] = carriedBy(r)
		return reply(200, "{}")
	})
	helper := holding(t, at(answer), tokenB)
	c := at(nil)
	c.HTTPClient.Transport = between(func(r *http.Request) (*http.Response, error) {
		if err := helper.Get(r.Context(), "/helper", nil); err != nil {
			t.Error(err)
		}
		return answer.RoundTrip(r)
	})
	holding(t, c, tokenA)
	for _, call := range []func() error{
		func() error { return c.Get(t.Context(), "/get", nil) },
		func() error { return c.SignOut(t.Context()) },
	} {
		if err := call(); err != nil {
			t.Error(err)
		}
		if !slices.Equal(got["/helper"], []string{tokenB}) {
			t.Errorf("the helper's request carries %q", got["/helper"])
		}
		delete(got, "/helper")
	}
	if !slices.Equal(got["/get"], []string{tokenA}) || !slices.Equal(got["/auth/sign-out"], []string{tokenA}) {
		t.Errorf("the requests carry %q", got)
	}
}

// TestTheMarkOfATransportAboveIsNoPass: what follows redirects in between carries
// headers on, and the Transport beneath takes them off at another origin.
func TestTheMarkOfATransportAboveIsNoPass(t *testing.T) {
	var got []string
	beneath := &client.Transport{Origin: "https://b.example", Base: server(func(r *http.Request) *http.Response {
		got = carriedBy(r)
		return reply(200, "{}")
	})}
	c := at(nil)
	c.HTTPClient.Transport = between(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL, _ = url.Parse("https://evil.example/")
		return beneath.RoundTrip(r)
	})
	if err := holding(t, c, tokenA).Get(t.Context(), "/", nil); err != nil || got != nil {
		t.Errorf("another server got %q, %v", got, err)
	}
}

// idler is a RoundTripper with connections.
type idler struct {
	server
	closed bool
}

func (i *idler) CloseIdleConnections() { i.closed = true }

func TestCloseIdleConnections(t *testing.T) {
	base := &idler{}
	c := &client.Client{BaseURL: api, HTTPClient: &http.Client{Transport: base}}
	if c.HTTP().CloseIdleConnections(); !base.closed {
		t.Error("it does not reach Base")
	}
	(&client.Transport{Origin: api, Base: unreachable(t)}).CloseIdleConnections() // which has none
}
