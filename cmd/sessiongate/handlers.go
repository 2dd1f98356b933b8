package main

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
)

const (
	authPath = "/auth"
	jwksPath = "/jwks.json"
)

// ServeHTTP answers the proxy and the services. It is no http.ServeMux, which
// would answer paths that it finds unclean with a redirect of its own: Envoy puts
// the client's path behind ours.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.draining.Load() {
		// By and by: the proxy may be using a connection that looks idle here.
		w.Header().Set("Connection", "close")
	}
	switch path := r.URL.Path; {
	case path == authPath, strings.HasPrefix(path, authPath+"/"):
		a.gate.Load().auth.ServeHTTP(w, r)
	case path == jwksPath && a.signer != nil:
		a.signer.JWKS().ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// admin answers whoever runs the program.
func (a *app) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", a.serveReady)
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{
		ErrorLog: printer{a.log}, MaxRequestsInFlight: 4, Timeout: 5 * time.Second,
	}))
	if a.o.trialUser != "" {
		// A page that the user of this machine visits must not sign him in.
		mux.Handle("POST /trial/sign-in", http.NewCrossOriginProtection().Handler(http.HandlerFunc(a.trial)))
	}
	return mux
}

func (a *app) serveReady(w http.ResponseWriter, r *http.Request) {
	if err := a.ready(r.Context()); err != nil {
		a.log.DebugContext(r.Context(), "not ready", "error", err)
		reason := "store unavailable"
		if err == errDraining {
			reason = err.Error()
		}
		say(w, http.StatusServiceUnavailable, reason)
		return
	}
	say(w, http.StatusOK, "ok")
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // it fails if nobody listens any more
}

// trial signs the trial user in, so well that every verdict is good. A name that
// an attacker makes resolve to this machine (DNS rebinding) is not its name.
func (a *app) trial(w http.ResponseWriter, r *http.Request) {
	if !loopback(r.Host) {
		http.Error(w, http.StatusText(http.StatusForbidden), http.StatusForbidden)
		return
	}
	g := a.gate.Load()
	g.sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := session.FromContext(r.Context()).SignIn(r.Context(), a.o.trialUser,
			session.SignInOptions{Method: "trial", Level: a.o.gate.Level})
		if err != nil {
			g.sessions.Config().ErrorHandler(w, r, err)
			return
		}
		say(w, http.StatusOK, "signed in")
	})).ServeHTTP(w, r)
}

// observed counts and logs verdicts.
func (a *app) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		sw := &statusWriter{ResponseWriter: w}
		a.metrics.inFlight.Inc()
		defer func() { // also if it panics, which net/http logs
			a.metrics.inFlight.Dec()
			verdict, took := sw.verdict(), time.Since(begin)
			a.metrics.verdict(verdict, sw.status, took)
			a.log.DebugContext(r.Context(), "verdict", "verdict", verdict, "status", sw.status, "took", took)
		}()
		next.ServeHTTP(sw, r)
	})
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the last status: earlier ones are informational.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// verdict says in a word how a request was judged.
func (w *statusWriter) verdict() string {
	if w.status == http.StatusOK {
		return "pass"
	}
	return cmp.Or(w.Header().Get(gateway.HeaderReason), "error")
}
