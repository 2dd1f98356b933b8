package session_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
)

func TestChecklistTimeouts(t *testing.T) {
	t.Run("item-36 a session that is not used expires", clInBubble(clIdleSessionExpires))
	t.Run("item-37 no refresh passes the absolute lifetime", clInBubble(clAbsoluteLifetimeHolds))
	t.Run("item-37 a configured absolute lifetime is never raised", clConfiguredLifetimeHolds)
	t.Run("item-38 the presets are those of NIST SP 800-63B-4", clPresets)
	t.Run("item-38 no preset can be weakened", clPresetsCannotBeWeakened)
	t.Run("item-39 activity moves the idle end", clInBubble(clActivityKeepsAlive))
	t.Run("item-39 authentication moves both ends", clInBubble(clAuthenticationMovesBothEnds))
	t.Run("item-40 at its expiry a session is expired", clInBubble(clBoundaryIsExpired))
	t.Run("item-41 a rotated token reads for its grace and not longer", clInBubble(clGraceEnds))
	t.Run("item-41 a tolerated replay is refused all the same", clInBubble(clToleratedReplayIsRefused))
	t.Run("item-42 the limits can be read", clLimitsCanBeRead)
}

func clIdleSessionExpires(t *testing.T) {
	l := newClLab(t, session.Config{ExpiresIn: time.Hour, UpdateAge: session.EveryRequest, AnonymousExpiresIn: 30 * time.Minute})
	user, nobody := l.signIn("alice", session.SignInOptions{}), l.visitor()
	nobody.set("x")
	for range 5 {
		time.Sleep(29 * time.Minute)
		if user.user() != "alice" || nobody.note() != "x" {
			t.Fatal("a session that is used expires")
		}
	}
	time.Sleep(30 * time.Minute)
	if note := nobody.note(); note != "" {
		t.Error("an anonymous session unused for AnonymousExpiresIn is alive")
	}
	time.Sleep(30 * time.Minute)
	if got := user.user(); got != "" {
		t.Error("a session unused for ExpiresIn is alive")
	}
}

func clAbsoluteLifetimeHolds(t *testing.T) {
	l := newClLab(t, session.Config{ExpiresIn: 2 * time.Hour, UpdateAge: session.EveryRequest, MaxLifetime: 24 * time.Hour})
	c := l.signIn("alice", session.SignInOptions{})
	for range 23 {
		time.Sleep(time.Hour)
		if c.rotate(); c.user() != "alice" {
			t.Fatal("the session ends before its absolute end")
		}
	}
	time.Sleep(time.Hour)
	if user := c.user(); user != "" {
		t.Errorf("user %q after MaxLifetime, want nobody", user)
	}
}

func clConfiguredLifetimeHolds(t *testing.T) {
	for _, cfg := range []session.Config{
		{MaxLifetime: 24 * time.Hour},
		{MaxLifetime: 24 * time.Hour, ExpiresIn: 48 * time.Hour},
		{MaxLifetime: time.Minute, UpdateAge: time.Second},
		{MaxLifetime: 5 * time.Minute, AAL: session.AAL3},
	} {
		m, err := session.New(clNoStore(), cfg)
		if err != nil {
			continue // refusing it is honest as well
		}
		if got := m.Config().MaxLifetime; got != cfg.MaxLifetime {
			t.Errorf("MaxLifetime %v becomes %v", cfg.MaxLifetime, got)
		}
	}
}

func clPresets(t *testing.T) {
	for level, want := range map[session.Level]struct{ overall, idle time.Duration }{
		session.AAL1: {30 * 24 * time.Hour, 30 * 24 * time.Hour},
		session.AAL2: {24 * time.Hour, time.Hour},
		session.AAL3: {12 * time.Hour, 15 * time.Minute},
	} {
		got := newClLab(t, session.Config{AAL: level}).m.Config()
		if got.MaxLifetime != want.overall || got.ExpiresIn > want.idle || got.FreshAge > want.overall {
			t.Errorf("AAL%d: %v, want %v overall and %v unused at most", level, got, want.overall, want.idle)
		}
	}
}

