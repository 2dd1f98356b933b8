package session_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// The five lines with which most programs start.
func Example() {
	sessions, err := session.New(memstore.New(memstore.Options{}), session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "Hello,", session.FromContext(r.Context()).UserID())
	})
	go func() { _ = http.ListenAndServe("localhost:8080", sessions.Handler(mux)) }()
}

// Handler goes around everything that may ask for the session; RequireUser around
// what is for signed-in users only.
func ExampleManager_Handler() {
	sessions, err := session.New(memstore.New(memstore.Options{}), session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "welcome") })
	mux.Handle("/account", sessions.RequireUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "account of ", session.FromContext(r.Context()).UserID())
	})))
	handler := sessions.Handler(mux)

	for _, path := range []string{"/", "/account"} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, w.Code)
	}
	// Output:
	// / 200
	// /account 401
}

// A key is a constant of the package that owns the value. What is set is stored
// with the response.
func ExampleKey() {
	type Preferences struct {
		Theme    string
		FontSize int
	}
	const preferences session.Key[Preferences] = "preferences"

	visit(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		if err := preferences.Set(s, Preferences{"dark", 14}); err != nil {
			http.Error(w, "try again", http.StatusInternalServerError)
			return
		}
	}, func(w http.ResponseWriter, r *http.Request) {
		p, ok := preferences.Get(session.FromContext(r.Context()))
		fmt.Println(p.Theme, p.FontSize, ok)
	})
	// Output:
	// dark 14 true
}

// A message that the next page shows once.
func ExampleKey_Take() {
	const notice session.Key[string] = "notice"

	show := func(w http.ResponseWriter, r *http.Request) {
		text, ok := notice.Take(session.FromContext(r.Context()))
		fmt.Printf("%q %t\n", text, ok)
	}
	visit(func(w http.ResponseWriter, r *http.Request) {
		_ = notice.Set(session.FromContext(r.Context()), "Your order is on its way.")
		http.Redirect(w, r, "/orders", http.StatusSeeOther)
	}, show, show)
	// Output:
	// "Your order is on its way." true
	// "" false
}

// Update is for values that depend on what they were before: of two tabs that
// add to the cart at the same moment, neither loses its item.
func ExampleKey_Update() {
	const cart session.Key[[]string] = "cart"
	errFull := errors.New("the cart is full")

	add := func(item string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			s := session.FromContext(r.Context())
			err := cart.Update(r.Context(), s, func(items []string) ([]string, error) {
				if len(items) == 2 {
					return nil, errFull
				}
				return append(items, item), nil
			})
			items, _ := cart.Get(s)
			fmt.Println(items, err)
		}
	}
	visit(add("tea"), add("milk"), add("sugar"))
	// Output:
	// [tea] <nil>
	// [tea milk] <nil>
	// [tea milk] the cart is full
}

// SignIn follows the application's own check of the password. Values of before,
// a cart say, stay; the token of before is dead.
func ExampleSession_SignIn() {
	checkPassword := func(r *http.Request) (userID string, ok bool) { return "alice", true }

	visit(func(w http.ResponseWriter, r *http.Request) {
		userID, ok := checkPassword(r)
		if !ok {
			http.Error(w, "wrong name or password", http.StatusUnauthorized)
			return
		}
		s := session.FromContext(r.Context())
		err := s.SignIn(r.Context(), userID, session.SignInOptions{
			Forget: r.FormValue("remember") == "",
			Method: "password",
		})
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}, func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		fmt.Println(s.UserID(), s.Info().Method, s.Info().Persistent)
	})
	// Output:
	// alice password false
}

// The second factor: until it is there, nobody is signed in.
func ExampleSession_SignIn_secondFactor() {
	show := func(s *session.Session) { fmt.Printf("user %q, pending %q\n", s.UserID(), s.PendingUserID()) }

	visit(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		_ = s.SignIn(r.Context(), "alice", session.SignInOptions{Method: "password", Pending: true})
		show(s)
	}, func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		_ = s.SignIn(r.Context(), s.PendingUserID(), session.SignInOptions{Method: "password+totp", Level: session.AAL2})
		show(s)
	})
	// Output:
	// user "", pending "alice"
	// user "alice", pending ""
}

// Whoever changes his password suspects somebody: all other devices are signed
// out, and this one gets a new token.
func ExampleManager_RevokeOthers() {
	sessions, err := session.New(memstore.New(memstore.Options{}), session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	login := func(w http.ResponseWriter, r *http.Request) {
		_ = session.FromContext(r.Context()).SignIn(r.Context(), "alice", session.SignInOptions{})
	}
	changePassword := func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		n, err := sessions.RevokeOthers(r.Context(), s)
		if err != nil {
			http.Error(w, "password changed, but other devices are still signed in", http.StatusServiceUnavailable)
			return
		}
		if err := s.Rotate(r.Context()); err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		fmt.Println("signed out", n, "other device")
	}
	visitAt(sessions, login) // the phone
	visitAt(sessions, login, changePassword, func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("still", session.FromContext(r.Context()).UserID())
	})
	// Output:
	// signed out 1 other device
	// still alice
}

// A configuration for a company's intranet, behind a proxy. What it leaves out
// has a secure default.
func ExampleConfig() {
	sessions, err := session.New(memstore.New(memstore.Options{MaxSessions: 1_000_000}), session.Config{
		ExpiresIn:      12 * time.Hour,
		UpdateAge:      time.Hour,
		MaxLifetime:    5 * 24 * time.Hour,
		RotateEvery:    4 * time.Hour,
		MaxSessions:    5,
		Binding:        session.BindUserAgent,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	if err != nil {
		log.Fatal(err)
	}
	inForce := sessions.Config()
	fmt.Println(inForce.ExpiresIn, inForce.MaxLifetime, inForce.FreshAge)
	fmt.Println(inForce.Cookie)
	// Output:
	// 12h0m0s 120h0m0s 24h0m0s
	// cookie __Host-session (domain "", path "/", secure true, sealed false)
}

// The classic mistake: changing the session after the first byte of the response.
// The headers, and with them the cookie, have left. Here it is an error and not
// silence, so look at errors, and change the session first.
func Example_incorrect() {
	const seen session.Key[bool] = "seen"

	visit(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "<!doctype html>")
		err := seen.Set(session.FromContext(r.Context()), true)
		fmt.Println(err, errors.Is(err, session.ErrCommitted))
	}, func(w http.ResponseWriter, r *http.Request) {
		_, ok := seen.Get(session.FromContext(r.Context()))
		fmt.Println("stored:", ok)
	})
	// Output:
	// session: response has begun true
	// stored: false
}

// visit has one client request the pages one after the other, as a browser does.
func visit(pages ...http.HandlerFunc) {
	quiet := slog.New(slog.DiscardHandler)
	sessions, err := session.New(memstore.New(memstore.Options{}), session.Config{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	visitAt(sessions, pages...)
}

func visitAt(sessions *session.Manager, pages ...http.HandlerFunc) {
	var cookie *http.Cookie
	for _, page := range pages {
		r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
		if cookie != nil {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		sessions.Handler(page).ServeHTTP(w, r)
		for _, cookie = range w.Result().Cookies() {
		}
	}
}
