package client_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

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
		{"https://api.example.com", "http://api.example.com/x", false},
		{"https://api.example.com", "http://api.example.com:443/x", false},
		{"https://api.example.com", "https://api.example.com:8443/x", false},
		{"https://api.example.com", "https://api.example.com./x", false},
		{"https://api.example.com", "https://example.com/x", false},
		{"https://api.example.com", "https://evil.api.example.com/x", false},
		{"https://api.example.com", "https://api.example.com.evil.example/x", false},
		{"https://api.example.com", "https://api.example.com@evil.example/x", false},
		{"http://[::1]:8080", "http://[::2]:8080/x", false},
	} {
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
	}
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
// carry the credentials of a sign-in away either.
func TestPasswordStaysAtItsOrigin(t *testing.T) {
	for _, to := range []string{"https://evil.example/login", "http://api.example.com/auth/login"} {
		c := at(func(r *http.Request) *http.Response {
			if r.URL.String() == to {
				t.Errorf("the credentials went to %s", to)
			}
			return reply(308, "", "Location: "+to)
		})
		if err := c.SignIn(t.Context(), "/auth/login", credentials{Password: password}, nil); err == nil {
			t.Error("no error")
		}
	}
}

// TestTheStorageAloneDecides: what a request brings of its own in the session's
// place is dropped, also on the way to other servers.
func TestTheStorageAloneDecides(t *testing.T) {
	for _, row := range []struct {
		name, cookie, stored, to string
		want                     http.Header
	}{
		{"header, signed in", "", tokenA, api, http.Header{"X-Session-Id": {tokenA}, "Cookie": {"a=1; session=x", "b=2"}}},
		{"header, signed out", "", "", api, http.Header{"X-Session-Id": nil, "Cookie": {"a=1; session=x", "b=2"}}},
		{"header, another server", "", tokenA, "https://other.example", http.Header{"X-Session-Id": nil}},
		{"cookie, signed in", "session", tokenA, api, http.Header{"X-Session-Id": nil, "Cookie": {"a=1; b=2; session=" + tokenA}}},
		{"cookie, signed out", "session", "", api, http.Header{"X-Session-Id": nil, "Cookie": {"a=1; b=2"}}},
		{"cookie, another server", "session", tokenA, "https://other.example", http.Header{"X-Session-Id": nil, "Cookie": {"a=1; b=2"}}},
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
