// Package gateway carries sessions across a reverse proxy: one place looks the
// session up, and the services behind it need no store. ForwardAuth answers the
// question that nginx, Caddy, Traefik, Envoy and HAProxy ask before they pass a
// request on; NewProxy is such a proxy itself; Verifier is for the services.
//
//	signer, err := gateway.NewSigner(gateway.SignerConfig{Issuer: "https://auth.example.com", Keys: keys})
//	...
//	auth, err := gateway.ForwardAuth(sessions, gateway.Config{Signer: signer, Audience: "orders"})
//	...
//	mux.Handle("/auth", auth)
//	mux.Handle("/jwks.json", signer.JWKS())
//
// and in the service:
//
//	verifier, err := gateway.NewVerifier(gateway.VerifierConfig{
//		Issuer: "https://auth.example.com", Audience: "orders", JWKS: "https://auth.example.com/jwks.json",
//	})
//	...
//	http.ListenAndServe(addr, verifier.Handler(mux))
//
// # Assertions
//
// An assertion is a JSON Web Token (RFC 7519), signed with Ed25519 (RFC 8037),
// that lives a minute at most. It says who the user is (sub), by which session
// (sid), how well (level) and when (auth_time) he authenticated, and for whom
// this is said (aud). It is a bearer token: whoever copies one can use it until
// it expires, at the services of its audience. It has no use count, so that one
// serves many requests, and outlives the end of its session by that minute.
//
// The other identity headers say the same in plain text. They are worth what the
// network between proxy and service is worth; a service that anybody else can
// reach has to look at the assertion.
//
// # What decides
//
// A request passes if its token is that of a session whose user is signed in and,
// where the configuration asks for it, has authenticated recently or well
// enough. Nothing else is looked at: what a forwarding header says about method
// and path can differ from what the service will see. A site whose areas demand
// different things has a ForwardAuth for each.
package gateway
