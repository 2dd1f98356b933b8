package endpoints

import (
	"encoding/json"
	"errors"
	"net/url"

	"github.com/updateage/session"
)

var native = &contract{
	name: "native", mount: "/auth",
	routes: func(*Handler) ([]route, error) {
		return []route{
			{method: "GET", path: "/session", need: anySession, serve: (*call).session},
			{method: "POST", path: "/sign-out", need: anySession, serve: (*call).signOut},
			{method: "GET", path: "/sessions", need: signedIn, serve: (*call).sessions},
			{method: "DELETE", path: "/sessions", need: fresh, serve: (*call).endSessions},
			{method: "DELETE", path: "/sessions/{id}", need: signedIn, serve: (*call).endSession},
		}, nil
	},
	refuse: (*origins).refuse,
	body: func(p *problem) any {
		return struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		}{p.code, p.message}
	},
}

type nativeSession struct {
	shownSession
	AuthenticatedAt Time   `json:"authenticatedAt"`
	Current         bool   `json:"current"`
	Device          string `json:"device"`
}

func (c *call) native(i session.Info) nativeSession {
	n := nativeSession{show(i), Time{i.AuthenticatedAt}, i.ID == c.s.ID(), ""}
	if c.opts.DeviceName != nil {
		n.Device = c.opts.DeviceName(i.UserAgent)
	}
	return n
}

// session answers with the session and its user, or null.
func (c *call) session() (any, error) {
	user, err := c.signedInUser()
	if err != nil || user == nil {
		return nil, err
	}
	return struct {
		Session nativeSession   `json:"session"`
		User    json.RawMessage `json:"user"`
	}{c.native(c.s.Info()), user}, nil
}

// signedInUser returns the session's user, or nil if there is none.
func (c *call) signedInUser() (json.RawMessage, error) {
	if c.s.UserID() == "" {
		return nil, nil
	}
	user, err := c.user(c.r.Context(), c.s.UserID())
	if errors.Is(err, session.ErrNoSession) {
		return nil, nil
	}
	return user, err
}

// signOut ends the session of whatever kind. It succeeds without one, too.
func (c *call) signOut() (any, error) {
	return success{true}, c.s.SignOut(c.r.Context())
}

func (c *call) sessions() (any, error) {
	infos, err := c.m.Sessions(c.r.Context(), c.s.UserID())
	shown := make([]nativeSession, len(infos))
	for i, info := range infos {
		shown[i] = c.native(info)
	}
	return shown, err
}

// endSessions ends the other sessions, or all of them.
func (c *call) endSessions() (any, error) {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, errBadQuery
	}
	var answer struct {
		Count int `json:"count"`
	}
	switch include := query["include"]; {
	case len(include) == 0:
		answer.Count, err = c.m.RevokeOthers(c.r.Context(), c.s)
	case len(include) == 1 && include[0] == "current":
		answer.Count, err = c.endAll()
	default:
		return nil, errBadQuery // rather than end more or less than was meant
	}
	return answer, err
}

// endAll ends all sessions of the user and expires the cookie.
func (c *call) endAll() (int, error) {
	n, err := c.m.RevokeAll(c.r.Context(), c.s.UserID())
	if err != nil {
		return 0, err
	}
	return n, c.s.SignOut(c.r.Context())
}

// endSession ends the session of the path.
func (c *call) endSession() (any, error) { return done{true}, c.end(c.id) }

// end ends a session of the user's. To end his own nobody needs to be fresh.
func (c *call) end(id string) error {
	if id == c.s.ID() {
		return c.s.SignOut(c.r.Context())
	}
	if err := c.admit(fresh); err != nil {
		return err // before anything is looked up: it tells nothing of the ID
	}
	return c.m.Revoke(c.r.Context(), c.s.UserID(), id)
}
