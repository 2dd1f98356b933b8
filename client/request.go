package client

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// headerSessionID carries the session where no cookie does.
const headerSessionID = "X-Session-ID"

// tokenLen is the length of a token. Of bearer tokens only those are sessions.
const tokenLen = 64

// FromRequest returns a storage with the session of an incoming request, for
// handlers that call further services on behalf of their user:
//
//	user := api.WithStorage(client.FromRequest(r))
//
// The session is that of the X-Session-ID header, of a bearer token or of a
// cookie: "__Host-session", or those that are named here. A request with several
// different sessions has none (fails closed): which one its own server would
// believe is not for a client to guess.
//
// Name the cookie that the front end's own middleware reads, and no other, if it
// is not "__Host-session", such as "session" in development over plain HTTP. Any
// sibling of the host can set a cookie without that prefix, and would make
// visitors work in a session of its own.
//
// What the other service changes stays in this storage: it does not reach the
// browser. A service that checks the client's address or User-Agent sees those of
// this program; see Client.Header.
func FromRequest(r *http.Request, cookies ...string) Storage {
	if len(cookies) == 0 {
		cookies = []string{"__Host-session"}
	}
	found := slices.Clone(r.Header.Values(headerSessionID))
	for _, value := range r.Header.Values("Authorization") {
		scheme, value, _ := strings.Cut(value, " ")
		if strings.EqualFold(scheme, "Bearer") && len(value) == tokenLen && isBase64URL(value) {
			found = append(found, value)
		}
	}
	for _, name := range cookies {
		for _, cookie := range r.CookiesNamed(name) {
			found = append(found, cookie.Value)
		}
	}
	s := &requestStorage{}
	if value, ok := only(found); ok && validSession(value) {
		s.memory.put("", value)
	}
	return s
}

// only returns the one value there is, however often.
func only(values []string) (string, bool) {
	for _, v := range values {
		if v != values[0] {
			return "", false
		}
	}
	return strings.Join(values[:min(len(values), 1)], ""), len(values) > 0
}

// validSession says whether a value can travel in a header and in a cookie
// without being quoted (RFC 6265 4.1.1), and is no more than browsers keep. What
// it means is the server's affair.
func validSession(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\",;\\", c) >= 0 {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 4096
}

// isBase64URL says whether all characters are of the URL-safe alphabet, such as
// those of session IDs.
func isBase64URL(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// requestStorage has the session of one request, whatever the key.
type requestStorage struct{ memory Memory }

func (s *requestStorage) Get(ctx context.Context, _ string) (string, error) {
	return s.memory.Get(ctx, "")
}

func (s *requestStorage) Set(ctx context.Context, _, value string) error {
	return s.memory.Set(ctx, "", value)
}

func (s *requestStorage) Remove(ctx context.Context, _ string) error {
	return s.memory.Remove(ctx, "")
}

func (s *requestStorage) CompareAndSwap(ctx context.Context, _, old, value string) (bool, error) {
	return s.memory.CompareAndSwap(ctx, "", old, value)
}

// Format shows no value under any verb.
func (s *requestStorage) Format(f fmt.State, _ rune) { show(f, "client.FromRequest") }
