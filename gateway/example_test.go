package gateway_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
	"github.com/updateage/session/memstore"
)

// A gate for nginx, Caddy and others, and the keys for the services behind them.
func ExampleForwardAuth() {
	sessions, err := session.New(&memstore.Store{}, session.Config{}) // a store that the sign-in page shares
	if err != nil {
		log.Fatal(err)
	}
	pem, err := os.ReadFile("/run/secrets/assertion.pem") // openssl genpkey -algorithm ed25519
	if err != nil {
		log.Fatal(err)
	}
	key, err := gateway.ParseKey(pem)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := gateway.NewSigner(gateway.SignerConfig{Issuer: "https://auth.example.com", Keys: []gateway.Key{key}})
	if err != nil {
		log.Fatal(err)
	}
	orders := gateway.Config{
		Signer:   signer,
		Audience: "orders",
		LoginURL: "https://login.example.com/sign-in",
		Origins:  []string{"https://app.example.com"},
	}
	auth, err := gateway.ForwardAuth(sessions, orders)
	if err != nil {
		log.Fatal(err)
	}
	orders.Fresh = true
	recent, err := gateway.ForwardAuth(sessions, orders)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/auth", auth)
	mux.Handle("/auth/recent", recent) // for what asks for the password again
	mux.Handle("/jwks.json", signer.JWKS())
	log.Fatal(http.ListenAndServe("127.0.0.1:9100", mux))
}

// A service behind a gateway. It needs no store.
func ExampleVerifier() {
	verifier, err := gateway.NewVerifier(gateway.VerifierConfig{
		Issuer:   "https://auth.example.com",
		Audience: "orders",
		JWKS:     "https://auth.example.com/jwks.json",
	})
	if err != nil {
		log.Fatal(err)
	}
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := gateway.FromContext(r.Context())
		if time.Since(user.AuthenticatedAt) > time.Hour {
			http.Error(w, "please sign in again", http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprintf(w, "orders of %s", user.UserID)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:9200", verifier.Handler(orders)))
}

// The whole way, with the proxy of this package: browser, gateway, service.
func ExampleNewProxy() {
	sessions, err := session.New(&memstore.Store{}, session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	signer, err := gateway.NewSigner(gateway.SignerConfig{Issuer: "https://auth.example.com", Keys: []gateway.Key{gateway.NewKey()}})
	if err != nil {
		log.Fatal(err)
	}
	jwks := httptest.NewServer(signer.JWKS())
	defer jwks.Close()

	verifier, err := gateway.NewVerifier(gateway.VerifierConfig{Issuer: "https://auth.example.com", Audience: "orders", JWKS: jwks.URL})
	if err != nil {
		log.Fatal(err)
	}
	service := httptest.NewServer(verifier.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := gateway.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "%s, whose cookies are %q", user.UserID, r.Header.Get("Cookie"))
	})))
	defer service.Close()
	upstream, err := url.Parse(service.URL)
	if err != nil {
		log.Fatal(err)
	}

	proxy, err := gateway.NewProxy(sessions, upstream, gateway.Config{Signer: signer, Audience: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.Handle("POST /sign-in", sessions.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = session.FromContext(r.Context()).SignIn(r.Context(), "alice", session.SignInOptions{})
	})))
	site := httptest.NewTLSServer(mux)
	defer site.Close()

	browser := site.Client()
	resp, err := browser.Post(site.URL+"/sign-in", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	request, _ := http.NewRequest(http.MethodGet, site.URL+"/orders", nil)
	request.AddCookie(resp.Cookies()[0])
	request.AddCookie(&http.Cookie{Name: "theme", Value: "dark"})
	request.Header.Set("X-User-ID", "mallory")
	resp, err = browser.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.Status, string(body))
	// Output: 200 OK alice, whose cookies are "theme=dark"
}

// A new key, published ten minutes before it signs. The old one stays for a
// minute more, in which its last assertions expire.
func ExampleSigner_SetKeys() {
	old := gateway.NewKey()
	signer, err := gateway.NewSigner(gateway.SignerConfig{Issuer: "https://auth.example.com", Keys: []gateway.Key{old}})
	if err != nil {
		log.Fatal(err)
	}
	next := gateway.NewKey()
	next.SignFrom = time.Now().Add(10 * time.Minute)
	if err := signer.SetKeys(next, old); err != nil {
		log.Fatal(err)
	}
	time.AfterFunc(12*time.Minute, func() {
		if err := signer.SetKeys(next); err != nil {
			log.Print(err)
		}
	})
}
