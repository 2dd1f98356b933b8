package endpoints

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/updateage/session"
)

// WriteLogin answers a Flowfull client's POST /auth/login, which is the
// application's own: it checks the credentials and calls SignIn with Header;
// WriteLogin then hands out the token, the only answer that has one in it.
//
//	{"success":true,"session_id":"<token>","expires_at":…,"user":{…}}
//
// The user is what LoadUser would return; nil: {"id": userID}. If there is no
// token to hand out, because SignIn was not called with Header or the session is
// pending, WriteLogin returns an error and has written nothing: the handler
// answers. It returns the error of the response's first byte, too.
func WriteLogin(w http.ResponseWriter, s *session.Session, user any) error {
	if s.UserID() == "" {
		return fmt.Errorf("endpoints: write login: %w", session.ErrNoSession)
	}
	if user == nil {
		user = map[string]string{"id": s.UserID()}
	}
	shown, err := json.Marshal(user)
	if err != nil {
		return fmt.Errorf("endpoints: write login: %w", err)
	}
	token, ok := s.Token()
	if !ok {
		return errors.New("endpoints: write login: no token, SignIn was not called with Header")
	}
	data, err := json.Marshal(struct {
		Success   bool            `json:"success"`
		SessionID string          `json:"session_id"`
		ExpiresAt Time            `json:"expires_at"`
		User      json.RawMessage `json:"user"`
	}{true, token.Reveal(), Time{s.Info().ExpiresAt}, shown})
	if err != nil {
		return fmt.Errorf("endpoints: write login: %w", err)
	}
	neverCached(w.Header())
	return send(w, http.StatusOK, data)
}
