package chi

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/adaptertest"
	"github.com/updateage/session/memstore"
)

func TestPageShowsTheseFunctions(t *testing.T) {
	adaptertest.Documented(t, "../../../docs/frameworks.md", "example_test.go", "newRouter")
}

func newRouter(sessions *session.Manager) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.Recoverer, sessions.Handler)
	r.Get("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "welcome") })
	r.Group(func(r chi.Router) {
		r.Use(sessions.RequireUser)
		r.Get("/account", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "Hello, ", session.FromContext(r.Context()).UserID())
		})
	})
	return r
}

func Example() {
	sessions, err := session.New(memstore.New(memstore.Options{}), session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	for _, path := range []string{"/", "/account"} {
		w := httptest.NewRecorder()
		newRouter(sessions).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, w.Code)
	}
	// Output:
	// / 200
	// /account 401
}
