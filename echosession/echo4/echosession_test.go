package echosession_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	echosession "github.com/updateage/session/echosession/echo4"
	"github.com/updateage/session/internal/adaptertest"
)

func TestEcho4(t *testing.T) { adaptertest.Run(t, build) }

func build(app adaptertest.App) http.Handler {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	e.HTTPErrorHandler = handleErrors(e, app.Log)
	e.Use(withLog(app.Log), middleware.RecoverWithConfig(middleware.RecoverConfig{DisablePrintStack: true}))
	switch {
	case app.Manager == nil:
	case app.Optional:
		e.Use(echosession.Optional(app.Manager))
	default:
		e.Use(echosession.Middleware(app.Manager))
	}
	if app.Before != nil {
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				app.Before(echosession.FromContext(c))
				return next(c)
			}
		})
	}
	group := e.Group("")
	if app.Nested != nil {
		group.Use(echosession.Middleware(app.Nested))
	}
	switch app.Guard {
	case adaptertest.RequireUser:
		group.Use(echosession.RequireUser(app.Guarded))
	case adaptertest.RequireFresh:
		group.Use(echosession.RequireFresh(app.Guarded))
	case adaptertest.Live:
		group.Use(echosession.Live(app.Guarded))
	}
	group.Match([]string{http.MethodGet, http.MethodHead, http.MethodPost}, "/page", func(c echo.Context) error {
		return app.Page(c.Response(), c.Request(), echosession.FromContext(c))
	})
	return e
}

// handleErrors is an HTTPErrorHandler of the application's own. Echo calls it
// after all middleware, so it writes the log for what it answers.
func handleErrors(e *echo.Echo, log func(int, int64)) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		if errors.Is(err, adaptertest.ErrPage) {
			_ = c.String(http.StatusTeapot, err.Error())
		} else {
			e.DefaultHTTPErrorHandler(err, c)
		}
		log(c.Response().Status, c.Response().Size)
	}
}

func withLog(log func(int, int64)) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			err := next(c)
			if res := c.Response(); err == nil || res.Committed {
				log(res.Status, res.Size)
			}
			return err
		}
	}
}
