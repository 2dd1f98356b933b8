// Package client is the client of an application with sessions, for command-line
// tools, services that call services, server-rendered front ends and tests. Most
// programs need a Client, SignIn, and then Get or Post:
//
//	api := &client.Client{BaseURL: "https://api.example.com"}
//	err := api.SignIn(ctx, "/auth/login", credentials, nil)
//	...
//	err = api.Get(ctx, "/orders", &orders)
//
// SignIn keeps the session that the server answers with, and every later request
// carries it. Programs that have an http.Client already put [Transport] into it.
//
// # What is kept, and where
//
// A [Storage] keeps the session: [Memory] until the program ends, [File] until
// the user signs out, package client/keyring in the keyring of the operating
// system, [FromRequest] for as long as an incoming request lasts. What is kept is
// the credential itself, which its server calls token and the published front-end
// clients call session ID; here it goes by their name. Nothing of this package
// prints it.
//
// # When the session ends
//
// An answer with status 401 says that the session is over: it is removed from the
// storage, and OnExpired is called, once, however many requests were under way.
// An answer that comes late, to a session that was replaced meanwhile, removes
// nothing. A network that is down and a server that fails say nothing about the
// session; it stays.
//
// # Where the session goes
//
// To one origin: scheme, host and port of BaseURL. No redirect carries it
// anywhere else, and a request that came back from elsewhere does not get it
// again; nor does the answer of another server say anything about it. A storage
// keeps sessions by key and not by origin: see [OriginKey] for one that several
// servers share.
package client
