package ginsession_test

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/updateage/session/ginsession"
	"github.com/updateage/session/internal/adaptertest"
)

func init() { gin.SetMode(gin.ReleaseMode) }

func TestGin(t *testing.T) { adaptertest.Run(t, build) }

func build(app adaptertest.App) http.Handler {
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.Use(withLog(app.Log), gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) {
		c.AbortWithStatus(http.StatusInternalServerError)
	}), handleErrors)
	switch {
	case app.Manager == nil:
	case app.Optional:
		r.Use(ginsession.Optional(app.Manager))
	default:
		r.Use(ginsession.Middleware(app.Manager))
	}
	if app.Before != nil {
		r.Use(func(c *gin.Context) { app.Before(ginsession.FromContext(c)) })
	}
	group := r.Group("")
	if app.Nested != nil {
		group.Use(ginsession.Middleware(app.Nested))
	}
	switch app.Guard {
	case adaptertest.RequireUser:
		group.Use(ginsession.RequireUser(app.Guarded))
	case adaptertest.RequireFresh:
		group.Use(ginsession.RequireFresh(app.Guarded))
	case adaptertest.Live:
		group.Use(ginsession.Live(app.Guarded))
	}
	group.Match([]string{http.MethodGet, http.MethodHead, http.MethodPost}, "/page", func(c *gin.Context) {
		if err := app.Page(c.Writer, c.Request, ginsession.FromContext(c)); err != nil {
			_ = c.Error(err)
		}
	})
	return r
}

// handleErrors is what Gin's users have for an error handler.
func handleErrors(c *gin.Context) {
	c.Next()
	if err := c.Errors.Last(); err != nil && !c.Writer.Written() {
		c.String(http.StatusTeapot, err.Error())
	}
}

func withLog(log func(int, int64)) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Next()
		log(c.Writer.Status(), int64(c.Writer.Size()))
	}
}
