package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/client"
	"github.com/updateage/session/endpoints"
	"github.com/updateage/session/memstore"
)

const (
	sessionCookie = "__Host-session"
	password      = "correct horse"
)

// site is an application with the endpoints of one contract, over HTTPS.
type site struct {
	*httptest.Server
	m    *session.Manager
	mux  http.Handler
	down atomic.Bool // its store cannot be asked
}

// brittle is a store that is down when its site says so.
type brittle struct {
	session.Store
	site *site
}

func (b brittle) Load(ctx context.Context, id string) (*session.Record, error) {
	if b.site.down.Load() {
		return nil, errors.New("connection refused")
	}
	return b.Store.Load(ctx, id)
}

// newSite returns an application that listens nowhere: see answer.
func newSite(t testing.TB, contract client.Contract, cfg session.Config) *site {
	t.Helper()
	s := &site{}
	cfg.HeaderTransport, cfg.Logger = true, slog.New(slog.DiscardHandler)
	s.m = must(session.New(brittle{&memstore.Store{}, s}, cfg))
	create := map[client.Contract]func(*session.Manager, endpoints.Options) (*endpoints.Handler, error){
		client.Native: endpoints.New, client.Flowfull: endpoints.NewFlowfull, client.BetterAuth: endpoints.NewBetterAuth,
	}[contract]
	mux := http.NewServeMux()
	mux.Handle("POST /auth/login", s.m.Handler(http.HandlerFunc(s.login)))
	mux.Handle("GET /orders", s.m.Handler(s.m.RequireUser(http.HandlerFunc(s.orders))))
	h := must(create(s.m, endpoints.Options{
		LoadUser: loadUser, DeviceName: func(string) string { return "a device" }, SignIn: checkPassword,
	}))
	mux.Handle(h.Prefix()+"/", h)
	s.mux = mux
	return s
}

// startSite starts an application on the loopback interface.
func startSite(t testing.TB, contract client.Contract, cfg session.Config) *site {
	t.Helper()
	s := newSite(t, contract, cfg)
	s.Server = httptest.NewUnstartedServer(s.mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // tests close it under the clients' hands
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// answer answers without a network, as in a synctest bubble.
func (s *site) answer(r *http.Request) *http.Response {
	in := r.Clone(r.Context())
	in.RemoteAddr, in.RequestURI, in.Host = "192.0.2.1:4711", r.URL.RequestURI(), r.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, in)
	return w.Result()
}

func loadUser(_ context.Context, userID string) (any, error) {
	return endpoints.User{ID: userID, Name: "Ada Lovelace"}, nil
}

func checkPassword(_ *http.Request, c endpoints.Credentials) (string, session.SignInOptions, error) {
	if c.Password != password {
		return "", session.SignInOptions{}, endpoints.ErrCredentials
	}
	return c.Email, session.SignInOptions{}, nil
}

type credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Header   bool   `json:"header"`
}

func (s *site) login(w http.ResponseWriter, r *http.Request) {
	var c credentials
	if json.NewDecoder(r.Body).Decode(&c) != nil || c.Password != password {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"code":"INVALID_CREDENTIALS","message":"Wrong e-mail address or password"}`))
		return
	}
	own := session.FromContext(r.Context())
	if err := own.SignIn(r.Context(), c.Email, session.SignInOptions{Header: c.Header}); err != nil {
		http.Error(w, "", session.Status(err))
		return
	}
	if c.Header {
		_ = endpoints.WriteLogin(w, own, nil)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *site) orders(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode([]string{"order of " + session.FromContext(r.Context()).UserID()})
}

// transport is how the session travels in a test.
type transport string

const (
	byHeader transport = ""
	byCookie transport = sessionCookie
)

// client returns a client of the site with a storage of its own.
func (s *site) client(contract client.Contract, how transport) *client.Client {
	return &client.Client{BaseURL: s.URL, HTTPClient: s.Client(), Contract: contract, Cookie: string(how)}
}

// signIn signs a user in.
func signIn(t testing.TB, c *client.Client, user string) *client.Client {
	t.Helper()
	in := credentials{Email: user, Password: password, Header: c.Cookie == ""}
	if err := c.SignIn(t.Context(), "/auth/login", in, nil); err != nil {
		t.Fatal(err)
	}
	return c
}
