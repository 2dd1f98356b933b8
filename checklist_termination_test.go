package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/updateage/session"
)

func TestChecklistTermination(t *testing.T) {
	t.Run("item-43 what has ended is over for every copy of the token", clInBubble(clEndedIsOver))
	t.Run("item-43 signing out with a token that was just replaced ends the session", clSignOutWithALateToken)
	t.Run("item-44 no write revives a session that has ended", clNothingIsRevived)
	t.Run("item-45 of parallel refreshes one happens", clOneRefresh)
	t.Run("item-45 of parallel rotations one happens", clOneRotation)
	t.Run("item-45 parallel writers lose nothing", clNoLostUpdate)
	t.Run("item-46 expiry ends both sides", clInBubble(clExpiryEndsBothSides))
	t.Run("item-47 RevokeAll ends every session of the user on every node", clRevokeAllEndsAll)
	t.Run("item-48 RevokeOthers keeps this session and no other", clRevokeOthersKeepsOne)
	t.Run("item-49 NotBefore ends everyone's sessions", clInBubble(clNotBeforeEndsAll))
	t.Run("item-50 a user can see and end each session", clUserEndsSessions)
	t.Run("item-51 another user's session is as unknown as none", clForeignIsUnknown)
	t.Run("item-52 the limit is exact under parallel sign-ins", clLimitIsExact)
	t.Run("item-52 the limit refuses exactly under parallel sign-ins", clLimitRefusesExactly)
	t.Run("item-52 without LimitedCreator no more than the limit remain", clLimitHoldsWithoutCapability)
	t.Run("item-52 sessions that have ended do not count", clInBubble(clEndedSessionsDoNotCount))
	t.Run("item-53 a session holds the user's ID and nothing else of him", clNoUserSnapshot)
	t.Run("item-55 Clear-Site-Data on sign-out, as configured", clClearSiteData)
	t.Run("item-56 sign-out takes the secret from the client", clSignOutErasesTheSecret)
}

