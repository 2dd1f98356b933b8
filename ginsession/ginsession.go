// Package ginsession puts sessions into Gin. Most programs need Middleware after
// Gin's recovery, and FromContext in their handlers.
//
//	r := gin.Default()
//	r.Use(ginsession.Middleware(sessions))
//	r.GET("/", func(c *gin.Context) {
//		s := ginsession.FromContext(c)
//		...
//	})
//
// Everything else, from signing in to values, is package session's: what is
// stored when, and which errors there are, is the same in every framework.
//
// What the session package answers itself (503 while the store is down, 401, 403)
// comes from session.Config.ErrorHandler, whose plain text an API replaces by its
// own form. Everything else is answered by Gin: its recovery, its 404 and 405,
// error handlers that run after c.Next.
package ginsession

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/updateage/session"
)

// Middleware gives every request its session, as [session.Manager.Handler] does:
// it sends the cookie and stores changed values before the first byte of the
// response. Setting a status (c.Status) sends nothing and so stores nothing.
//
// It belongs after Gin's recovery, which gin.Default installs: only a panic that
// passes through it undoes a sign-in that no response will tell the client of.
// What compresses or buffers responses may stand on either side.
//
// Inside another Middleware of the same Manager, and after Engine.HandleContext,
// a request keeps its session. The inner one stores it when it returns, because
// Gin sends the headers then; a change after that returns session.ErrCommitted.
func Middleware(m *session.Manager) gin.HandlerFunc { return adapt(m, m.Handler) }

// Optional is Middleware for pages that have to work while the store does not,
// as [session.Manager.Optional].
func Optional(m *session.Manager) gin.HandlerFunc { return adapt(m, m.Optional) }

// FromContext returns the session of a request that came through Middleware, of
// the innermost one if there are several (for the others there is
// session.Manager.Session). It is never nil there; elsewhere it is nil, which reads
// as an empty session. Access logs may ask for it after c.Next.
func FromContext(c *gin.Context) *session.Session {
	if c.Request == nil {
		return nil
	}
	return session.FromContext(c.Request.Context())
}

// RequireUser lets only requests of a signed-in user pass; others get 401 from
// session.Config.ErrorHandler and are aborted. It belongs inside Middleware,
// without which every request gets 500.
func RequireUser(m *session.Manager) gin.HandlerFunc { return within(m.RequireUser) }

// RequireFresh is RequireUser for sensitive actions: the user must also have
// authenticated within session.Config.FreshAge, or gets 403.
func RequireFresh(m *session.Manager) gin.HandlerFunc { return within(m.RequireFresh) }

// Live cancels the context of a request, c.Request.Context(), when its session
// ends, as [session.Manager.Live]. It belongs inside Middleware, before handlers
// of WebSockets and event streams; c.Stream does not look at that context by itself.
func Live(m *session.Manager) gin.HandlerFunc { return within(m.Live) }

// exchange is what the adapter keeps of one request. It is a node of the
// request's context, so that Gin's handlers find their way back from net/http,
// and a second Middleware to the first. Gin's own Context would not do:
// HandleContext forgets everything that was put there.
type exchange struct {
	context.Context
	manager *session.Manager
	gin     *gin.Context
	answer  answer
	writer  writer
	passed  bool
}

// key finds the nearest exchange of a Manager.
type key struct{ manager *session.Manager }

// Value returns the exchange, or what the request's own context has.
func (x *exchange) Value(k any) any {
	if k == any(key{x.manager}) {
		return x
	}
	return x.Context.Value(k)
}

// Format keeps fmt from printing what a context has in it: the request's cookies.
func (x *exchange) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "ginsession.Middleware context")
}

// find returns the nearest exchange of a Manager, or nil.
func find(ctx context.Context, m *session.Manager) *exchange {
	x, _ := ctx.Value(key{m}).(*exchange)
	return x
}

func adapt(m *session.Manager, wrap func(http.Handler) http.Handler) gin.HandlerFunc {
	handler := wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		find(r.Context(), m).next(w, r)
	}))
	return func(c *gin.Context) {
		x := &exchange{Context: c.Request.Context(), manager: m, gin: c}
		x.serve(handler, c.Writer, c.Request)
	}
}

// serve runs the request through the session package's handler, and puts back
// what next has replaced: Gin's recovery and error handlers write to Gin's writer.
func (x *exchange) serve(handler http.Handler, w gin.ResponseWriter, r *http.Request) {
	c, returned := x.gin, false
	x.answer.ResponseWriter, x.writer.ResponseWriter = w, w
	defer func() {
		c.Writer = w
		if !returned {
			c.Request = r // what a recovery sets in the session would go nowhere
		}
	}()
	handler.ServeHTTP(&x.answer, r.WithContext(x))
	returned = true
	if !x.passed {
		c.Abort() // else Gin would go on to the handlers that were refused
	}
}

// next runs Gin's other handlers on the session's writer and request.
func (x *exchange) next(w http.ResponseWriter, r *http.Request) {
	x.passed = true
	x.gin.Request, x.gin.Writer = r, &x.writer
	if w != http.ResponseWriter(&x.answer) {
		x.writer.session = w
		x.gin.Next()
		return
	}
	// Further out there is the same Manager, which has passed on the writer it was
	// given. Its own writer may be out of the way: HandleContext starts anew with
	// Gin's, and sends the headers as soon as the handlers are done.
	if outer := find(x.Context, x.manager); outer != nil {
		x.writer.session = outer.writer.session
	}
	x.gin.Next()
	_ = x.writer.commit() // a failure has answered the request
}

// within runs the request through a handler of the session package that keeps
// Gin's writer, and aborts what it has refused.
func within(wrap func(http.Handler) http.Handler) gin.HandlerFunc {
	handler := wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.(*gate).next(r) }))
	return func(c *gin.Context) {
		g := &gate{answer: answer{c.Writer}, gin: c}
		handler.ServeHTTP(g, c.Request)
		if !g.passed {
			c.Abort()
		}
	}
}

// gate is the writer that such a handler is given, and passes on if it lets the
// request pass.
type gate struct {
	answer
	gin    *gin.Context
	passed bool
}

// next runs Gin's other handlers on the request, whose context may be a new one,
// and has ended when they are done.
func (g *gate) next(r *http.Request) {
	defer func(before *http.Request) { g.gin.Request = before }(g.gin.Request)
	g.passed, g.gin.Request = true, r
	g.gin.Next()
}
