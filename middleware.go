package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// The way of a request:
//
//	Handler          this file    one exchange per request, put into its context
//	read             cookie.go    cookies and headers -> tokens; malformed ones end here
//	load             load.go      store.Load, secret, expiry, binding -> *Session
//	maintain         load.go      refresh and rotation, where due: one conditional write
//	next.ServeHTTP   the application: FromContext, Key.Get, Key.Set, SignIn ...
//	writer.begin     writer.go    before the first byte: commit, once
//	commit           commit.go    changed values -> store, merged with other requests'
//	finish           respond.go   Set-Cookie, Vary, Cache-Control
//
// One allocation holds the session, the response writer and the context node;
// the other is the copy of the request. None is ever reused: a handler may keep
// its session as long as it likes.

// Manager finds, keeps and ends sessions. Create it with New; it is safe for
// concurrent use, and its configuration never changes.
type Manager struct {
	cfg     Config
	store   Store
	limiter LimitedCreator // nil: the store has no such capability
	patcher Patcher
	sweeper Sweeper
	sealer  sealer
	live    *watchers
}

// New returns a Manager that keeps sessions in store. The error joins every
// mistake in the configuration.
func New(store Store, cfg Config) (*Manager, error) {
	m := &Manager{cfg: cfg.withDefaults(), store: store}
	err := m.cfg.validate()
	if store == nil {
		err = errors.Join(errors.New("session: store is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	m.limiter, _ = store.(LimitedCreator)
	m.patcher, _ = store.(Patcher)
	m.sweeper, _ = store.(Sweeper)
	m.live = newWatchers(m)
	m.sealer = newSealer(m.cfg.Cookie.Keys)
	return m, nil
}

// Config returns the configuration in force, with every default filled in.
func (m *Manager) Config() Config { return m.cfg.withDefaults() }

// Format shows the configuration under every verb, without keys.
func (m *Manager) Format(f fmt.State, _ rune) { show(f, m.cfg.String()) }

// LogValue shows the configuration in a log, without keys.
func (m *Manager) LogValue() slog.Value { return slog.StringValue(m.cfg.String()) }

// Handler gives every request to next its session, see FromContext. It sends the
// session cookie, and stores changed values before the first byte of the
// response leaves. While the store cannot be asked, requests that carry a token
// get 503: never somebody else's view, and never that of nobody.
//
// Inside another Handler of the same Manager it only calls next. A handler that
// unwraps the ResponseWriter and writes to the inner one bypasses the cookie and
// the storing.
func (m *Manager) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r, next, false) })
}

// Optional is Handler for pages that have to work while the store does not: such
// requests go on without a session, and changing it returns ErrUnavailable.
func (m *Manager) Optional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r, next, true) })
}

func (m *Manager) serve(w http.ResponseWriter, r *http.Request, next http.Handler, optional bool) {
	if outer := m.Session(r.Context()); outer != nil {
		if !optional && outer.stands() == unavailable {
			m.fail(w, r, ErrUnavailable) // an Optional outside let it through
			return
		}
		next.ServeHTTP(w, r)
		return
	}
	x := &exchange{Context: r.Context()}
	x.session.m, x.session.req = m, r
	x.writer.inner, x.writer.session = w, &x.session
	x.writer.encoded = w.Header()["Content-Encoding"] != nil
	if err := x.session.load(r.Context()); err != nil && !optional {
		addVary(w.Header(), m.cfg.HeaderTransport)
		m.fail(w, r, err)
		return
	}
	returned := false
	defer func() {
		if !returned { // a panic or Goexit, which goes on
			x.session.abandon()
		}
	}()
	next.ServeHTTP(x.writer.shaped(), r.WithContext(x))
	returned = true
	_ = x.writer.begin() // a failure has answered the request
}

// RequireUser lets only requests of a signed-in user pass to next. Others get
// 401, see Config.ErrorHandler. It belongs inside Handler, without which every
// request gets 500.
func (m *Manager) RequireUser(next http.Handler) http.Handler {
	return m.require(next, (*Session).requireUser)
}

// RequireFresh is RequireUser for sensitive actions: the user must also have
// authenticated within FreshAge, or gets 403. A refresh makes no session fresh
// (ASVS 5.0 7.5.1, 7.5.3).
func (m *Manager) RequireFresh(next http.Handler) http.Handler {
	return m.require(next, (*Session).requireFresh)
}