func clEndedIsOver(t *testing.T) {
	for name, end := range map[string]func(l *clLab, c *clClient) error{
		"sign-out": func(_ *clLab, c *clClient) error { c.signOut(); return nil },
		"expiry":   func(*clLab, *clClient) error { time.Sleep(7 * 24 * time.Hour); return nil },
		"Revoke": func(l *clLab, c *clClient) error {
			return l.m.Revoke(context.Background(), "alice", c.cookie[:24])
		},
		"RevokeAll": func(l *clLab, _ *clClient) error {
			_, err := l.m.RevokeAll(context.Background(), "alice")
			return err
		},
		"another user's sign-in": func(_ *clLab, c *clClient) error { c.signIn("bob", session.SignInOptions{}); return nil },
	} {
		l := newClLab(t, session.Config{})
		c := l.signIn("alice", session.SignInOptions{})
		c.set("secret")
		replay := c.clone()
		if err := end(l, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, note := replay.clone().info(), replay.clone().note(); info.ID != "" || note != "" {
			t.Errorf("%s: the old token still reads session %q, note %q", name, info.ID, note)
		}
	}
}

// clSignOutWithALateToken: the user signs out in one tab while another tab's
// request is rotating the secret. Both requests proved who they are.
func clSignOutWithALateToken(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	late := c.clone()
	c.rotate()
	if _, err := late.try(func(ctx context.Context, s *session.Session) error { return s.SignOut(ctx) }); err != nil {
		return // telling the user is honest as well
	}
	if user := c.user(); user != "" {
		t.Error("SignOut returned nil, and the session is alive")
	}
}

// clNothingIsRevived races a request that refreshes, writes and rotates against
// the end of its session (CVE-2025-46336), a thousand times. The store is asked
// through Update and through Patch.
func clNothingIsRevived(t *testing.T) {
	for _, patch := range []bool{true, false} {
		l := newClLab(t, session.Config{UpdateAge: session.EveryRequest, RotateEvery: time.Hour})
		if !patch {
			l.m = clPlainManager(t, l.store)
		}
		for i := range 500 {
			clRaceToTheEnd(t, l, i)
		}
	}
}

// clPlain is a store without optional capabilities.
type clPlain struct{ session.Store }

func clPlainManager(t *testing.T, store session.Store) *session.Manager {
	t.Helper()
	m, err := session.New(clPlain{store}, session.Config{UpdateAge: session.EveryRequest, Logger: clSilence})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func clRaceToTheEnd(t *testing.T, l *clLab, i int) {
	t.Helper()
	user := fmt.Sprint("user ", i)
	c := l.signIn(user, session.SignInOptions{})
	writer, reader, ender := c.clone(), c.clone(), c.clone()
	var wg sync.WaitGroup
	wg.Go(func() {
		writer.do(func(ctx context.Context, s *session.Session) {
			_ = clNote.Set(s, "x")
			_ = s.Commit(ctx)
			_ = s.Rotate(ctx)
			_ = clNote.Set(s, "y")
		})
	})
	wg.Go(func() { reader.read() })
	ended := true
	wg.Go(func() {
		switch i % 3 {
		case 0:
			ender.do(func(ctx context.Context, s *session.Session) {
				ended = s.ID() != "" // else the secret was rotated meanwhile
				_ = s.SignOut(ctx)
			})
		case 1:
			_ = l.m.Revoke(context.Background(), user, c.cookie[:24])
		default:
			_, _ = l.m.RevokeAll(context.Background(), user)
		}
	})
	wg.Wait()
	if ended {
		clCheckDead(t, l, user, c, writer, reader)
	}
}

// clCheckDead checks that neither the store nor a token of the clients has
// anything of the user's session.
func clCheckDead(t *testing.T, l *clLab, user string, clients ...*clClient) {
	t.Helper()
	if infos, err := l.m.Sessions(context.Background(), user); err != nil || len(infos) > 0 {
		t.Errorf("after its end %s has sessions %v, %v", user, infos, err)
	}
	for _, c := range clients {
		if got := c.user(); got != "" {
			t.Errorf("after its end a token of %s signs in", got)
		}
	}
}

func clOneRefresh(t *testing.T) {
	for _, cfg := range []session.Config{{UpdateAge: time.Millisecond}, {UpdateAge: time.Hour, RotateEvery: time.Hour}} {
		clInBubble(func(t *testing.T) {
			l := newClLab(t, cfg)
			c := l.signIn("alice", session.SignInOptions{})
			time.Sleep(2 * time.Hour)
			l.took()
			if sent := clInParallel(c, 50, func(c *clClient) bool { return c.read().Header["Set-Cookie"] != nil }); sent != 1 {
				t.Errorf("%d of 50 requests that were due sent a cookie, want 1", sent)
			}
			if got := l.kinds(); len(got) != 1 {
				t.Errorf("events %v, want one refresh or rotation", got)
			}
		})(t)
	}
}

// clInParallel calls fn with n copies of a client and returns how often it was true.
func clInParallel(c *clClient, n int, fn func(c *clClient) bool) (times int) {
	var wg sync.WaitGroup
	results := make([]bool, n)
	for i := range n {
		wg.Go(func() { results[i] = fn(c.clone()) })
	}
	wg.Wait()
	for _, ok := range results {
		if ok {
			times++
		}
	}
	return times
}

func clOneRotation(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	var start sync.WaitGroup
	start.Add(20)
	won := clInParallel(c, 20, func(c *clClient) bool {
		_, err := c.try(func(ctx context.Context, s *session.Session) error {
			start.Done()
			start.Wait() // until all have read the same record
			return s.Rotate(ctx)
		})
		if err != nil && !errors.Is(err, session.ErrSuperseded) {
			t.Errorf("Rotate: %v, want ErrSuperseded", err)
		}
		if err == nil && c.user() != "alice" {
			t.Error("the token of the rotation that happened does not sign in")
		}
		return err == nil
	})
	if won != 1 {
		t.Errorf("%d of 20 rotations of one token happened, want 1", won)
	}
}

func clNoLostUpdate(t *testing.T) {
	const count session.Key[int] = "count"
	l := newClLab(t, session.Config{UpdateAge: session.EveryRequest})
	c := l.signIn("alice", session.SignInOptions{})
	added := clInParallel(c, 40, func(c *clClient) bool {
		_, err := c.try(func(ctx context.Context, s *session.Session) error {
			return count.Update(ctx, s, func(n int) (int, error) { return n + 1, nil })
		})
		return err == nil
	})
	c.do(func(_ context.Context, s *session.Session) {
		if n, _ := count.Get(s); n != added || added != 40 {
			t.Errorf("count is %d after %d of 40 additions", n, added)
		}
	})
}

func clExpiryEndsBothSides(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	id := c.cookie[:24]
	time.Sleep(7 * 24 * time.Hour)
	res := c.read()
	if got := clMaxAge(res); got != 0 || c.cookie != "" {
		t.Errorf("the cookie is not cleared: %q", res.Header["Set-Cookie"])
	}
	if l.store.record(id) != nil {
		t.Error("the record is still there")
	}
}

func clRevokeAllEndsAll(t *testing.T) {
	l := newClLab(t, session.Config{})
	node := newClNode(t, session.Config{}, l.store)
	var clients []*clClient
	for range 20 {
		clients = append(clients, l.signIn("alice", session.SignInOptions{}))
	}
	pending, bob := l.signIn("alice", session.SignInOptions{Pending: true}), l.signIn("bob", session.SignInOptions{})
	l.store.take()
	if n, err := l.m.RevokeAll(context.Background(), "alice"); n != 21 || err != nil {
		t.Errorf("RevokeAll: %d, %v; want 21", n, err)
	}
	if calls := l.store.take(); len(calls) != 1 {
		t.Errorf("RevokeAll asks the store %d times, want once: %q", len(calls), calls)
	}
	for _, c := range append(clients, pending) {
		if info := c.on(node).info(); info.ID != "" {
			t.Error("a session is alive on another node")
		}
	}
	if user := bob.user(); user != "bob" {
		t.Error("another user's session has ended")
	}
}

func clRevokeOthersKeepsOne(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	var before []*clClient
	for range 20 {
		before = append(before, l.signIn("alice", session.SignInOptions{}))
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { l.signIn("alice", session.SignInOptions{}) })
	}
	c.must("revoke others", func(ctx context.Context, s *session.Session) error {
		n, err := l.m.RevokeOthers(ctx, s)
		if n < 20 {
			t.Errorf("RevokeOthers ends %d sessions, want at least the 20 that were there", n)
		}
		return err
	})
	if user := c.user(); user != "alice" {
		t.Error("RevokeOthers ends this session")
	}
	for _, other := range before {
		if other.user() != "" {
			t.Error("RevokeOthers leaves a session alive that was there before")
		}
	}
	wg.Wait()
	c.must("revoke others", func(ctx context.Context, s *session.Session) error { _, err := l.m.RevokeOthers(ctx, s); return err })
	infos, err := l.m.Sessions(context.Background(), "alice")
	if err != nil || len(infos) != 1 || infos[0].ID != c.cookie[:24] {
		t.Errorf("got sessions %v, %v; want exactly this one", infos, err)
	}
}

// clBump is a NotBefore that can be moved.
type clBump struct {
	mu sync.Mutex
	at time.Time // guarded by mu
}

func (b *clBump) now() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = time.Now()
}

