package client_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/client"
)

// behaviours is what a client can rely on, whichever contract its server has and
// however the session travels.
var behaviours = []struct {
	name string
	// lists says that it takes the server's lists of sessions, which Flowfull lacks.
	lists bool
	test  func(t *testing.T, s *site, c *client.Client)
}{
	{name: "a sign-in is kept, and later requests carry it", test: func(t *testing.T, s *site, c *client.Client) {
		var refused *client.Error
		if err := c.Get(t.Context(), "/orders", nil); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
			t.Errorf("before: %v", err)
		}
		signIn(t, c, "ada")
		var orders []string
		if err := c.Get(t.Context(), "/orders", &orders); err != nil || len(orders) != 1 || orders[0] != "order of ada" {
			t.Errorf("orders are %v, %v", orders, err)
		}
	}},
	{name: "a refused sign-in leaves the session alone", test: func(t *testing.T, s *site, c *client.Client) {
		signIn(t, c, "ada")
		before, _ := c.SessionID(t.Context())
		err := c.SignIn(t.Context(), "/auth/login", credentials{Email: "ada", Password: "wrong"}, nil)
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Code != "INVALID_CREDENTIALS" || refused.Message != "Wrong e-mail address or password" {
			t.Errorf("error is %v", err)
		}
		wantStored(t, c, before)
	}},
	{name: "another user's sign-in replaces the session", test: func(t *testing.T, s *site, c *client.Client) {
		signIn(t, signIn(t, c, "ada"), "grace")
		wantUser(t, c, "grace")
	}},
	{name: "the current session and its user", test: func(t *testing.T, s *site, c *client.Client) {
		signIn(t, c, "ada")
		got, err := c.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(got.ExpiresAt); left < 6*24*time.Hour || !got.Current {
			t.Errorf("session is %+v", got)
		}
		if c.Contract != client.Flowfull && (got.UserID != "ada" || len(got.ID) != 24 || got.CreatedAt.IsZero()) {
			t.Errorf("session is %+v", got)
		}
		wantUser(t, c, "ada")
		if ok, err := c.Validate(t.Context()); !ok || err != nil {
			t.Errorf("Validate = %t, %v", ok, err)
		}
	}},
	{name: "nobody is signed in", test: func(t *testing.T, s *site, c *client.Client) {
		if _, err := c.Session(t.Context()); !errors.Is(err, client.ErrNoSession) {
			t.Errorf("Session: %v", err)
		}
		if err := c.User(t.Context(), new(any)); !errors.Is(err, client.ErrNoSession) {
			t.Errorf("User: %v", err)
		}
		if ok, err := c.Validate(t.Context()); ok || err != nil {
			t.Errorf("Validate = %t, %v", ok, err)
		}
		if err := c.SignOut(t.Context()); err != nil {
			t.Errorf("SignOut: %v", err)
		}
	}},
	{name: "the session survives a restart", test: func(t *testing.T, s *site, c *client.Client) {
		file := &client.File{Path: filepath.Join(t.TempDir(), "session.json")}
		signIn(t, c.WithStorage(file), "ada")
		again := c.WithStorage(&client.File{Path: file.Path})
		wantUser(t, again, "ada")
		if err := again.SignOut(t.Context()); err != nil {
			t.Error(err)
		}
		wantStored(t, c.WithStorage(file), "")
	}},
	{name: "sign-out ends the session here and there", test: func(t *testing.T, s *site, c *client.Client) {
		signIn(t, c, "ada")
		old, _ := c.SessionID(t.Context())
		var expired counter
		if err := c.SignOut(t.Context()); err != nil {
			t.Error(err)
		}
		wantStored(t, c, "")
		if list, _ := s.m.Sessions(t.Context(), "ada"); len(list) > 0 {
			t.Errorf("the server has %d sessions left", len(list))
		}
		copied := s.client(c.Contract, transport(c.Cookie))
		copied.OnExpired = expired.add
		holding(t, copied, old)
		if ok, err := copied.Validate(t.Context()); ok || err != nil || expired.count() != 1 {
			t.Errorf("a copy of the session: %t, %v, expired %d times", ok, err, expired.count())
		}
	}},
	{name: "sign-out clears while the server fails", test: func(t *testing.T, s *site, c *client.Client) {
		signIn(t, c, "ada")
		s.down.Store(true)
		if err := c.SignOut(t.Context()); err == nil {
			t.Error("no error says that the session may live on")
		}
		wantStored(t, c, "")
	}},
	{name: "sign-out clears while the server is gone", test: func(t *testing.T, s *site, c *client.Client) {
		signIn(t, c, "ada")
		s.Close()
		if err := c.SignOut(t.Context()); err == nil {
			t.Error("no error says that the session may live on")
		}
		wantStored(t, c, "")
	}},
	{name: "sign-out clears for a caller who has gone", test: func(t *testing.T, s *site, c *client.Client) {
		signIn(t, c, "ada")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.SignOut(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		wantStored(t, c, "")
	}},
	{name: "an ended session is cleared, and told once", test: func(t *testing.T, s *site, c *client.Client) {
		var expired counter
		c.OnExpired = expired.add
		signIn(t, c, "ada")
		endAll(t, s, "ada")
		for range 3 {
			if _, err := c.Session(t.Context()); !errors.Is(err, client.ErrNoSession) {
				t.Errorf("Session: %v", err)
			}
		}
		wantStored(t, c, "")
		if expired.count() != 1 {
			t.Errorf("OnExpired was called %d times", expired.count())
		}
	}},
	{name: "parallel requests of an ended session tell once", test: func(t *testing.T, s *site, c *client.Client) {
		var expired counter
		c.OnExpired = expired.add
		signIn(t, c, "ada")
		endAll(t, s, "ada")
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := c.Get(t.Context(), "/orders", nil); !errors.Is(err, client.ErrNoSession) {
					t.Errorf("Get: %v", err)
				}
			})
		}
		wg.Wait()
		wantStored(t, c, "")
		if expired.count() != 1 {
			t.Errorf("OnExpired was called %d times", expired.count())
		}
	}},
	{name: "a store that is down clears nothing", test: func(t *testing.T, s *site, c *client.Client) {
		var expired counter
		c.OnExpired = expired.add
		signIn(t, c, "ada")
		s.down.Store(true)
		_, err := c.Session(t.Context())
		var down *client.Error
		if !errors.As(err, &down) || down.Status != http.StatusServiceUnavailable || down.RetryAfter <= 0 || errors.Is(err, client.ErrNoSession) {
			t.Errorf("Session: %v", err)
		}
		if ok, err := c.Validate(t.Context()); ok || err == nil {
			t.Errorf("Validate = %t, %v", ok, err)
		}
		s.down.Store(false)
		wantUser(t, c, "ada")
		if expired.count() != 0 {
			t.Error("OnExpired was called")
		}
	}},
	{name: "a server that is gone clears nothing", test: func(t *testing.T, s *site, c *client.Client) {
		signIn(t, c, "ada")
		before, _ := c.SessionID(t.Context())
		s.Close()
		if _, err := c.Session(t.Context()); err == nil || errors.Is(err, client.ErrNoSession) {
			t.Errorf("Session: %v", err)
		}
		wantStored(t, c, before)
	}},
	{name: "the session of an incoming request is passed on", test: func(t *testing.T, s *site, c *client.Client) {
		signIn(t, c, "ada")
		id, _ := c.SessionID(t.Context())
		r, _ := http.NewRequest("GET", "https://www.example.com/", nil)
		if c.Cookie == "" {
			r.Header.Set("X-Session-ID", id)
		} else {
			r.AddCookie(&http.Cookie{Name: c.Cookie, Value: id})
		}
		wantUser(t, c.WithStorage(client.FromRequest(r)), "ada")
	}},
	{name: "sessions, the current one marked", lists: true, test: func(t *testing.T, s *site, c *client.Client) {
		signIn(t, s.client(c.Contract, transport(c.Cookie)), "ada")
		signIn(t, c, "ada")
		signIn(t, s.client(c.Contract, transport(c.Cookie)), "grace")
		list, err := c.Sessions(t.Context())
		if err != nil || len(list) != 2 {
			t.Fatalf("%d sessions, %v", len(list), err)
		}
		current, err := c.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range list {
			if one.Current != (one.ID == current.ID) || one.UserAgent == "" || one.IPAddress == "" {
				t.Errorf("session %+v", one)
			}
			if c.Contract == client.Native && one.Device != "a device" {
				t.Errorf("device %q", one.Device)
			}
		}
	}},
	{name: "one session revokes another", lists: true, test: func(t *testing.T, s *site, c *client.Client) {
		other := signIn(t, s.client(c.Contract, transport(c.Cookie)), "ada")
		signIn(t, c, "ada")
		victim, err := other.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Revoke(t.Context(), victim.ID); err != nil {
			t.Error(err)
		}
		if ok, err := other.Validate(t.Context()); ok || err != nil {
			t.Errorf("the revoked session: %t, %v", ok, err)
		}
		wantUser(t, c, "ada")
	}},
	{name: "another user's session cannot be revoked", lists: true, test: func(t *testing.T, s *site, c *client.Client) {
		other := signIn(t, s.client(c.Contract, transport(c.Cookie)), "grace")
		signIn(t, c, "ada")
		victim, err := other.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		err = c.Revoke(t.Context(), victim.ID)
		var unknown *client.Error
		if c.Contract == client.Native && (!errors.As(err, &unknown) || unknown.Status != http.StatusNotFound || unknown.Code != "NOT_FOUND") {
			t.Errorf("error is %v", err)
		}
		if c.Contract == client.BetterAuth && err != nil {
			t.Errorf("error is %v", err)
		}
		wantUser(t, other, "grace")
	}},
	{name: "one session revokes all others", lists: true, test: func(t *testing.T, s *site, c *client.Client) {
		a := signIn(t, s.client(c.Contract, transport(c.Cookie)), "ada")
		b := signIn(t, s.client(c.Contract, transport(c.Cookie)), "ada")
		signIn(t, c, "ada")
		n, err := c.RevokeOthers(t.Context())
		if want := map[client.Contract]int{client.Native: 2, client.BetterAuth: -1}[c.Contract]; n != want || err != nil {
			t.Errorf("RevokeOthers = %d, %v, want %d", n, err, want)
		}
		for _, other := range []*client.Client{a, b} {
			if ok, err := other.Validate(t.Context()); ok || err != nil {
				t.Errorf("another session: %t, %v", ok, err)
			}
		}
		wantUser(t, c, "ada")
	}},
	{name: "without a session no list is asked for", lists: true, test: func(t *testing.T, s *site, c *client.Client) {
		s.Close() // any request would fail otherwise
		if _, err := c.Sessions(t.Context()); !errors.Is(err, client.ErrNoSession) {
			t.Errorf("Sessions: %v", err)
		}
		if err := c.Revoke(t.Context(), "AAAAAAAAAAAAAAAAAAAAAAAA"); !errors.Is(err, client.ErrNoSession) {
			t.Errorf("Revoke: %v", err)
		}
		if _, err := c.RevokeOthers(t.Context()); !errors.Is(err, client.ErrNoSession) {
			t.Errorf("RevokeOthers: %v", err)
		}
	}},
}

