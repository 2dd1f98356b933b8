package session_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/updateage/session"
)

// clTrust are the proxies of these tests.
var clTrust = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("2001:db8:10::/48"),
	netip.MustParsePrefix("::1/128"),
}

// clAddress returns what the server takes for the client's address: the one in
// the event of a malformed cookie.
func clAddress(l *clLab, r *http.Request) string {
	r.Header.Set("Cookie", l.m.Config().Cookie.Name+"=garbage")
	l.took()
	l.m.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	events := l.took()
	if len(events) != 1 {
		l.t.Fatalf("%d events, want one rejected token", len(events))
	}
	return events[0].IPAddress
}

func TestClientAddress(t *testing.T) {
	trusting, trustless := newClLab(t, session.Config{TrustedProxies: clTrust}), newClLab(t, session.Config{})
	for _, group := range []struct {
		reason string
		lab    *clLab
		rows   []clAddressRow
	}{
		{"without trusted proxies the connection's address counts, whatever headers say", trustless, []clAddressRow{
			{"192.0.2.1:1234", nil, "192.0.2.1"},
			{"10.0.0.1:1234", []string{"203.0.113.9"}, "10.0.0.1"},
			{"127.0.0.1:1234", []string{"203.0.113.9"}, "127.0.0.1"},
			{"[2001:db8::1]:1234", []string{"203.0.113.9"}, "2001:db8::1"},
		}},
		{"a client that is no trusted proxy cannot choose its address", trusting, []clAddressRow{
			{"203.0.113.9:1234", []string{"198.51.100.1"}, "203.0.113.9"},
			{"203.0.113.9:1234", []string{"10.0.0.1"}, "203.0.113.9"},
			{"203.0.113.9:1234", []string{"127.0.0.1, 10.0.0.1"}, "203.0.113.9"},
			{"11.0.0.1:1234", []string{"198.51.100.1"}, "11.0.0.1"},
		}},
		{"a trusted proxy tells the client", trusting, []clAddressRow{
			{"10.0.0.1:1234", []string{"203.0.113.9"}, "203.0.113.9"},
			{"10.0.0.1:1234", []string{" \t203.0.113.9\t "}, "203.0.113.9"},
			{"[2001:db8:10::1]:1234", []string{"2001:db8:ffff::9"}, "2001:db8:ffff::9"},
			{"[::1]:1234", []string{"203.0.113.9"}, "203.0.113.9"},
		}},
		{"what is left of the first untrusted address was written by the client", trusting, []clAddressRow{
			{"10.0.0.1:1234", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"},
			{"10.0.0.1:1234", []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9"},
			{"10.0.0.1:1234", []string{"10.9.9.9,198.51.100.1,203.0.113.9,10.0.0.2,10.0.0.3"}, "203.0.113.9"},
			{"10.0.0.1:1234", []string{"garbage, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		}},
		{"several lines are one list", trusting, []clAddressRow{
			{"10.0.0.1:1234", []string{"198.51.100.1", "203.0.113.9"}, "203.0.113.9"},
			{"10.0.0.1:1234", []string{"203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
			{"10.0.0.1:1234", []string{"198.51.100.1", "203.0.113.9, 10.0.0.2", "10.0.0.3"}, "203.0.113.9"},
		}},
		{"all hops trusted: the outermost one is the client", trusting, []clAddressRow{
			{"10.0.0.1:1234", nil, "10.0.0.1"},
			{"10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		}},
		{"what is no address ends the walk at the last proxy that is one", trusting, []clAddressRow{
			{"10.0.0.1:1234", []string{""}, "10.0.0.1"},
			{"10.0.0.1:1234", []string{"203.0.113.9,"}, "10.0.0.1"},
			{"10.0.0.1:1234", []string{"203.0.113.9, unknown"}, "10.0.0.1"},
			{"10.0.0.1:1234", []string{"203.0.113.9, garbage, 10.0.0.2"}, "10.0.0.2"},
			{"10.0.0.1:1234", []string{"203.0.113.9:4711"}, "10.0.0.1"},
			{"10.0.0.1:1234", []string{"[2001:db8::1]"}, "10.0.0.1"},
			{"10.0.0.1:1234", []string{`"203.0.113.9"`}, "10.0.0.1"},
			{"10.0.0.1:1234", []string{"203.0.113.009"}, "10.0.0.1"},
			{"10.0.0.1:1234", []string{"0x7f000001"}, "10.0.0.1"},
			{"10.0.0.1:1234", []string{"2130706433"}, "10.0.0.1"},
			{"10.0.0.1:1234", []string{"203.0.113.9\x00"}, "10.0.0.1"},
		}},
		{"one address has one form", trusting, []clAddressRow{
			{"[::ffff:203.0.113.9]:1234", nil, "203.0.113.9"},
			{"[::ffff:10.0.0.1]:1234", []string{"203.0.113.9"}, "203.0.113.9"},
			{"10.0.0.1:1234", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
			{"10.0.0.1:1234", []string{"203.0.113.9, ::ffff:10.0.0.2"}, "203.0.113.9"},
			{"[fe80::1%eth0]:1234", nil, "fe80::1"},
			{"10.0.0.1:1234", []string{"fe80::1%eth0"}, "fe80::1"},
			{"10.0.0.1:1234", []string{"2001:DB8:0:0::1"}, "2001:db8::1"},
		}},
		{"a server that knows no address says so", trusting, []clAddressRow{
			{"@", []string{"203.0.113.9"}, ""},
			{"", []string{"203.0.113.9"}, ""},
			{"203.0.113.9", nil, "203.0.113.9"},
		}},
	} {
		t.Run(group.reason, func(t *testing.T) {
			for _, row := range group.rows {
				row.check(t, group.lab)
			}
		})
	}
}

type clAddressRow struct {
	remote    string
	forwarded []string
	want      string
}

func (row clAddressRow) check(t *testing.T, l *clLab) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	r.RemoteAddr = row.remote
	if row.forwarded != nil {
		r.Header["X-Forwarded-For"] = row.forwarded
	}
	if got := clAddress(l, r); got != row.want {
		t.Errorf("from %s, forwarded for %q: %q, want %q", row.remote, row.forwarded, got, row.want)
	}
}

// Only X-Forwarded-For is believed: a proxy that appends to one header passes the
// client's own version of every other.
func TestOtherForwardingHeadersAreIgnored(t *testing.T) {
	l := newClLab(t, session.Config{TrustedProxies: clTrust})
	for _, name := range []string{
		"Forwarded", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip", "X-Forwarded", "Forwarded-For",
		"X_forwarded_for", "X-Cluster-Client-Ip", "Fastly-Client-Ip", "Client-Ip",
	} {
		r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
		r.RemoteAddr = "10.0.0.1:1234"
		r.Header[name] = []string{"203.0.113.9"}
		if got := clAddress(l, r); got != "10.0.0.1" {
			t.Errorf("%s is believed: %q", name, got)
		}
	}
}

func TestPlainHTTPIsWhatATrustedProxySays(t *testing.T) {
	l := newClLab(t, session.Config{TrustedProxies: clTrust})
	insecure := newClNode(t, session.Config{TrustedProxies: clTrust, Cookie: session.Cookie{Insecure: true}}, l.store)
	for _, row := range []struct {
		name, remote string
		proto        []string
		lab          *clLab
		accepted     bool
	}{
		{"a trusted proxy says http", "10.0.0.1:1", []string{"http"}, l, false},
		{"in capitals", "10.0.0.1:1", []string{"HTTP"}, l, false},
		{"with spaces", "10.0.0.1:1", []string{" http "}, l, false},
		{"the first of several proxies says http", "10.0.0.1:1", []string{"http, https"}, l, false},
		{"a trusted proxy says https", "10.0.0.1:1", []string{"https"}, l, true},
		{"the last proxy of several speaks plain HTTP", "10.0.0.1:1", []string{"https, http"}, l, true},
		{"a trusted proxy says nothing", "10.0.0.1:1", nil, l, true},
		{"a trusted proxy says another scheme", "10.0.0.1:1", []string{"wss"}, l, true},
		{"somebody says http", "203.0.113.9:1", []string{"http"}, l, true},
		{"the cookie is Insecure anyway", "10.0.0.1:1", []string{"http"}, insecure, true},
	} {
		c := row.lab.visitor()
		c.signIn("alice", session.SignInOptions{})
		r := c.request(http.MethodGet)
		r.RemoteAddr = row.remote
		if row.proto != nil {
			r.Header["X-Forwarded-Proto"] = row.proto
		}
		if user := clUserOf(row.lab, r); (user == "alice") != row.accepted {
			t.Errorf("%s: user %q, want accepted %t", row.name, user, row.accepted)
		}
	}
}

// clFrom is a client as the server sees it.
type clFrom struct{ address, agent, device string }

func (f clFrom) apply(c *clClient, r *http.Request) *http.Request {
	r.RemoteAddr = f.address
	r.Header.Set("User-Agent", f.agent)
	r.Header.Set("X-Device-ID", f.device)
	return r
}

// clBound returns a client that signed in from home, under a binding.
func clBound(t *testing.T, b session.Binding, home clFrom) *clClient {
	t.Helper()
	l := newClLab(t, session.Config{Binding: b})
	c := l.visitor()
	c.send(l.m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := session.FromContext(r.Context()).SignIn(r.Context(), "alice", session.SignInOptions{}); err != nil {
			t.Error(err)
		}
	})), home.apply(c, c.request(http.MethodPost)))
	return c
}

func TestBindingRefusesAnotherClient(t *testing.T) {
	const all = session.BindIP | session.BindUserAgent | session.BindDevice
	home := clFrom{"203.0.113.9:1", "Firefox", "laptop"}
	home6 := clFrom{"[2001:db8:1:2:3:4:5:6]:1", "Firefox", "laptop"}
	long := strings.Repeat("x", 600)
	for _, row := range []struct {
		name       string
		binding    session.Binding
		home, from clFrom
		accepted   bool
	}{
		{"nothing changed", all, home, home, true},
		{"another port", all, home, clFrom{"203.0.113.9:2", "Firefox", "laptop"}, true},
		{"everything changed, bound to nothing", 0, home, clFrom{"198.51.100.1:1", "curl", ""}, true},

		{"another address", session.BindIP, home, clFrom{"203.0.113.10:1", "Firefox", "laptop"}, false},
		{"the same address in IPv6 clothes", session.BindIP, home, clFrom{"[::ffff:203.0.113.9]:1", "", ""}, true},
		{"another address, bound to the agent", session.BindUserAgent, home, clFrom{"203.0.113.10:1", "Firefox", ""}, true},
		{"an unknown address", session.BindIP, home, clFrom{"@", "Firefox", "laptop"}, false},
		{"no address ever", session.BindIP, clFrom{"@", "", ""}, clFrom{"@", "", ""}, false},
		{"another IPv6 host of the network", session.BindIP, home6, clFrom{"[2001:db8:1:2::1]:1", "", ""}, true},
		{"another IPv6 network", session.BindIP, home6, clFrom{"[2001:db8:1:3:3:4:5:6]:1", "", ""}, false},
		{"IPv4 instead of IPv6", session.BindIP, home6, home, false},
		{"IPv6 instead of IPv4", session.BindIP, home, home6, false},

		{"another agent", session.BindUserAgent, home, clFrom{"203.0.113.9:1", "Chrome", "laptop"}, false},
		{"an agent in other letters", session.BindUserAgent, home, clFrom{"203.0.113.9:1", "firefox", "laptop"}, false},
		{"no agent", session.BindUserAgent, home, clFrom{"203.0.113.9:1", "", "laptop"}, false},
		{"no agent ever", session.BindUserAgent, clFrom{"203.0.113.9:1", "", ""}, clFrom{"203.0.113.9:1", "", ""}, false},
		{"an agent that is too long to be kept", session.BindUserAgent, clFrom{"@", long, ""}, clFrom{"@", long, ""}, true},

		{"another device", session.BindDevice, home, clFrom{"203.0.113.9:1", "Firefox", "phone"}, false},
		{"no device", session.BindDevice, home, clFrom{"203.0.113.9:1", "Firefox", ""}, false},
		{"no device ever", session.BindDevice, clFrom{"203.0.113.9:1", "Firefox", ""}, clFrom{"203.0.113.9:1", "Firefox", ""}, false},

		{"one of three", all, home, clFrom{"203.0.113.9:1", "Firefox", "phone"}, false},
	} {
		c := clBound(t, row.binding, row.home)
		if user := clUserOf(c.lab, row.from.apply(c, c.request(http.MethodGet))); (user == "alice") != row.accepted {
			t.Errorf("%s: user %q, want accepted %t", row.name, user, row.accepted)
		}
	}
}

func TestBindingIsToTheClientOfTheLastAuthentication(t *testing.T) {
	l := newClLab(t, session.Config{Binding: session.BindUserAgent})
	c := l.visitor()
	c.header.Set("User-Agent", "old")
	c.set("cart") // an anonymous session is bound to nothing
	c.header.Set("User-Agent", "new")
	c.signIn("alice", session.SignInOptions{})
	if user, note := c.user(), c.note(); user != "alice" || note != "cart" {
		t.Errorf("got user %q and note %q, want alice and her cart", user, note)
	}
	c.header.Set("User-Agent", "old")
	if user := c.user(); user != "" {
		t.Errorf("user %q with the agent of before the sign-in, want nobody", user)
	}
}

// The secret comes first: without it a mismatch, and RevokeOnMismatch, would let
// anybody who knows an ID sign its user out.
func TestBindingIsNotAskedWithoutTheSecret(t *testing.T) {
	l := newClLab(t, session.Config{Binding: session.BindUserAgent, RevokeOnMismatch: true})
	c := l.visitor()
	c.header.Set("User-Agent", "Firefox")
	c.signIn("alice", session.SignInOptions{})
	thief := l.visitor()
	thief.header.Set("User-Agent", "curl")
	thief.cookie = c.cookie[:24] + strings.Repeat("A", 40)
	thief.read()
	if user := c.user(); user != "alice" {
		t.Error("somebody without the secret ended the session")
	}
}
