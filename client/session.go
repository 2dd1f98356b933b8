package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Session is what the server says of a session. It has no secret. Text comes from
// the client that signed in: escape it.
type Session struct {
	// ID is the public session ID, by which Revoke ends it. Flowfull does not
	// tell it.
	ID string `json:"id,omitempty"`
	// UserID is the user. Flowfull does not tell it: see User.
	UserID string `json:"userId,omitempty"`
	// ExpiresAt is when the session ends unless it is refreshed before.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// CreatedAt is when it began, UpdatedAt when it was last refreshed.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
	// AuthenticatedAt is when the user last authenticated. Native only.
	AuthenticatedAt time.Time `json:"authenticatedAt,omitzero"`
	// IPAddress and UserAgent are those of the client that signed in, Device is
	// its name. Device is Native only.
	IPAddress string `json:"ipAddress,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
	Device    string `json:"device,omitempty"`
	// Current says that it is the session that asks.
	Current bool `json:"current,omitempty"`
	// User is the user as the application shows him, in JSON. Sessions leaves
	// it empty.
	User json.RawMessage `json:"user,omitempty"`
}

// SignIn posts credentials to path, stores the session of the answer, and decodes
// the answer into out unless that is nil. The session replaces what was stored; it
// is taken, in this order, from the session cookie (see Cookie), the header
// X-Session-ID, and the field session_id or sessionId at the top of the body or in
// its data.
//
// An answer without a session is an error, as the next request would go out as
// nobody's, and so is a body in which success is false. A refusal is an *Error.
// A sign-in that is redirected to another server fails. Whatever the error, the
// stored session is left alone. That it cannot be read is none: this replaces it.
func (c *Client) SignIn(ctx context.Context, path string, credentials, out any) error {
	rec := &record{signIn: true}
	if err := c.recorded(ctx, rec, http.MethodPost, path, credentials, out); err != nil {
		return err
	}
	if rec.found == "" {
		return errors.New("client: sign in: the answer is no success, or has no session")
	}
	ctx, cancel := detached(ctx) // the answer is here: a caller that goes away must not lose it
	defer cancel()
	return c.transport.set(ctx, rec.found)
}

// SignOut forgets the session and tells the server to end it. It is forgotten
// first, so that it is gone whatever the server answers; an error says that the
// server's side of it may live on until it expires. A context that has ended does
// not keep it from being forgotten, for which the storage has ten seconds. Without
// a session it does nothing.
func (c *Client) SignOut(ctx context.Context) error {
	id, err := c.SessionID(ctx)
	if id == "" && err == nil {
		return nil
	}
	d, cancel := detached(ctx)
	defer cancel()
	err = errors.Join(err, c.ClearSession(d))
	if id == "" {
		return err
	}
	path := map[Contract]string{Native: "/sign-out", Flowfull: "/logout", BetterAuth: "/sign-out"}[c.Contract]
	// KeepSession: a session that could not be forgotten is no expired one.
	failed := c.endpoint(KeepSession(ctx), &record{explicit: id}, http.MethodPost, path, struct{}{}, nil)
	if errors.Is(failed, ErrNoSession) {
		failed = nil // it was over already
	}
	return errors.Join(err, failed)
}

// Session asks the server for the current session and its user. Without one it
// returns ErrNoSession, and the stored one, if any, is removed: an *Error with
// status 401 matches ErrNoSession, too.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	return c.current(ctx, new(record))
}

// current is Session, and leaves in the record which one was asked about.
func (c *Client) current(ctx context.Context, rec *record) (*Session, error) {
	if err := c.needSession(ctx); err != nil {
		return nil, err
	}
	if c.Contract == Flowfull {
		return c.validation(ctx, rec)
	}
	path := map[Contract]string{Native: "/session", BetterAuth: "/get-session"}[c.Contract]
	var body json.RawMessage
	if err := c.endpoint(ctx, rec, http.MethodGet, path, nil, &body); err != nil {
		return nil, err
	}
	// Only null says that there is none. Anything else that has no session is
	// not the endpoint, and no reason to remove one.
	if string(bytes.TrimSpace(body)) == "null" {
		if rec.sent != "" && !optionsOf(ctx).keep {
			c.transport.expire(ctx, rec.sent)
		}
		return nil, ErrNoSession
	}
	var answer struct {
		Session *Session        `json:"session"`
		User    json.RawMessage `json:"user"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Session == nil {
		return nil, errors.New("client: current session: the answer is not that of a session endpoint")
	}
	answer.Session.User, answer.Session.Current = answer.User, true
	return answer.Session, nil
}

