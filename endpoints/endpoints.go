package endpoints

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/updateage/session"
)

// Options configure a [Handler]. The zero Options are safe, and enough where the
// front end needs no more of a user than the ID. The same Options may serve
// several contracts: each takes what it knows.
type Options struct {
	// Prefix is the path below which the handler answers. "": "/auth", for
	// Better Auth "/api/auth". "/": the paths of the contract as they are, as
	// behind http.StripPrefix.
	Prefix string

	// LoadUser returns the user to show to the user himself, as a value for
	// json.Marshal: [User], or a type of the application's. It is called for
	// each answer with a user in it, so that what it says is never stale. An
	// error that wraps session.ErrNotFound, or a nil user, means that there is
	// no such user any more: the answer is that without a session. Any other
	// error is answered 503 and logged. It must be safe for concurrent use.
	// nil: {"id": userID}.
	LoadUser func(ctx context.Context, userID string) (any, error)

	// DeviceName makes a name of a User-Agent, such as "Firefox on Linux", for
	// "device" in sessions of the native contract. The argument is what the
	// client sent. It must be safe for concurrent use. nil: "".
	DeviceName func(userAgent string) string

	// TrustedOrigins are further origins, such as "https://app.example.com",
	// whose pages may use unsafe methods. The handler's own origin needs no
	// mention. A front end elsewhere also needs CORS, see docs/endpoints.md.
	TrustedOrigins []string

	// AllowStale lets users end their other sessions, and Better Auth clients
	// list sessions, however long ago they authenticated. Otherwise that takes
	// an authentication within Config.FreshAge (ASVS 5.0 7.5.2): a stolen
	// session shall not be enough to sign its owner out everywhere.
	AllowStale bool

	// BridgeSecrets are what other services authenticate with at Flowfull's
	// /bridge/validate. All of them count; to change one, add the new one, hand
	// it out, and drop the old one. Visible ASCII characters without spaces, as
	// they travel in a header, at least 32 of them, and random. Empty: there is
	// no bridge.
	BridgeSecrets [][]byte `json:"-"`

	// SignIn checks the e-mail address and password that a Better Auth client
	// sends to /sign-in/email, and returns the user and how to sign him in.
	// Remember me is taken from the request: Forget only adds to it. Header is
	// ignored, as this client keeps cookies. With Pending the client is told
	// that a second factor is missing. Wrong credentials are ErrCredentials, as
	// is an empty user ID; other errors are answered by session.Status.
	//
	// Checking is all the application's: limits for guessing, and taking the
	// same time for unknown addresses. The request's body is consumed. SignIn
	// must be safe for concurrent use. nil: there is no such path.
	SignIn func(r *http.Request, c Credentials) (userID string, opts session.SignInOptions, err error)

	// Next answers paths that the contract does not have, such as the
	// application's own /auth/login, in routers that cannot tell apart a
	// path and a prefix of it. nil: 404.
	Next http.Handler
}

// Format shows no secrets, under any verb.
func (o Options) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "endpoints.Options (prefix %q, trusted origins %q, %d bridge secrets)",
		o.Prefix, o.TrustedOrigins, len(o.BridgeSecrets))
}

// LogValue shows no secrets in a log.
func (o Options) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(o)) }

// ErrCredentials reports a wrong e-mail address or password, see Options.SignIn.
var ErrCredentials = errors.New("endpoints: wrong credentials")

// Handler answers the requests of one contract. It comes from [New],
// [NewFlowfull] or [NewBetterAuth]; it is safe for concurrent use and never
// changes.
type Handler struct {
	m        *session.Manager
	opts     Options
	contract *contract
	prefix   string // "" or "/auth": without the last slash
	routes   []route
	origins  *origins
	secrets  [][sha256.Size]byte
	cookie   string // the session cookie's name
	log      *slog.Logger
}

// New returns a handler for the native contract. The error joins every mistake
// in the options.
//
//	GET    /auth/session         {"session":{…},"user":{…}}, or null
//	POST   /auth/sign-out        {"success":true}
//	GET    /auth/sessions        the user's sessions, last refreshed first
//	DELETE /auth/sessions/{id}   ends one; its own is signed out
//	DELETE /auth/sessions        ends all others, with ?include=current this one too
func New(m *session.Manager, o Options) (*Handler, error) { return newHandler(m, o, native) }

// NewFlowfull returns a handler for the Flowfull contract. Its clients keep the
// token that [WriteLogin] gave them; the Manager must have HeaderTransport on.
// The error joins every mistake in the options.
//
//	POST /auth/logout
//	GET  /auth/me
//	GET  /auth/validation, /auth/validate-session
//	POST /auth/refresh
//	POST /auth/bridge/validate   for other services, see Options.BridgeSecrets
func NewFlowfull(m *session.Manager, o Options) (*Handler, error) { return newHandler(m, o, flowfull) }

// NewBetterAuth returns a handler for the clients of the npm package
// better-auth, from createAuthClient, with cookies. The error joins every
// mistake in the options.
//
//	GET  /api/auth/get-session, /api/auth/list-sessions, /api/auth/ok
//	POST /api/auth/revoke-session, /api/auth/revoke-sessions, /api/auth/revoke-other-sessions
//	POST /api/auth/sign-out
//	POST /api/auth/sign-in/email   see Options.SignIn
func NewBetterAuth(m *session.Manager, o Options) (*Handler, error) {
	return newHandler(m, o, betterAuth)
}

func newHandler(m *session.Manager, o Options, contract *contract) (*Handler, error) {
	if m == nil {
		return nil, errors.New("endpoints: Manager is nil")
	}
	h := &Handler{m: m, opts: o, contract: contract, cookie: m.Config().Cookie.Name, log: m.Config().Logger}
	var err [3]error
	h.prefix, err[0] = cleanPrefix(o.Prefix, contract.mount)
	h.origins, err[1] = newOrigins(o.TrustedOrigins)
	h.routes, err[2] = contract.routes(h)
	if h.log == nil {
		h.log = slog.Default()
	}
	h.opts.TrustedOrigins, h.opts.BridgeSecrets = slices.Clone(o.TrustedOrigins), nil
	if err := errors.Join(err[:]...); err != nil {
		return nil, err
	}
	return h, nil
}

// cleanPrefix returns the prefix without its last slash.
func cleanPrefix(prefix, mount string) (string, error) {
	clean := strings.TrimSuffix(prefix, "/")
	switch {
	case prefix == "":
		return mount, nil
	case prefix == "/":
		return "", nil
	case prefix[0] != '/', path.Clean(clean) != clean, clean == "/", strings.ContainsAny(prefix, "{}"):
		return "", fmt.Errorf("endpoints: Prefix %q is not a clean path that begins with a slash", prefix)
	}
	return clean, nil
}

// Prefix returns the path below which the handler answers, without a slash at
// its end. Prefix()+"/" is a pattern for http.ServeMux.
func (h *Handler) Prefix() string { return h.prefix }

// Format shows no secrets, under any verb.
func (h *Handler) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "endpoints.Handler ("+h.contract.name+" below "+h.prefix+"/)")
}

// LogValue shows no secrets in a log.
func (h *Handler) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(h)) }
