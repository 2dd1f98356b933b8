package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/updateage/session"
)

// Cart is how many of each product a visitor wants. A session keeps it as JSON.
type Cart map[string]int

// Count is the number of things in the cart.
func (c Cart) Count() (n int) {
	for _, quantity := range c {
		n += quantity
	}
	return n
}

// What this application keeps in a session. Each key is a value by itself:
// parallel requests that change different ones lose nothing.
const (
	cart  session.Key[Cart]   = "cart"
	flash session.Key[string] = "flash" // shown once
)

type named struct{ ID, Name string }

var (
	products = []named{{"tea", "Green tea"}, {"honey", "Heather honey"}, {"bread", "Rye bread"}}
	users    = []named{{"ada", "Ada Lovelace"}, {"grace", "Grace Hopper"}, {"alan", "Alan Turing"}}
)

func find(list []named, id string) (named, bool) {
	i := slices.IndexFunc(list, func(n named) bool { return n.ID == id })
	if i < 0 {
		return named{}, false
	}
	return list[i], true
}

type app struct{ sessions *session.Manager }

// newApp returns the application. The store is where its sessions are: in
// memory here, in Redis or a database by changing one line.
func newApp(store session.Store, cfg session.Config) (http.Handler, error) {
	a := &app{}
	cfg.ErrorHandler = a.refuse
	sessions, err := session.New(store, cfg)
	if err != nil {
		return nil, err
	}
	a.sessions = sessions

	// Every handler in here has a session; those behind user have a user, too, who
	// behind fresh has just signed in: a stolen old session cannot lock him out.
	mux := http.NewServeMux()
	user := func(h handler) http.Handler { return sessions.RequireUser(h) }
	fresh := func(h handler) http.Handler { return sessions.RequireFresh(h) }
	mux.Handle("GET /{$}", handler(a.home))
	mux.Handle("POST /cart", handler(a.addToCart))
	mux.Handle("POST /cart/empty", handler(a.emptyCart))
	mux.Handle("POST /sign-in", handler(a.signIn))
	mux.Handle("POST /sign-out", handler(a.signOut))
	mux.Handle("GET /devices", user(a.devices))
	mux.Handle("POST /devices/revoke", fresh(a.revoke))
	mux.Handle("POST /devices/revoke-others", fresh(a.revokeOthers))

	root := http.NewServeMux()
	root.Handle("/", sessions.Handler(mux))
	root.Handle("GET /style.css", http.FileServerFS(files)) // outside: any cache may keep it

	// No token in any form: browsers say themselves where a request comes from.
	csrf := http.NewCrossOriginProtection()
	return harden(http.MaxBytesHandler(csrf.Handler(root), 64<<10)), nil
}

func (a *app) home(w http.ResponseWriter, r *http.Request) error {
	return a.render(w, r, http.StatusOK, "home.html", page{Title: "Shop", Products: products, Users: users})
}

// addToCart works for visitors as well: their session begins here. Update loses
// no item, however many requests add one at the same time.
func (a *app) addToCart(w http.ResponseWriter, r *http.Request) error {
	product, ok := find(products, r.FormValue("product"))
	if !ok {
		return errBadRequest
	}
	err := cart.Update(r.Context(), session.FromContext(r.Context()), func(c Cart) (Cart, error) {
		if c == nil {
			c = make(Cart)
		}
		c[product.ID] = min(c[product.ID]+1, 99)
		return c, nil
	})
	if err != nil {
		return err
	}
	return tell(w, r, "/", product.Name+" is in your cart.")
}

func (a *app) emptyCart(w http.ResponseWriter, r *http.Request) error {
	if err := cart.Delete(session.FromContext(r.Context())); err != nil {
		return err
	}
	return tell(w, r, "/", "Your cart is empty.")
}

// signIn is where a real application checks a passkey or a password. SignIn
// then makes a new token, so that one which somebody planted before is worth
// nothing, and carries the visitor's cart over.
func (a *app) signIn(w http.ResponseWriter, r *http.Request) error {
	user, ok := find(users, r.FormValue("user"))
	if !ok {
		return errBadRequest
	}
	err := session.FromContext(r.Context()).SignIn(r.Context(), user.ID, session.SignInOptions{
		Method: "demo",
		Forget: r.FormValue("remember") == "",
	})
	if err != nil {
		return err
	}
	return tell(w, r, "/", "Welcome, "+user.Name+".")
}

// signOut leaves no message in the session, which would begin a new one.
func (a *app) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := session.FromContext(r.Context()).SignOut(r.Context()); err != nil {
		return err
	}
	http.Redirect(w, r, "/?notice=signed-out", http.StatusSeeOther)
	return nil
}

func (a *app) devices(w http.ResponseWriter, r *http.Request) error {
	devices, err := a.sessions.Sessions(r.Context(), session.FromContext(r.Context()).UserID())
	if err != nil {
		return err
	}
	return a.render(w, r, http.StatusOK, "devices.html", page{Title: "Your devices", Devices: devices})
}

// revoke takes a session ID from the form: IDs are public, and one of another
// user is not found.
func (a *app) revoke(w http.ResponseWriter, r *http.Request) error {
	user := session.FromContext(r.Context()).UserID()
	err := a.sessions.Revoke(r.Context(), user, r.FormValue("id"))
	if err != nil && !errors.Is(err, session.ErrNotFound) { // gone is what was asked for
		return err
	}
	return tell(w, r, "/devices", "That device is signed out.")
}

func (a *app) revokeOthers(w http.ResponseWriter, r *http.Request) error {
	n, err := a.sessions.RevokeOthers(r.Context(), session.FromContext(r.Context()))
	if err != nil {
		return err
	}
	return tell(w, r, "/devices", fmt.Sprintf("Other devices signed out: %d.", n))
}

// tell redirects to a page that shows the message, once.
func tell(w http.ResponseWriter, r *http.Request, path, message string) error {
	if err := flash.Set(session.FromContext(r.Context()), message); err != nil {
		return err
	}
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}

// handler is an http.Handler whose errors are answered in one place.
type handler func(w http.ResponseWriter, r *http.Request) error

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		answer(w, r, err)
	}
}

var errBadRequest = errors.New("bad request")

// refuse is what the library answers requests with that cannot go on, see
// session.Config. For a sensitive action, users may have to sign in again.
func (a *app) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, session.ErrNotFresh) {
		err = a.render(w, r, http.StatusForbidden, "again.html", page{Title: "Please sign in again"})
	}
	if err != nil {
		answer(w, r, err)
	}
}

// answer says what went wrong. Whoever is not signed in, or no longer, may sign
// in.
func answer(w http.ResponseWriter, r *http.Request, err error) {
	status := session.Status(err)
	switch {
	case status == http.StatusUnauthorized:
		http.Redirect(w, r, "/?notice=sign-in", http.StatusSeeOther)
		return
	case errors.Is(err, errBadRequest):
		status = http.StatusBadRequest
	}
	http.Error(w, http.StatusText(status), status)
}

// harden sets what browsers shall refuse to do with any response.
func harden(next http.Handler) http.Handler {
	const policy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Referrer-Policy", "same-origin")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