// TestContracts holds every behaviour against a server of each contract, with
// header and with cookie.
func TestContracts(t *testing.T) {
	for _, contract := range []client.Contract{client.Native, client.Flowfull, client.BetterAuth} {
		for how, name := range map[transport]string{byHeader: "header", byCookie: "cookie"} {
			for _, b := range behaviours {
				t.Run(contract.String()+"/"+name+"/"+b.name, func(t *testing.T) {
					t.Parallel()
					s := startSite(t, contract, session.Config{})
					c := s.client(contract, how)
					if b.lists && contract == client.Flowfull {
						wantUnsupported(t, signIn(t, c, "ada"))
						return
					}
					b.test(t, s, c)
				})
			}
		}
	}
}

func wantUnsupported(t *testing.T, c *client.Client) {
	t.Helper()
	_, list := c.Sessions(t.Context())
	_, others := c.RevokeOthers(t.Context())
	for _, err := range []error{list, others, c.Revoke(t.Context(), "AAAAAAAAAAAAAAAAAAAAAAAA")} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("error is %v, want errors.ErrUnsupported", err)
		}
	}
}

func wantUser(t *testing.T, c *client.Client, want string) {
	t.Helper()
	var user struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	if err := c.User(t.Context(), &user); err != nil || user.ID != want || user.Name != "Ada Lovelace" {
		t.Errorf("user is %+v, %v, want %s", user, err, want)
	}
}

