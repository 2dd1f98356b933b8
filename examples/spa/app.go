package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
)

// newApp returns the application: the endpoints that the published client asks,
// and the page. The store is where the sessions are: in memory here, in Redis or
// a database by changing one line.
func newApp(store session.Store, page fs.FS, cfg session.Config) (http.Handler, error) {
	sessions, err := session.New(store, cfg)
	if err != nil {
		return nil, err
	}
	auth, err := endpoints.NewBetterAuth(sessions, endpoints.Options{LoadUser: loadUser, SignIn: signIn})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(auth.Prefix()+"/", auth)
	mux.Handle("/", servePage(page))
	return harden(mux), nil
}

// The only user. A real application asks its database.
var ada = endpoints.User{
	ID: "ada", Name: "Ada Lovelace", Email: "ada@example.com", EmailVerified: true,
	CreatedAt: endpoints.Time{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
	UpdatedAt: endpoints.Time{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
}

func loadUser(_ context.Context, id string) (any, error) {
	if id != ada.ID {
		return nil, session.ErrNotFound
	}
	return ada, nil
}

// password is of this demo. A real one is hashed, by argon2id or bcrypt, and
// attempts are limited.
var password = sha256.Sum256([]byte("analytical engine"))

// signIn compares the password for unknown addresses, too, so that the time tells
// nobody which addresses there are.
func signIn(_ *http.Request, c endpoints.Credentials) (string, session.SignInOptions, error) {
	given := sha256.Sum256([]byte(c.Password))
	right := subtle.ConstantTimeCompare(given[:], password[:]) == 1
	if !right || !strings.EqualFold(c.Email, ada.Email) {
		return "", session.SignInOptions{}, endpoints.ErrCredentials
	}
	return ada.ID, session.SignInOptions{Method: "password"}, nil
}

// servePage serves the built page. The names of its assets change with their
// content, so that they may be kept for ever.
func servePage(page fs.FS) http.Handler {
	files := http.FileServerFS(page)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		if _, err := fs.Stat(page, strings.TrimPrefix(r.URL.Path, "/")); err == nil && strings.HasPrefix(r.URL.Path, "/assets/") {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		files.ServeHTTP(w, r)
	})
}

// harden sets what browsers shall refuse to do with any response.
func harden(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Referrer-Policy", "same-origin")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
