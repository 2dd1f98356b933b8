package gateway

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/updateage/session"
)

// Headers with which the identity travels from the gateway to a service. What a
// client sends under these names, in any spelling, has to go before: see
// docs/gateways.md for each proxy.
const (
	// HeaderAssertion is the signed assertion.
	HeaderAssertion = "X-User-Assertion"
	// HeaderUserID is the user ID, with everything but visible ASCII
	// percent-encoded, and "%" itself: url.PathUnescape decodes it.
	HeaderUserID = "X-User-Id"
	// HeaderSession is the public session ID, which authenticates nobody.
	HeaderSession = "X-User-Session"
	// HeaderLevel is the assurance level of the authentication, 0 to 3.
	HeaderLevel = "X-User-Level"
	// HeaderAuthTime is when the user authenticated, in seconds since 1970.
	HeaderAuthTime = "X-User-Auth-Time"
)

// Headers of ForwardAuth's answers for the proxy itself.
const (
	// HeaderReason says why a request is refused: "session", "level",
	// "freshness", "unavailable", or "canceled" if the client hung up; of NewProxy
	// also "origin". Verifier says "level" and "freshness" in it, too.
	HeaderReason = "X-Auth-Reason"
	// HeaderReuse is the number of seconds for which the verdict may be reused.
	HeaderReuse = "X-Auth-Max-Age"
)

// headerToken is what clients without cookies send their token in.
const headerToken = "X-Session-Id"

// smuggled are the names that no client gets to a service, without separators.
// Servers behind a gateway make one name of many: CGI and its children take "-"
// for "_", PHP "." as well, all ignore case (ASVS 5.0 4.1.3).
var smuggled = [...]string{
	squeeze(HeaderAssertion), squeeze(HeaderUserID), squeeze(HeaderSession), squeeze(HeaderLevel),
	squeeze(HeaderAuthTime), squeeze(headerToken),
}

// squeeze reduces a header's name to what all its spellings share.
func squeeze(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'A' <= c && c <= 'Z':
			return c + 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			return c
		}
		return -1
	}, name)
}

// stripIdentity removes whatever could be taken for an identity header.
func stripIdentity(h http.Header) {
	for name := range h {
		if isIdentity(name) {
			delete(h, name)
		}
	}
}

func isIdentity(name string) bool {
	if name == "" || name[0]|0x20 != 'x' && isAlnum(name[0]) {
		return false // most headers: all the names begin with an x
	}
	squeezed := squeeze(name)
	for _, s := range smuggled {
		if squeezed == s {
			return true
		}
	}
	return false
}

func isAlnum(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}

// setIdentity writes the identity headers, all of them: one that stayed empty
// because it was left out could keep what the client sent.
func setIdentity(h http.Header, info session.Info, assertion string) {
	h[HeaderUserID] = []string{encodeUserID(info.UserID)}
	h[HeaderSession] = []string{info.ID}
	h[HeaderLevel] = []string{strconv.Itoa(int(info.Level))}
	h[HeaderAuthTime] = []string{seconds(info.AuthenticatedAt)}
	h[HeaderAssertion] = []string{assertion}
}

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// encodeUserID makes a header value of a user ID. IDs may have any character but
// NUL; sent as they are, line breaks would become spaces and spaces at the ends
// would go: two users would be one.
func encodeUserID(id string) string {
	for i := range len(id) {
		if !plain(id[i]) {
			return percentEncode(id)
		}
	}
	return id
}

// plain says whether a byte stands for itself in HeaderUserID. A comma does not:
// proxies join headers of one name with it.
func plain(c byte) bool { return '!' <= c && c <= '~' && c != '%' && c != ',' }

func percentEncode(id string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(id) {
		if c := id[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// DecodeUserID returns the user ID in the value of HeaderUserID.
func DecodeUserID(value string) (string, error) { return url.PathUnescape(value) }

// withoutCookie returns Cookie headers without the cookie of the given name, and
// otherwise as they were. Names are told apart as the session's middleware does
// it: byte for byte.
func withoutCookie(lines []string, name string) []string {
	var kept []string
	for _, line := range lines {
		if line = dropCookie(line, name); line != "" {
			kept = append(kept, line)
		}
	}
	return kept
}

func dropCookie(line, name string) string {
	if !strings.Contains(line, name) {
		return line
	}
	var pairs []string
	for pair := range strings.SplitSeq(line, ";") {
		pair = strings.Trim(pair, " \t")
		if own, _, _ := strings.Cut(pair, "="); own != name && pair != "" {
			pairs = append(pairs, pair)
		}
	}
	return strings.Join(pairs, "; ")
}

// withoutSetCookie removes Set-Cookie headers for the cookie of the given name.
func withoutSetCookie(h http.Header, name string) {
	lines := h["Set-Cookie"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		if cookieName(line) != name {
			kept = append(kept, line)
		}
	}
	replace(h, "Set-Cookie", kept)
}

// cookieName returns the name under which a browser will send a cookie. One
// without a name is sent as its value alone: "=a=b" comes back as "a=b", and
// only names with a prefix keep browsers from it (RFC 6265bis, 5.7).
func cookieName(line string) string {
	pair, _, _ := strings.Cut(line, ";")
	name, value, _ := strings.Cut(pair, "=")
	if name = strings.TrimSpace(name); name == "" {
		name, _, _ = strings.Cut(value, "=")
	}
	return strings.TrimSpace(name)
}

// withoutTokens returns Authorization headers without session tokens.
func withoutTokens(lines []string) []string {
	var kept []string
	for _, line := range lines {
		if !bearsToken(line) {
			kept = append(kept, line)
		}
	}
	return kept
}

// bearsToken says whether a bearer token has the form of a session token.
// Another form belongs to somebody else; so does a hexadecimal number.
func bearsToken(line string) bool {
	scheme, value, _ := strings.Cut(line, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	value = strings.TrimSpace(value)
	return len(value) == 64 && strings.Trim(value, base64URL) == "" && strings.Trim(value, hexadecimal) != ""
}

const (
	hexadecimal = "0123456789abcdefABCDEF"
	base64URL   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)
