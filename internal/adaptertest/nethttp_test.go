package adaptertest_test

import (
	"net/http"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/adaptertest"
)

func TestNetHTTP(t *testing.T) { adaptertest.Run(t, build) }

func build(app adaptertest.App) http.Handler {
	page := http.Handler(http.HandlerFunc(app.Page.Serve))
	switch app.Guard {
	case adaptertest.RequireUser:
		page = app.Guarded.RequireUser(page)
	case adaptertest.RequireFresh:
		page = app.Guarded.RequireFresh(page)
	case adaptertest.Live:
		page = app.Guarded.Live(page)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /page", page)
	mux.Handle("POST /page", page)
	return withLog(app.Log, withRecovery(adaptertest.HandleErrors(withSessions(app, mux), wrote)))
}

func withSessions(app adaptertest.App, h http.Handler) http.Handler {
	if app.Nested != nil {
		h = app.Nested.Handler(h)
	}
	if inner := h; app.Before != nil {
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			app.Before(session.FromContext(r.Context()))
			inner.ServeHTTP(w, r)
		})
	}
	switch {
	case app.Manager == nil:
		return h
	case app.Optional:
		return app.Manager.Optional(h)
	}
	return app.Manager.Handler(h)
}

func withRecovery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil && !wrote(w) {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func withLog(log func(int, int64), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		next.ServeHTTP(rec, r)
		if rec.status == 0 {
			rec.status = http.StatusOK
		}
		log(rec.status, rec.size)
	})
}

// recorder is the usual writer of an access log.
type recorder struct {
	http.ResponseWriter
	status int
	size   int64
}

func wrote(w http.ResponseWriter) bool { return w.(*recorder).status != 0 }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.size += int64(n)
	return n, err
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
