package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// EveryRequest as Config.UpdateAge refreshes a session on every request.
const EveryRequest time.Duration = -1

const (
	// forgetExpiresIn is the longest life of a session that the user did not
	// ask to be remembered.
	forgetExpiresIn = 24 * time.Hour
	// pendingExpiresIn is the time for the second factor.
	pendingExpiresIn = 10 * time.Minute
	// movedExpiresIn is how long a replaced session is remembered: longer than
	// any request that was under way.
	movedExpiresIn = 5 * time.Minute
)

// Binding says which attributes of the client a session is bound to. A request
// that differs in one, or lacks it, has no session. Bits can be combined.
//
// Binding narrows what a thief can do with a stolen token; it also signs out
// people whose address changes on the way to work. The zero Binding binds to
// nothing.
type Binding uint8

const (
	// BindIP binds to the client's address at sign-in; IPv6 addresses are
	// compared by their /64 network.
	BindIP Binding = 1 << iota
	// BindUserAgent binds to the User-Agent header at sign-in.
	BindUserAgent
	// BindDevice binds to the X-Device-ID header at sign-in.
	BindDevice
)

// Config configures a [Manager]. The zero Config is secure and fit for
// production over HTTPS; fields that weaken it say so. New copies it.
//
// A session's expiry slides: a request refreshes it once it was last refreshed
// UpdateAge ago, and moves its end to ExpiresIn from then, at most to
// MaxLifetime after the user authenticated. Between two refreshes a request
// writes nothing.
type Config struct {
	// Cookie is the session cookie.
	Cookie Cookie

	// ExpiresIn is how long a session lives without being used. 0: 7 days.
	ExpiresIn time.Duration
	// UpdateAge is how long a session goes unrefreshed. 0: 1 day, or half of
	// ExpiresIn if that is shorter. EveryRequest: none. ExpiresIn: sessions
	// are never refreshed. Sessions of nobody are refreshed after half of
	// AnonymousExpiresIn if that is earlier.
	UpdateAge time.Duration
	// MaxLifetime ends a session however much it is used, counted from the last
	// authentication (ASVS 5.0 7.3.2). 0: 30 days, or ExpiresIn if longer.
	MaxLifetime time.Duration
	// FreshAge is how recent an authentication RequireFresh demands. 0: 1 day.
	FreshAge time.Duration
	// AnonymousExpiresIn is ExpiresIn for sessions of nobody. 0: 24 hours, or
	// ExpiresIn if that is shorter.
	AnonymousExpiresIn time.Duration
	// AAL makes the lifetimes those of NIST SP 800-63B-4 for the level: 30 days
	// (AAL1); 24 hours, 1 hour unused (AAL2); 12 hours, 15 minutes unused
	// (AAL3). Shorter ones may be configured, longer ones are refused. 0: none.
	AAL Level

	// RotateEvery changes the secret of cookie sessions at this interval. The
	// old one still reads until RotationGrace after the first use of the new
	// one. 0: never.
	RotateEvery time.Duration
	// RotationGrace is how long after a change of the secret the old one counts
	// as late, and not as replayed. It has to be longer than a proxy holds back
	// a request and than a handler that calls Rotate takes. 0: 30 seconds.
	RotationGrace time.Duration
	// TolerateReplay leaves a session alive whose replaced secret turns up after
	// RotationGrace. Otherwise it is revoked, because somebody has a copy of its
	// token. The replayed token itself is refused in any case.
	TolerateReplay bool

	// MaxSessions limits the signed-in sessions of one user. A further sign-in
	// ends the one that expires soonest, as it was when it was last refreshed:
	// after ExpiresIn or MaxLifetime was shortened, a session that this has ended may count
	// until then. 0: no limit.
	MaxSessions int
	// RefuseOverLimit makes a sign-in beyond MaxSessions fail with ErrLimit instead.
	RefuseOverLimit bool

	// Binding binds sessions to attributes of the client.
	Binding Binding
	// RevokeOnMismatch ends a session that is used by a client it is not bound to.
	RevokeOnMismatch bool

	// HeaderTransport also accepts tokens in the X-Session-ID header and as
	// bearer token, for clients without cookies.
	HeaderTransport bool
	// TrustedProxies are the networks whose X-Forwarded-For and
	// X-Forwarded-Proto are believed. Empty: nobody's.
	TrustedProxies []netip.Prefix

	// NotBefore, if set, is called on every request; sessions authenticated
	// before the time it returns have ended. It signs everyone out without
	// touching the store (ASVS 5.0 7.4.5). It must be safe for concurrent use.
	NotBefore func() time.Time

	// ClearSiteData are the types of data that browsers shall drop on sign-out
	// (Clear-Site-Data): "cache", "cookies", "storage", "executionContexts",
	// "*". Browsers heed it over HTTPS. Empty: the header is not sent.
	ClearSiteData []string

	// ErrorHandler answers requests that cannot go on; nil answers with the
	// status below and its text. Retry-After is set already where it applies.
	// The request has a session, see FromContext, only if RequireUser or
	// RequireFresh refused it. Use errors.Is, or Status:
	//
	//	ErrUnavailable   503  the store could not be asked
	//	ErrNoSession     401  RequireUser: nobody is signed in
	//	ErrRevoked       401  the session ended while it was being changed
	//	ErrNotFresh      403  RequireFresh: the authentication is too old
	//	ErrCrossSite     403  another site would have started a session
	//	ErrSuperseded    409  the token was replaced meanwhile
	//	ErrTooLarge      413  the values of parallel requests are too large together
	//	ErrLimit         429
	//	ErrFull          503
	//	context.Canceled 499  the client hung up; nobody reads the answer
	//	any other        500
	//
	// Handlers may use it for what SignIn, Revoke and the others return; then
	// ErrNotFound is 404, too.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)
	// OnEvent is told of every event, in the goroutine in which it happens. It
	// must be safe for concurrent use, and must not panic: Live calls it where
	// nobody recovers.
	OnEvent func(ctx context.Context, e Event)
	// Logger logs events. nil: slog.Default().
	Logger *slog.Logger
}

