// Package endpoints answers what a front end asks about sessions: who is signed
// in, sign out, on which devices, and end those. It speaks three contracts; most
// applications need one of them:
//
//	h, err := endpoints.NewBetterAuth(sessions, endpoints.Options{LoadUser: loadUser})
//	...
//	mux.Handle(h.Prefix()+"/", h)
//
// [New] is this project's own contract, small and plain. [NewBetterAuth] is that
// of the npm package better-auth, whose clients for JavaScript, React and others
// then work against Go. [NewFlowfull] is for clients that keep their token
// themselves and send it as X-Session-ID. docs/endpoints.md shows all three.
//
// A [Handler] belongs into the application's router as it is; it finds the
// session of a request by itself. Inside [session.Manager.Handler] it uses the
// one that is found already. Mounted outside of it, an outage of the store is
// answered in the contract's JSON, too.
//
// # What holds in all contracts
//
//   - No answer contains a token, but for [WriteLogin] and the session cookie.
//     What lists and sessions call id, or token for the Better Auth client, is
//     the public session ID, which authenticates nobody.
//   - While the store or LoadUser cannot be asked, the answer is 503 with
//     Retry-After: never null and never 401, at which clients sign out.
//   - The session of another user is answered as one that does not exist.
//   - A session whose second factor is outstanding is none, but it can be
//     signed out, and it is listed: somebody knows the password.
//   - Unsafe methods from other origins are refused, see Options.TrustedOrigins.
//   - Nothing of it may be cached.
package endpoints
