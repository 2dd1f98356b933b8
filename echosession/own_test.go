package echosession_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/updateage/session"
	"github.com/updateage/session/echosession"
	"github.com/updateage/session/memstore"
)

// What only Echo has; the table has the rest.

const name session.Key[string] = "name"

// unsaved is a store that keeps what it has and takes nothing new.
type unsaved struct{ session.Store }

var errDown = errors.New("connection refused")

func (unsaved) Create(context.Context, *session.Record) error         { return errDown }
func (unsaved) Update(context.Context, *session.Record, uint64) error { return errDown }

func manager(t testing.TB, store session.Store) *session.Manager {
	t.Helper()
	m, err := session.New(store, session.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sessions(t testing.TB) *session.Manager {
	return manager(t, memstore.New(memstore.Options{}))
}

// server is Echo with some middleware, which answers errors by itself.
func server(use ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.Logger = slog.New(slog.DiscardHandler)
	e.Use(use...)
	return e
}

func do(h http.Handler, method, path string, edits ...func(*http.Request)) *http.Response {
	r := httptest.NewRequest(method, "https://example.com"+path, nil)
	for _, edit := range edits {
		edit(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(res *http.Response) string {
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

// sent returns the session cookie of a response, or "".
func sent(res *http.Response) string {
	for _, c := range res.Cookies() {
		return c.Name + "=" + c.Value
	}
	return ""
}

// stored returns the name in the session that a response's cookie is of.
func stored(m *session.Manager, res *http.Response) (got string) {
	if sent(res) == "" {
		return "no cookie"
	}
	do(m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ = name.Get(session.FromContext(r.Context()))
	})), http.MethodGet, "/", func(r *http.Request) { r.Header.Set("Cookie", sent(res)) })
	return got
}

func set(t testing.TB, c *echo.Context, value string, want error) {
	t.Helper()
	if err := name.Set(echosession.FromContext(c), value); !errors.Is(err, want) {
		t.Errorf("Set: got error %v, want %v", err, want)
	}
}

func TestErrorsAreAnsweredByEchoWithTheCookie(t *testing.T) {
	m := sessions(t)
	e := server(echosession.Middleware(m))
	e.GET("/", func(c *echo.Context) error {
		set(t, c, "x", nil)
		return echo.NewHTTPError(http.StatusPaymentRequired, "first pay")
	})
	res := do(e, http.MethodGet, "/")
	if text := body(res); res.StatusCode != http.StatusPaymentRequired || text != "{\"message\":\"first pay\"}\n" || stored(m, res) != "x" {
		t.Errorf("got %s %q and %q", res.Status, text, stored(m, res))
	}
}

func TestErrorHandlersReadTheSession(t *testing.T) {
	m := sessions(t)
	e := server(echosession.Middleware(m))
	e.HTTPErrorHandler = func(c *echo.Context, err error) {
		set(t, c, "late", session.ErrCommitted)
		_ = c.String(http.StatusTeapot, "sorry, "+echosession.FromContext(c).UserID())
	}
	e.GET("/", func(c *echo.Context) error {
		if err := echosession.FromContext(c).SignIn(c.Request().Context(), "alice", session.SignInOptions{}); err != nil {
			return err
		}
		return errDown
	})
	if res := do(e, http.MethodGet, "/"); body(res) != "sorry, alice" || sent(res) == "" {
		t.Errorf("got %s and cookie %q", res.Status, sent(res))
	}
}

// After a panic there is no session to change: nothing would store it.
func TestARecoveryCannotChangeTheSessionInSilence(t *testing.T) {
	m := sessions(t)
	e := server(middleware.Recover(), echosession.Middleware(m))
	e.HTTPErrorHandler = func(c *echo.Context, err error) {
		set(t, c, "panicked", session.ErrNoSession)
		if _, own := c.Response().(*echo.Response); !own {
			t.Error("the error handler writes to the session's writer")
		}
		_ = c.NoContent(http.StatusInternalServerError)
	}
	e.GET("/", func(*echo.Context) error { panic("boom") })
	if res := do(e, http.MethodGet, "/"); res.StatusCode != http.StatusInternalServerError || sent(res) != "" {
		t.Errorf("got %s and cookie %q", res.Status, sent(res))
	}
}

func TestEchosCompressionAroundAndInside(t *testing.T) {
	for _, inside := range []bool{true, false} {
		for _, down := range []bool{true, false} {
			store := session.Store(memstore.New(memstore.Options{}))
			if down {
				store = unsaved{store}
			}
			m := manager(t, store)
			e := server(echosession.Middleware(m), middleware.Gzip())
			if !inside {
				e = server(middleware.Gzip(), echosession.Middleware(m))
			}
			e.GET("/", func(c *echo.Context) error {
				set(t, c, "x", nil)
				return c.String(http.StatusCreated, "page")
			})
			res := do(e, http.MethodGet, "/", func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") })
			status, want := http.StatusCreated, "page"
			if down {
				status, want = http.StatusServiceUnavailable, "Service Unavailable\n"
			}
			if got := plain(t, res); got != want || res.StatusCode != status || !down && stored(m, res) != "x" {
				t.Errorf("inside %t, down %t: got %s %q, stored %q", inside, down, res.Status, got, stored(m, res))
			}
		}
	}
}

// plain returns a body that is compressed if its header says so.
func plain(t *testing.T, res *http.Response) string {
	t.Helper()
	if res.Header.Get("Content-Encoding") == "" {
		return body(res)
	}
	r, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEchosRequestLoggerSeesWhatWasSent(t *testing.T) {
	for _, row := range []struct {
		name   string
		store  session.Store
		page   echo.HandlerFunc
		status int
	}{
		{"a page", memstore.New(memstore.Options{}), func(c *echo.Context) error { return c.JSON(http.StatusCreated, "page") }, http.StatusCreated},
		{"an error", memstore.New(memstore.Options{}), func(*echo.Context) error { return echo.NewHTTPError(http.StatusTeapot, "tea") }, http.StatusTeapot},
		{"a page that was not stored", unsaved{memstore.New(memstore.Options{})}, func(c *echo.Context) error { return c.JSON(http.StatusCreated, "page") }, http.StatusServiceUnavailable},
		{"an error that was not stored", unsaved{memstore.New(memstore.Options{})}, func(*echo.Context) error { return echo.NewHTTPError(http.StatusTeapot, "tea") }, http.StatusServiceUnavailable},
	} {
		var logged int
		e := server(middleware.RequestLoggerWithConfig(middleware.RequestLoggerConfig{
			LogStatus: true, HandleError: true,
			LogValuesFunc: func(_ *echo.Context, v middleware.RequestLoggerValues) error {
				logged = v.Status
				return nil
			},
		}), echosession.Middleware(manager(t, row.store)))
		e.GET("/", func(c *echo.Context) error {
			set(t, c, "x", nil)
			return row.page(c)
		})
		if res := do(e, http.MethodGet, "/"); res.StatusCode != row.status || logged != row.status {
			t.Errorf("%s: got %s and the log has %d, want %d", row.name, res.Status, logged, row.status)
		}
	}
}

func TestEchosOwnWaysToAnswer(t *testing.T) {
	for _, row := range []struct {
		name string
		page echo.HandlerFunc
	}{
		{"JSON", func(c *echo.Context) error { return c.JSON(http.StatusOK, "page") }},
		{"NoContent", func(c *echo.Context) error { return c.NoContent(http.StatusNoContent) }},
		{"Redirect", func(c *echo.Context) error { return c.Redirect(http.StatusSeeOther, "/") }},
		{"Stream", func(c *echo.Context) error { return c.Stream(http.StatusOK, "text/plain", strings.NewReader("page")) }},
		{"Blob", func(c *echo.Context) error { return c.Blob(http.StatusOK, "text/plain", []byte("page")) }},
	} {
		m := sessions(t)
		e := server(echosession.Middleware(m))
		e.GET("/", func(c *echo.Context) error {
			set(t, c, row.name, nil)
			if res, err := echo.UnwrapResponse(c.Response()); err != nil || res.Committed {
				t.Errorf("%s: Echo's Response is out of reach (%v) or says that it has begun", row.name, err)
			}
			err := row.page(c)
			set(t, c, "late", session.ErrCommitted)
			return err
		})
		if res := do(e, http.MethodGet, "/"); stored(m, res) != row.name {
			t.Errorf("%s: got %q", row.name, stored(m, res))
		}
	}
}

// Functions of Response.Before see the session's headers, and come too late to
// change its values.
func TestBeforeSeesTheCookie(t *testing.T) {
	m := sessions(t)
	e := server(echosession.Middleware(m))
	e.GET("/", func(c *echo.Context) error {
		set(t, c, "x", nil)
		res, err := echo.UnwrapResponse(c.Response())
		if err != nil {
			return err
		}
		res.Before(func() {
			set(t, c, "late", session.ErrCommitted)
			if res.Header().Get("Set-Cookie") == "" {
				t.Error("there is no cookie yet")
			}
		})
		return c.String(http.StatusOK, "page")
	})
	if res := do(e, http.MethodGet, "/"); stored(m, res) != "x" {
		t.Errorf("got %q", stored(m, res))
	}
}

// Echo can answer HEAD by the handler of GET, with a writer of its own around the
// handler and the middleware of the route.
func TestHeadAsGet(t *testing.T) {
	for _, perRoute := range []bool{true, false} {
		for _, down := range []bool{true, false} {
			store, status := session.Store(memstore.New(memstore.Options{})), http.StatusOK
			if down {
				store, status = unsaved{store}, http.StatusServiceUnavailable
			}
			m := manager(t, store)
			e := echo.NewWithConfig(echo.Config{Router: echo.NewRouter(echo.RouterConfig{AutoHandleHEAD: true})})
			routes := e.Group("")
			if perRoute {
				routes.Use(echosession.Middleware(m))
			} else {
				e.Use(echosession.Middleware(m))
			}
			routes.GET("/", func(c *echo.Context) error {
				set(t, c, "x", nil)
				return c.String(http.StatusOK, "page")
			})
			res := do(e, http.MethodHead, "/")
			if res.StatusCode != status || !down && stored(m, res) != "x" || !down && res.Header.Get("Content-Length") != "4" {
				t.Errorf("per route %t, down %t: got %s, %q and Content-Length %q",
					perRoute, down, res.Status, stored(m, res), res.Header.Get("Content-Length"))
			}
		}
	}
}

func TestBeforeRouting(t *testing.T) {
	m := sessions(t)
	e := server()
	e.Pre(echosession.Middleware(m))
	e.GET("/", func(c *echo.Context) error {
		set(t, c, "x", nil)
		return c.String(http.StatusOK, "page")
	})
	if res := do(e, http.MethodGet, "/"); stored(m, res) != "x" {
		t.Errorf("got %q", stored(m, res))
	}
	if res := do(e, http.MethodGet, "/nowhere"); res.StatusCode != http.StatusNotFound {
		t.Errorf("got %s", res.Status)
	}
}

// The request that is left behind has the session, and a context that has not ended.
func TestWhatRunsAfterwardsReadsTheSession(t *testing.T) {
	m := sessions(t)
	var logged string
	e := server(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			err := next(c)
			logged = echosession.FromContext(c).UserID()
			set(t, c, "late", session.ErrCommitted)
			if err := c.Request().Context().Err(); err != nil {
				t.Errorf("the context that is left behind has ended: %v", err)
			}
			return err
		}
	}, echosession.Middleware(m), echosession.Live(m))
	e.GET("/", func(c *echo.Context) error {
		return echosession.FromContext(c).SignIn(c.Request().Context(), "alice", session.SignInOptions{})
	})
	cookie := sent(do(e, http.MethodGet, "/"))
	do(e, http.MethodGet, "/", func(r *http.Request) { r.Header.Set("Cookie", cookie) }) // Live has a session to watch
	if logged != "alice" {
		t.Errorf("the log has %q", logged)
	}
}

// Manager.Handler may stand around all of Echo as well.
func TestAroundEcho(t *testing.T) {
	m := sessions(t)
	e := server(echosession.Middleware(m))
	e.GET("/", func(c *echo.Context) error {
		set(t, c, "x", nil)
		defer set(t, c, "late", session.ErrCommitted)
		return c.String(http.StatusOK, "page")
	})
	res := do(m.Handler(e), http.MethodGet, "/")
	if text := body(res); text != "page" || stored(m, res) != "x" {
		t.Errorf("got %q and %q", text, stored(m, res))
	}
}

func TestOutsideOfEverything(t *testing.T) {
	c := echo.NewContext(nil, httptest.NewRecorder())
	if s := echosession.FromContext(c); s.UserID() != "" || !errors.Is(name.Set(s, "x"), session.ErrNoSession) {
		t.Error("a context without a request has a session")
	}
}