// Cookie configures the session cookie. It is always HttpOnly.
type Cookie struct {
	// Name is the cookie's name. "": "__Host-session", with Domain or Path
	// "__Secure-session", with Insecure "session".
	Name string
	// Domain makes the cookie readable by subdomains. "": this host only, the
	// safer choice.
	Domain string
	// Path is the cookie's path. "": "/".
	Path string
	// SameSite is the SameSite attribute. 0: http.SameSiteLaxMode.
	SameSite http.SameSite
	// Insecure drops the Secure attribute, for development over plain HTTP.
	Insecure bool
	// Partitioned keeps a cookie of an embedded site apart for each embedding one (CHIPS).
	Partitioned bool
	// Absolute makes the cookie of a remembered session last until the
	// session's absolute end, for gateways that do not pass on the cookie of a
	// refresh. It prolongs no session: the server ends it ExpiresIn after its
	// last refresh all the same.
	Absolute bool

	// Keys seal the cookie's value with an HMAC, so that forged tokens never
	// reach the store. The first key seals, all open; put a new one in front to
	// change it, and keep the old ones for ExpiresIn. At least 32 random bytes
	// each. Empty: not sealed.
	Keys [][]byte `json:"-"`
	// AcceptUnsealedUntil accepts unsealed cookies until then, so that
	// introducing Keys signs nobody out: set it ExpiresIn ahead.
	AcceptUnsealedUntil time.Time
}

// String shows the cookie's attributes and not its keys.
func (c Cookie) String() string {
	return fmt.Sprintf("cookie %s (domain %q, path %q, secure %t, sealed %t)",
		c.Name, c.Domain, c.Path, !c.Insecure, len(c.Keys) > 0)
}

// Format shows String under every verb.
func (c Cookie) Format(f fmt.State, _ rune) { show(f, c.String()) }

// LogValue shows the cookie in a log without its keys.
func (c Cookie) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String shows the limits in force, for logs and documentation (ASVS 5.0 7.1.1).
func (c Config) String() string {
	return fmt.Sprintf("expires in %v, update age %v, max lifetime %v, fresh age %v, anonymous %v, max sessions %d, %v",
		c.ExpiresIn, max(c.UpdateAge, 0), c.MaxLifetime, c.FreshAge, c.AnonymousExpiresIn, c.MaxSessions, c.Cookie)
}

