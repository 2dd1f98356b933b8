package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/updateage/session"
)

// NewProxy returns a reverse proxy in front of a service. It passes on requests
// whose session ForwardAuth would let pass, with the identity headers and
// without session tokens, and answers the others as ForwardAuth does. WebSockets
// and event streams pass; whatever is under way ends when its session does, see
// session.Manager.Live.
//
// upstream is the service's http(s) URL; its path goes in front of the
// request's, and is no boundary: of /../ in a request the service decides where
// it leads. The service is told the client's address, host and scheme in
// X-Forwarded-For, -Host and -Proto; what a client says in them is believed only
// of session.Config.TrustedProxies, and X-Real-IP and True-Client-IP of nobody.
// A session cookie that the service sets is dropped: it is not the service's.
//
// Requests that change something and come from other sites are not the proxy's
// business; put http.CrossOriginProtection in front. WebSockets are: from
// origins that are neither the request's own nor among Config.Origins they get
// 403 (ASVS 5.0 4.4.2).
//
// It belongs outside Manager.Handler. The error joins every mistake in the
// configuration.
func NewProxy(m *session.Manager, upstream *url.URL, cfg Config) (http.Handler, error) {
	wrong := upstream == nil || upstream.Scheme != "http" && upstream.Scheme != "https" || upstream.Host == ""
	g, err := newGate(m, cfg,
		mistake{wrong, "upstream is not an http(s) URL"},
		mistake{cfg.StatusOnly || cfg.MaxReuse != 0, "StatusOnly and MaxReuse are for ForwardAuth"},
	)
	if err != nil {
		return nil, err
	}
	p := &proxy{gate: g, trusted: m.Config().TrustedProxies}
	target := *upstream
	p.reverse = httputil.ReverseProxy{
		Rewrite:        func(pr *httputil.ProxyRequest) { p.rewrite(pr, &target) },
		ModifyResponse: p.withhold,
		ErrorHandler:   p.failed,
		Transport:      cfg.Transport,
	}
	p.live = m.Live(http.HandlerFunc(p.serve))
	// Optional, for the same reason as in ForwardAuth.
	return m.Optional(p), nil
}

type proxy struct {
	*gate
	reverse httputil.ReverseProxy
	live    http.Handler // reverse, until the session ends
	trusted []netip.Prefix
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect { // a tunnel to where the client wants
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	granted, why := p.decide(r.Context(), time.Now())
	if why == reasonNone && p.foreign(r) {
		why = reasonOrigin
	}
	if why != reasonNone {
		p.refuse(w, r, why, r.Host, r.URL.RequestURI())
		return
	}
	p.live.ServeHTTP(w, r.WithContext(&admitted{r.Context(), granted}))
}

// serve asks the service.
func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.reverse.ServeHTTP(&hintsWriter{w, p.cookie}, r)
}

// admitted carries the grant of a request to rewrite.
type admitted struct {
	context.Context
	grant
}

type admittedKey struct{}

// Value returns the grant, or what the request's own context has.
func (x *admitted) Value(key any) any {
	if key == any(admittedKey{}) {
		return &x.grant
	}
	return x.Context.Value(key)
}

// Format keeps fmt from printing the assertion.
func (x *admitted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "gateway.NewProxy context") }

// rewrite makes the request that the service gets. ReverseProxy has taken away
// by now what the client called hop-by-hop, so that nothing that is set here can
// be named in a Connection header.
func (p *proxy) rewrite(pr *httputil.ProxyRequest, target *url.URL) {
	pr.SetURL(target)
	h := pr.Out.Header
	stripIdentity(h)
	replace(h, "Cookie", withoutCookie(h["Cookie"], p.cookie))
	if p.headers {
		replace(h, "Authorization", withoutTokens(h["Authorization"]))
	}
	pr.Out.Trailer = nil // some servers make headers of trailers
	granted, ok := pr.In.Context().Value(admittedKey{}).(*grant)
	if ok {
		setIdentity(h, granted.info, granted.assertion)
	}
	if h.Get(HeaderAssertion) == "" {
		delete(h, HeaderAssertion)
	}
	p.forwarded(pr)
}

func replace(h http.Header, name string, values []string) {
	if len(values) == 0 {
		delete(h, name)
		return
	}
	h[name] = values
}

// forwarded tells the service of the client, of which only a trusted proxy in
// front knows better than the connection.
func (p *proxy) forwarded(pr *httputil.ProxyRequest) {
	for _, name := range hearsay {
		delete(pr.Out.Header, name)
	}
	if !p.trusts(pr.In.RemoteAddr) {
		pr.SetXForwarded()
		return
	}
	pr.Out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
	pr.SetXForwarded()
	for _, name := range [...]string{"X-Forwarded-Host", "X-Forwarded-Proto"} {
		if said := only(pr.In.Header, name); said != "" {
			pr.Out.Header.Set(name, said)
		}
	}
}

// hearsay are other names of the client's address. Some services prefer them to
// X-Forwarded-For, and then believe every client.
var hearsay = [...]string{"X-Real-Ip", "True-Client-Ip"}

func (p *proxy) trusts(remote string) bool {
	host, _, _ := net.SplitHostPort(remote)
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, network := range p.trusted {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// foreign says whether another site's page opens a WebSocket. SameSite cookies
// keep most of them out, but not those of sibling domains.
func (p *proxy) foreign(r *http.Request) bool {
	origins := r.Header["Origin"]
	if r.Header["Upgrade"] == nil || len(origins) == 0 {
		return false // no browser opens a WebSocket without saying from where
	}
	if len(origins) > 1 {
		return true
	}
	origin, err := parseOrigin(origins[0])
	if err != nil {
		return true // "null" among others
	}
	scheme, host, _ := strings.Cut(origin, "://")
	return host != normalHost(scheme, r.Host) && !slices.Contains(p.origins, origin)
}

// withhold drops a session cookie that the service sets.
func (p *proxy) withhold(resp *http.Response) error {
	withoutSetCookie(resp.Header, p.cookie)
	return nil
}

// hintsWriter does the same with informational responses, which ReverseProxy
// passes on by itself.
type hintsWriter struct {
	http.ResponseWriter
	cookie string
}

func (w *hintsWriter) WriteHeader(status int) {
	if status < 200 {
		withoutSetCookie(w.Header(), w.cookie)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController, by which ReverseProxy flushes and hijacks.
func (w *hintsWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// failed answers a request that got no response: because its session ended, or
// because the service could not be reached.
func (p *proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	cause := context.Cause(r.Context())
	switch {
	case errors.Is(cause, session.ErrRevoked), errors.Is(cause, session.ErrExpired):
		p.refuse(w, r, reasonSession, r.Host, r.URL.RequestURI())
	case errors.Is(cause, context.Canceled):
		w.WriteHeader(statusClientClosed) // nobody reads it
	default:
		p.log.ErrorContext(r.Context(), "gateway: service cannot be reached", "error", err)
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
	}
}

// statusClientClosed is the status of a request whose client hung up, by custom.
const statusClientClosed = 499
