package session

import (
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
)

const (
	// maxSameCookies is how many cookies of the session's name one request may
	// carry. A browser sends several if different paths or a subdomain set
	// them; more is an attack.
	maxSameCookies = 4
	// maxAge is the longest Max-Age browsers keep (RFC 6265bis 5.5).
	maxAge = 34_560_000

	headerSessionID = "X-Session-Id" // in the canonical form of http.Header
)

// presented is what a request carries as credentials.
type presented struct {
	tokens  [maxSameCookies + 2]token // well-formed and distinct
	n       int
	cookies int  // cookies of the session's name, well-formed or not
	header  bool // the only token came in a header
	refused bool // ambiguous, or too many: authenticates nothing
	garbage bool // something malformed was there
}

func (p *presented) add(t token) {
	for _, have := range p.tokens[:p.n] {
		if have == t {
			return
		}
	}
	p.tokens[p.n] = t
	p.n++
}

// read finds the tokens of a request, without allocating. Names are compared
// byte for byte: neither the prefix nor anything else of them is decoded, as
// every laxity here has been a way around __Host- (CVE-2022-31629).
func (m *Manager) read(r *http.Request) (p presented) {
	for _, line := range r.Header["Cookie"] {
		for more := true; more; {
			var pair string
			pair, line, more = strings.Cut(line, ";")
			if value, ok := cookieValue(trimSpace(pair), m.cfg.Cookie.Name); ok {
				m.readCookie(&p, value)
			}
		}
	}
	if p.cookies > maxSameCookies {
		p.n, p.refused = 0, true
	}
	if m.cfg.HeaderTransport {
		readHeaders(&p, r.Header)
	}
	return p
}

// trimSpace is strings.Trim(s, " \t"), which first examines its cutset: for longer
// than the trimming takes.
func trimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// cookieValue returns the value of a cookie if it has that name.
func cookieValue(pair, name string) (value string, ok bool) {
	rest, ok := strings.CutPrefix(pair, name)
	if rest == "" {
		return "", ok
	}
	return rest[1:], ok && rest[0] == '='
}

func (m *Manager) readCookie(p *presented, value string) {
	p.cookies++
	if p.cookies > maxSameCookies {
		return
	}
	t, ok := m.open(value)
	if !ok {
		p.garbage = true
		return
	}
	p.add(t)
}

// readHeaders reads the tokens of clients without cookies. A cookie and a header
// of different sessions authenticate nothing: one of them is not the client's
// choice. A bearer token of another form belongs to somebody else.
func readHeaders(p *presented, h http.Header) {
	var sent token
	note := func(value string) {
		p.refused = p.refused || sent != "" && sent != token(value)
		sent = token(value)
	}
	for _, value := range h[headerSessionID] {
		if validToken(value) {
			note(value)
		} else {
			p.garbage = true
		}
	}
	for _, value := range h["Authorization"] {
		scheme, value, _ := strings.Cut(value, " ")
		if strings.EqualFold(scheme, "Bearer") && validToken(value) && !isHex(value) {
			note(value)
		}
	}
	if sent == "" {
		return
	}
	for _, cookie := range p.tokens[:p.n] {
		p.refused = p.refused || cookie.id() != sent.id()
	}
	p.header = p.n == 0
	p.add(sent)
}

// isHex says whether s is a hexadecimal number, as other people's keys of 64
// characters are. That one of our tokens is takes 10^29 tries.
func isHex(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF") == "" }

// sealer seals tokens in cookies with an HMAC: the first key seals, all open.
type sealer []*securecookie.SecureCookie

func newSealer(keys [][]byte) sealer {
	var s sealer
	for _, key := range keys {
		// Expiry is the record's, never the cookie's; the token needs no encoding.
		s = append(s, securecookie.New(key, nil).MaxAge(0).SetSerializer(securecookie.NopEncoder{}))
	}
	return s
}

// open returns the token in a cookie's value.
func (m *Manager) open(value string) (token, bool) {
	if len(m.sealer) == 0 {
		return token(value), validToken(value)
	}
	if validToken(value) && time.Now().Before(m.cfg.Cookie.AcceptUnsealedUntil) {
		return token(value), true
	}
	for _, key := range m.sealer {
		var opened []byte
		if key.Decode(m.cfg.Cookie.Name, value, &opened) == nil {
			return token(opened), validToken(string(opened))
		}
	}
	return "", false
}

// seal returns the cookie's value for a token.
func (m *Manager) seal(t token) string {
	if len(m.sealer) == 0 {
		return string(t)
	}
	// It fails for missing keys and for values of over 4,096 bytes: never here.
	value, _ := m.sealer[0].Encode(m.cfg.Cookie.Name, []byte(t))
	return value
}

// cookie returns the cookie with a value and a Max-Age: 0 for none, negative to
// delete. Deletion works only with the very attributes of the original, so there
// is one place for them (RFC 6265bis 5.7).
func (c *Cookie) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name:        c.Name,
		Value:       value,
		Path:        c.Path,
		Domain:      c.Domain,
		MaxAge:      maxAge,
		Secure:      !c.Insecure,
		HttpOnly:    true,
		SameSite:    c.SameSite,
		Partitioned: c.Partitioned,
	}
}

// setCookie puts a cookie into a header. There is never a second one of the same
// name (RFC 6265bis 4.1.1). What sets a cookie must not be cached, whatever the
// handler said to whatever cache (CVE-2025-48947, CVE-2025-64762).
func setCookie(h http.Header, c *http.Cookie) {
	kept := make([]string, 0, len(h["Set-Cookie"])+1)
	for _, other := range h["Set-Cookie"] {
		if name, _, _ := strings.Cut(other, "="); strings.TrimSpace(name) != c.Name {
			kept = append(kept, other)
		}
	}
	h["Set-Cookie"] = append(kept, c.String())
	h["Cache-Control"] = noStore
	for _, other := range [...]string{
		"Cdn-Cache-Control", "Cloudflare-Cdn-Cache-Control", "Surrogate-Control", "X-Accel-Expires", "Expires",
	} {
		delete(h, other)
	}
}

// Header values that are never written to, shared by all responses.
var (
	noStore      = []string{"no-store"}
	private      = []string{"private"}
	varyCookie   = []string{"Cookie"}
	varyHeaders  = []string{"Cookie, X-Session-ID, Authorization"}
	headerNames  = [...]string{"Cookie", "X-Session-ID", "Authorization"}
	errAmbiguous = errorString("several sessions in one request")
	errMalformed = errorString("malformed token")
)

// errorString is a constant reason for an event.
type errorString string

func (e errorString) Error() string { return string(e) }
