package endpoints

import (
	"errors"
	"net/http"
	"strings"

	"github.com/updateage/session"
)

// The way of a request, in this order; the first that refuses answers:
//
//	match      this file    path and method: 404, 405; or Options.Next
//	allowed    bridge.go    another service's secret: 401
//	check      origin.go    unsafe methods of other origins: 403
//	readBody   body.go      413, 415, 400
//	Optional   the core     finds the session
//	admit      this file    503, 401, 403
//	serve      native.go, flowfull.go, betterauth.go
//	answer     problem.go   JSON

// contract is what makes the contracts different, besides what they answer.
type contract struct {
	name   string
	mount  string // the default prefix
	routes func(*Handler) ([]route, error)
	// refuse says why a request's origin is not trusted, or nil.
	refuse func(*origins, *http.Request) *problem
	// body is how an error is told.
	body func(*problem) any
	// silent contracts answer 404 without a body, and a wrong method so, too.
	silent bool
}

// route is one method of one path.
type route struct {
	method string
	path   string // below the prefix; a last "{id}" stands for one segment
	need   need
	serve  func(*call) (any, error) // the answer's body
	bridge bool                     // authenticated by a bridge secret
	poll   bool                     // the client may ask that it does not refresh
}

// need is what a route demands of the request's session.
type need uint8

const (
	nothing    need = iota // it is not even looked for
	anySession             // or none; but the store must have answered
	signedIn
	fresh
)

// call is one request to a route.
type call struct {
	*Handler
	r    *http.Request
	s    *session.Session
	id   string // the path's {id}
	body object
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, id, allow := h.match(r)
	if route == nil && allow == "" && h.opts.Next != nil {
		h.opts.Next.ServeHTTP(w, r)
		return
	}
	neverCached(w.Header())
	switch {
	case route != nil:
		h.receive(w, &call{Handler: h, r: r, id: id}, route)
	case h.contract.silent:
		w.WriteHeader(http.StatusNotFound)
	case allow == "":
		h.fail(w, r, problemOf(http.StatusNotFound))
	default:
		w.Header().Set("Allow", allow)
		h.fail(w, r, problemOf(http.StatusMethodNotAllowed))
	}
}

// match finds the route of a request. If there is none but the path has others,
// allow are their methods.
func (h *Handler) match(r *http.Request) (found *route, id, allow string) {
	path, below := strings.CutPrefix(r.URL.Path, h.prefix)
	if !below {
		return nil, "", ""
	}
	var methods []string
	for i := range h.routes {
		route := &h.routes[i]
		id, ok := route.matches(path)
		switch {
		case !ok:
		case route.method == r.Method, route.method == "GET" && r.Method == "HEAD" && !h.contract.silent:
			return route, id, ""
		case route.method == "GET":
			methods = append(methods, "GET", "HEAD")
		default:
			methods = append(methods, route.method)
		}
	}
	return nil, "", strings.Join(methods, ", ")
}

func (rt *route) matches(path string) (id string, ok bool) {
	before, isPattern := strings.CutSuffix(rt.path, "{id}")
	if !isPattern {
		return "", path == rt.path
	}
	id, ok = strings.CutPrefix(path, before)
	return id, ok && id != "" && !strings.Contains(id, "/")
}

// receive checks what can be checked before anything is looked up.
func (h *Handler) receive(w http.ResponseWriter, c *call, rt *route) {
	if rt.bridge && !h.allowed(c.r) {
		h.fail(w, c.r, errBridge)
		return
	}
	foreign := h.contract.refuse(h.origins, c.r)
	if foreign != nil && carriesCookie(c.r, h.cookie) {
		h.fail(w, c.r, foreign) // whatever else it carries
		return
	}
	var err error
	if c.body, err = readBody(w, c.r); err != nil {
		h.fail(w, c.r, err)
		return
	}
	if rt.need == nothing {
		h.run(w, c, rt, foreign)
		return
	}
	if rt.poll && c.r.URL.Query().Get("disableRefresh") != "" { // any text is true there
		c.r = c.r.WithContext(session.WithoutRefresh(c.r.Context()))
	}
	h.find(w, c, func(w http.ResponseWriter) { h.run(w, c, rt, foreign) })
}

// find finds the request's session and goes on with it. Optional, because an
// outage has to be answered in the words of the contract.
func (h *Handler) find(w http.ResponseWriter, c *call, then func(http.ResponseWriter)) {
	h.m.Optional(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.r, c.s = r, h.m.Session(r.Context())
		then(w)
	})).ServeHTTP(w, c.r)
}

// run serves the request, unless it comes from a foreign origin. There is no
// cookie then, see receive; so a credential in a header is what authenticated
// it, and no page of another origin gets a browser to send one.
func (h *Handler) run(w http.ResponseWriter, c *call, rt *route, foreign *problem) {
	err := c.admit(rt.need)
	// While the store cannot be asked, nobody knows whether the token is good.
	if foreign != nil && !rt.bridge && !errors.Is(err, session.ErrUnavailable) && !(c.s.ID() != "" && sendsToken(c.r)) {
		h.fail(w, c.r, foreign)
		return
	}
	var body any
	if err == nil {
		body, err = rt.serve(c)
	}
	if err != nil {
		h.fail(w, c.r, err)
		return
	}
	h.answer(w, c.r, http.StatusOK, body)
}

// admit says why the request's session is not what is needed. An outage is never
// nobody (fails closed): clients would sign out.
func (c *call) admit(n need) error {
	switch {
	case n == nothing:
		return nil
	case errors.Is(c.s.Err(), session.ErrUnavailable):
		return session.ErrUnavailable
	case n == anySession:
		return nil
	case c.s.UserID() == "":
		return session.ErrNoSession
	case n == fresh && !c.opts.AllowStale && !c.s.Fresh():
		return session.ErrNotFresh
	}
	return nil
}