// Format shows String under every verb.
func (c Config) Format(f fmt.State, _ rune) { show(f, c.String()) }

// LogValue shows the configuration in a log without its keys.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

const (
	day = 24 * time.Hour
	// longest is more than anybody means, and what every store's times can hold.
	longest = 100 * 365 * day
)

// aalLimits are the longest lifetimes NIST SP 800-63B-4 allows (2.1.3, 2.2.3,
// 2.3.3), and the defaults that follow from them.
var aalLimits = map[Level]struct{ maxLifetime, expiresIn, updateAge, freshAge time.Duration }{
	0:    {30 * day, 7 * day, day, day},
	AAL1: {30 * day, 7 * day, day, day},
	AAL2: {day, time.Hour, 5 * time.Minute, time.Hour},
	AAL3: {12 * time.Hour, 15 * time.Minute, time.Minute, 15 * time.Minute},
}

// withDefaults returns a copy of c in which no zero value is left to interpret.
func (c Config) withDefaults() Config {
	preset := aalLimits[c.AAL]
	setDefault(&c.ExpiresIn, preset.expiresIn)
	setDefault(&c.UpdateAge, min(preset.updateAge, c.ExpiresIn/2))
	if c.AAL == 0 {
		preset.maxLifetime = max(preset.maxLifetime, c.ExpiresIn)
	}
	setDefault(&c.MaxLifetime, preset.maxLifetime)
	setDefault(&c.FreshAge, preset.freshAge)
	setDefault(&c.AnonymousExpiresIn, min(day, c.ExpiresIn))
	setDefault(&c.RotationGrace, 30*time.Second)
	if c.ErrorHandler == nil {
		c.ErrorHandler = answerStatus
	}
	c.TrustedProxies = slices.Clone(c.TrustedProxies)
	c.ClearSiteData = slices.Clone(c.ClearSiteData)
	c.Cookie = c.Cookie.withDefaults()
	return c
}

func (c Cookie) withDefaults() Cookie {
	setDefault(&c.Path, "/")
	setDefault(&c.SameSite, http.SameSiteLaxMode)
	switch {
	case c.Insecure:
		setDefault(&c.Name, "session")
	case c.Domain != "" || c.Path != "/":
		setDefault(&c.Name, "__Secure-session")
	default:
		setDefault(&c.Name, "__Host-session")
	}
	keys := make([][]byte, len(c.Keys))
	for i, key := range c.Keys {
		keys[i] = slices.Clone(key)
	}
	c.Keys = keys
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate returns every mistake in a configuration with defaults, joined.
func (c Config) validate() error {
	return errors.Join(c.validateLifetimes(), c.validateRest(), c.Cookie.validate())
}

func (c Config) validateLifetimes() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"ExpiresIn", c.ExpiresIn}, {"MaxLifetime", c.MaxLifetime}, {"FreshAge", c.FreshAge},
		{"AnonymousExpiresIn", c.AnonymousExpiresIn}, {"RotationGrace", c.RotationGrace},
	} {
		if d.value < time.Second || d.value > longest {
			errs = append(errs, fmt.Errorf("session: %s is %v, not between a second and %v", d.name, d.value, longest))
		}
	}
	limit, known := aalLimits[c.AAL]
	if !known {
		errs = append(errs, fmt.Errorf("session: AAL %d is unknown", c.AAL))
	}
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{c.UpdateAge < time.Millisecond && c.UpdateAge != EveryRequest, "UpdateAge is less than a millisecond"},
		{c.UpdateAge > c.ExpiresIn, "UpdateAge is longer than ExpiresIn: sessions would expire before they are refreshed"},
		{c.ExpiresIn > c.MaxLifetime, "ExpiresIn is longer than MaxLifetime"},
		{known && c.AAL != 0 && c.MaxLifetime > limit.maxLifetime, fmt.Sprintf("MaxLifetime is longer than AAL%d allows", c.AAL)},
		{known && c.AAL >= AAL2 && c.ExpiresIn > limit.expiresIn, fmt.Sprintf("ExpiresIn is longer than AAL%d allows", c.AAL)},
		{c.RotateEvery < 0, "RotateEvery is negative"},
		{c.RotateEvery > 0 && c.RotateEvery <= c.RotationGrace, "RotateEvery is not longer than RotationGrace"},
	} {
		if rule.broken {
			errs = append(errs, errors.New("session: "+rule.text))
		}
	}
	return errors.Join(errs...)
}

