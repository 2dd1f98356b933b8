package endpoints_test

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
	"github.com/updateage/session/memstore"
)

// The native contract, below /auth.
func ExampleNew() {
	sessions, err := session.New(&memstore.Store{}, session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	auth, err := endpoints.New(sessions, endpoints.Options{
		LoadUser: func(ctx context.Context, id string) (any, error) {
			return struct {
				ID   string `json:"id"`
				Name string `json:"name"`
			}{id, "Ada Lovelace"}, nil // from the database
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(auth.Prefix()+"/", auth)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/auth/session", nil))
	fmt.Println(w.Code, w.Body)
	w = httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/auth/sessions", nil))
	fmt.Println(w.Code, w.Body)
	// Output:
	// 200 null
	// 401 {"code":"UNAUTHORIZED","message":"Unauthorized"}
}

// A server for createAuthClient of the npm package better-auth, with
// signIn.email. Which addresses there are and how passwords are kept is the
// application's.
func ExampleNewBetterAuth() {
	sessions, err := session.New(&memstore.Store{}, session.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	checkPassword := func(email, password string) (userID string, ok bool) {
		want := sha256.Sum256([]byte("correct horse")) // a real one is hashed by argon2id or bcrypt
		got := sha256.Sum256([]byte(password))
		return "ada", email == "ada@example.com" && subtle.ConstantTimeCompare(got[:], want[:]) == 1
	}
	auth, err := endpoints.NewBetterAuth(sessions, endpoints.Options{
		LoadUser: func(ctx context.Context, id string) (any, error) {
			return endpoints.User{ID: id, Name: "Ada Lovelace", Email: "ada@example.com", EmailVerified: true}, nil
		},
		SignIn: func(r *http.Request, c endpoints.Credentials) (string, session.SignInOptions, error) {
			userID, ok := checkPassword(c.Email, c.Password)
			if !ok {
				return "", session.SignInOptions{}, endpoints.ErrCredentials
			}
			return userID, session.SignInOptions{Method: "password"}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	r := httptest.NewRequest("POST", "/api/auth/sign-in/email", strings.NewReader(`{"email":"ada@example.com","password":"guess"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	auth.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 401 {"message":"Invalid email or password","code":"INVALID_EMAIL_OR_PASSWORD"}
}

// Clients that keep their token and send it as X-Session-ID. The application's
// own login is below the same prefix.
func ExampleWriteLogin() {
	sessions, err := session.New(&memstore.Store{}, session.Config{HeaderTransport: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	login := func(w http.ResponseWriter, r *http.Request) {
		// Check the credentials here.
		s := session.FromContext(r.Context())
		err := s.SignIn(r.Context(), "ada", session.SignInOptions{Header: true})
		if err == nil {
			err = endpoints.WriteLogin(w, s, nil)
		}
		if err != nil {
			http.Error(w, "sign-in failed", session.Status(err))
		}
	}
	auth, err := endpoints.NewFlowfull(sessions, endpoints.Options{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(auth.Prefix()+"/", auth)
	mux.Handle("POST /auth/login", sessions.Handler(http.HandlerFunc(login)))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/auth/login", nil))
	_, rest, _ := strings.Cut(w.Body.String(), `"session_id":"`)
	token, _, _ := strings.Cut(rest, `"`)

	r := httptest.NewRequest("GET", "/auth/me", nil)
	r.Header.Set("X-Session-ID", token)
	w = httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(len(token), w.Body)
	// Output: 64 {"success":true,"data":{"id":"ada"}}
}

// The session ID in a list or a URL is public. It is not the token.
func ExampleWriteLogin_incorrect() {
	sessions, err := session.New(&memstore.Store{}, session.Config{HeaderTransport: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	auth, err := endpoints.NewFlowfull(sessions, endpoints.Options{})
	if err != nil {
		log.Fatal(err)
	}
	login := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		if err := s.SignIn(r.Context(), "ada", session.SignInOptions{Header: true}); err != nil {
			http.Error(w, "sign-in failed", session.Status(err))
			return
		}
		io.WriteString(w, s.ID()) // wrong: WriteLogin(w, s, user)
	}))
	w := httptest.NewRecorder()
	login.ServeHTTP(w, httptest.NewRequest("POST", "/auth/login", nil))

	r := httptest.NewRequest("GET", "/auth/me", nil)
	r.Header.Set("X-Session-ID", w.Body.String())
	w = httptest.NewRecorder()
	auth.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 401 {"success":false,"error":"Invalid session"}
}

// The document describes what these handlers answer.
func ExampleOpenAPI() {
	sessions, err := session.New(&memstore.Store{}, session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	auth, err := endpoints.New(sessions, endpoints.Options{Prefix: "/v1/auth"})
	if err != nil {
		log.Fatal(err)
	}
	document, err := endpoints.OpenAPI(auth)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(auth.Prefix()+"/", auth)
	mux.Handle("GET /openapi.json", document)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	fmt.Println(w.Code, strings.Contains(w.Body.String(), `"/v1/auth/sessions/{id}"`))
	// Output: 200 true
}
