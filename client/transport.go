package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// The way of a request:
//
//	RoundTrip   this file    is it for our origin? what is the session?
//	outgoing    this file    a copy of the request, with the session or without
//	            Base         sends it
//	incoming    capture.go   what the answer says: another session, none, or nothing
//	store       capture.go   into the storage, if it still has what was sent
//
// All decisions about the session are made here and in capture.go; Client adds
// JSON and the contracts' paths.

// Transport is an http.RoundTripper that carries the session, for programs with
// an http.Client of their own:
//
//	web := &http.Client{Transport: &client.Transport{Origin: "https://api.example.com"}}
//
// It sends the session to its origin and nowhere else; requests to other servers
// pass without it. It keeps the session of a sign-in, and removes it when the
// server answers 401: see AuthPath, and the package documentation. What a request
// brings itself in the header X-Session-ID or in the cookie named in Cookie is
// dropped: the storage alone decides. Other credentials are the caller's affair,
// such as Authorization, or without a Cookie any cookie.
//
// The http.Client needs no Jar, and without a Cookie must not have one: it would
// keep the cookies of a sign-in as a second session, of which the Transport knows
// nothing, for everybody who shares the http.Client.
//
// Transports for several origins can stand one above the other. Each leaves alone
// what carries the session of one above.
//
// The fields must not change after the first request. A Transport is safe for
// concurrent use and must not be copied. A RoundTripper beneath it sees the
// session: one that logs headers logs it.
type Transport struct {
	// Origin is scheme, host and port of the server, and the only ones that get
	// the session. A path after it is ignored.
	Origin string
	// Storage keeps the session. nil: memory.
	Storage Storage
	// Key is the session's key in the storage. "": DefaultKey. A storage that
	// several servers share needs a key for each, as OriginKey makes it: sessions
	// are kept by key, not by origin.
	Key string
	// Cookie is the name of the session cookie, such as "__Host-session", for
	// servers that expect the session there. Cookies of that name in the
	// answers are the session then. "": it travels in the header X-Session-ID.
	Cookie string
	// AuthPath is where the endpoints are that sign in. The answer to a POST
	// there may have a new session in its body, unless it is a refusal. "/": all
	// paths. "": "/auth". See Client.SignIn for others.
	AuthPath string
	// Header has further headers for the origin, such as X-Device-ID or
	// User-Agent. Those of a request go first. Like the session, they go
	// nowhere else.
	Header http.Header
	// OnExpired, if set, is called when the server has said that the session is
	// over and it was removed from the storage: once per session, in the
	// goroutine of the request that was told. It may sign in again.
	OnExpired func(ctx context.Context)
	// Base sends the requests. nil: http.DefaultTransport.
	Base http.RoundTripper

	memory Memory
	bell   bell
	mu     sync.Mutex // held while a storage that is no Swapper is changed
}

// RoundTrip sends the request. That the storage cannot be read is an error: the
// request does not go out as nobody's.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if isCarried(req) {
		return t.base().RoundTrip(req)
	}
	origin, err := originOf(t.Origin)
	if err != nil {
		return nil, refuse(req, err)
	}
	rec, ours := recordOf(req.Context()), stayedAt(req, origin)
	rec.elsewhere = !ours
	if rec.sent, err = t.toSend(req, rec); err != nil {
		return nil, refuse(req, err)
	}
	rec.now = rec.sent
	out := t.outgoing(req, origin, rec.sent)
	if ours {
		t.addHeaders(out, origin, rec.sent)
	}
	res, err := t.base().RoundTrip(out)
	if err != nil {
		return nil, err
	}
	res.Request = req // and not the copy, which has the session in its headers
	if !ours {
		return res, nil
	}
	if err := t.incoming(req, res, rec); err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	return res, nil
}

