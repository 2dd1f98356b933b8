package echosession_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/updateage/session"
	"github.com/updateage/session/echosession"
	"github.com/updateage/session/internal/adaptertest"
	"github.com/updateage/session/memstore"
)

func TestPageShowsTheseFunctions(t *testing.T) {
	adaptertest.Documented(t, "../docs/frameworks.md", "example_test.go", "newEcho")
}

func newEcho(sessions *session.Manager) *echo.Echo {
	e := echo.New()
	e.Use(middleware.Recover(), echosession.Middleware(sessions))
	e.POST("/login", func(c *echo.Context) error {
		userID, ok := checkPassword(c.FormValue("name"), c.FormValue("password"))
		if !ok {
			return echo.NewHTTPError(http.StatusUnauthorized, "wrong name or password")
		}
		s := echosession.FromContext(c)
		if err := s.SignIn(c.Request().Context(), userID, session.SignInOptions{}); err != nil {
			return echo.NewHTTPError(session.Status(err), "try again")
		}
		return c.Redirect(http.StatusSeeOther, "/account")
	})
	account := e.Group("/account", echosession.RequireUser(sessions))
	account.GET("", func(c *echo.Context) error {
		return c.String(http.StatusOK, "Hello, "+echosession.FromContext(c).UserID())
	})
	account.POST("/password", func(c *echo.Context) error {
		if err := echosession.FromContext(c).Rotate(c.Request().Context()); err != nil {
			return echo.NewHTTPError(session.Status(err), "try again")
		}
		return c.NoContent(http.StatusNoContent)
	}, echosession.RequireFresh(sessions))
	return e
}

func checkPassword(name, _ string) (userID string, ok bool) { return name, name == "alice" }

func Example() {
	sessions, err := session.New(memstore.New(memstore.Options{}), session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	e := newEcho(sessions)

	login := httptest.NewRecorder()
	e.ServeHTTP(login, httptest.NewRequest(http.MethodPost, "/login?name=alice", nil))
	fmt.Println(login.Code, login.Header().Get("Location"))

	for _, cookies := range [][]*http.Cookie{login.Result().Cookies(), nil} {
		r := httptest.NewRequest(http.MethodGet, "/account", nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 303 /account
	// 200 Hello, alice
	// 401 Unauthorized
}
