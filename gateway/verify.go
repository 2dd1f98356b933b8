package gateway

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/updateage/session"
)

// Errors of Verifier.Verify, which also returns session.ErrNotFresh.
var (
	// ErrAssertion reports an assertion that is missing or not valid here and now.
	ErrAssertion = errors.New("gateway: no valid assertion")
	// ErrLevel reports a user who has authenticated below VerifierConfig.Level.
	ErrLevel = errors.New("gateway: authentication is too weak")
	// ErrKeys reports that there are no keys to verify with: the issuer could
	// not be asked for too long.
	ErrKeys = errors.New("gateway: issuer's keys are unavailable")
)

const (
	// maxAhead is how far the issuer's clock may be ahead of ours.
	maxAhead = 30 * time.Second
	// maxAssertion is longer than any assertion: user IDs have 1,024 bytes.
	maxAssertion = 8 << 10
)

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Issuer is whose assertions are good: SignerConfig.Issuer. Needed.
	Issuer string
	// Audience is the service itself, as Config.Audience calls it. Needed.
	Audience string

	// JWKS is the URL of the issuer's keys, see Signer.JWKS. Either it or Keys
	// is needed.
	JWKS string
	// Keys are fixed keys instead.
	Keys []ed25519.PublicKey

	// RefreshAfter is the age at which keys are fetched anew, in the background
	// of the request that notices. At twice that age the request waits for them,
	// so that a key that was withdrawn is good for so long at most, unless the
	// issuer is down. 0: 5 minutes.
	RefreshAfter time.Duration
	// StaleFor is for how long keys are used while the issuer cannot be asked,
	// from when they were fetched: a key that was withdrawn meanwhile is good for
	// so long. At least 5 seconds, the least time between two fetches. 0: an hour.
	StaleFor time.Duration
	// InsecureHTTP allows a JWKS URL without TLS on another machine. Whoever
	// gets between can then send keys of his own and be any user.
	InsecureHTTP bool
	// Client fetches keys. nil: one that follows no redirects. It has 5 seconds.
	Client *http.Client

	// Level is the least assurance level of the authentication, whatever the
	// gateway demands. 0: any.
	Level session.Level
	// MaxAge is how long ago the user may have authenticated, in whole seconds
	// (ASVS 5.0 7.5.1). A service whose areas demand different things has a
	// Verifier for each, or looks at the Identity. 0: any time.
	MaxAge time.Duration

	// ErrorHandler answers requests that Handler does not let pass: err is
	// ErrAssertion, ErrKeys, ErrLevel or session.ErrNotFresh, see errors.Is.
	// nil: 401, 503 or, with HeaderReason, 403, and its text. If it leaves the
	// status unsaid it is 200, with whatever it has written.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)
	// Logger logs failures to fetch keys, and refusals as debug messages. nil: slog.Default().
	Logger *slog.Logger
}

// Verifier verifies the assertions that come to a service. It is safe for
// concurrent use. It starts no goroutine that lasts and needs no closing.
type Verifier struct {
	issuer, audience string
	level            session.Level
	maxAge           time.Duration // 0: any
	keys             keySource
	fail             func(http.ResponseWriter, *http.Request, error)
	log              *slog.Logger
}

// keySource finds the issuer's key with an ID. An error is ErrKeys, or
// ErrAssertion for an ID that the issuer does not have.
type keySource interface {
	find(ctx context.Context, id string) (*jose.JSONWebKey, error)
}

// NewVerifier returns a Verifier. It fetches nothing yet, so that a service
// starts while its issuer does not. The error joins every mistake in the
// configuration.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.ErrorHandler == nil {
		cfg.ErrorHandler = answerError
	}
	errs := check(
		mistake{cfg.Issuer == "", "Issuer is missing"},
		mistake{cfg.Audience == "", "Audience is missing"},
		mistake{(cfg.JWKS == "") == (len(cfg.Keys) == 0), "either JWKS or Keys is needed"},
		mistake{cfg.RefreshAfter < 0, "RefreshAfter is negative"},
		mistake{cfg.StaleFor != 0 && cfg.StaleFor < fetchPause, "StaleFor is less than 5 seconds"},
		mistake{cfg.Level > session.AAL3, fmt.Sprintf("Level %d is unknown", cfg.Level)},
		mistake{cfg.MaxAge < 0 || cfg.MaxAge%time.Second != 0, "MaxAge is not a number of whole seconds"},
	)
	keys, err := newKeys(cfg)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return &Verifier{
		issuer: cfg.Issuer, audience: cfg.Audience, level: cfg.Level, maxAge: cfg.MaxAge,
		keys: keys, fail: cfg.ErrorHandler, log: cfg.Logger,
	}, nil
}

