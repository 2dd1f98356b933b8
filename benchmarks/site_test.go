package benchmarks

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/memstore"
	"github.com/updateage/session/redisstore"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// connect returns a client of a new server, with the options of go-redis but for
// the one that redisstore asks for.
func connect(tb testing.TB) *redis.Client {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: servers.StartRedis(tb).Addr, ContextTimeoutEnabled: true})
	tb.Cleanup(func() { client.Close() })
	return client
}

// site is a contender: an application that greets its user, and the cookies of
// those who are signed in.
type site struct {
	name    string
	handler http.Handler
	cookies []*http.Cookie
}

const users = 1000

// What a session holds besides its user: the one that is measured elsewhere, too.
var (
	agent = strings.Repeat("x", 111)
	lang  = session.Key[string]("lang")
	theme = session.Key[string]("theme")
	cart  = session.Key[[]int]("cart")
)

// greet is what every contender does with a user.
func greet(w http.ResponseWriter, user string) {
	if user == "" {
		http.Error(w, "nobody", http.StatusUnauthorized)
		return
	}
	fmt.Fprint(w, user)
}

// withSessions is the library under test, on any store.
func withSessions(tb testing.TB, name string, store session.Store) *site {
	tb.Helper()
	sessions, err := session.New(store, session.Config{
		Cookie: session.Cookie{Insecure: true}, Logger: slog.New(slog.DiscardHandler),
	})
	must(tb, err)
	s := &site{name: name, handler: sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		greet(w, session.FromContext(r.Context()).UserID())
	}))}
	s.signIn(tb, sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		must(tb, s.SignIn(r.Context(), r.FormValue("user"), session.SignInOptions{}))
		must(tb, lang.Set(s, "en-GB"))
		must(tb, theme.Set(s, "dark"))
		must(tb, cart.Set(s, []int{1, 2, 3}))
	})))
	return s
}

// withSCS is scs on its own store in Redis.
func withSCS(tb testing.TB, client *redis.Client) *site {
	sessions := scs.New()
	sessions.Store = goredisstore.New(client)
	s := &site{name: "scs", handler: sessions.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		greet(w, sessions.GetString(r.Context(), "user"))
	}))}
	s.signIn(tb, sessions.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		must(tb, sessions.RenewToken(r.Context()))
		for key, value := range map[string]string{
			"user": r.FormValue("user"), "agent": agent, "address": "192.0.2.1",
			"lang": "en-GB", "theme": "dark", "cart": "[1,2,3]",
		} {
			sessions.Put(r.Context(), key, value)
		}
	})))
	return s
}

// byHand looks the user up by one GET of a value that is as long as a session,
// and trusts whatever it finds.
func byHand(tb testing.TB, name string, client redis.UniversalClient) *site {
	s := &site{name: name, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("session")
		if err != nil {
			greet(w, "")
			return
		}
		data, err := client.Get(r.Context(), "hand:"+cookie.Value).Bytes()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		greet(w, string(data[:9]))
	})}
	for i := range users {
		token := fmt.Sprintf("%064d", i)
		must(tb, client.Set(tb.Context(), "hand:"+token, userID(i)+strings.Repeat("x", 300-9), 0).Err())
		s.cookies = append(s.cookies, &http.Cookie{Name: "session", Value: token})
	}
	return s
}

func userID(i int) string { return fmt.Sprintf("user-%04d", i) }

// signIn signs all users in through the handler.
func (s *site) signIn(tb testing.TB, handler http.Handler) {
	tb.Helper()
	for i := range users {
		r := httptest.NewRequest(http.MethodPost, "/?user="+userID(i), nil)
		r.Header.Set("User-Agent", agent)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		cookies := w.Result().Cookies()
		if w.Code != http.StatusOK || len(cookies) == 0 {
			tb.Fatalf("%s: sign-in: got status %d and %d cookies", s.name, w.Code, len(cookies))
		}
		s.cookies = append(s.cookies, cookies[len(cookies)-1])
	}
}

func newStore(tb testing.TB, client redis.UniversalClient) *redisstore.Store {
	tb.Helper()
	store, err := redisstore.New(client, &redisstore.Options{Logger: slog.New(slog.DiscardHandler)})
	must(tb, err)
	return store
}

// pipelined is the client with automatic pipelining.
func pipelined(tb testing.TB, client *redis.Client) redis.UniversalClient {
	tb.Helper()
	p, err := client.AutoPipeline()
	must(tb, err)
	return p
}

// withCache is the library with its cache in front of Redis, which has all
// sessions when it returns.
func withCache(tb testing.TB, client *redis.Client) *site {
	tb.Helper()
	cached, err := cachestore.New(newStore(tb, client), cachestore.Options{MaxAge: 1 << 50})
	must(tb, err)
	following := make(chan struct{})
	go func() {
		defer close(following)
		_ = cached.Run(tb.Context()) // which is done before the client is closed
	}()
	tb.Cleanup(func() { <-following })
	s := withSessions(tb, "cachestore", cached)
	for cached.Stats().Hits < users {
		for i := range s.cookies {
			s.get(tb, i)
		}
	}
	return s
}

func withMemory(tb testing.TB) *site {
	return withSessions(tb, "memstore", memstore.New(memstore.Options{}))
}

// within is the site with a bound for each request, as redisstore has one.
func (s *site) within(d time.Duration) *site {
	return &site{name: s.name + "-within-" + d.String(), cookies: s.cookies, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), d)
		defer cancel()
		s.handler.ServeHTTP(w, r.WithContext(ctx))
	})}
}

// overHTTP is the site behind a server on loopback, asked by a client in this
// very process, as people see it.
func (s *site) overHTTP(tb testing.TB) *site {
	server := httptest.NewServer(s.handler)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	tb.Cleanup(func() { transport.CloseIdleConnections(); server.Close() })
	host := server.Listener.Addr().String()
	return &site{name: s.name, cookies: s.cookies, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := *r
		u := *r.URL
		u.Scheme, u.Host, out.URL, out.RequestURI = "http", host, &u, ""
		res, err := transport.RoundTrip(&out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
	})}
}

// get sends a request of a user and checks the answer.
func (s *site) get(tb testing.TB, i int) {
	tb.Helper()
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, s.request(tb, i))
	if w.Code != http.StatusOK || w.Body.String() != userID(i) {
		tb.Fatalf("%s: got status %d, body %q, want %q", s.name, w.Code, w.Body, userID(i))
	}
}

func (s *site) request(tb testing.TB, i int) *http.Request {
	// Like those of a server, its context can be cancelled.
	ctx, cancel := context.WithCancel(tb.Context())
	tb.Cleanup(cancel)
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r.Header.Set("User-Agent", agent)
	r.AddCookie(s.cookies[i])
	return r
}
