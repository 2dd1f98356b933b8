package benchmarks

import (
	"net/http"
	"testing"

	"github.com/gorilla/sessions"
)

var cookieKey = []byte("0123456789abcdef0123456789abcdef")

// onlyHTTP are the attributes that a session cookie is to have.
var onlyHTTP = sessions.Options{Path: "/", MaxAge: 7 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode}

func startGorilla(testing.TB, *meter) *server { return gorillaServer(newGorilla(), false) }

func newGorilla() sessions.Store {
	store := sessions.NewCookieStore(cookieKey)
	store.Options = &onlyHTTP
	return store
}

// gorillaServer stores what a list of devices shows as values, unless it is to be
// plain.
func gorillaServer(store sessions.Store, plain bool) *server {
	// An error comes with a new session, and is what a stranger's cookie gets.
	of := func(c exchange) *sessions.Session {
		s, _ := store.Get(c.r, "session")
		return s
	}
	return serveHTTP(&app[exchange]{
		describes: plain,

		user:  func(c exchange) string { return text(of(c).Values["user"]) },
		value: func(c exchange, key string) string { return text(of(c).Values[key]) },
		set: func(c exchange, key, value string) error {
			s := of(c)
			s.Values[key] = value
			return s.Save(c.r, c.w)
		},
		signIn: func(c exchange, user string) error {
			s := of(c)
			s.Values["user"] = user
			return s.Save(c.r, c.w)
		},
		signOut: func(c exchange) error {
			s := of(c)
			s.Options.MaxAge = -1
			return s.Save(c.r, c.w)
		},
	}, func(next http.Handler) http.Handler { return next })
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// meteredGorilla counts calls.
type meteredGorilla struct {
	sessions.Store
	meter *meter
}

func (s meteredGorilla) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

func (s meteredGorilla) New(r *http.Request, name string) (*sessions.Session, error) {
	session, err := s.Store.New(r, name)
	if session != nil && !session.IsNew {
		s.meter.read()
	}
	return session, err
}

func (s meteredGorilla) Save(r *http.Request, w http.ResponseWriter, session *sessions.Session) error {
	return s.meter.write(s.Store.Save(r, w, session))
}
