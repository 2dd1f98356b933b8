package main

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
)

// options are the settings as they were given.
type options struct {
	version             bool
	listen, adminListen string
	drain, shutdown     time.Duration
	logFormat           string
	logLevel            slog.Level

	store     string
	trialUser string
	redis     redisOptions

	session        session.Config
	cookieKeysFile string

	gate        gateway.Config
	signer      gateway.SignerConfig // without keys
	signingKeys []string             // files
	signFrom    time.Duration
}

func defaults() *options {
	return &options{
		listen:      "127.0.0.1:9100",
		adminListen: "127.0.0.1:9101",
		shutdown:    15 * time.Second,
		logFormat:   "json",
		store:       "redis",
		redis:       redisOptions{mode: "single", prefix: "session"},
		signFrom:    10 * time.Minute,
	}
}

// sections are all settings. Usage texts name the defaults.
func (o *options) sections() []section {
	return []section{
		{"Server", []setting{
			{name: "listen", value: "ADDRESS", set: address(&o.listen), usage: "where the proxy asks, at /auth, and services fetch the keys, at /jwks.json.\nNobody but them should reach it (127.0.0.1:9100)"},
			{name: "admin-listen", value: "ADDRESS", set: address(&o.adminListen), usage: "/healthz, /readyz and /metrics (127.0.0.1:9101)"},
			{name: "drain", value: "DURATION", set: duration(&o.drain), usage: "on SIGTERM, how long to serve while /readyz says no (0s)"},
			{name: "shutdown-timeout", value: "DURATION", set: duration(&o.shutdown), usage: "how long requests under way have after that (15s)"},
			{name: "log-format", value: "json|text", set: oneOf(&o.logFormat, "json", "text"), usage: "form of the log, which goes to standard error (json)"},
			{name: "log-level", value: "LEVEL", set: parsed(&o.logLevel, parseLevel), usage: "debug, info, warn or error (info); debug has a line per request"},
			{name: "version", set: onOff(&o.version), flagOnly: true, usage: "print the version"},
		}},
		{"Store", []setting{
			{name: "store", value: "redis|memory", set: oneOf(&o.store, "redis", "memory"), usage: "where the sessions are (redis). Memory is for a trial: nobody else shares it"},
			{name: "trial-user", value: "USER", set: text(&o.trialUser), usage: "with -store memory: POST /trial/sign-in at the admin address signs this user in"},
			{name: "redis", value: "URL|ADDRESSES", sets: o.redis.setURL, usage: "redis://, rediss:// (TLS) or unix:// URL with the options of go-redis, or a list of\nhost:port. A URL with a password belongs into the environment"},
			{name: "redis-mode", value: "MODE", set: oneOf(&o.redis.mode, "single", "sentinel", "cluster"), usage: "single, sentinel or cluster (single)"},
			{name: "redis-master", value: "NAME", set: text(&o.redis.master), usage: "with Sentinel: the name of the master"},
			{name: "redis-prefix", value: "PREFIX", set: text(&o.redis.prefix), usage: "what keys begin with (session)"},
			{name: "redis-timeout", value: "DURATION", set: positive(&o.redis.timeout), usage: "how long an answer may take (1s)"},
			{name: "redis-username", value: "NAME", set: text(&o.redis.username), usage: "user of the server (the default user)"},
			{name: "redis-password-file", value: "FILE", set: text(&o.redis.passwordFile), usage: "file with the password"},
			{name: "redis-password", value: "PASSWORD", set: text(&o.redis.password), secret: true, usage: "or the password itself; never a flag"},
			{name: "redis-sentinel-password-file", value: "FILE", set: text(&o.redis.sentinelPasswordFile), usage: "file with the password of the Sentinels"},
			{name: "redis-sentinel-password", value: "PASSWORD", set: text(&o.redis.sentinelPassword), secret: true, usage: "or that password itself; never a flag"},
		}},
		{"Sessions: as the application has them", []setting{
			{name: "expires-in", value: "DURATION", set: positive(&o.session.ExpiresIn), usage: "how long a session lives without being used (168h)"},
			{name: "update-age", value: "DURATION", set: updateAge(&o.session.UpdateAge), usage: "how long it goes unrefreshed (24h); \"always\": every request refreshes it"},
			{name: "max-lifetime", value: "DURATION", set: positive(&o.session.MaxLifetime), usage: "the end of a session however much it is used (720h)"},
			{name: "fresh-age", value: "DURATION", set: positive(&o.session.FreshAge), usage: "how recent a fresh authentication is (24h)"},
			{name: "anonymous-expires-in", value: "DURATION", set: positive(&o.session.AnonymousExpiresIn), usage: "how long a session of a visitor who is not signed in lives without being used\n(24h, or -expires-in if that is shorter)"},
			{name: "aal", value: "1|2|3", set: parsed(&o.session.AAL, parseAAL), usage: "lifetimes of NIST SP 800-63B-4 for this assurance level"},
			{name: "not-before", value: "TIME", set: o.setNotBefore, usage: "sessions authenticated before this time (RFC 3339) have ended"},
			{name: "rotate-every", value: "DURATION", set: positive(&o.session.RotateEvery), usage: "interval at which cookies get a new secret (never)"},
			{name: "rotation-grace", value: "DURATION", set: positive(&o.session.RotationGrace), usage: "how long the old one counts as late (30s)"},
			{name: "tolerate-replay", set: onOff(&o.session.TolerateReplay), usage: "do not revoke a session whose old secret turns up"},
			{name: "binding", value: "LIST", set: parsed(&o.session.Binding, parseBinding), usage: "bind sessions to ip, user-agent, device"},
			{name: "revoke-on-mismatch", set: onOff(&o.session.RevokeOnMismatch), usage: "end a session that another client uses"},
			{name: "header-transport", set: onOff(&o.session.HeaderTransport), usage: "accept X-Session-ID and bearer tokens, too"},
			{name: "trusted-proxies", value: "NETWORKS", set: parsed(&o.session.TrustedProxies, parseNetworks), usage: "whose X-Forwarded-For and -Proto are believed: the proxy that asks"},
			{name: "cookie-name", value: "NAME", set: text(&o.session.Cookie.Name), usage: "(__Host-session)"},
			{name: "cookie-domain", value: "DOMAIN", set: text(&o.session.Cookie.Domain), usage: "whose subdomains may read the cookie (the host alone)"},
			{name: "cookie-path", value: "PATH", set: text(&o.session.Cookie.Path), usage: "(/)"},
			{name: "cookie-same-site", value: "lax|strict|none", set: parsed(&o.session.Cookie.SameSite, parseSameSite), usage: "(lax)"},
			{name: "cookie-partitioned", set: onOff(&o.session.Cookie.Partitioned), usage: "of an embedded site: one cookie for each embedding one"},
			{name: "cookie-absolute", set: onOff(&o.session.Cookie.Absolute), usage: "the cookie lasts to the session's absolute end, where the proxy drops Set-Cookie"},
			{name: "cookie-insecure", set: onOff(&o.session.Cookie.Insecure), usage: "development over plain HTTP"},
			{name: "cookie-keys-file", value: "FILE", set: text(&o.cookieKeysFile), usage: "keys that seal the cookie, newest first: lines of base64, 32 bytes or more each"},
			{name: "cookie-accept-unsealed-until", value: "TIME", set: parsed(&o.session.Cookie.AcceptUnsealedUntil, parseTime), usage: "accept unsealed cookies until then (RFC 3339)"},
		}},
		{"Verdict", []setting{
			{name: "level", value: "1|2|3", set: parsed(&o.gate.Level, parseAAL), usage: "least assurance level of the authentication (any)"},
			{name: "fresh", set: onOff(&o.gate.Fresh), usage: "demand an authentication within -fresh-age"},
			{name: "login-url", value: "URL", set: text(&o.gate.LoginURL), usage: "where browsers sign in; without it they get 401"},
			{name: "return-param", value: "NAME", set: text(&o.gate.ReturnParam), usage: "its parameter that says where the user wanted to go (return_to)"},
			{name: "origins", value: "LIST", set: list(&o.gate.Origins), usage: "sites to which users may return, such as https://app.example.com"},
			{name: "status-only", set: onOff(&o.gate.StatusOnly), usage: "for nginx: 401 with Location in place of 302"},
			{name: "max-reuse", value: "DURATION", set: duration(&o.gate.MaxReuse), usage: "for how long the proxy may reuse a verdict, as X-Auth-Max-Age says (not at all)"},
		}},
		{"Signed identity", []setting{
			{name: "signing-keys", value: "FILES", set: list(&o.signingKeys), usage: "PEM files with Ed25519 keys, newest first; without any, nothing is signed"},
			{name: "issuer", value: "NAME", set: text(&o.signer.Issuer), usage: "who signs, such as https://auth.example.com"},
			{name: "audience", value: "NAME", set: text(&o.gate.Audience), usage: "the services that are told"},
			{name: "assertion-lifetime", value: "DURATION", set: positive(&o.signer.Lifetime), usage: "2s to 1m (1m)"},
			{name: "signing-delay", value: "DURATION", set: duration(&o.signFrom), usage: "how long a key that SIGHUP brings is published before it signs (10m)"},
		}},
	}
}

