// Package adaptertest is one table of cases that sessions pass in every
// framework: net/http, chi, Gin and Echo. A framework's test says how to build an
// App and calls Run.
//
// The cases are what a user of the library is promised, and what session
// middleware for these frameworks is known to get wrong. They run against a
// server on the loopback interface.
package adaptertest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/updateage/session"
)

// App is an application as a case describes it. From the outside in it has the
// framework's recovery, an access log, a handler of errors, the session
// middleware, Before, a second session middleware, a guard, and the page.
//
// Recovery answers a panic with 500. The handler of errors answers what the page
// returns with 418 and the error's text, unless the response has begun.
type App struct {
	// Manager is the session middleware's. nil: there are no sessions.
	Manager *session.Manager
	// Optional takes the middleware that goes on without a store.
	Optional bool
	// Before, if set, runs inside the session middleware before all that follows.
	Before func(s *session.Session)
	// Nested, if set, is a second session middleware's.
	Nested *session.Manager
	// Guard is in front of the page; its manager is Guarded.
	Guard   Guard
	Guarded *session.Manager
	// Page is at GET, HEAD and POST /page. Nothing else is there.
	Page Page
	// Log is told of each response, as the framework's access logs see it.
	Log func(status int, size int64)
}

// Page is a handler in no framework's form. The session is what the adapter's
// FromContext returns.
type Page func(w http.ResponseWriter, r *http.Request, s *session.Session) error

// Guard is what stands in front of a page.
type Guard int

// The guards.
const (
	NoGuard Guard = iota
	RequireUser
	RequireFresh
	// Live guards nothing: it ends what lasts longer than the session.
	Live
)

// Build makes a framework's application.
type Build func(App) http.Handler

// Run runs the table.
func Run(t *testing.T, build Build) {
	for _, group := range [...][]row{storing, failing, recovering, streaming, guarding, sharing} {
		for _, row := range group {
			t.Run(strings.ReplaceAll(row.name, " ", "_"), func(t *testing.T) { row.run(t, build) })
		}
	}
}

// row is a case; its name reads as a sentence.
type row struct {
	name string
	run  func(t *testing.T, build Build)
}

// ErrPage is what pages return that go wrong.
var ErrPage = errors.New("the page went wrong")

type returnedKey struct{}

// HandleErrors is the handler of errors for frameworks that have none. wrote says
// whether the response has begun.
func HandleErrors(next http.Handler, wrote func(http.ResponseWriter) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var returned error
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), returnedKey{}, &returned)))
		if returned != nil && !wrote(w) {
			http.Error(w, returned.Error(), http.StatusTeapot)
		}
	})
}

// Serve runs the page and notes for HandleErrors what it returns.
func (p Page) Serve(w http.ResponseWriter, r *http.Request) {
	if err := p(w, r, session.FromContext(r.Context())); err != nil {
		*r.Context().Value(returnedKey{}).(*error) = err
	}
}