func clPresetsCannotBeWeakened(t *testing.T) {
	for _, bad := range []session.Config{
		{AAL: session.AAL1, MaxLifetime: 31 * 24 * time.Hour},
		{AAL: session.AAL2, MaxLifetime: 25 * time.Hour},
		{AAL: session.AAL2, ExpiresIn: 61 * time.Minute},
		{AAL: session.AAL3, MaxLifetime: 13 * time.Hour},
		{AAL: session.AAL3, ExpiresIn: 16 * time.Minute},
		{AAL: 4},
	} {
		if _, err := session.New(clNoStore(), bad); err == nil {
			t.Errorf("New accepts AAL%d with %v overall and %v unused", bad.AAL, bad.MaxLifetime, bad.ExpiresIn)
		}
	}
	if _, err := session.New(clNoStore(), session.Config{AAL: session.AAL3, MaxLifetime: time.Hour, ExpiresIn: 5 * time.Minute}); err != nil {
		t.Errorf("New refuses shorter lifetimes: %v", err)
	}
}

// clActivityKeepsAlive uses sessions steadily, under configurations that name
// nothing but the idle timeout.
func clActivityKeepsAlive(t *testing.T) {
	for name, cfg := range map[string]session.Config{
		"7 days":     {},
		"12 hours":   {ExpiresIn: 12 * time.Hour},
		"1 hour":     {ExpiresIn: time.Hour},
		"AAL2":       {AAL: session.AAL2},
		"AAL3":       {AAL: session.AAL3},
		"AAL3 short": {AAL: session.AAL3, ExpiresIn: time.Minute},
	} {
		l := newClLab(t, cfg)
		c := l.signIn("alice", session.SignInOptions{})
		idle := l.m.Config().ExpiresIn
		for range 25 {
			time.Sleep(idle / 10)
			c.read()
		}
		if user := c.user(); user != "alice" {
			t.Errorf("%s: a session in steady use has ended after %v", name, 25*idle/10)
		}
	}
	l := newClLab(t, session.Config{})
	c := l.visitor()
	c.set("x")
	for range 25 {
		time.Sleep(l.m.Config().AnonymousExpiresIn / 10)
		c.read()
	}
	if c.note() != "x" {
		t.Error("anonymous: a session in steady use has ended")
	}
}

func clAuthenticationMovesBothEnds(t *testing.T) {
	l := newClLab(t, session.Config{ExpiresIn: 10 * time.Hour, UpdateAge: time.Hour, MaxLifetime: 24 * time.Hour})
	c := l.signIn("alice", session.SignInOptions{})
	for range 10 {
		time.Sleep(8 * time.Hour)
		c.signIn("alice", session.SignInOptions{})
	}
	if got, want := time.Until(c.info().ExpiresAt), 10*time.Hour; got != want {
		t.Errorf("the idle end is in %v, want %v", got, want)
	}
	for range 2 {
		time.Sleep(9 * time.Hour)
		c.read()
	}
	if got, want := time.Until(c.info().ExpiresAt), 6*time.Hour; got != want {
		t.Errorf("after use the end is in %v, want the absolute one in %v", got, want)
	}
}

// clBoundaryIsExpired sends a request a millisecond before each kind of expiry,
// and one with another session right at it.
func clBoundaryIsExpired(t *testing.T) {
	for name, row := range map[string]struct {
		cfg    session.Config
		opts   session.SignInOptions
		nobody bool
		after  time.Duration
	}{
		"unused":         {cfg: session.Config{ExpiresIn: time.Hour}, after: time.Hour},
		"absolute":       {cfg: session.Config{ExpiresIn: time.Hour, MaxLifetime: time.Hour, UpdateAge: session.EveryRequest}, after: time.Hour},
		"not remembered": {opts: session.SignInOptions{Forget: true}, after: 24 * time.Hour},
		"pending":        {opts: session.SignInOptions{Pending: true}, after: 10 * time.Minute},
		"anonymous":      {nobody: true, after: 24 * time.Hour},
	} {
		l := newClLab(t, row.cfg)
		before, at := l.visitor(), l.visitor()
		for _, c := range []*clClient{before, at} {
			if row.nobody {
				c.set("x")
				continue
			}
			c.signIn("alice", row.opts)
		}
		time.Sleep(row.after - time.Millisecond)
		if before.info().ID == "" {
			t.Errorf("%s: expired a millisecond too soon", name)
		}
		time.Sleep(time.Millisecond)
		if info := at.info(); info.ID != "" {
			t.Errorf("%s: usable at its very expiry: %+v", name, info)
		}
	}
}

