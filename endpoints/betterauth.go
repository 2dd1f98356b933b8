package endpoints

import (
	"encoding/json"
	"errors"

	"github.com/updateage/session"
)

var betterAuth = &contract{
	name: "Better Auth", mount: "/api/auth", silent: true,
	routes: func(h *Handler) ([]route, error) {
		routes := []route{
			{method: "GET", path: "/get-session", need: anySession, serve: (*call).getSession, poll: true},
			{method: "GET", path: "/list-sessions", need: fresh, serve: (*call).listSessions},
			{method: "POST", path: "/revoke-session", need: signedIn, serve: (*call).revokeSession},
			{method: "POST", path: "/revoke-sessions", need: fresh, serve: (*call).revokeSessions},
			{method: "POST", path: "/revoke-other-sessions", need: fresh, serve: (*call).revokeOtherSessions},
			{method: "POST", path: "/sign-out", need: anySession, serve: (*call).signOut},
			{method: "GET", path: "/ok", serve: (*call).ok},
		}
		if h.opts.SignIn != nil {
			routes = append(routes, route{method: "POST", path: "/sign-in/email", need: anySession, serve: (*call).signInEmail})
		}
		return routes, nil
	},
	refuse: (*origins).refuseBetterAuth,
	body: func(p *problem) any {
		return struct {
			Message string `json:"message"`
			Code    string `json:"code"`
		}{p.message, p.code}
	},
}

// betterAuthSession has the public ID for a token. The client only hands it back
// to revoke a session; the original would show every device's bearer token here.
type betterAuthSession struct {
	shownSession
	Token string `json:"token"`
}

func (c *call) getSession() (any, error) {
	user, err := c.signedInUser()
	if err != nil || user == nil {
		return nil, err
	}
	return struct {
		Session betterAuthSession `json:"session"`
		User    json.RawMessage   `json:"user"`
	}{betterAuthSession{show(c.s.Info()), c.s.ID()}, user}, nil
}

func (c *call) listSessions() (any, error) {
	infos, err := c.m.Sessions(c.r.Context(), c.s.UserID())
	shown := make([]betterAuthSession, len(infos))
	for i, info := range infos {
		shown[i] = betterAuthSession{show(info), info.ID}
	}
	return shown, err
}

// revokeSession says the same of a session that it ended, of another user's, and
// of none.
func (c *call) revokeSession() (any, error) {
	id, err := c.body.text("token")
	if err != nil {
		return nil, err
	}
	if err := c.end(id); err != nil && !errors.Is(err, session.ErrNotFound) {
		return nil, err
	}
	return done{true}, nil
}

func (c *call) revokeSessions() (any, error) {
	_, err := c.endAll()
	return done{true}, err
}

func (c *call) revokeOtherSessions() (any, error) {
	_, err := c.m.RevokeOthers(c.r.Context(), c.s)
	return done{true}, err
}

func (c *call) ok() (any, error) {
	return struct {
		OK bool `json:"ok"`
	}{true}, nil
}