func (b *clBump) get() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func clNotBeforeEndsAll(t *testing.T) {
	var bump clBump
	l := newClLab(t, session.Config{NotBefore: bump.get})
	alice, bob := l.signIn("alice", session.SignInOptions{}), l.signIn("bob", session.SignInOptions{Pending: true})
	nobody := l.visitor()
	nobody.set("cart")
	time.Sleep(time.Minute)
	alice.read()
	bump.now()
	l.store.take()
	if infos, err := l.m.Sessions(context.Background(), "alice"); err != nil || len(infos) > 0 {
		t.Errorf("Sessions: %v, %v; want none", infos, err)
	}
	if a, b := alice.user(), bob.info().ID; a != "" || b != "" {
		t.Errorf("got %q and pending session %q after the cutoff, want nobody", a, b)
	}
	if note := nobody.note(); note != "cart" {
		t.Error("an anonymous session, which nobody authenticated, has ended")
	}
	time.Sleep(time.Minute)
	if alice.signIn("alice", session.SignInOptions{}); alice.user() != "alice" {
		t.Error("nobody can sign in after the cutoff")
	}
}

func clUserEndsSessions(t *testing.T) {
	l := newClLab(t, session.Config{})
	laptop, phone := l.signIn("alice", session.SignInOptions{}), l.visitor()
	phone.header.Set("User-Agent", "Phone")
	phone.signIn("alice", session.SignInOptions{Method: "passkey"})
	infos, err := l.m.Sessions(context.Background(), "alice")
	if err != nil || len(infos) != 2 {
		t.Fatalf("Sessions: %v, %v; want two", infos, err)
	}
	i := slices.IndexFunc(infos, func(i session.Info) bool { return i.UserAgent == "Phone" && i.Method == "passkey" })
	if i < 0 {
		t.Fatalf("the phone is not to be told from the laptop: %+v", infos)
	}
	if err := l.m.Revoke(context.Background(), "alice", infos[i].ID); err != nil {
		t.Errorf("Revoke: %v", err)
	}
	if p, l := phone.user(), laptop.user(); p != "" || l != "alice" {
		t.Errorf("phone is %q and laptop %q, want the phone signed out only", p, l)
	}
}

