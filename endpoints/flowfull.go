package endpoints

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/updateage/session"
)

var flowfull = &contract{
	name: "Flowfull", mount: "/auth",
	routes: func(h *Handler) ([]route, error) {
		routes := []route{
			{method: "POST", path: "/logout", need: anySession, serve: (*call).signOut},
			{method: "GET", path: "/me", need: signedIn, serve: (*call).me},
			{method: "GET", path: "/validation", need: anySession, serve: (*call).validate},
			{method: "GET", path: "/validate-session", need: anySession, serve: (*call).validate},
			// Finding the session has refreshed it, if that was due.
			{method: "POST", path: "/refresh", need: anySession, serve: (*call).validate},
		}
		if !h.m.Config().HeaderTransport {
			return nil, errors.New("endpoints: Flowfull needs Config.HeaderTransport")
		}
		if len(h.opts.BridgeSecrets) == 0 {
			return routes, nil
		}
		var err error
		h.secrets, err = hashSecrets(h.opts.BridgeSecrets)
		return append(routes, route{method: "POST", path: "/bridge/validate", serve: (*call).bridge, bridge: true}), err
	},
	refuse: (*origins).refuse,
	body: func(p *problem) any {
		return struct {
			Success bool   `json:"success"`
			Error   string `json:"error"`
		}{false, flowfullText(p)}
	},
}

// flowfullText is the text of an error. The client goes by it: at these two it
// forgets its token, at all others it keeps it.
func flowfullText(p *problem) string {
	if p.status == http.StatusUnauthorized && p != errExpired && p != errBridge {
		return "Invalid session"
	}
	return p.message
}

// me answers with the user.
func (c *call) me() (any, error) {
	user, err := c.user(c.r.Context(), c.s.UserID())
	return struct {
		Success bool            `json:"success"`
		Data    json.RawMessage `json:"data"`
	}{true, user}, err
}

// valid is the answer about a session that is live.
type valid struct {
	Success   bool            `json:"success"`
	User      json.RawMessage `json:"user"`
	ExpiresAt Time            `json:"expires_at"`
}

func (c *call) validate() (any, error) {
	switch {
	case errors.Is(c.s.Err(), session.ErrExpired):
		return nil, errExpired
	case c.s.UserID() == "":
		return nil, session.ErrNoSession
	}
	return c.valid()
}

func (c *call) valid() (*valid, error) {
	user, err := c.user(c.r.Context(), c.s.UserID())
	return &valid{true, user, Time{c.s.Info().ExpiresAt}}, err
}

// ParseBinding returns the binding that the Flowfull ecosystem calls by the mode,
// for session.Config: "disabled" (or "") binds to nothing, "standard" to the
// address, "advanced" to the User-Agent as well, and "strict" to X-Device-ID on
// top. It is for programs that take the mode from their configuration.
func ParseBinding(mode string) (session.Binding, error) {
	switch mode {
	case "", "disabled":
		return 0, nil
	case "standard":
		return session.BindIP, nil
	case "advanced":
		return session.BindIP | session.BindUserAgent, nil
	case "strict":
		return session.BindIP | session.BindUserAgent | session.BindDevice, nil
	}
	return 0, fmt.Errorf("endpoints: unknown binding mode %q", mode)
}
