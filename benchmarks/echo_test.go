package benchmarks

import (
	"testing"

	"github.com/gorilla/sessions"
	"github.com/labstack/echo-contrib/session"
	"github.com/labstack/echo/v4"
)

func startEcho(testing.TB, *meter) *server {
	store := sessions.NewCookieStore(cookieKey)
	store.Options = &onlyHTTP
	// An error comes with a new session, and is what a stranger's cookie gets.
	of := func(c echo.Context) *sessions.Session {
		s, _ := session.Get("session", c)
		return s
	}
	return serveEcho(&app[echo.Context]{
		user:  func(c echo.Context) string { return text(of(c).Values["user"]) },
		value: func(c echo.Context, key string) string { return text(of(c).Values[key]) },
		set: func(c echo.Context, key, value string) error {
			s := of(c)
			s.Values[key] = value
			return s.Save(c.Request(), c.Response())
		},
		signIn: func(c echo.Context, user string) error {
			s := of(c)
			s.Values["user"] = user
			return s.Save(c.Request(), c.Response())
		},
		signOut: func(c echo.Context) error {
			s := of(c)
			s.Options.MaxAge = -1
			return s.Save(c.Request(), c.Response())
		},
	}, session.Middleware(store))
}

func startEchoBare(testing.TB, *meter) *server { return serveEcho(bareApp[echo.Context]()) }

func serveEcho(a *app[echo.Context], middleware ...echo.MiddlewareFunc) *server {
	a.gate = newGate()
	a.header = func(c echo.Context, name string) string { return c.Request().Header.Get(name) }
	a.answer = func(c echo.Context, status int, body []byte) { _ = c.Blob(status, html[0], body) }
	e := echo.New()
	e.Use(middleware...)
	for path, page := range a.pages() {
		e.GET(path, func(c echo.Context) error { page(c); return nil })
	}
	return &server{gate: a.gate, http: e}
}