func endAll(t *testing.T, s *site, user string) {
	t.Helper()
	if _, err := s.m.RevokeAll(t.Context(), user); err != nil {
		t.Fatal(err)
	}
}

// TestRotationIsFollowed: the server changes the secret every hour and takes the
// use of an old one for theft, so the client must go on with the latest.
func TestRotationIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, client.Native, session.Config{RotateEvery: time.Hour})
		c := at(s.answer)
		c.Cookie = sessionCookie
		signIn(t, c, "ada")
		seen := make(map[string]bool)
		for range 5 {
			time.Sleep(2 * time.Hour)
			wantUser(t, c, "ada")
			id, err := c.SessionID(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			seen[id] = true
		}
		if len(seen) != 5 {
			t.Errorf("the client had %d secrets, want 5", len(seen))
		}
	})
}

// TestRefusedSignInWhileRotating: the new secret that comes with the refusal is
// dropped, as everything of it. The server takes it for lost, and sends another.
func TestRefusedSignInWhileRotating(t *testing.T) {
	wrong := credentials{Email: "ada", Password: "wrong"}
	for name, refused := range map[string]func(*client.Client) error{
		"SignIn": func(c *client.Client) error { return c.SignIn(t.Context(), "/auth/login", wrong, nil) },
		"KeepSession": func(c *client.Client) error {
			return c.Post(client.KeepSession(t.Context()), "/auth/login", wrong, nil)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, client.Native, session.Config{RotateEvery: time.Hour})
			c := at(s.answer)
			c.Cookie = sessionCookie
			signIn(t, c, "ada")
			before, _ := c.SessionID(t.Context())
			for range 3 {
				time.Sleep(2 * time.Hour)
				if err := refused(c); err == nil {
					t.Errorf("%s: no error", name)
				}
				wantStored(t, c, before)
			}
			for range 3 {
				time.Sleep(2 * time.Hour)
				wantUser(t, c, "ada")
			}
		})
	}
}