func clGraceEnds(t *testing.T) {
	l := newClLab(t, session.Config{RotateEvery: time.Hour, RotationGrace: 30 * time.Second})
	c := l.signIn("alice", session.SignInOptions{})
	old := c.clone()
	time.Sleep(time.Hour)
	if c.read(); c.cookie == old.cookie {
		t.Fatal("no rotation after RotateEvery")
	}
	if user := old.clone().user(); user != "alice" {
		t.Errorf("user %q with the old token before the new one was used, want alice", user)
	}
	c.read() // the first use of the new one
	time.Sleep(30*time.Second - time.Millisecond)
	if user := old.clone().user(); user != "alice" {
		t.Errorf("user %q with the old token within its grace, want alice", user)
	}
	time.Sleep(time.Millisecond)
	l.took()
	if user := old.clone().user(); user != "" {
		t.Errorf("user %q with the old token after its grace, want nobody", user)
	}
	if got, want := l.kinds(), []session.EventKind{session.EventReplayed, session.EventRevoked}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	if user := c.user(); user != "" {
		t.Errorf("user %q after a replay, want nobody: one of the two is a thief", user)
	}
}

func clToleratedReplayIsRefused(t *testing.T) {
	l := newClLab(t, session.Config{TolerateReplay: true})
	c := l.signIn("alice", session.SignInOptions{})
	old := c.clone()
	c.rotate()
	time.Sleep(time.Minute)
	l.took()
	if user := old.user(); user != "" {
		t.Errorf("user %q with a replayed token, want nobody", user)
	}
	if got, want := l.kinds(), []session.EventKind{session.EventReplayed}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	if user := c.user(); user != "alice" {
		t.Errorf("user %q with the new token, want alice", user)
	}
}

func clLimitsCanBeRead(t *testing.T) {
	l := newClLab(t, session.Config{
		ExpiresIn: 3 * time.Hour, UpdateAge: 2 * time.Minute, MaxLifetime: 17 * time.Hour,
		FreshAge: 11 * time.Minute, AnonymousExpiresIn: 5 * time.Hour, MaxSessions: 23,
	})
	text := l.m.Config().String()
	for _, limit := range []string{"3h0m0s", "2m0s", "17h0m0s", "11m0s", "5h0m0s", "23"} {
		if !strings.Contains(text, limit) {
			t.Errorf("%q does not show %s", text, limit)
		}
	}
}

func TestChecklistStepUp(t *testing.T) {
	t.Run("item-58 only an authentication makes a session fresh", clInBubble(clOnlyAuthenticationIsFresh))
	t.Run("item-59 the level is that of the last authentication", clInBubble(clLevelIsOfTheAuthentication))
	t.Run("item-60 a pending second factor is not signed in", clPendingIsNotSignedIn)
	t.Run("item-61 a remembered browser is not an authentication", clInBubble(clRememberedIsNotAuthenticated))
}

