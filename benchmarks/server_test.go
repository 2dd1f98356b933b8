package benchmarks

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/valyala/fasthttp"
)

// agent is a user agent of the length that browsers' have.
var agent = strings.Repeat("x", 111)

// server answers requests: it is one of net/http or one of fasthttp.
type server struct {
	http http.Handler
	fast fasthttp.RequestHandler
	gate *gate
}

// exchange is what a handler of net/http gets.
type exchange struct {
	w http.ResponseWriter
	r *http.Request
}

// serveHTTP puts the pages of an app behind a middleware.
func serveHTTP(a *app[exchange], middleware func(http.Handler) http.Handler) *server {
	a.gate = newGate()
	a.header = func(c exchange, name string) string { return c.r.Header.Get(name) }
	a.answer = func(c exchange, status int, body []byte) {
		c.w.Header()["Content-Type"] = html
		if status != http.StatusOK {
			c.w.WriteHeader(status)
		}
		_, _ = c.w.Write(body)
	}
	pages := a.pages()
	return &server{gate: a.gate, http: middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pages[r.URL.Path](exchange{w, r})
	}))}
}

var html = []string{"text/html; charset=utf-8"}

// request is a request that can be sent again and again.
type request struct {
	path    string
	cookie  string // "name=value"
	header  map[string]string
	newUser bool   // each time another
	answer  []byte // the body that is to come; nil: any
}

// reply is what came back.
type reply struct {
	status  int
	body    string
	cookies []string // Set-Cookie
}

// cookie returns the pair that a browser would send from now on, or have.
func (r reply) cookie(have string) string {
	for _, c := range r.cookies {
		pair, attributes, _ := strings.Cut(c, ";")
		if _, value, _ := strings.Cut(pair, "="); value == "" || strings.Contains(attributes, "Max-Age=0") {
			have = ""
			continue
		}
		have = pair
	}
	return have
}

// ask sends a request once.
func (s *server) ask(tb testing.TB, q request) reply {
	tb.Helper()
	if s.fast != nil {
		c := q.toFast()
		s.fast(c)
		return reply{c.Response.StatusCode(), string(c.Response.Body()), fastCookies(c)}
	}
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, q.toHTTP(tb))
	return reply{w.Code, w.Body.String(), w.Result().Header["Set-Cookie"]}
}

// repeat returns a function that sends the requests in turn, as cheaply as it can
// be, and returns the number of cookies that the reply sets. What it needs for
// that is little: what is alive in the process makes every allocation of a
// contender dearer, as the garbage collector visits it.
func (s *server) repeat(tb testing.TB, requests ...request) func() int {
	tb.Helper()
	if s.fast != nil {
		return s.repeatFast(tb, requests)
	}
	// A copy for each turn: gorilla/sessions puts what it has read into the
	// request itself.
	r, w, turn := requests[0].toHTTP(tb), &discard{header: make(http.Header)}, new(http.Request)
	var headers []http.Header
	for _, q := range requests {
		headers = append(headers, q.httpHeader())
	}
	i := 0
	return func() int {
		clear(w.header)
		w.status, w.size = http.StatusOK, 0
		*turn = *r
		turn.Header = headers[i]
		if requests[i].newUser {
			turn.Header[userHeader][0] = nextUser()
		}
		s.http.ServeHTTP(w, turn)
		requests[i].check(tb, w.status, w.size)
		i = (i + 1) % len(requests)
		return len(w.header["Set-Cookie"])
	}
}

func (s *server) repeatFast(tb testing.TB, requests []request) func() int {
	var turns []*fasthttp.RequestCtx
	for _, q := range requests {
		turns = append(turns, q.toFast())
	}
	i := 0
	return func() (cookies int) {
		c := turns[i]
		c.Response.Reset()
		c.ResetUserValues()
		if requests[i].newUser {
			c.Request.Header.Set(userHeader, nextUser())
		}
		s.fast(c)
		requests[i].check(tb, c.Response.StatusCode(), len(c.Response.Body()))
		i = (i + 1) % len(requests)
		for range c.Response.Header.Cookies() {
			cookies++
		}
		return cookies
	}
}

// check makes sure that whoever is fast has answered.
func (q *request) check(tb testing.TB, status, size int) {
	if q.answer != nil && (status != http.StatusOK || size != len(q.answer)) {
		tb.Errorf("%s: got status %d and %d bytes, want %d and %d", q.path, status, size, http.StatusOK, len(q.answer))
	}
}

// newUsers are the names of many users, one after the other in one string.
var (
	newUsers = func() string {
		var b strings.Builder
		for i := range 1 << 16 {
			b.WriteString(userID(i))
		}
		return b.String()
	}()
	newUserNo atomic.Uint32
)

// nextUser returns the name of a user who has not been here for a long time.
func nextUser() string {
	i, size := int(newUserNo.Add(1)%(1<<16)), len(userID(0))
	return newUsers[i*size : (i+1)*size]
}

func (q request) toHTTP(tb testing.TB) *http.Request {
	// Like those of a server, its context can be cancelled.
	ctx, cancel := context.WithCancel(tb.Context())
	tb.Cleanup(cancel)
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, q.path, nil)
	r.Header = q.httpHeader()
	return r
}

func (q request) httpHeader() http.Header {
	h := http.Header{"User-Agent": {agent}}
	for name, value := range q.header {
		h.Set(name, value)
	}
	if q.cookie != "" {
		h.Set("Cookie", "lang=en; "+q.cookie)
	}
	return h
}

func (q request) toFast() *fasthttp.RequestCtx {
	c := new(fasthttp.RequestCtx)
	c.Request.Header.SetMethod(fasthttp.MethodGet)
	c.Request.SetRequestURI(q.path)
	c.Request.Header.SetHost("example.com")
	c.Request.Header.SetUserAgent(agent)
	for name, value := range q.header {
		c.Request.Header.Set(name, value)
	}
	if q.cookie != "" {
		c.Request.Header.Set("Cookie", "lang=en; "+q.cookie)
	}
	return c
}

func fastCookies(c *fasthttp.RequestCtx) (cookies []string) {
	for _, line := range c.Response.Header.Cookies() {
		cookies = append(cookies, string(line))
	}
	return cookies
}

// discard is a response of which only the size is kept.
type discard struct {
	header http.Header
	status int
	size   int
}

func (d *discard) Header() http.Header { return d.header }

func (d *discard) WriteHeader(status int) { d.status = status }

func (d *discard) Write(p []byte) (int, error) {
	d.size += len(p)
	return len(p), nil
}