func TestSessionsThatAreNotFreshRevokeNothing(t *testing.T) {
	for _, contract := range []client.Contract{client.Native, client.BetterAuth} {
		for _, how := range []transport{byHeader, byCookie} {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, contract, session.Config{})
				newClient := func() *client.Client {
					return &client.Client{
						BaseURL: api, HTTPClient: &http.Client{Transport: server(s.answer)}, Contract: contract, Cookie: string(how),
					}
				}
				other, c := signIn(t, newClient(), "ada"), signIn(t, newClient(), "ada")
				time.Sleep(25 * time.Hour)
				victim, err := other.Session(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_, others := c.RevokeOthers(t.Context())
				for _, err := range []error{others, c.Revoke(t.Context(), victim.ID)} {
					var stale *client.Error
					if !errors.As(err, &stale) || stale.Status != http.StatusForbidden || stale.Code != "SESSION_NOT_FRESH" {
						t.Errorf("%v, %q: error is %v", contract, how, err)
					}
				}
				wantUser(t, other, "ada")
				wantUser(t, c, "ada") // 403 clears nothing
			})
		}
	}
}

// TestBetterAuthSignIn: the sign-in of that contract itself, which sets a cookie
// and calls the public ID a token.
func TestBetterAuthSignIn(t *testing.T) {
	s := startSite(t, client.BetterAuth, session.Config{})
	c := s.client(client.BetterAuth, byCookie)
	for _, user := range []string{"ada", "grace"} { // the second time with a cookie
		in := map[string]string{"email": user, "password": password}
		if err := c.SignIn(t.Context(), "/api/auth/sign-in/email", in, nil); err != nil {
			t.Fatal(err)
		}
		wantUser(t, c, user)
	}
	err := c.SignIn(t.Context(), "/api/auth/sign-in/email", map[string]string{"email": "ada", "password": "wrong"}, nil)
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		t.Errorf("error is %v", err)
	}
	wantUser(t, c, "grace")
}
