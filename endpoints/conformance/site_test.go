// Package conformance runs the endpoints against what they are for: published
// clients in node and in a browser, curl, other routers, and their own OpenAPI
// document. It is a module of its own for the sake of what that takes.
package conformance

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
	"github.com/updateage/session/memstore"
)

const (
	password     = "correct horse"
	bridgeSecret = "bridge-secret-0123456789-0123456789"
)

// users are the application's; LoadUser knows no other.
var users = map[string]endpoints.User{
	"ada": {
		ID: "ada", Name: "Ada Lovelace", Email: "ada@example.com", EmailVerified: true,
		CreatedAt: endpoints.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		UpdatedAt: endpoints.Time{Time: time.Date(2026, 1, 3, 3, 4, 5, 678e6, time.UTC)},
	},
	"grace": {
		ID: "grace", Name: "Grace Hopper", Email: "grace@example.com", Image: "https://example.com/grace.png",
		CreatedAt: endpoints.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		UpdatedAt: endpoints.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
	},
}

func loadUser(_ context.Context, id string) (any, error) {
	user, ok := users[id]
	if !ok {
		return nil, session.ErrNotFound
	}
	return user, nil
}

// userOf returns who has the credentials.
func userOf(email, given string) (id string, ok bool) {
	for id, user := range users {
		if user.Email == email {
			return id, given == password
		}
	}
	return "", false
}

// signIn takes "second factor" for the password of a user who has one.
func signIn(_ *http.Request, c endpoints.Credentials) (string, session.SignInOptions, error) {
	if c.Password == "second factor" {
		return "ada", session.SignInOptions{Pending: true}, nil
	}
	id, ok := userOf(c.Email, c.Password)
	if !ok {
		return "", session.SignInOptions{}, endpoints.ErrCredentials
	}
	return id, session.SignInOptions{Method: "password"}, nil
}

// site is an application with all three contracts at their default prefixes, on
// a server that speaks HTTPS.
type site struct {
	*testing.T
	m       *session.Manager
	store   *faulty
	audit   *audit
	server  *httptest.Server
	url     string
	origins []string // trusted ones
}

// newSite starts an application. Every answer of it is checked against its
// OpenAPI document.
func newSite(t *testing.T, cfg session.Config, trusted ...string) *site {
	t.Helper()
	s := &site{T: t, store: &faulty{Store: &memstore.Store{}}, origins: trusted}
	cfg.HeaderTransport = true
	cfg.Logger = slog.New(slog.DiscardHandler)
	s.m = must(session.New(s.store, cfg))
	mux := http.NewServeMux()
	all := s.contracts("")
	s.audit = newAudit(t, all)
	mux.Handle("/auth/", all.native)
	mux.Handle("/api/auth/", all.better)
	s.server = httptest.NewTLSServer(s.audit.watch(mux))
	t.Cleanup(s.server.Close)
	s.url = s.server.URL
	return s
}

// contracts are the handlers of an application; native goes on to Flowfull, and
// that to the application's own login.
type contracts struct{ native, flowfull, better *endpoints.Handler }

// contracts returns handlers below a prefix.
func (s *site) contracts(prefix string) contracts {
	o := endpoints.Options{
		Prefix: prefix + "/auth", LoadUser: loadUser, SignIn: signIn, TrustedOrigins: s.origins,
		DeviceName: func(agent string) string { return "Device " + agent }, BridgeSecrets: [][]byte{[]byte(bridgeSecret)},
	}
	var all contracts
	o.Next = s.m.Handler(s.login(prefix + "/auth/login"))
	all.flowfull = must(endpoints.NewFlowfull(s.m, o))
	o.Next = all.flowfull
	all.native = must(endpoints.New(s.m, o))
	o.Prefix, o.Next = prefix+"/api/auth", nil
	all.better = must(endpoints.NewBetterAuth(s.m, o))
	return all
}

// login is the application's own route of a Flowfull client.
func (s *site) login(path string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path || r.Method != http.MethodPost {
			http.NotFound(w, r)
			return
		}
		var c struct{ Email, Password string }
		if err := decode(r.Body, &c); err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		id, ok := userOf(c.Email, c.Password)
		if !ok {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"success":false,"error":"Wrong e-mail address or password"}`))
			return
		}
		own := session.FromContext(r.Context())
		err := own.SignIn(r.Context(), id, session.SignInOptions{Header: true})
		if err == nil {
			err = endpoints.WriteLogin(w, own, users[id])
		}
		if err != nil {
			s.Errorf("login: %v", err)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