func clForeignIsUnknown(t *testing.T) {
	l := newClLab(t, session.Config{})
	bob := l.signIn("bob", session.SignInOptions{})
	nobody := l.visitor()
	nobody.set("x")
	for name, id := range map[string]string{
		"another user's": bob.cookie[:24], "an anonymous": nobody.cookie[:24], "an unknown": strings.Repeat("A", 24),
		"a malformed": "x", "no": "", "a token as": bob.cookie,
	} {
		for _, user := range []string{"alice", "", "bo", "bob ", "BOB"} {
			if err := l.m.Revoke(context.Background(), user, id); err != session.ErrNotFound {
				t.Errorf("%s ID by user %q: %v, want the very ErrNotFound", name, user, err)
			}
		}
	}
	if bob.user() != "bob" || nobody.note() != "x" {
		t.Error("one of them has ended")
	}
	if infos, err := l.m.Sessions(context.Background(), "alice"); err != nil || infos == nil || len(infos) != 0 {
		t.Errorf("sessions of a user without any: %v, %v; want an empty list", infos, err)
	}
}

func clLimitIsExact(t *testing.T) {
	l := newClLab(t, session.Config{MaxSessions: 5})
	clients := clSignInAtOnce(l, 50)
	alive := 0
	for _, c := range clients {
		if c.user() == "alice" {
			alive++
		}
	}
	if infos, err := l.m.Sessions(context.Background(), "alice"); alive != 5 || len(infos) != 5 || err != nil {
		t.Errorf("%d tokens work and %d sessions are listed, %v; want 5", alive, len(infos), err)
	}
}

// clSignInAtOnce returns the clients of n parallel sign-ins that succeeded.
func clSignInAtOnce(l *clLab, n int) (clients []*clClient) {
	var mu sync.Mutex
	clInParallel(l.visitor(), n, func(c *clClient) bool {
		_, err := c.try(func(ctx context.Context, s *session.Session) error {
			return s.SignIn(ctx, "alice", session.SignInOptions{})
		})
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			clients = append(clients, c)
		case !errors.Is(err, session.ErrLimit):
			l.t.Errorf("sign in: %v, want nothing or ErrLimit", err)
		}
		return err == nil
	})
	return clients
}

func clLimitRefusesExactly(t *testing.T) {
	l := newClLab(t, session.Config{MaxSessions: 5, RefuseOverLimit: true})
	clients := clSignInAtOnce(l, 50)
	if len(clients) != 5 {
		t.Errorf("%d of 50 sign-ins succeed, want 5", len(clients))
	}
	for _, c := range clients {
		if c.user() != "alice" {
			t.Error("a sign-in that succeeded has no session")
		}
	}
}

// clLimitHoldsWithoutCapability: for a moment there may be more, but when the
// sign-ins have returned the limit holds.
func clLimitHoldsWithoutCapability(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		for range 20 {
			l := newClLab(t, session.Config{})
			m, err := session.New(clPlain{l.store}, session.Config{MaxSessions: 5, RefuseOverLimit: refuse, Logger: clSilence})
			if err != nil {
				t.Fatal(err)
			}
			l.m = m
			alive := 0
			for _, c := range clSignInAtOnce(l, 20) {
				if c.user() == "alice" {
					alive++
				}
			}
			if alive > 5 || alive < 5 && !refuse {
				t.Errorf("refuse %t: %d sessions are alive, want 5", refuse, alive)
				break
			}
		}
	}
}

