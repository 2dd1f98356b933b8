package endpoints_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
	"github.com/updateage/session/memstore"
)

const (
	origin     = "https://app.example"
	trusted    = "https://front.example"
	cookieName = "__Host-session"
)

// secret and oldSecret are bridge secrets.
const (
	secret    = "bridge-secret-0123456789-0123456789-new"
	oldSecret = "bridge-secret-0123456789-0123456789-old"
)

// site is an application with all three contracts and sign-in pages of its own.
type site struct {
	testing.TB
	m       *session.Manager
	store   *flaky
	handler http.Handler

	mu      sync.Mutex // guards what follows
	secrets []string   // of all tokens that were handed out
}

func newSite(t testing.TB, cfg session.Config, o endpoints.Options) *site {
	t.Helper()
	s := &site{TB: t, store: &flaky{Store: &memstore.Store{}}}
	cfg.HeaderTransport = true
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.m, err = session.New(s.store, cfg); err != nil {
		t.Fatal(err)
	}
	if o.TrustedOrigins == nil {
		o.TrustedOrigins = []string{trusted}
	}
	o.BridgeSecrets = [][]byte{[]byte(secret), []byte(oldSecret)}
	mux := http.NewServeMux()
	mux.Handle("POST /login", s.m.Handler(http.HandlerFunc(s.login)))
	flowfull := must(endpoints.NewFlowfull(s.m, o))
	o.Next = flowfull
	mux.Handle("/auth/", must(endpoints.New(s.m, o)))
	o.Next = nil
	better := must(endpoints.NewBetterAuth(s.m, o))
	mux.Handle(better.Prefix()+"/", better)
	s.handler = mux
	return s
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// login signs in whoever asks, as the query says.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	own := session.FromContext(r.Context())
	err := own.SignIn(r.Context(), q.Get("user"), session.SignInOptions{Header: q.Has("header"), Pending: q.Has("pending")})
	if err == nil && q.Has("header") && !q.Has("pending") {
		err = endpoints.WriteLogin(w, own, nil)
	}
	if err == nil && q.Has("header") && q.Has("pending") {
		token, _ := own.Token()
		_, err = io.WriteString(w, `{"session_id":"`+token.Reveal()+`"}`)
	}
	if err != nil {
		s.Errorf("sign in: %v", err)
	}
}

// client is a browser, or with a token a client that keeps it itself.
type client struct {
	*site
	cookie string // the session cookie
	token  string
	agent  string
	addr   string
}

// answer is a response.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *site) visitor() *client { return &client{site: s, agent: "agent/1", addr: "203.0.113.1:4711"} }

// signIn returns the browser of a user.
func (s *site) signIn(user string) *client {
	c := s.visitor()
	c.do("POST", "/login?user="+user, "")
	if c.cookie == "" {
		s.Fatal("signing in sent no cookie")
	}
	return c
}

// signInByHeader returns a client that keeps the user's token.
func (s *site) signInByHeader(user string) *client {
	c := s.visitor()
	a := c.do("POST", "/login?header&user="+user, "")
	c.token = get(a, "session_id")
	if len(c.token) != 64 {
		s.Fatalf("signing in gave no token: %s", a.body)
	}
	return c
}

// get returns a string from a JSON body, or "".
func get(a answer, key string) string {
	var body map[string]any
	_ = json.Unmarshal([]byte(a.body), &body)
	text, _ := body[key].(string)
	return text
}

