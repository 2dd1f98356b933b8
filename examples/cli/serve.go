package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
	"github.com/updateage/session/memstore"
)

// The users of the demonstration, and the password of all of them. A real
// application hashes passwords, and limits how often somebody may guess.
var users = map[string]string{"ada": "Ada Lovelace", "grace": "Grace Hopper", "alan": "Alan Turing"}

const demoPassword = "correct horse"

// serve runs a server to try the other commands with, until it is interrupted.
func (t *tool) serve(ctx context.Context, _ []string) error {
	if t.server == "" {
		t.server = defaultServer
	}
	address, err := url.Parse(t.server)
	if err != nil || !net.ParseIP(address.Hostname()).IsLoopback() {
		return errUsage("serve needs a loopback address, such as " + defaultServer)
	}
	handler, err := newServer()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address.Host)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "serving at http://%s for ada, grace and alan, with the password %q\n", l.Addr(), demoPassword)
	server := &http.Server{Handler: handler, ReadTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// newServer returns the application: sessions in memory, the token in a header,
// and the endpoints of the native contract.
func newServer() (http.Handler, error) {
	sessions, err := session.New(&memstore.Store{}, session.Config{HeaderTransport: true})
	if err != nil {
		return nil, err
	}
	auth, err := endpoints.New(sessions, endpoints.Options{LoadUser: loadUser})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /auth/login", sessions.Handler(http.HandlerFunc(login)))
	mux.Handle(auth.Prefix()+"/", auth)
	return http.MaxBytesHandler(mux, 64<<10), nil
}

type user struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func loadUser(_ context.Context, id string) (any, error) {
	name, ok := users[id]
	if !ok {
		return nil, session.ErrNotFound
	}
	return user{id, name}, nil
}

func login(w http.ResponseWriter, r *http.Request) {
	var c struct{ User, Password string }
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		refuse(w, http.StatusBadRequest, "BAD_REQUEST", "That is not JSON.")
		return
	}
	name, ok := users[c.User]
	if right := subtle.ConstantTimeCompare([]byte(c.Password), []byte(demoPassword)); right != 1 || !ok {
		refuse(w, http.StatusUnauthorized, "INVALID_CREDENTIALS", "Wrong user or password.")
		return
	}
	s := session.FromContext(r.Context())
	err := s.SignIn(r.Context(), c.User, session.SignInOptions{Header: true})
	if err == nil {
		err = endpoints.WriteLogin(w, s, user{c.User, name})
	}
	if err != nil {
		refuse(w, session.Status(err), "FAILED", "Signing in failed.")
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": message})
}
