// Package echosession puts sessions into Echo v4. It has the functions of package
// echosession for Echo v5: who moves to v5 changes the import path.
//
//	e := echo.New()
//	e.Use(middleware.Recover(), echosession.Middleware(sessions))
//	e.GET("/", func(c echo.Context) error {
//		s := echosession.FromContext(c)
//		...
//	})
//
// Everything else, from signing in to values, is package session's: what is
// stored when, and which errors there are, is the same in every framework.
//
// What the session package answers itself (503 while the store is down, 401, 403)
// comes from session.Config.ErrorHandler, whose plain text an API replaces by its
// own form. Errors that handlers return are answered by Echo's HTTPErrorHandler,
// with the session's cookie.
package echosession

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/updateage/session"
)

// Middleware gives every request its session, as [session.Manager.Handler] does:
// it sends the cookie and stores changed values before the first byte of the
// response, after the functions of Response.Before.
//
// When a handler returns an error and has not written, the session is stored
// before Echo's HTTPErrorHandler answers. That may read the session, but a change
// returns session.ErrCommitted. Where storing fails, the session package has
// answered; an error handler of one's own sees that as for every response that
// has begun, by Response.Committed.
//
// It belongs after Echo's middleware.Recover: only a panic that passes through it
// undoes a sign-in that no response will tell the client of. What compresses or
// buffers responses may stand on either side.
func Middleware(m *session.Manager) echo.MiddlewareFunc { return adapt(m.Handler) }

// Optional is Middleware for pages that have to work while the store does not,
// as [session.Manager.Optional].
func Optional(m *session.Manager) echo.MiddlewareFunc { return adapt(m.Optional) }

// FromContext returns the session of a request that came through Middleware, of
// the innermost one if there are several (for the others there is
// session.Manager.Session). It is never nil there; elsewhere it is nil, which reads
// as an empty session. Access logs and error handlers may ask for it, too.
func FromContext(c echo.Context) *session.Session {
	if c.Request() == nil {
		return nil
	}
	return session.FromContext(c.Request().Context())
}

// RequireUser lets only requests of a signed-in user pass; others get 401 from
// session.Config.ErrorHandler. It belongs inside Middleware, without which every
// request gets 500.
func RequireUser(m *session.Manager) echo.MiddlewareFunc { return adapt(m.RequireUser) }

// RequireFresh is RequireUser for sensitive actions: the user must also have
// authenticated within session.Config.FreshAge, or gets 403.
func RequireFresh(m *session.Manager) echo.MiddlewareFunc { return adapt(m.RequireFresh) }

// Live cancels the context of a request, c.Request().Context(), when its session
// ends, as [session.Manager.Live]. It belongs inside Middleware, around handlers of
// WebSockets and event streams.
func Live(m *session.Manager) echo.MiddlewareFunc { return adapt(m.Live) }

// exchange leads one request through a handler of the session package and back
// to Echo.
type exchange struct {
	echo echo.Context
	then echo.HandlerFunc
	err  error // of then
	inner
}

// adapt puts the session's writer below Echo's Response, where Echo's own
// middleware puts its writers. echo.WrapMiddleware puts a second Response on
// top, from which loggers read a status that was not sent if storing fails, and
// to which a recovery writes.
func adapt(wrap func(http.Handler) http.Handler) echo.MiddlewareFunc {
	return func(then echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			res := c.Response()
			x := &exchange{echo: c, then: then, inner: inner{res.Writer, res}}
			return x.serve(wrap(x), c.Request())
		}
	}
}

func (x *exchange) serve(handler http.Handler, r *http.Request) error {
	returned := false
	defer func() {
		x.response.Writer = x.inner.ResponseWriter
		if !returned {
			x.echo.SetRequest(r) // what a recovery sets in the session would go nowhere
		}
	}()
	handler.ServeHTTP(&x.inner, r)
	returned = true
	return x.err
}

// ServeHTTP runs Echo's other handlers on the session's writer and request.
func (x *exchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if w == http.ResponseWriter(&x.inner) {
		// Only the request's context is a new one, and has ended when they are done.
		defer x.echo.SetRequest(x.echo.Request())
	}
	x.echo.SetRequest(r)
	x.response.Writer = w
	x.err = x.then(x.echo)
}

// inner is the writer below Echo's Response as the session package sees it.
type inner struct {
	http.ResponseWriter
	response *echo.Response
}

// WriteHeader tells Echo's Response of an answer that the session package gives
// by itself: loggers shall see its status, and the error handler that there is one.
func (w *inner) WriteHeader(status int) {
	if !informational(status) {
		w.response.Status, w.response.Committed = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func informational(status int) bool {
	return 100 <= status && status < 200 && status != http.StatusSwitchingProtocols
}

func (w *inner) Write(b []byte) (int, error) {
	if !w.response.Committed || informational(w.response.Status) {
		// An ErrorHandler that gives no status means 200. So does a page after an
		// informational one, which Echo takes for the final one.
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (w *inner) Unwrap() http.ResponseWriter { return w.ResponseWriter }
