package endpoints

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/updateage/session"
)

// Other services ask at the bridge whether a token, which their client sent them,
// is good. It is verified like every token: by the middleware, on a request that
// has the token and of the client what the service says. There is no second
// place that knows how.

// bridgeHeader has the secret by which the service authenticates.
const bridgeHeader = "X-Bridge-Secret"

const minSecret = 32

func hashSecrets(secrets [][]byte) (hashed [][sha256.Size]byte, err error) {
	for i, secret := range secrets {
		if len(secret) < minSecret || !visible(secret) {
			return nil, fmt.Errorf("endpoints: BridgeSecrets: secret %d is not of %d or more visible ASCII characters", i, minSecret)
		}
		hashed = append(hashed, sha256.Sum256(secret))
	}
	return hashed, nil
}

func visible(text []byte) bool {
	for _, b := range text {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return true
}

// allowed says whether the request has one of the secrets. It compares hashes
// with all of them, so that its time tells neither how much of a secret was
// right nor which it was.
func (h *Handler) allowed(r *http.Request) bool {
	sent := r.Header[bridgeHeader]
	if len(sent) != 1 {
		return false
	}
	hash, match := sha256.Sum256([]byte(sent[0])), 0
	for _, secret := range h.secrets {
		match |= subtle.ConstantTimeCompare(hash[:], secret[:])
	}
	return match == 1
}

// bridge answers whether the token in the body is good.
func (c *call) bridge() (any, error) {
	r, err := c.clientRequest()
	if err != nil {
		return nil, err
	}
	var answer any
	client := &call{Handler: c.Handler, r: r}
	c.find(discard{}, client, func(http.ResponseWriter) { answer, err = client.bridged() })
	return answer, err
}

func (c *call) bridged() (any, error) {
	if err := c.admit(signedIn); err != nil {
		return nil, err
	}
	v, err := c.valid()
	if err != nil {
		return nil, err
	}
	type id struct {
		ID string `json:"id"`
	}
	return struct {
		*valid
		Session id `json:"session"`
	}{v, id{c.s.ID()}}, nil
}

// clientRequest returns a request as the service's client might have sent it. It
// has nothing of the service's own: no cookie, no address, no forwarding
// headers. What the body does not say of the client stays unknown, which is a
// mismatch where sessions are bound to it.
func (c *call) clientRequest() (*http.Request, error) {
	token, err := c.body.text("session_id")
	var address, agent, device string
	for _, attribute := range []struct {
		name  string
		value *string
	}{{"ip_address", &address}, {"user_agent", &agent}, {"device_id", &device}} {
		if err == nil {
			*attribute.value, err = optional(c.body, attribute.name, "string", "")
		}
	}
	if err != nil {
		return nil, err
	}
	r := (&http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: "/"}, Host: c.r.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"X-Session-Id": {token}}, Body: http.NoBody,
	}).WithContext(bridgeContext{c.r.Context()})
	if addr, err := netip.ParseAddr(address); err == nil {
		r.RemoteAddr = addr.String()
	}
	if agent != "" {
		r.Header["User-Agent"] = []string{agent}
	}
	if device != "" {
		r.Header["X-Device-Id"] = []string{device}
	}
	return r, nil
}

// bridgeContext hides the session of the service's own request: inside it, the
// middleware would look for no other.
type bridgeContext struct{ context.Context }

// Value returns what the service's request has in its context, but no session.
func (c bridgeContext) Value(key any) any {
	if _, found := key.(*session.Manager); found {
		return nil
	}
	return c.Context.Value(key)
}

// discard takes a response that nobody is to get.
type discard struct{}

var errDiscarded = errors.New("endpoints: no response")

func (discard) Header() http.Header       { return make(http.Header) }
func (discard) WriteHeader(int)           {}
func (discard) Write([]byte) (int, error) { return 0, errDiscarded }
