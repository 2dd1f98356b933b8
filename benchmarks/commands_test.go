package benchmarks

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
)

// sent notes what a client sends.
type sent struct {
	mu    sync.Mutex
	names []string // guarded by mu
}

func (s *sent) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *sent) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		s.mu.Lock()
		s.names = append(s.names, cmd.Name())
		s.mu.Unlock()
		return next(ctx, cmd)
	}
}

func (s *sent) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// calls returns INFO commandstats as number of calls by command. It counts what
// scripts do as well.
func calls(t *testing.T, client *redis.Client) map[string]int {
	t.Helper()
	stats := make(map[string]int)
	for name, text := range client.InfoMap(t.Context(), "commandstats").Val()["Commandstats"] {
		n, _, _ := strings.Cut(strings.TrimPrefix(text, "calls="), ",")
		calls, err := strconv.Atoi(n)
		must(t, err)
		stats[strings.TrimPrefix(name, "cmdstat_")] = calls
	}
	return stats
}

// minus returns what a has more than b, without what the test itself asks.
func minus(a, b map[string]int) map[string]int {
	more := make(map[string]int)
	for name, n := range a {
		if n > b[name] && name != "info" {
			more[name] = n - b[name]
		}
	}
	return more
}

// What a session holds besides its user.
var (
	lang  = session.Key[string]("lang")
	theme = session.Key[string]("theme")
	cart  = session.Key[[]int]("cart")
)

// browser sends requests to the pages, with the cookie it was given last.
type browser struct {
	*testing.T
	sessions *session.Manager
	cookie   *http.Cookie
}

func browse(t *testing.T, store session.Store, cfg session.Config) *browser {
	t.Helper()
	cfg.Cookie.Insecure, cfg.Logger = true, slog.New(slog.DiscardHandler)
	sessions, err := session.New(store, cfg)
	must(t, err)
	return &browser{T: t, sessions: sessions}
}

func (b *browser) do(page func(ctx context.Context, s *session.Session) error) {
	b.Helper()
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/", nil)
	r.Header.Set("User-Agent", agent)
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	w := httptest.NewRecorder()
	b.sessions.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := page(r.Context(), session.FromContext(r.Context())); err != nil {
			b.Error(err)
		}
	})).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Errorf("got status %d", w.Code)
	}
	for _, c := range w.Result().Cookies() {
		b.cookie = c
	}
}

func signIn(ctx context.Context, s *session.Session) error {
	return s.SignIn(ctx, "user-0001", session.SignInOptions{})
}

func read(context.Context, *session.Session) error { return nil }

func TestCommandsPerRequest(t *testing.T) {
	client := connect(t)
	log := &sent{}
	client.AddHook(log)
	store := newStore(t, client, "session", false)
	usual := browse(t, store, session.Config{MaxSessions: 2})
	eager := browse(t, store, session.Config{UpdateAge: session.EveryRequest})
	signInAnew := func() { usual.cookie = nil; usual.do(signIn) }
	setTheme := func(_ context.Context, s *session.Session) error { return theme.Set(s, "dark") }
	teach(t, store)

	const script, refreshing = "evalsha", "read when a refresh is due"
	for _, request := range []struct {
		name   string
		send   func()
		sent   []string
		server map[string]int // what scripts do included; nil: not of interest
	}{
		{"sign-in", func() { eager.do(signIn) }, []string{script}, nil},
		{"sign-in with a limit", signInAnew, []string{script}, nil},
		// The first script finds whom to sign out, the second is told their keys.
		{"sign-in over the limit", signInAnew, []string{script, script}, nil},
		{"read", func() { usual.do(read) }, []string{"get"}, map[string]int{"get": 1}},
		{"read and write", func() { usual.do(setTheme) }, []string{"get", script}, nil},
		{"list devices", func() { _, _ = usual.sessions.Sessions(t.Context(), "user-0001") }, []string{"zrange", "mget"}, map[string]int{"zrange": 1, "mget": 1}},
		{refreshing, func() { eager.cookie = usual.cookie; eager.do(read) }, []string{"get", script}, nil},
		{"sign-out", func() { usual.do(func(ctx context.Context, s *session.Session) error { return s.SignOut(ctx) }) }, []string{"get", script}, nil},
		{"revoke all", func() { _, _ = usual.sessions.RevokeAll(t.Context(), "user-0001") }, []string{"zrange", script}, nil},
	} {
		before := calls(t, client)
		log.names = nil
		request.send()
		names := slices.Clone(log.names)
		// A response that begins late looks whether its cookie is still good.
		for tries := 0; request.name == refreshing && len(names) == 3 && tries < 20; tries++ {
			log.names = nil
			request.send()
			names = slices.Clone(log.names)
		}
		on := minus(calls(t, client), before)
		t.Logf("%-28s sends %d: %s; commandstats %v", request.name, len(names), strings.Join(names, " "), on)
		if !slices.Equal(names, request.sent) {
			t.Errorf("%s: sent %q, want %q", request.name, names, request.sent)
		}
		if request.server != nil && !maps.Equal(on, request.server) {
			t.Errorf("%s: commandstats %v, want %v", request.name, on, request.server)
		}
	}
}

// teach makes the server know the scripts.
func teach(t *testing.T, store session.Store) {
	t.Helper()
	browse(t, store, session.Config{}).do(signIn)
	b := browse(t, store, session.Config{UpdateAge: session.EveryRequest, MaxSessions: 9})
	b.do(signIn)
	b.do(func(_ context.Context, s *session.Session) error { return theme.Set(s, "dark") })
	b.do(func(ctx context.Context, s *session.Session) error { return s.SignOut(ctx) })
	b.do(signIn)
	_, err := b.sessions.RevokeAll(t.Context(), "user-0001")
	must(t, err)
}

// TestMemoryPerSession logs what a session with three values and a user agent of
// 111 bytes takes, and the index of a user with three.
func TestMemoryPerSession(t *testing.T) {
	client := connect(t)
	b := browse(t, newStore(t, client, "session", false), session.Config{})
	for range 3 {
		b.cookie = nil
		b.do(func(ctx context.Context, s *session.Session) error {
			if err := signIn(ctx, s); err != nil {
				return err
			}
			_ = lang.Set(s, "en-GB")
			_ = theme.Set(s, "dark")
			return cart.Set(s, []int{1, 2, 3})
		})
	}
	for _, key := range client.Keys(t.Context(), "*").Val() {
		t.Logf("%s %s: MEMORY USAGE %d, length %d", client.Type(t.Context(), key).Val(), key[:len("session:{xx}:s")],
			client.MemoryUsage(t.Context(), key, 0).Val(), client.StrLen(t.Context(), key).Val())
	}
}
