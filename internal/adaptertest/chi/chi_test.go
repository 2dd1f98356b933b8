// Package chi runs the table of cases under chi, which needs no adapter: its
// middleware is net/http's. It is a module of its own for the sake of chi.
package chi

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/adaptertest"
)

func TestChi(t *testing.T) { adaptertest.Run(t, build) }

func build(app adaptertest.App) http.Handler {
	r := chi.NewRouter()
	r.Use(withLog(app.Log), middleware.Recoverer, func(next http.Handler) http.Handler {
		return adaptertest.HandleErrors(next, func(w http.ResponseWriter) bool {
			return w.(middleware.WrapResponseWriter).Status() != 0
		})
	})
	switch {
	case app.Manager == nil:
	case app.Optional:
		r.Use(app.Manager.Optional)
	default:
		r.Use(app.Manager.Handler)
	}
	if app.Before != nil {
		r.Use(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				app.Before(session.FromContext(r.Context()))
				next.ServeHTTP(w, r)
			})
		})
	}
	r.Group(func(r chi.Router) {
		if app.Nested != nil {
			r.Use(app.Nested.Handler)
		}
		switch app.Guard {
		case adaptertest.RequireUser:
			r.Use(app.Guarded.RequireUser)
		case adaptertest.RequireFresh:
			r.Use(app.Guarded.RequireFresh)
		case adaptertest.Live:
			r.Use(app.Guarded.Live)
		}
		r.Get("/page", app.Page.Serve)
		r.Head("/page", app.Page.Serve)
		r.Post("/page", app.Page.Serve)
	})
	return r
}

func withLog(log func(int, int64)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			next.ServeHTTP(ww, r)
			status := ww.Status()
			if status == 0 {
				status = http.StatusOK
			}
			log(status, int64(ww.BytesWritten()))
		})
	}
}