// do sends a request as a page of the application does. Each header is "Name:
// value"; "Name:" removes it.
func (c *client) do(method, path, body string, headers ...string) answer {
	r := httptest.NewRequest(method, origin+path, strings.NewReader(body))
	r.RemoteAddr = c.addr
	r.Header.Set("User-Agent", c.agent)
	if method != "GET" && method != "HEAD" {
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.cookie != "" {
		r.Header.Set("Cookie", cookieName+"="+c.cookie)
	}
	if c.token != "" {
		r.Header.Set("X-Session-ID", c.token)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Del(name)
		if value = strings.TrimSpace(value); value != "" {
			r.Header.Set(name, value)
		}
	}
	return c.send(r)
}

func (c *client) send(r *http.Request) answer {
	c.Helper()
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	a := answer{w.Code, w.Result().Header, w.Body.String()}
	for _, cookie := range w.Result().Cookies() {
		if cookie.Name == cookieName {
			c.cookie = cookie.Value
			c.note(cookie.Value)
		}
	}
	if r.URL.Path == "/login" {
		c.note(get(a, "session_id"))
		return a
	}
	c.inspect(r, a)
	return a
}

// id returns the client's session ID.
func (c *client) id() string { return (c.cookie + c.token)[:24] }

// note remembers the secret of a token, for inspect.
func (s *site) note(token string) {
	if len(token) == 64 {
		s.mu.Lock()
		s.secrets = append(s.secrets, token[24:])
		s.mu.Unlock()
	}
}

var tokenLike = regexp.MustCompile(`[A-Za-z0-9_-]{64,}`)

// inspect looks at every answer of every test: the endpoints hand out no token.
// The session cookie is the one exception, the answer of WriteLogin the other.
func (s *site) inspect(r *http.Request, a answer) {
	s.Helper()
	header := a.header.Clone()
	header.Del("Set-Cookie")
	shown := a.body + "\n" + must2(json.Marshal(header))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.secrets {
		if strings.Contains(shown, secret) {
			s.Errorf("%s %s shows the secret of a token: %s", r.Method, r.URL, shown)
		}
	}
	if found := tokenLike.FindString(shown); found != "" {
		s.Errorf("%s %s shows what looks like a token: %s", r.Method, r.URL, found)
	}
	if strings.HasPrefix(r.URL.Path, "/auth/") || strings.HasPrefix(r.URL.Path, "/api/auth/") {
		s.inspectCaching(r, a)
	}
}

func must2(data []byte, err error) string { return string(must(data, err)) }

// inspectCaching looks at every answer of every test: nothing may be cached.
func (s *site) inspectCaching(r *http.Request, a answer) {
	s.Helper()
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" ||
		!strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Cookie") {
		s.Errorf("%s %s (%d) can be cached: %v", r.Method, r.URL, a.status, a.header)
	}
	if a.body != "" && a.header.Get("Content-Type") != "application/json" {
		s.Errorf("%s %s (%d): Content-Type %q", r.Method, r.URL, a.status, a.header.Get("Content-Type"))
	}
}

// flaky is a store that can be down, and counts what it is asked.
type flaky struct {
	session.Store
	down  atomic.Bool
	calls atomic.Int64
}

var errDown = errors.New("connection refused by 192.0.2.7:6379")

func (f *flaky) ask() error {
	f.calls.Add(1)
	if f.down.Load() {
		return errDown
	}
	return nil
}

func (f *flaky) Create(ctx context.Context, r *session.Record) error {
	if err := f.ask(); err != nil {
		return err
	}
	return f.Store.Create(ctx, r)
}

func (f *flaky) Load(ctx context.Context, id string) (*session.Record, error) {
	if err := f.ask(); err != nil {
		return nil, err
	}
	return f.Store.Load(ctx, id)
}

func (f *flaky) Update(ctx context.Context, r *session.Record, version uint64) error {
	if err := f.ask(); err != nil {
		return err
	}
	return f.Store.Update(ctx, r, version)
}

func (f *flaky) Delete(ctx context.Context, id string) error {
	if err := f.ask(); err != nil {
		return err
	}
	return f.Store.Delete(ctx, id)
}

func (f *flaky) ListUser(ctx context.Context, user string, now time.Time) ([]*session.Record, error) {
	if err := f.ask(); err != nil {
		return nil, err
	}
	return f.Store.ListUser(ctx, user, now)
}

func (f *flaky) DeleteUser(ctx context.Context, user string, now time.Time, except ...string) (int, error) {
	if err := f.ask(); err != nil {
		return 0, err
	}
	return f.Store.DeleteUser(ctx, user, now, except...)
}

// want compares an answer.
func (c *client) want(a answer, status int, body string) {
	c.Helper()
	if a.status != status || a.body != body {
		c.Errorf("got %d %s\nwant %d %s", a.status, a.body, status, body)
	}
}
