package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/updateage/session"
)

// ForwardAuth returns the handler that a proxy asks about each request before it
// passes it on:
//
//	200  pass, with the identity headers, see HeaderUserID and following
//	302  nobody is signed in and a browser waits for a page: to Config.LoginURL
//	401  nobody is signed in
//	403  the authentication is too weak or too old, see HeaderReason
//	499  the client hung up before the store answered; nobody reads it
//	503  the store could not be asked
//
// The answer 200 also has the request's Cookie, Authorization and X-Session-ID
// headers without session tokens, for the proxy to put in place of the
// request's: then no service sees a token. Set-Cookie, of a refresh or of an
// expired session, is for the browser. HeaderReuse says for how long the verdict
// may be reused; nothing else may be.
//
// It decides by the token alone: method, path, body and forwarding headers of
// the request have no say. X-Forwarded-Host and X-Forwarded-Uri are where the
// user returns to after signing in, if the host is one of Config.Origins.
//
// It must not be reachable past the proxy, or clients learn their assertions,
// and it belongs outside Manager.Handler, whose ErrorHandler would answer for it
// while the store is down. The error joins every mistake in the configuration.
func ForwardAuth(m *session.Manager, cfg Config) (http.Handler, error) {
	bound := m != nil && m.Config().Binding != 0
	g, err := newGate(m, cfg,
		mistake{cfg.Transport != nil, "Transport is for NewProxy"},
		mistake{cfg.MaxReuse > 0 && bound, "MaxReuse is not for sessions with Binding"},
	)
	if err != nil {
		return nil, err
	}
	// Optional, because the answers are the gateway's also while the store is
	// down: an ErrorHandler with a page of its own and 200 would open the gate.
	inner := m.Optional(http.HandlerFunc(g.answer))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(&reuseWriter{w}, r)
	}), nil
}

// answer is the verdict on a request.
func (g *gate) answer(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	granted, why := g.decide(r.Context(), now)
	if why != reasonNone {
		g.refuse(w, r, why, only(r.Header, "X-Forwarded-Host"), single(r.Header, "X-Forwarded-Uri"))
		return
	}
	h := w.Header()
	setIdentity(h, granted.info, granted.assertion)
	g.cleaned(h, r.Header)
	h[HeaderReuse] = []string{strconv.Itoa(g.reuse(granted, now))}
	w.WriteHeader(http.StatusOK)
}

// cleaned adds the request's headers that may have a session token, without it.
// They are there even if they are empty, so that they take the place of the
// request's.
func (g *gate) cleaned(h, request http.Header) {
	h["Cookie"] = []string{strings.Join(withoutCookie(request["Cookie"], g.cookie), "; ")}
	h[headerToken] = empty
	if g.headers {
		h["Authorization"] = []string{strings.Join(withoutTokens(request["Authorization"]), ", ")}
	}
}

var empty = []string{""}

// reuse returns for how many seconds the same verdict and the same assertion
// hold, at most Config.MaxReuse. A refresh must not be missed, either, and half
// of the assertion's life is for the service's clock.
func (g *gate) reuse(granted grant, now time.Time) int {
	until := now.Add(g.cfg.MaxReuse)
	for _, end := range [...]time.Time{granted.info.ExpiresAt, granted.info.NextRefresh, granted.renew} {
		if !end.IsZero() && end.Before(until) {
			until = end
		}
	}
	if g.cfg.Fresh {
		if stale := granted.info.AuthenticatedAt.Add(g.freshAge); stale.Before(until) {
			until = stale
		}
	}
	return int(max(until.Sub(now), 0) / time.Second)
}

// reuseWriter forbids the reuse of answers with a cookie, which only the session's
// middleware knows of: sent again later, it could replace a newer one.
type reuseWriter struct{ http.ResponseWriter }

func (w *reuseWriter) WriteHeader(status int) {
	h := w.Header()
	if status != http.StatusOK || h["Set-Cookie"] != nil {
		h[HeaderReuse] = never
	}
	w.ResponseWriter.WriteHeader(status)
}

var never = []string{"0"}
