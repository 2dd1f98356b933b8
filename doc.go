// Package session keeps server-side sessions for net/http. Most programs need
// three things: New with a store, Manager.Handler around their handlers, and
// FromContext inside them.
//
//	sessions, err := session.New(&memstore.Store{}, session.Config{})
//	...
//	http.ListenAndServe(addr, sessions.Handler(mux))
//
// # Signing in and out
//
// When a user has proved who he is, call SignIn; from then on UserID returns the
// user, on every request that brings the cookie. SignOut ends the session.
// Identity changes reach the store at once, and before the response: when
// SignOut has returned, no copy of the cookie is good for anything.
//
//	s := session.FromContext(r.Context())
//	if err := s.SignIn(r.Context(), user.ID, session.SignInOptions{}); err != nil { ... }
//
// Manager.Sessions lists a user's devices; Revoke, RevokeOthers and RevokeAll
// end them. They take effect with the next request on every node.
//
// # Values
//
// A [Key] is a typed name of a value. Values are stored with the response,
// merged with what parallel requests of the same session store:
//
//	const cart session.Key[Cart] = "cart"
//
//	c, _ := cart.Get(s)
//	err := cart.Set(s, c.With(item))
//
// # Lifetimes
//
// A session expires when it was not used for ExpiresIn. It is not written on
// every request for that: only when its last refresh is UpdateAge ago does a
// request move the expiry, and of parallel requests only one does. See [Config].
//
// # What the client holds
//
// The cookie holds a random token that means nothing. The store keeps its hash
// only. The session ID, which is part of the token, is public; logs, lists and
// URLs may show it.
//
// SameSite=Lax keeps the cookie out of most requests that other sites make. For
// the rest, put http.CrossOriginProtection in front of handlers that change
// something.
//
// # Failure
//
// "No session", "a refused token" and "the store cannot be asked" are three
// different things. While the store is down a request with a token gets 503: it
// is not treated as nobody's, and its cookie stays. A write never brings back a
// session that has ended. See the errors of this package, and [Config] for the
// handler that answers them.
//
// # Stores
//
// A [Store] takes about a hundred lines; package storetest checks it.
package session
