package echosession_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/updateage/session/echosession"
	"github.com/updateage/session/internal/adaptertest"
)

func TestEcho(t *testing.T) { adaptertest.Run(t, build) }

func build(app adaptertest.App) http.Handler {
	e := echo.New()
	e.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	e.HTTPErrorHandler = handleErrors(app.Log)
	e.Use(withLog(app.Log), middleware.Recover())
	switch {
	case app.Manager == nil:
	case app.Optional:
		e.Use(echosession.Optional(app.Manager))
	default:
		e.Use(echosession.Middleware(app.Manager))
	}
	if app.Before != nil {
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error {
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
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		group.Add(method, "/page", func(c *echo.Context) error {
			return app.Page(c.Response(), c.Request(), echosession.FromContext(c))
		})
	}
	return e
}

// handleErrors is an HTTPErrorHandler of the application's own. Echo calls it
// after all middleware, so it writes the log for what it answers.
func handleErrors(log func(int, int64)) echo.HTTPErrorHandler {
	own := echo.DefaultHTTPErrorHandler(false)
	return func(c *echo.Context, err error) {
		res, _ := echo.UnwrapResponse(c.Response())
		if res.Committed {
			return
		}
		if errors.Is(err, adaptertest.ErrPage) {
			_ = c.String(http.StatusTeapot, err.Error())
		} else {
			own(c, err)
		}
		log(res.Status, res.Size)
	}
}

func withLog(log func(int, int64)) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			err := next(c)
			if res, _ := echo.UnwrapResponse(c.Response()); err == nil || res.Committed {
				log(res.Status, res.Size)
			}
			return err
		}
	}
}
