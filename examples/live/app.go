package main

import (
	"embed"
	"errors"
	"html/template"
	"net/http"

	"github.com/updateage/session"
)

//go:embed page.html page.js style.css
var files embed.FS

var page = template.Must(template.ParseFS(files, "page.html"))

type app struct{ sessions *session.Manager }

// newApp returns the application, with its sessions in store.
func newApp(store session.Store, cfg session.Config) (http.Handler, error) {
	cfg.ErrorHandler = answer
	sessions, err := session.New(store, cfg)
	if err != nil {
		return nil, err
	}
	a := &app{sessions: sessions}
	csrf := http.NewCrossOriginProtection()

	// From the outside in: who is it, is it anybody, does his own page ask, and
	// until when.
	live := func(h http.HandlerFunc) http.Handler {
		return sessions.RequireUser(sameOrigin(csrf, sessions.Live(h)))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", home)
	mux.HandleFunc("POST /sign-in", a.signIn)
	mux.HandleFunc("POST /sign-out", a.signOut)
	// Fresh, so that whoever has stolen an old session cannot lock its owner out.
	mux.Handle("POST /sign-out-others", sessions.RequireFresh(http.HandlerFunc(a.signOutOthers)))
	mux.Handle("GET /events", live(events))
	mux.Handle("GET /socket", live(socket))

	root := http.NewServeMux()
	root.Handle("/", csrf.Handler(sessions.Handler(mux)))
	root.Handle("GET /page.js", http.FileServerFS(files))
	root.Handle("GET /style.css", http.FileServerFS(files))
	return harden(root), nil
}

// harden sets what browsers shall refuse to do with any response.
func harden(next http.Handler) http.Handler {
	const policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// sameOrigin refuses what pages of other sites open. For GET, browsers and
// http.CrossOriginProtection leave it at that, because it changes nothing and the
// answer of a fetch stays hidden; a WebSocket is a GET whose answer does not (ASVS
// 5.0 4.4.2), and neither is for others to hold open.
func sameOrigin(csrf *http.CrossOriginProtection, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asPost := *r
		asPost.Method = http.MethodPost
		if err := csrf.Check(&asPost); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func home(w http.ResponseWriter, r *http.Request) {
	show(w, r, http.StatusOK)
}

// show shows the page. If the status is that of a refusal, it offers to sign in
// again.
func show(w http.ResponseWriter, r *http.Request, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = page.Execute(w, struct { // it fails if the browser has gone
		User  string
		Again bool
	}{session.FromContext(r.Context()).UserID(), status == http.StatusForbidden})
}

// answer says what went wrong: also what the library refuses, see session.Config.
func answer(w http.ResponseWriter, r *http.Request, err error) {
	status := session.Status(err)
	if errors.Is(err, session.ErrNotFresh) {
		show(w, r, status)
		return
	}
	http.Error(w, http.StatusText(status), status)
}

// signIn is where a real application checks a passkey or a password.
func (a *app) signIn(w http.ResponseWriter, r *http.Request) {
	err := session.FromContext(r.Context()).SignIn(r.Context(), "ada", session.SignInOptions{Method: "demo"})
	a.home303(w, r, err)
}

func (a *app) signOut(w http.ResponseWriter, r *http.Request) {
	a.home303(w, r, session.FromContext(r.Context()).SignOut(r.Context()))
}

func (a *app) signOutOthers(w http.ResponseWriter, r *http.Request) {
	_, err := a.sessions.RevokeOthers(r.Context(), session.FromContext(r.Context()))
	a.home303(w, r, err)
}

func (a *app) home303(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		answer(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
