package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/updateage/session"
)

// gate decides about requests, for ForwardAuth and NewProxy alike.
type gate struct {
	m   *session.Manager
	cfg Config
	// of the Manager's configuration
	cookie   string
	headers  bool
	freshAge time.Duration
	log      *slog.Logger

	login   *login // nil: there is no sign-in page
	origins []string
}

func newGate(m *session.Manager, cfg Config, only ...mistake) (*gate, error) {
	if m == nil {
		return nil, errors.New("gateway: session.Manager is nil")
	}
	cfg = cfg.withDefaults()
	origins, originsErr := parseOrigins(cfg.Origins)
	login, loginErr := newLogin(cfg, origins)
	if err := errors.Join(cfg.validate(only...), originsErr, loginErr); err != nil {
		return nil, err
	}
	sessions := m.Config()
	log := sessions.Logger
	if log == nil {
		log = slog.Default()
	}
	return &gate{
		m: m, cfg: cfg, login: login, origins: origins,
		cookie: sessions.Cookie.Name, headers: sessions.HeaderTransport, freshAge: sessions.FreshAge, log: log,
	}, nil
}

// reason is why a request is refused, as HeaderReason says it.
type reason string

const (
	reasonNone        reason = ""
	reasonSession     reason = "session"
	reasonLevel       reason = "level"
	reasonFreshness   reason = "freshness"
	reasonUnavailable reason = "unavailable"
	reasonCanceled    reason = "canceled" // the client hung up
	reasonOrigin      reason = "origin"   // of NewProxy only
)

func (r reason) status() int {
	switch r {
	case reasonUnavailable:
		return http.StatusServiceUnavailable
	case reasonLevel, reasonFreshness, reasonOrigin:
		return http.StatusForbidden
	case reasonCanceled:
		return statusClientClosed
	}
	return http.StatusUnauthorized
}

// grant is what a service is told of a request that passes.
type grant struct {
	info      session.Info
	assertion string
	renew     time.Time // when the assertion has half of its life left; zero: there is none
}

// decide looks at the session of a request's context alone: this Manager's, also
// where a Handler of another one stands in between.
func (g *gate) decide(ctx context.Context, now time.Time) (grant, reason) {
	s := g.m.Session(ctx)
	info := s.Info()
	switch {
	case info.State != session.StateSignedIn || info.UserID == "":
		return grant{}, refusal(ctx, s.Err())
	case info.Level < g.cfg.Level:
		return grant{}, reasonLevel
	case g.cfg.Fresh && now.Sub(info.AuthenticatedAt) >= g.freshAge:
		return grant{}, reasonFreshness
	}
	granted := grant{info: info}
	if g.cfg.Signer != nil {
		assertion, expires, err := g.cfg.Signer.Assert(g.cfg.Audience, info)
		if err != nil {
			g.log.Error("gateway: no assertion", "error", err)
			return grant{}, reasonUnavailable // fails closed: the service would have to trust plain headers
		}
		granted.assertion, granted.renew = assertion, expires.Add(-g.cfg.Signer.lifetime/2)
	}
	return granted, reasonNone
}

// refusal is the reason why nobody is known. It fails closed, and says if it does
// not know. That the store did not answer a client which hung up meanwhile, is no
// outage.
func refusal(ctx context.Context, err error) reason {
	switch {
	case !errors.Is(err, session.ErrUnavailable):
		return reasonSession
	case errors.Is(ctx.Err(), context.Canceled):
		return reasonCanceled
	}
	return reasonUnavailable
}

// refuse answers a request that does not pass. What the user wanted is given
// only if a sign-in can help, that is if a browser waits for a page.
func (g *gate) refuse(w http.ResponseWriter, r *http.Request, why reason, host, uri string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set(HeaderReason, string(why))
	status := why.status()
	switch {
	case why == reasonUnavailable:
		h.Set("Retry-After", "5")
	case why == reasonSession && g.login != nil && navigates(r.Header):
		h.Set("Location", g.login.location(host, uri))
		if !g.cfg.StatusOnly {
			status = http.StatusFound
		}
	}
	http.Error(w, http.StatusText(status), status)
}
