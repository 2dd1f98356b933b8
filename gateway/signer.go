package gateway

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/updateage/session"
)

const (
	// maxLifetime is the longest life of an assertion.
	maxLifetime = time.Minute
	// assertionType keeps other tokens of the same issuer from being taken for
	// assertions, and the other way round (RFC 8725, 3.11).
	assertionType = "session-assertion+jwt"
)

// SignerConfig configures a [Signer].
type SignerConfig struct {
	// Issuer is who signs: the iss of the assertions, by which services tell
	// apart whom they trust. Needed.
	Issuer string
	// Keys are the signing keys, newest first. All are published; the first
	// whose SignFrom has come signs. To change the key, put a new one in front
	// on all nodes, with a SignFrom ten minutes ahead; take the old one away a
	// minute after that at the earliest. One that leaked goes at once, and its
	// successor then has no SignFrom. At least one, of which one signs already,
	// and none twice.
	Keys []Key
	// Lifetime is how long an assertion lives, 2 seconds to a minute. It is used
	// for half of that and then replaced, so that a service has the other half
	// for its own clock. 0: a minute.
	Lifetime time.Duration
}

// Signer signs assertions. It is safe for concurrent use.
type Signer struct {
	issuer   string
	lifetime time.Duration
	keys     atomic.Pointer[keyring]
	cache    assertions
}

// keyring is a set of signing keys and how it is published.
type keyring struct {
	keys []*signingKey
	jwks []byte
}

type signingKey struct {
	from time.Time
	jws  jose.Signer
}

// NewSigner returns a Signer. The error joins every mistake in the configuration.
func NewSigner(cfg SignerConfig) (*Signer, error) {
	if cfg.Lifetime == 0 {
		cfg.Lifetime = maxLifetime
	}
	s := &Signer{issuer: cfg.Issuer, lifetime: cfg.Lifetime}
	errs := check(
		mistake{cfg.Issuer == "", "Issuer is missing"},
		mistake{cfg.Lifetime < 2*time.Second || cfg.Lifetime > maxLifetime, "Lifetime is not between 2 seconds and a minute"},
	)
	if err := errors.Join(append(errs, s.SetKeys(cfg.Keys...))...); err != nil {
		return nil, err
	}
	return s, nil
}

// SetKeys replaces the keys, as SignerConfig.Keys has them, while the Signer is
// in use. After an error the former keys stay.
func (s *Signer) SetKeys(keys ...Key) error {
	ring := &keyring{}
	var published jose.JSONWebKeySet
	for i, k := range keys {
		if len(k.Private) != ed25519.PrivateKeySize {
			return fmt.Errorf("gateway: key %d is no Ed25519 key", i)
		}
		if len(published.Key(k.ID())) > 0 { // no Verifier would take such a set
			return fmt.Errorf("gateway: key %d is there twice", i)
		}
		jws, err := newJWS(k)
		if err != nil {
			return fmt.Errorf("gateway: key %d: %w", i, err)
		}
		ring.keys = append(ring.keys, &signingKey{from: k.SignFrom, jws: jws})
		published.Keys = append(published.Keys, jose.JSONWebKey{
			Key: k.Public(), KeyID: k.ID(), Algorithm: string(jose.EdDSA), Use: "sig",
		})
	}
	if ring.signing(time.Now()) == nil {
		return errors.New("gateway: none of the keys signs yet")
	}
	var err error
	if ring.jwks, err = json.Marshal(published); err != nil {
		return fmt.Errorf("gateway: publish keys: %w", err)
	}
	s.keys.Store(ring)
	return nil
}

func newJWS(k Key) (jose.Signer, error) {
	key := jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: k.Private, KeyID: k.ID()}}
	return jose.NewSigner(key, (&jose.SignerOptions{}).WithType(assertionType))
}

// signing returns the key that signs at now.
func (ring *keyring) signing(now time.Time) *signingKey {
	for _, k := range ring.keys {
		if !now.Before(k.from) {
			return k
		}
	}
	return nil
}

// JWKS returns the handler that publishes the public keys as a JSON Web Key Set
// (RFC 7517). It needs no protection, and must be reached by GET.
func (s *Signer) JWKS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		h.Set("Content-Type", "application/jwk-set+json")
		h.Set("Cache-Control", "public, max-age=60")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(s.keys.Load().jwks) // the client hung up
	})
}

// Assert returns an assertion about a session for an audience, and when it
// expires: a minute from now or with the session at the latest. It is signed anew
// only when the session has changed or half of its life is over. ForwardAuth and
// NewProxy call it; call it yourself to send an assertion along with a request of
// your own. Only a session in StateSignedIn has one, of any other it returns
// session.ErrNoSession.
func (s *Signer) Assert(audience string, info session.Info) (assertion string, expires time.Time, err error) {
	if info.State != session.StateSignedIn || info.UserID == "" {
		return "", time.Time{}, session.ErrNoSession
	}
	now := time.Now()
	key := s.keys.Load().signing(now)
	if key == nil { // the clock was set back
		return "", time.Time{}, errors.New("gateway: none of the keys signs yet")
	}
	e := s.cache.entry(said{
		key: key, audience: audience, sessionID: info.ID, userID: info.UserID,
		level: info.Level, authenticatedAt: info.AuthenticatedAt.Unix(),
	}, now, s.lifetime, info.ExpiresAt)
	e.once.Do(func() { e.text, e.err = s.sign(&e.said, e.signed, e.expires) })
	if e.err != nil {
		s.cache.forget(e)
		return "", time.Time{}, fmt.Errorf("gateway: sign assertion: %w", e.err)
	}
	return e.text, e.expires, nil
}

// Format shows the issuer under every verb, and no key.
func (s *Signer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "signer "+s.issuer) }

// LogValue shows the issuer.
func (s *Signer) LogValue() slog.Value { return slog.StringValue("signer " + s.issuer) }