// toSend returns the session that a request is to carry.
func (t *Transport) toSend(req *http.Request, rec *record) (string, error) {
	switch {
	case rec.elsewhere && rec.signIn:
		// A redirect with 307 or 308 would hand the password to another server.
		return "", errors.New("client: the sign-in is redirected to another server")
	case rec.elsewhere:
		return "", nil
	case rec.explicit != "":
		return rec.explicit, nil
	case optionsOf(req.Context()).without:
		return "", nil
	case rec.found != "": // the sign-in has led on, as from POST to a page
		return rec.found, nil
	}
	stored, err := t.session(req.Context())
	if rec.signIn {
		return stored, nil // it replaces what cannot be read
	}
	return stored, err
}

// isCarried says whether a request carries the session of a Transport above this
// one, to whose origin it goes. The mark alone does not say so: whatever is sent
// by a RoundTripper in between can have the context, and needs its own session.
func isCarried(req *http.Request) bool {
	above := optionsOf(req.Context()).above
	if above == nil || !stayedAt(req, above.origin) {
		return false
	}
	return req.Header.Get(headerSessionID) == above.session ||
		slices.ContainsFunc(req.Cookies(), func(c *http.Cookie) bool { return c.Value == above.session })
}

// refuse closes the body of a request that is not sent, as RoundTrippers must.
func refuse(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return err
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

// outgoing returns the request to be sent: a RoundTripper must leave the one it
// was given alone, and nobody else shall find the session in it. What is beneath
// is told of the session that the request carries, and not of the call.
func (t *Transport) outgoing(req *http.Request, origin, sent string) *http.Request {
	out := req.Clone(withOptions(req.Context(), func(o *options) {
		if o.record = nil; sent != "" {
			o.above = &carried{origin, sent}
		}
	}))
	if out.Header == nil {
		out.Header = make(http.Header)
	}
	// Also under names that net/http would not write itself, but does send.
	maps.DeleteFunc(out.Header, func(name string, _ []string) bool { return strings.EqualFold(name, headerSessionID) })
	if t.Cookie != "" {
		dropCookie(out.Header, t.Cookie)
	}
	switch {
	case sent == "":
	case t.Cookie != "":
		addCookie(out.Header, t.Cookie+"="+sent)
	default:
		out.Header.Set(headerSessionID, sent)
	}
	return out
}

// addHeaders adds what else our own server gets.
func (t *Transport) addHeaders(out *http.Request, origin, sent string) {
	for name, values := range t.Header {
		name = http.CanonicalHeaderKey(name)
		if out.Header[name] == nil && name != "Cookie" && name != http.CanonicalHeaderKey(headerSessionID) {
			out.Header[name] = values
		}
	}
	// Servers that take cookies ask browsers where a change comes from, and some
	// refuse a cookie with no answer to that.
	if t.Cookie != "" && sent != "" && unsafeMethod(out.Method) && out.Header["Origin"] == nil {
		out.Header.Set("Origin", origin)
	}
}

// dropCookie removes the cookies of a name, such as those of a cookie jar.
func dropCookie(h http.Header, name string) {
	var kept []string
	for _, header := range slices.Sorted(maps.Keys(h)) {
		if !strings.EqualFold(header, "Cookie") {
			continue
		}
		for pair := range strings.SplitSeq(strings.Join(h[header], ";"), ";") {
			pair = textproto.TrimString(pair) // as net/http reads cookies
			if other, _, _ := strings.Cut(pair, "="); textproto.TrimString(other) != name && pair != "" {
				kept = append(kept, pair)
			}
		}
		delete(h, header)
	}
	if len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

func addCookie(h http.Header, pair string) {
	if others := h.Get("Cookie"); others != "" {
		pair = others + "; " + pair
	}
	h.Set("Cookie", pair)
}

// unsafeMethod says whether a request may change something (RFC 9110 9.2.1).
func unsafeMethod(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	return true
}

// originOf returns scheme, host and port of a URL in one form.
func originOf(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("client: the server's address is no URL") // it could quote a password
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return "", fmt.Errorf("client: the server's address is %q, want https://host", u.Redacted())
	}
	return origin(u), nil
}

func origin(u *url.URL) string {
	scheme, host, port := strings.Map(lower, u.Scheme), strings.Map(lower, u.Hostname()), u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && (scheme != "https" || port != "443") && (scheme != "http" || port != "80") {
		host += ":" + port
	}
	return scheme + "://" + host
}

// lower folds A to Z and nothing else. strings.ToLower makes an i of U+0130, for
// which net/http dials another host. Names that differ in other letters count as
// different (fails closed).
func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// stayedAt says whether the request goes to the origin and, if redirects led to
// it, never left it: what comes back from elsewhere is somebody else's request,
// and must not be made with our session (compare CVE-2024-45336).
func stayedAt(req *http.Request, home string) bool {
	for req != nil {
		if req.URL == nil || origin(req.URL) != home {
			return false
		}
		if req.Response == nil {
			return true
		}
		req = req.Response.Request
	}
	return false // a redirect of unknown origin: fails closed
}

// session returns the stored session.
func (t *Transport) session(ctx context.Context) (string, error) {
	value, err := t.storage().Get(ctx, t.key())
	if err != nil {
		return "", fmt.Errorf("client: read the stored session: %w", err)
	}
	if value != "" && !validSession(value) {
		return "", errors.New("client: read the stored session: it is malformed")
	}
	return value, nil
}

func (t *Transport) storage() Storage {
	if t.Storage == nil {
		return &t.memory
	}
	return t.Storage
}

func (t *Transport) key() string { return cmp.Or(t.Key, DefaultKey) }

// set stores a session, or removes it if it is "", whatever is there.
func (t *Transport) set(ctx context.Context, value string) error {
	t.mu.Lock()
	err := put(ctx, t.storage(), t.key(), value)
	t.mu.Unlock()
	t.bell.ring()
	if err != nil {
		return fmt.Errorf("client: store the session: %w", err)
	}
	return nil
}

// swap stores a session, or removes it, if old is still there.
func (t *Transport) swap(ctx context.Context, old, value string) (bool, error) {
	if s, ok := t.storage().(Swapper); ok {
		return s.CompareAndSwap(ctx, t.key(), old, value)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now, err := t.storage().Get(ctx, t.key())
	if err != nil || now != old {
		return false, err
	}
	err = put(ctx, t.storage(), t.key(), value)
	return err == nil, err
}

// storeTimeout is how long storing may take.
const storeTimeout = 10 * time.Second

// detached returns a context for what must be stored, or removed, although the
// caller has gone.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
}

// expire removes a session that the server has declared over. That it cannot be
// removed changes nothing: the server refuses it, and the next answer says so again.
func (t *Transport) expire(ctx context.Context, sent string) {
	d, cancel := detached(ctx)
	defer cancel()
	if removed, _ := t.swap(d, sent, ""); !removed {
		return
	}
	t.bell.ring()
	if t.OnExpired != nil {
		t.OnExpired(withOptions(ctx, func(o *options) { o.record = nil }))
	}
}

// CloseIdleConnections closes those of Base, if it can. http.Client's method of
// that name calls it.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// String shows the origin and how the session travels.
func (t *Transport) String() string {
	how := "header " + headerSessionID
	if t.Cookie != "" {
		how = "cookie " + t.Cookie
	}
	origin, err := originOf(t.Origin)
	if err != nil {
		origin = "no server"
	}
	return fmt.Sprintf("client of %s (%s)", origin, how)
}

// Format shows String under every verb.
func (t *Transport) Format(f fmt.State, _ rune) { show(f, t.String()) }

// LogValue shows String in a log.
func (t *Transport) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText shows String, in JSON as well.
func (t *Transport) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// bell tells whoever listens that something has happened. The zero bell is ready.
type bell struct {
	mu   sync.Mutex // guards rung
	rung chan struct{}
}

// listen returns a channel that is closed by the next ring.
func (b *bell) listen() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