func (m *Manager) require(next http.Handler, check func(*Session) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := m.Session(r.Context())
		if s == nil {
			m.fail(w, r, errors.New("session: RequireUser or RequireFresh outside Handler"))
			return
		}
		if err := check(s); err != nil {
			m.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// exchange is what the middleware keeps of one request: session and writer, and
// the node that puts the session into the request's context.
type exchange struct {
	context.Context
	session Session
	writer  writer
}

// contextKey finds the nearest session; a *Manager as key finds its own.
type contextKey struct{}

// Value returns the session, or what the request's own context has.
func (x *exchange) Value(key any) any {
	if key == any(contextKey{}) || key == any(x.session.m) {
		return &x.session
	}
	return x.Context.Value(key)
}

// Format keeps fmt from printing what a context has in it.
func (x *exchange) Format(f fmt.State, _ rune) { show(f, "session.Handler context") }

// Session returns this Manager's session of a request: what FromContext returns
// unless a Handler of another Manager stands between. It is nil outside Handler.
func (m *Manager) Session(ctx context.Context) *Session {
	s, _ := ctx.Value(m).(*Session)
	return s
}

// FromContext returns the session of a request that came through
// Manager.Handler, of the innermost one if there are several. It is never nil
// there; elsewhere it is nil, which reads as an empty session.
func FromContext(ctx context.Context) *Session {
	s, _ := ctx.Value(contextKey{}).(*Session)
	return s
}

// Errors that the methods of Session return and Config.ErrorHandler is given.
var (
	// ErrUnavailable reports that the store could not be asked.
	ErrUnavailable = errors.New("session: store is unavailable")
	// ErrNoSession reports that there is no session: outside Handler, or where a signed-in user is needed.
	ErrNoSession = errors.New("session: no session")
	// ErrExpired reports that the request's session had expired.
	ErrExpired = errors.New("session: session has expired")
	// ErrCommitted reports a change after the first byte of the response.
	ErrCommitted = errors.New("session: response has begun")
	// ErrSuperseded reports a change by a request whose token is refused, such
	// as one that another request has replaced meanwhile.
	ErrSuperseded = errors.New("session: token is superseded")
	// ErrRevoked reports that the session ended while the request was running.
	ErrRevoked = errors.New("session: session has ended")
	// ErrCrossSite reports that a request from another site would have started a session.
	ErrCrossSite = errors.New("session: started by another site")
	// ErrNotFresh reports that the user authenticated too long ago.
	ErrNotFresh = errors.New("session: authentication is not fresh")
)

// statusClientClosed is nginx's status for a client that hung up; nobody reads it
// but the log.
const statusClientClosed = 499

// Status returns the HTTP status that belongs to an error of this package, as
// Config.ErrorHandler lists them: for error handlers that answer in their own
// form. An unknown error is 500.
func Status(err error) int {
	for _, s := range [...]struct {
		err    error
		status int
	}{
		{ErrUnavailable, http.StatusServiceUnavailable},
		{context.Canceled, statusClientClosed},
		{ErrFull, http.StatusServiceUnavailable},
		{ErrNoSession, http.StatusUnauthorized},
		{ErrExpired, http.StatusUnauthorized},
		{ErrRevoked, http.StatusUnauthorized},
		{ErrNotFound, http.StatusNotFound},
		{ErrNotFresh, http.StatusForbidden},
		{ErrCrossSite, http.StatusForbidden},
		{ErrSuperseded, http.StatusConflict},
		{ErrTooLarge, http.StatusRequestEntityTooLarge},
		{ErrLimit, http.StatusTooManyRequests},
	} {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return http.StatusInternalServerError
}

// answerStatus is the default ErrorHandler. What it says is generic: the reason
// is for the log (ASVS 5.0 16.5.1).
func answerStatus(w http.ResponseWriter, _ *http.Request, err error) {
	status := Status(err)
	text := http.StatusText(status)
	if status == statusClientClosed {
		text = "Client Closed Request"
	}
	http.Error(w, text, status)
}

// fail answers a request that cannot go on.
func (m *Manager) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := Status(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.Header()["Cache-Control"] = noStore
	e := &errorWriter{ResponseWriter: w, status: status}
	m.cfg.ErrorHandler(e, r, err)
	e.begin()
}

// errorWriter sees to it that what an ErrorHandler leaves unsaid is not a 200
// (fails closed).
type errorWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (e *errorWriter) begin() {
	if !e.wrote {
		e.WriteHeader(e.status)
	}
}

func (e *errorWriter) WriteHeader(status int) {
	e.wrote = e.wrote || !informational(status)
	e.ResponseWriter.WriteHeader(status)
}

func (e *errorWriter) Write(b []byte) (int, error) {
	e.wrote = true // a handler that writes without a status means 200
	return e.ResponseWriter.Write(b)
}

// FlushError sends the status first, if the handler did not.
func (e *errorWriter) FlushError() error {
	e.begin()
	return http.NewResponseController(e.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController through.
func (e *errorWriter) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// unavailable is what becomes of a store's error: an event, and ErrUnavailable
// for the caller. A client that hung up is no outage.
func (m *Manager) unavailable(ctx context.Context, verb string, id string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("session: %s: %w", verb, context.Canceled)
	}
	m.emit(ctx, nil, Event{Kind: EventStoreError, SessionID: id, Err: fmt.Errorf("%s: %w", verb, err)})
	return fmt.Errorf("session: %s: %w: %w", verb, ErrUnavailable, err)
}

// isAnswer says whether an error of a store is an answer and no failure to answer.
func isAnswer(err error) bool {
	for _, answer := range [...]error{ErrNotFound, ErrExists, ErrConflict, ErrUnreadable, ErrTooLarge, ErrLimit, ErrFull} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// now is the time as records keep it.
func now() time.Time { return millis(time.Now()) }
