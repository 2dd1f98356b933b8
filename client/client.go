package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Contract is the set of endpoints that a server offers for its sessions.
type Contract uint8

const (
	// Native is the contract of package endpoints itself, beneath /auth.
	Native Contract = iota
	// Flowfull is that of the published Flowfull clients, beneath /auth. It has
	// no lists of sessions: what needs one returns errors.ErrUnsupported.
	Flowfull
	// BetterAuth is that of the npm package better-auth, beneath /api/auth.
	BetterAuth
)

// String returns the contract's name.
func (c Contract) String() string {
	switch c {
	case Native:
		return "native"
	case Flowfull:
		return "flowfull"
	case BetterAuth:
		return "better-auth"
	}
	return fmt.Sprintf("contract %d", uint8(c))
}

// Client calls one server in JSON, and keeps its user signed in. It needs a
// BaseURL; what else is zero has a default. The fields must not change after the
// first call. A Client is safe for concurrent use and must not be copied, see
// WithStorage.
type Client struct {
	// BaseURL is the server, with the path before all others if there is one:
	// "https://api.example.com/v1". Its origin gets the session and no other.
	BaseURL string
	// HTTPClient sends the requests, through a Transport of this package. It is
	// copied, without its Jar: a cookie jar would keep the cookies of a sign-in as
	// a second session, for all Clients that share it. nil: one with a timeout of
	// 30 seconds.
	HTTPClient *http.Client
	// Storage keeps the session. nil: memory.
	Storage Storage
	// Key is the session's key in the storage. "": DefaultKey. A storage that
	// several servers share needs a key for each, as OriginKey makes it: sessions
	// are kept by key, not by origin.
	Key string
	// Cookie is the name of the session cookie, such as "__Host-session", for
	// servers that expect the session there. "": it travels in the header
	// X-Session-ID, which the server has to accept.
	Cookie string
	// Contract is that of the server's session endpoints. 0: Native.
	Contract Contract
	// AuthPath is where they are, beneath BaseURL: "/" if directly. "": "/auth",
	// with BetterAuth "/api/auth".
	AuthPath string
	// Header has further headers for every request, such as X-Device-ID,
	// User-Agent, or X-Forwarded-For where the server trusts this program.
	Header http.Header
	// OnExpired, if set, is called when the server has said that the session is
	// over and it was removed from the storage: once per session, in the
	// goroutine of the request that was told. It may sign in again.
	OnExpired func(ctx context.Context)

	once      sync.Once
	http      *http.Client
	transport *Transport
	base      *url.URL
	err       error // of BaseURL
}

// defaultTimeout is that of a Client without an HTTPClient: a server that hangs
// must not hang its callers.
const defaultTimeout = 30 * time.Second

// setUp makes what all calls share.
func (c *Client) setUp() error {
	c.once.Do(func() {
		c.http = &http.Client{Timeout: defaultTimeout}
		if c.HTTPClient != nil {
			copied := *c.HTTPClient
			copied.Jar = nil
			c.http = &copied
		}
		if _, c.err = originOf(c.BaseURL); c.err == nil {
			c.base, c.err = url.Parse(c.BaseURL)
		}
		prefix := ""
		if c.base != nil {
			prefix = strings.TrimSuffix(c.base.Path, "/")
		}
		c.transport = &Transport{
			Origin: c.BaseURL, Storage: c.Storage, Key: c.Key, Cookie: c.Cookie, AuthPath: cmp.Or(prefix+c.authPath(), "/"),
			Header: c.Header, OnExpired: c.OnExpired, Base: c.http.Transport,
		}
		c.http.Transport = c.transport
	})
	return c.err
}

// authPath returns what stands before the paths of the endpoints: "" or a path
// without a slash at its end.
func (c *Client) authPath() string {
	path := "/auth"
	if c.Contract == BetterAuth {
		path = "/api/auth"
	}
	return strings.TrimSuffix("/"+strings.Trim(cmp.Or(c.AuthPath, path), "/"), "/")
}

// WithStorage returns a Client that differs in its storage only, and shares the
// connections: one for each user of a server-rendered front end, see FromRequest.
func (c *Client) WithStorage(s Storage) *Client {
	return &Client{
		BaseURL: c.BaseURL, HTTPClient: c.HTTPClient, Storage: s, Key: c.Key, Cookie: c.Cookie, Contract: c.Contract,
		AuthPath: c.AuthPath, Header: c.Header, OnExpired: c.OnExpired,
	}
}

// HTTP returns an http.Client that carries the session as this Client does, for
// what is not JSON: uploads, downloads, streams. Its timeout is that of HTTPClient,
// and covers the whole answer. It has no cookie jar, and shall get none.
func (c *Client) HTTP() *http.Client {
	_ = c.setUp() // its Transport reports a BaseURL that is none
	return c.http
}

// SessionID returns the stored session, and "" if there is none. It asks the
// storage, not the server. It is the credential itself: keep it out of logs,
// URLs and command lines.
func (c *Client) SessionID(ctx context.Context) (string, error) {
	_ = c.setUp()
	return c.transport.session(ctx)
}

// SetSessionID stores a session that came another way, in place of what is stored.
func (c *Client) SetSessionID(ctx context.Context, id string) error {
	_ = c.setUp()
	if !validSession(id) {
		return errors.New("client: store the session: it has characters that no header may have, or is empty or too long")
	}
	return c.transport.set(ctx, id)
}

// ClearSession forgets the session. The server is not told: see SignOut.
func (c *Client) ClearSession(ctx context.Context) error {
	_ = c.setUp()
	return c.transport.set(ctx, "")
}

// SignedIn says whether a session is stored. It asks the storage, not the server,
// which may have ended it: see Validate.
func (c *Client) SignedIn(ctx context.Context) (bool, error) {
	id, err := c.SessionID(ctx)
	return id != "", err
}

// String shows the server and how the session travels.
func (c *Client) String() string {
	_ = c.setUp()
	return c.transport.String()
}

// Format shows String under every verb.
func (c *Client) Format(f fmt.State, _ rune) { show(f, c.String()) }

// LogValue shows String in a log.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText shows String, in JSON as well.
func (c *Client) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