func newKeys(cfg VerifierConfig) (keySource, error) {
	if cfg.JWKS == "" {
		return newFixedKeys(cfg.Keys)
	}
	u, err := url.Parse(cfg.JWKS)
	switch {
	case err != nil:
		return nil, fmt.Errorf("gateway: JWKS: %w", err)
	case u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("gateway: JWKS %q is not an http(s) URL", u.Redacted())
	case u.Scheme == "http" && !cfg.InsecureHTTP && !loopback(u.Hostname()):
		return nil, fmt.Errorf("gateway: JWKS %q is not https, see InsecureHTTP", u.Redacted())
	}
	return newRemoteKeys(cfg), nil
}

// Handler lets requests with a valid assertion pass to next, which gets the
// user from FromContext. Others get 401, 403 if the authentication is too weak or
// too old, or 503 while there are no keys. It looks at the one HeaderAssertion
// header; the plain identity headers could be anybody's.
func (v *Verifier) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.Header[HeaderAssertion]
		if len(values) != 1 { // of two, one is not the gateway's: fails closed
			v.refuse(w, r, fmt.Errorf("%w: %d headers", ErrAssertion, len(values)))
			return
		}
		x := &identified{Context: r.Context()}
		var err error
		if x.id, err = v.Verify(x.Context, values[0]); err != nil {
			v.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(x))
	})
}

func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, err error) {
	v.log.DebugContext(r.Context(), "gateway: request refused", "error", err)
	w.Header().Set("Cache-Control", "no-store")
	v.fail(w, r, err)
}

// answerError says what clients may know; the reason is for the log.
func answerError(w http.ResponseWriter, _ *http.Request, err error) {
	status := http.StatusUnauthorized
	switch {
	case errors.Is(err, ErrKeys):
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
	case errors.Is(err, ErrLevel):
		status = http.StatusForbidden
		w.Header().Set(HeaderReason, string(reasonLevel))
	case errors.Is(err, session.ErrNotFresh):
		status = http.StatusForbidden
		w.Header().Set(HeaderReason, string(reasonFreshness))
	}
	http.Error(w, http.StatusText(status), status)
}

// algorithms are what an assertion may be signed with. The header of an
// assertion has no say in it: "none" and HMAC with a public key as its secret
// begin there (RFC 8725, 3.1).
var algorithms = []jose.SignatureAlgorithm{jose.EdDSA}

// Verify returns the identity in an assertion, for servers that are not
// http.Handlers. ctx bounds the waiting for keys. The error is ErrAssertion,
// ErrKeys, ErrLevel or session.ErrNotFresh and never contains the assertion.
func (v *Verifier) Verify(ctx context.Context, assertion string) (Identity, error) {
	if len(assertion) > maxAssertion {
		return Identity{}, fmt.Errorf("%w: too long", ErrAssertion)
	}
	token, err := jwt.ParseSigned(assertion, algorithms)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: malformed", ErrAssertion)
	}
	header := &token.Headers[0]
	if header.ExtraHeaders[jose.HeaderType] != assertionType {
		return Identity{}, fmt.Errorf("%w: token of another type", ErrAssertion)
	}
	key, err := v.keys.find(ctx, header.KeyID)
	if err != nil {
		return Identity{}, err
	}
	var c claims
	if err := token.Claims(key, &c); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	if wrong := v.wrong(&c, time.Now()); wrong != "" {
		return Identity{}, fmt.Errorf("%w: %s", ErrAssertion, wrong)
	}
	if err := v.demand(&c, time.Now()); err != nil {
		return Identity{}, err
	}
	return Identity{
		UserID: c.Subject, SessionID: c.SessionID, Level: session.Level(c.Level),
		AuthenticatedAt: time.Unix(c.AuthTime, 0), ExpiresAt: time.Unix(c.Expiry, 0),
	}, nil
}

// wrong says what is wrong with the claims of a verified token, or "".
func (v *Verifier) wrong(c *claims, now time.Time) string {
	switch seconds := now.Unix(); {
	case c.Issuer != v.issuer:
		return "another issuer's"
	case !slices.Contains(c.Audience, v.audience):
		return "for another audience"
	case c.Subject == "" || c.SessionID == "":
		return "nobody's"
	case seconds >= c.Expiry:
		return "expired"
	case c.IssuedAt > seconds+int64(maxAhead/time.Second):
		return "from the future"
	case c.Expiry-c.IssuedAt > int64(maxLifetime/time.Second):
		// Not of a Signer: who has its key for a moment must not keep it for ever.
		return "lives too long"
	}
	return ""
}

// demand says whether the user has authenticated well and recently enough.
func (v *Verifier) demand(c *claims, now time.Time) error {
	switch {
	case session.Level(c.Level) < v.level:
		return ErrLevel
	case v.maxAge > 0 && c.AuthTime <= now.Add(-v.maxAge).Unix():
		return session.ErrNotFresh
	}
	return nil
}
