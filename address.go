package session

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddr returns the address of the client: the connection's, or behind
// trusted proxies the rightmost address in X-Forwarded-For that is not a
// trusted proxy's. Everything left of that address was written by the client
// and proves nothing. The zero Addr is "unknown".
func (c *Config) clientAddr(r *http.Request) netip.Addr {
	addr := remoteAddr(r)
	if !c.trusted(addr) {
		return addr
	}
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			var hop string
			rest, hop, more = cutLast(rest)
			next, err := netip.ParseAddr(strings.Trim(hop, " \t"))
			if err != nil {
				return addr // fails closed: the proxy that sent this, not what it says
			}
			addr = next.Unmap().WithZone("")
			if !c.trusted(addr) {
				return addr
			}
		}
	}
	return addr
}

// cutLast cuts a list around its last comma.
func cutLast(list string) (rest, last string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], list[i+1:], true
	}
	return "", list, false
}

func remoteAddr(r *http.Request) netip.Addr {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	addr, err := netip.ParseAddr(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // a Unix socket, say
	}
	return addr.Unmap().WithZone("")
}

func (c *Config) trusted(addr netip.Addr) bool {
	for _, p := range c.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// plainHTTP says whether a trusted proxy says that the client came over plain
// HTTP, where a Secure cookie must not travel. An unknown scheme is accepted:
// TLS usually ends before the application. Of a list the first counts; a client
// that forges it can only refuse itself.
func (c *Config) plainHTTP(r *http.Request) bool {
	if c.Cookie.Insecure || len(c.TrustedProxies) == 0 || !c.trusted(remoteAddr(r)) {
		return false
	}
	proto, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return strings.EqualFold(strings.TrimSpace(proto), "http")
}

// mismatch returns the attributes in which the request differs from the client
// that signed in, or which it lacks.
func (c *Config) mismatch(rec *Record, r *http.Request) (missed Binding) {
	if rec.State == StateAnonymous {
		return 0
	}
	if c.Binding&BindIP != 0 && !sameNetwork(rec.IPAddress, c.clientAddr(r)) {
		missed |= BindIP
	}
	if c.Binding&BindUserAgent != 0 && !sameAttribute(rec.UserAgent, userAgent(r)) {
		missed |= BindUserAgent
	}
	if c.Binding&BindDevice != 0 && !sameAttribute(rec.DeviceID, deviceID(r)) {
		missed |= BindDevice
	}
	return missed
}

func userAgent(r *http.Request) string { return clip(r.UserAgent(), maxUserAgent) }

func deviceID(r *http.Request) string { return clip(r.Header.Get("X-Device-Id"), maxShort) }

// sameAttribute says whether an attribute is the bound one. Two missing ones are
// not the same: nothing was bound (fails closed).
func sameAttribute(bound, got string) bool { return bound != "" && bound == got }

// sameNetwork compares addresses, IPv6 by /64: hosts change the rest at will.
func sameNetwork(bound string, got netip.Addr) bool {
	want, err := netip.ParseAddr(bound)
	if err != nil || !got.IsValid() {
		return false
	}
	if want.Is6() && got.Is6() {
		network, err := want.Prefix(64)
		return err == nil && network.Contains(got)
	}
	return want == got
}