// fresh returns the status of a sensitive action.
func (c *clClient) fresh() int {
	h := c.lab.m.Handler(c.lab.m.RequireFresh(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	return c.send(h, c.request(http.MethodPost)).StatusCode
}

func clOnlyAuthenticationIsFresh(t *testing.T) {
	l := newClLab(t, session.Config{FreshAge: time.Hour, UpdateAge: session.EveryRequest})
	if got := l.visitor().fresh(); got != http.StatusUnauthorized {
		t.Errorf("nobody: status %d, want 401", got)
	}
	c := l.signIn("alice", session.SignInOptions{})
	if got := c.fresh(); got != http.StatusOK {
		t.Errorf("just signed in: status %d, want 200", got)
	}
	time.Sleep(time.Hour)
	for name, step := range map[string]func(){
		"time":       func() {},
		"a refresh":  func() { c.read() },
		"a value":    func() { c.set(time.Now().String()) },
		"a rotation": func() { c.rotate() },
	} {
		if step(); c.fresh() != http.StatusForbidden {
			t.Errorf("after %s the session counts as fresh", name)
		}
	}
	c.signIn("alice", session.SignInOptions{})
	if got := c.fresh(); got != http.StatusOK {
		t.Errorf("authenticated again: status %d, want 200", got)
	}
}

func clLevelIsOfTheAuthentication(t *testing.T) {
	l := newClLab(t, session.Config{UpdateAge: session.EveryRequest, RotateEvery: time.Hour})
	c := l.visitor()
	level := func(want session.Level, when string) {
		t.Helper()
		if got := c.info().Level; got != want {
			t.Errorf("%s: level %d, want %d", when, got, want)
		}
	}
	c.signIn("alice", session.SignInOptions{Level: session.AAL1})
	level(session.AAL1, "sign-in")
	time.Sleep(2 * time.Hour)
	c.read()
	c.rotate()
	c.set("x")
	level(session.AAL1, "refresh, rotation and a value")
	c.signIn("alice", session.SignInOptions{Level: session.AAL2})
	level(session.AAL2, "a stronger authentication")
	c.signIn("alice", session.SignInOptions{})
	level(0, "an authentication of no stated level")
	c.signIn("alice", session.SignInOptions{Level: session.AAL3, Pending: true})
	if c.user() != "" {
		t.Error("a pending second factor is signed in")
	}
	c.signIn("alice", session.SignInOptions{Level: session.AAL2})
	level(session.AAL2, "the second factor")
}

// clPendingIsNotSignedIn is GHSA-xg6x-h9c9-2m83.
func clPendingIsNotSignedIn(t *testing.T) {
	l := newClLab(t, session.Config{MaxSessions: 1})
	other := l.signIn("alice", session.SignInOptions{})
	c := l.signIn("alice", session.SignInOptions{Pending: true})
	c.must("look", func(ctx context.Context, s *session.Session) error {
		if s.UserID() != "" || s.Fresh() || s.PendingUserID() != "alice" {
			t.Errorf("user %q, fresh %t, pending %q; want alice as pending and nothing else", s.UserID(), s.Fresh(), s.PendingUserID())
		}
		if n, err := l.m.RevokeOthers(ctx, s); !errors.Is(err, session.ErrNoSession) {
			t.Errorf("RevokeOthers: %d, %v; want ErrNoSession", n, err)
		}
		return nil
	})
	for name, guard := range map[string]func(http.Handler) http.Handler{"RequireUser": l.m.RequireUser, "RequireFresh": l.m.RequireFresh} {
		res := c.send(l.m.Handler(guard(clStep(func(context.Context, *session.Session) { t.Errorf("%s lets it pass", name) }))), c.request(http.MethodGet))
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: status %d, want 401", name, res.StatusCode)
		}
	}
	if user := other.user(); user != "alice" {
		t.Error("a pending sign-in, which needs the password only, ends another session")
	}
}

func clRememberedIsNotAuthenticated(t *testing.T) {
	l := newClLab(t, session.Config{Binding: session.BindDevice})
	c := l.visitor()
	c.header.Set("X-Device-ID", "laptop")
	c.signIn("alice", session.SignInOptions{})
	known := l.visitor()
	known.header.Set("X-Device-ID", "laptop")
	if user := known.user(); user != "" {
		t.Errorf("a known device signs in as %q by itself", user)
	}
	time.Sleep(7 * 24 * time.Hour)
	if user := c.user(); user != "" {
		t.Errorf("a remembered session outlives its expiry, as %q", user)
	}
}
