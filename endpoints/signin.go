package endpoints

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Credentials are what a Better Auth client's signIn.email sends, see
// Options.SignIn. The password is not shown when they are printed or logged.
type Credentials struct {
	// Email is the address as it was typed. It may be anything.
	Email string
	// Password is the password as it was typed.
	Password string `json:"-"`
	// RememberMe says whether the session is to outlive the browser.
	RememberMe bool
}

// Format shows the address, under any verb.
func (c Credentials) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, fmt.Sprintf("credentials of %q", c.Email))
}

// LogValue shows the address in a log.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

func (o object) credentials() (c Credentials, err error) {
	if c.Email, err = o.text("email"); err != nil {
		return c, err
	}
	if c.Password, err = o.text("password"); err != nil {
		return c, err
	}
	c.RememberMe, err = optional(o, "rememberMe", "boolean", true)
	return c, err
}

// signInEmail signs in whom the application has checked.
func (c *call) signInEmail() (any, error) {
	credentials, err := c.body.credentials()
	if err != nil {
		return nil, err
	}
	userID, opts, err := c.opts.SignIn(c.r, credentials)
	switch {
	case errors.Is(err, ErrCredentials), err == nil && userID == "":
		return nil, errCredentials
	case err != nil:
		return nil, fmt.Errorf("endpoints: sign in: %w", err)
	}
	opts.Forget, opts.Header = opts.Forget || !credentials.RememberMe, false
	if opts.Pending {
		return struct {
			TwoFactorRedirect bool `json:"twoFactorRedirect"`
		}{true}, c.s.SignIn(c.r.Context(), userID, opts)
	}
	user, err := c.user(c.r.Context(), userID) // first: a session nobody hears of is none
	if err != nil {
		return nil, err
	}
	if err := c.s.SignIn(c.r.Context(), userID, opts); err != nil {
		return nil, err
	}
	return signedInAnswer{false, c.s.ID(), user}, nil
}

// signedInAnswer never redirects: the client would go wherever it is told.
type signedInAnswer struct {
	Redirect bool            `json:"redirect"`
	Token    string          `json:"token"` // the public ID
	User     json.RawMessage `json:"user"`
}