// validation is Session by the Flowfull contract.
func (c *Client) validation(ctx context.Context, rec *record) (*Session, error) {
	var answer struct {
		Success   bool            `json:"success"`
		User      json.RawMessage `json:"user"`
		ExpiresAt time.Time       `json:"expires_at"`
	}
	if err := c.endpoint(ctx, rec, http.MethodGet, "/validation", nil, &answer); err != nil {
		return nil, err
	}
	if !answer.Success {
		return nil, errors.New("client: current session: the answer is not that of a session endpoint")
	}
	return &Session{User: answer.User, ExpiresAt: answer.ExpiresAt, Current: true}, nil
}

// User asks the server for the signed-in user and decodes him into out.
func (c *Client) User(ctx context.Context, out any) error {
	s, err := c.Session(ctx)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(s.User, out); err != nil {
		return fmt.Errorf("client: decode the user: %w", err)
	}
	return nil
}

// Validate asks the server whether the stored session is good. An error says that
// it is not known, because the server cannot be reached or fails.
func (c *Client) Validate(ctx context.Context) (bool, error) {
	_, err := c.Session(ctx)
	if errors.Is(err, ErrNoSession) {
		return false, nil
	}
	return err == nil, err
}

// Sessions returns the user's sessions. Flowfull: errors.ErrUnsupported.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	if err := c.lists(ctx, "list sessions"); err != nil {
		return nil, err
	}
	path := map[Contract]string{Native: "/sessions", BetterAuth: "/list-sessions"}[c.Contract]
	var list []Session
	if err := c.endpoint(ctx, new(record), http.MethodGet, path, nil, &list); err != nil {
		return nil, err
	}
	if c.Contract == Native {
		return list, nil
	}
	current, err := c.Session(ctx) // this list does not say which it is
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Current = list[i].ID == current.ID
	}
	return list, nil
}

// Revoke ends the session with this public ID. The server may demand a recent
// sign-in: an *Error with status 403. That there is no such session, or it is
// another user's, is an *Error with status 404; BetterAuth does not tell.
// Flowfull: errors.ErrUnsupported.
func (c *Client) Revoke(ctx context.Context, id string) error {
	if err := c.lists(ctx, "revoke a session"); err != nil {
		return err
	}
	// "" or ".." would name the list, and end all the others.
	if id == "" || !isBase64URL(id) {
		return errors.New("client: revoke a session: that is no session ID")
	}
	if c.Contract == Native {
		return c.endpoint(ctx, new(record), http.MethodDelete, "/sessions/"+id, nil, nil)
	}
	return c.endpoint(ctx, new(record), http.MethodPost, "/revoke-session", map[string]string{"token": id}, nil)
}

// RevokeOthers ends all the user's sessions but this one and returns how many, or
// -1 with BetterAuth, which does not tell. The server may demand a recent sign-in:
// an *Error with status 403. Flowfull: errors.ErrUnsupported.
func (c *Client) RevokeOthers(ctx context.Context) (int, error) {
	if err := c.lists(ctx, "revoke the other sessions"); err != nil {
		return 0, err
	}
	if c.Contract == Native {
		var answer struct {
			Count int `json:"count"`
		}
		err := c.endpoint(ctx, new(record), http.MethodDelete, "/sessions", nil, &answer)
		return answer.Count, err
	}
	return -1, c.endpoint(ctx, new(record), http.MethodPost, "/revoke-other-sessions", struct{}{}, nil)
}

// endpoint is recorded for the session endpoints. What another server answers,
// after a redirect, is an error: it knows nothing of the session, and could name
// any user.
func (c *Client) endpoint(ctx context.Context, rec *record, method, path string, in, out any) error {
	path = c.authPath() + path
	err := c.recorded(ctx, rec, method, path, in, out)
	if err == nil && rec.elsewhere {
		err = fmt.Errorf("client: %s %s: it was redirected to another server", method, path)
	}
	return err
}

// needSession spares the server a request that has no session to show.
func (c *Client) needSession(ctx context.Context) error {
	if signedIn, err := c.SignedIn(ctx); err != nil || signedIn {
		return err
	}
	return ErrNoSession
}

// lists is needSession for what needs the server's lists of sessions.
func (c *Client) lists(ctx context.Context, verb string) error {
	if c.Contract == Flowfull {
		return fmt.Errorf("client: %s: %w by the Flowfull contract", verb, errors.ErrUnsupported)
	}
	return c.needSession(ctx)
}