func (c Config) validateRest() error {
	var errs []error
	if c.MaxSessions < 0 {
		errs = append(errs, fmt.Errorf("session: MaxSessions is %d", c.MaxSessions))
	}
	if c.RefuseOverLimit && c.MaxSessions == 0 {
		errs = append(errs, errors.New("session: RefuseOverLimit needs MaxSessions"))
	}
	if c.Binding > BindIP|BindUserAgent|BindDevice {
		errs = append(errs, fmt.Errorf("session: Binding %b has unknown bits", c.Binding))
	}
	if c.RevokeOnMismatch && c.Binding == 0 {
		errs = append(errs, errors.New("session: RevokeOnMismatch needs Binding"))
	}
	for _, p := range c.TrustedProxies {
		if !p.IsValid() || p.Addr().Is4In6() {
			// Addresses are compared unmapped, so that no IPv4 address is in ::ffff:0:0/96.
			errs = append(errs, fmt.Errorf("session: TrustedProxies contains an invalid network: %v", p))
		}
	}
	for _, data := range c.ClearSiteData {
		switch {
		case !slices.Contains([]string{"cache", "cookies", "storage", "executionContexts", "*"}, data):
			errs = append(errs, fmt.Errorf("session: ClearSiteData does not know %q", data))
		case c.Cookie.Domain != "" && (data == "cookies" || data == "*"):
			// It would clear the cookies of the whole registrable domain.
			errs = append(errs, fmt.Errorf("session: ClearSiteData %q with Cookie.Domain would clear other hosts' cookies", data))
		}
	}
	return errors.Join(errs...)
}

func (c Cookie) validate() error {
	var errs []error
	host := hasPrefixFold(c.Name, "__Host-")
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		// RFC 6265bis 4.1.3.2 and 5.7, steps 19 to 21; browsers compare prefixes without case.
		{host && c.Domain != "", "__Host- forbids Domain"},
		{host && c.Path != "/", `__Host- demands Path "/"`},
		{(host || hasPrefixFold(c.Name, "__Secure-") || hasPrefixFold(c.Name, "__Http-")) && c.Insecure, "the name's prefix forbids Insecure"},
		{c.SameSite == http.SameSiteNoneMode && c.Insecure, "SameSite=None forbids Insecure"},
		{c.Partitioned && c.Insecure, "Partitioned forbids Insecure"},
		{c.SameSite < http.SameSiteLaxMode || c.SameSite > http.SameSiteNoneMode, "SameSite must be Lax, Strict or None"},
		// RFC 6265bis 5.6: 4,096 bytes of name and value, 1,024 of an attribute.
		{len(c.Name) > 1024, "Name is longer than 1,024 bytes"},
		{len(c.Domain) > 1024 || len(c.Path) > 1024, "Domain or Path is longer than 1,024 bytes"},
		{!strings.HasPrefix(c.Path, "/"), `Path must begin with "/"`},
		{!c.AcceptUnsealedUntil.IsZero() && len(c.Keys) == 0, "AcceptUnsealedUntil needs Keys"},
	} {
		if rule.broken {
			errs = append(errs, errors.New("session: Cookie: "+rule.text))
		}
	}
	for i, key := range c.Keys {
		if len(key) < 32 {
			errs = append(errs, fmt.Errorf("session: Cookie: key %d has %d bytes, at least 32 are needed", i, len(key)))
		}
	}
	if err := c.cookie("", 0).Valid(); err != nil {
		errs = append(errs, fmt.Errorf("session: Cookie: %w", err))
	}
	return errors.Join(errs...)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