// all yields the settings.
func (o *options) all() iter.Seq[setting] {
	return func(yield func(setting) bool) {
		for _, section := range o.sections() {
			for _, s := range section.settings {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// check returns the mistakes that no package notices later.
func (o *options) check() (errs []error) {
	complain := func(wrong bool, text string) {
		if wrong {
			errs = append(errs, errors.New(text))
		}
	}
	memory := o.store == "memory"
	complain(o.trialUser != "" && !memory, "-trial-user goes with -store memory: whoever reaches the admin address is that user")
	complain(o.trialUser != "" && !loopback(o.adminListen), "-trial-user goes with an -admin-listen on a loopback address")
	complain(memory && o.redis.given(), "-store memory uses no Redis")
	complain(!memory && !o.redis.tried, "-redis is missing (or -store memory, for a trial)")
	signed := len(o.signingKeys) > 0
	complain(o.session.Binding&session.BindIP != 0 && len(o.session.TrustedProxies) == 0, "-binding ip needs -trusted-proxies: without them the proxy's address is everybody's")
	complain(signed != (o.signer.Issuer != "") || signed != (o.gate.Audience != ""), "-signing-keys, -issuer and -audience need each other")
	return errs
}

// loopback says whether only this machine reaches an address.
func loopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func text(p *string) func(string) error {
	return func(s string) error {
		*p = s
		return nil
	}
}

// parsed makes the function that sets a setting of one that parses it.
func parsed[T any](p *T, parse func(string) (T, error)) func(string) error {
	return func(s string) error {
		v, err := parse(s)
		if err == nil {
			*p = v
		}
		return err
	}
}

func onOff(p *bool) func(string) error {
	return parsed(p, func(s string) (bool, error) {
		v, err := strconv.ParseBool(s)
		if err != nil {
			return false, fmt.Errorf("%q is neither true nor false", s)
		}
		return v, nil
	})
}

func duration(p *time.Duration) func(string) error { return parsed(p, parseDuration) }

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 90s, 30m or 168h", s)
	}
	return d, nil
}

// positive is for settings of which zero would be the default, and is not what
// anybody means who writes it.
func positive(p *time.Duration) func(string) error { return parsed(p, parsePositive) }

func parsePositive(s string) (time.Duration, error) {
	d, err := parseDuration(s)
	if err == nil && d == 0 {
		return 0, fmt.Errorf("%q is no time at all", s)
	}
	return d, err
}

func updateAge(p *time.Duration) func(string) error {
	return parsed(p, func(s string) (time.Duration, error) {
		if s == "always" {
			return session.EveryRequest, nil
		}
		return parsePositive(s)
	})
}

func oneOf(p *string, choices ...string) func(string) error {
	return parsed(p, func(s string) (string, error) {
		if !slices.Contains(choices, s) {
			return "", fmt.Errorf("%q is none of %s", s, strings.Join(choices, ", "))
		}
		return s, nil
	})
}

func address(p *string) func(string) error {
	return parsed(p, func(s string) (string, error) {
		_, port, err := net.SplitHostPort(s)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			return "", fmt.Errorf("%q is not a host:port", s)
		}
		return s, nil
	})
}

func list(p *[]string) func(string) error {
	return parsed(p, split)
}

// split refuses empty parts: of "ip,$MORE" with nothing in $MORE, less would be
// bound than was meant. The list is not shown, as it may be of files of secrets.
func split(s string) (parts []string, err error) {
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			return nil, errors.New("is a list with an empty part")
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func parseLevel(s string) (level slog.Level, err error) {
	if level.UnmarshalText([]byte(s)) != nil {
		return 0, fmt.Errorf("%q is none of debug, info, warn, error", s)
	}
	return level, nil
}

func parseAAL(s string) (session.Level, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n < uint64(session.AAL1) || n > uint64(session.AAL3) {
		return 0, fmt.Errorf("%q is none of 1, 2, 3", s)
	}
	return session.Level(n), nil
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is not a time such as 2026-01-31T12:00:00Z", s)
	}
	return t, nil
}

func (o *options) setNotBefore(s string) error {
	t, err := parseTime(s)
	if err == nil {
		o.session.NotBefore = func() time.Time { return t }
	}
	return err
}

func parseBinding(s string) (b session.Binding, err error) {
	bits := map[string]session.Binding{"ip": session.BindIP, "user-agent": session.BindUserAgent, "device": session.BindDevice}
	names, err := split(s)
	for _, name := range names {
		if bits[name] == 0 {
			return 0, fmt.Errorf("%q is none of ip, user-agent, device", name)
		}
		b |= bits[name]
	}
	return b, err
}

func parseSameSite(s string) (http.SameSite, error) {
	modes := map[string]http.SameSite{"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode}
	if modes[s] == 0 {
		return 0, fmt.Errorf("%q is none of lax, strict, none", s)
	}
	return modes[s], nil
}

// parseNetworks also takes single addresses.
func parseNetworks(s string) (networks []netip.Prefix, err error) {
	parts, err := split(s)
	for _, text := range parts {
		network, err := netip.ParsePrefix(text)
		if addr, bad := netip.ParseAddr(text); err != nil && bad == nil {
			network, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a network such as 10.0.0.0/8", text)
		}
		networks = append(networks, network)
	}
	return networks, err
}