// clEndedSessionsDoNotCount: everybody was signed out by NotBefore. Nobody's dead
// sessions may keep him out, or cost him a live one.
func clEndedSessionsDoNotCount(t *testing.T) {
	for _, refuse := range []bool{true, false} {
		var bump clBump
		l := newClLab(t, session.Config{MaxSessions: 2, RefuseOverLimit: refuse, NotBefore: bump.get})
		l.signIn("alice", session.SignInOptions{})
		l.signIn("alice", session.SignInOptions{})
		time.Sleep(time.Minute)
		bump.now()
		time.Sleep(time.Minute)
		first, second := l.visitor(), l.visitor()
		for _, c := range []*clClient{first, second} {
			_, err := c.try(func(ctx context.Context, s *session.Session) error {
				return s.SignIn(ctx, "alice", session.SignInOptions{Forget: c == first})
			})
			if err != nil {
				t.Errorf("refuse %t: sign in: %v, although every session of the user has ended", refuse, err)
			}
		}
		if a, b := first.user(), second.user(); a != "alice" || b != "alice" {
			t.Errorf("refuse %t: got %q and %q, want both of two allowed sessions alive", refuse, a, b)
		}
	}
}

// clNoUserSnapshot keeps roles and the like out of the session: the application
// asks for them by UserID, so that a change acts with the next request.
func clNoUserSnapshot(t *testing.T) {
	var fields []string
	for _, kind := range []reflect.Type{reflect.TypeFor[session.Record](), reflect.TypeFor[session.Info](), reflect.TypeFor[session.SignInOptions]()} {
		for _, f := range reflect.VisibleFields(kind) {
			if f.IsExported() {
				fields = append(fields, f.Name)
			}
		}
	}
	for _, name := range fields {
		for _, word := range []string{"Role", "Email", "Name", "Scope", "Permission", "Claim", "Admin", "Disabled"} {
			if strings.Contains(name, word) {
				t.Errorf("a session has the field %s of its user", name)
			}
		}
	}
}

func clClearSiteData(t *testing.T) {
	for want, data := range map[string][]string{
		"":                               nil,
		`"cache"`:                        {"cache"},
		`"cookies", "storage"`:           {"cookies", "storage"},
		`"*"`:                            {"*"},
		`"executionContexts", "cookies"`: {"executionContexts", "cookies"},
	} {
		l := newClLab(t, session.Config{ClearSiteData: data})
		c := l.visitor()
		for name, res := range map[string]*http.Response{"sign-in": c.signIn("alice", session.SignInOptions{}), "reading": c.read()} {
			if got := res.Header.Get("Clear-Site-Data"); got != "" {
				t.Errorf("%s: Clear-Site-Data %s", name, got)
			}
		}
		if got := c.signOut().Header.Get("Clear-Site-Data"); got != want {
			t.Errorf("sign-out: Clear-Site-Data %s, want %s", got, want)
		}
	}
	for _, data := range []string{"cookies", "*"} {
		if _, err := session.New(clNoStore(), session.Config{ClearSiteData: []string{data}, Cookie: session.Cookie{Domain: "example.com"}}); err == nil {
			t.Errorf("New accepts %q for a shared domain, whose other hosts would lose their cookies", data)
		}
	}
	if _, err := session.New(clNoStore(), session.Config{ClearSiteData: []string{"cookie"}}); err == nil {
		t.Error("New accepts a type that browsers do not know")
	}
}

func clSignOutErasesTheSecret(t *testing.T) {
	l := newClLab(t, session.Config{})
	client, base := clJarClient(t, l.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		if r.URL.Path == "/out" {
			_ = s.SignOut(r.Context())
			return
		}
		_ = s.SignIn(r.Context(), "alice", session.SignInOptions{})
	})), false)
	u, _ := url.Parse(base)
	clGet(t, client, base+"/in")
	before := client.Jar.Cookies(u)
	clGet(t, client, base+"/out")
	if after := client.Jar.Cookies(u); len(before) != 1 || len(after) != 0 {
		t.Errorf("the jar holds %d cookies after sign-in and %d after sign-out, want 1 and 0", len(before), len(after))
	}
}
