package main_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
	"github.com/updateage/session/redisstore"
)

const (
	issuer     = "https://auth.example.com"
	audience   = "orders"
	cookieName = "__Host-session"
)

// site is an application that signs users in and shares its sessions with the
// gate by nothing but Redis.
type site struct {
	*session.Manager
	tb testing.TB
}

func newSite(tb testing.TB, client redis.UniversalClient, cfg session.Config) *site {
	tb.Helper()
	tb.Cleanup(func() { client.Close() })
	cfg.Logger = slog.New(slog.DiscardHandler)
	store, err := redisstore.New(client, &redisstore.Options{Logger: cfg.Logger})
	if err != nil {
		tb.Fatal(err)
	}
	m, err := session.New(store, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return &site{m, tb}
}

func redisAt(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
}

// signIn signs a user in and returns the Cookie header of his browser.
func (s *site) signIn(userID string, opts session.SignInOptions) string {
	s.tb.Helper()
	w := httptest.NewRecorder()
	s.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := session.FromContext(r.Context()).SignIn(r.Context(), userID, opts); err != nil {
			s.tb.Error(err)
		}
	})).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	return cookieOf(s.tb, w.Result())
}

func cookieOf(tb testing.TB, resp *http.Response) string {
	tb.Helper()
	for _, c := range resp.Cookies() {
		if strings.HasSuffix(c.Name, "session") && c.Value != "" {
			return c.Name + "=" + c.Value
		}
	}
	tb.Fatal("no session cookie")
	return ""
}

// newService starts a service that has no store and believes assertions only. It
// answers with the user.
func newService(tb testing.TB, jwks string) *httptest.Server {
	tb.Helper()
	verifier, err := gateway.NewVerifier(gateway.VerifierConfig{Issuer: issuer, Audience: audience, JWKS: jwks})
	if err != nil {
		tb.Fatal(err)
	}
	s := httptest.NewServer(verifier.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := gateway.FromContext(r.Context())
		_, _ = io.WriteString(w, fmt.Sprintf("%s %q", id.UserID, r.Header["Cookie"]))
	})))
	tb.Cleanup(s.Close)
	return s
}

// newKey returns a signing key in PEM, and its ID.
func newKey(tb testing.TB) (text, id string) {
	tb.Helper()
	key := gateway.NewKey()
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.PrivateKey(key.Private))
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), key.ID()
}

// signing are the arguments for a gate that signs.
func signing(files string) []string {
	return []string{"-signing-keys", files, "-issuer", issuer, "-audience", audience}
}
