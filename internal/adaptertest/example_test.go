package adaptertest_test

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/adaptertest"
	"github.com/updateage/session/memstore"
)

func TestPageShowsTheseFunctions(t *testing.T) {
	adaptertest.Documented(t, "../../docs/frameworks.md", "example_test.go", "newMux", "answerJSON")
}

func newMux(sessions *session.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		userID, ok := checkPassword(r.FormValue("name"), r.FormValue("password"))
		if !ok {
			http.Error(w, "wrong name or password", http.StatusUnauthorized)
			return
		}
		s := session.FromContext(r.Context())
		if err := s.SignIn(r.Context(), userID, session.SignInOptions{}); err != nil {
			http.Error(w, "try again", session.Status(err))
			return
		}
		http.Redirect(w, r, "/account", http.StatusSeeOther)
	})
	mux.Handle("GET /account", sessions.RequireUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "Hello, ", session.FromContext(r.Context()).UserID())
	})))
	return sessions.Handler(mux)
}

func answerJSON(w http.ResponseWriter, r *http.Request, err error) {
	status := session.Status(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": http.StatusText(status)})
}

func checkPassword(name, _ string) (userID string, ok bool) { return name, name == "alice" }

func Example() {
	sessions, err := session.New(memstore.New(memstore.Options{}), session.Config{ErrorHandler: answerJSON})
	if err != nil {
		log.Fatal(err)
	}
	mux := newMux(sessions)

	login := httptest.NewRecorder()
	mux.ServeHTTP(login, httptest.NewRequest(http.MethodPost, "/login?name=alice", nil))
	fmt.Println(login.Code, login.Header().Get("Location"))

	for _, cookies := range [][]*http.Cookie{login.Result().Cookies(), nil} {
		r := httptest.NewRequest(http.MethodGet, "/account", nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 303 /account
	// 200 Hello, alice
	// 401 {"message":"Unauthorized"}
}
