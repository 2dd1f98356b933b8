package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
	"github.com/updateage/session/memstore"
)

const (
	issuer   = "https://auth.example.com"
	audience = "orders"
	host     = "app.example.com"
	origin   = "https://" + host
	loginURL = "https://login.example.com/sign-in"
)

// cookieName is what the session cookie is called by default.
const cookieName = "__Host-session"

var silent = slog.New(slog.DiscardHandler)

func init() { slog.SetDefault(silent) }

// store is a store in memory that can be unavailable.
type store struct {
	memstore.Store
	down atomic.Bool
}

func (s *store) Load(ctx context.Context, id string) (*session.Record, error) {
	if s.down.Load() {
		return nil, errors.New("connection refused")
	}
	return s.Store.Load(ctx, id)
}

func must[T any](tb testing.TB) func(T, error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func newManager(tb testing.TB, s session.Store, cfg session.Config) *session.Manager {
	tb.Helper()
	return must[*session.Manager](tb)(session.New(s, cfg))
}

func newSigner(tb testing.TB, keys ...gateway.Key) *gateway.Signer {
	tb.Helper()
	if keys == nil {
		keys = []gateway.Key{gateway.NewKey()}
	}
	return must[*gateway.Signer](tb)(gateway.NewSigner(gateway.SignerConfig{Issuer: issuer, Keys: keys}))
}

func newVerifier(tb testing.TB, cfg gateway.VerifierConfig) *gateway.Verifier {
	tb.Helper()
	cfg.Issuer, cfg.Audience = issuer, audience
	return must[*gateway.Verifier](tb)(gateway.NewVerifier(cfg))
}

// signIn signs a user in and returns the cookie of the session, or its token for
// clients without cookies.
func signIn(tb testing.TB, m *session.Manager, userID string, opts session.SignInOptions) (cookie, token string) {
	tb.Helper()
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		if err := s.SignIn(r.Context(), userID, opts); err != nil {
			tb.Error(err)
		}
		if t, ok := s.Token(); ok {
			token = t.Reveal()
		}
	})).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	for _, c := range w.Result().Cookies() {
		if c.Name == cookieName {
			return c.Value, c.Value
		}
	}
	return "", token
}

// headers returns headers from names and values in turn. Names stay as they are.
func headers(pairs ...string) http.Header {
	h := make(http.Header)
	for i := 0; i+1 < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

func withCookie(value string) http.Header { return headers("Cookie", cookieName+"="+value) }

// ask asks a handler by GET /.
func ask(h http.Handler, header http.Header) *http.Response {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// seen is what a service got.
type seen struct {
	*http.Request
	identity gateway.Identity
	known    bool // identity comes from an assertion
}

// service is what stands behind a gateway. It answers with what it got.
type service struct {
	*httptest.Server
	mu   sync.Mutex
	raw  []*http.Request // all
	seen []seen          // those that were verified
	// serve, if set, answers requests that have been verified.
	serve atomic.Pointer[http.HandlerFunc]
}

// newService starts a service that verifies assertions, or trusts everything if
// v is nil.
func newService(tb testing.TB, v *gateway.Verifier) *service {
	s := &service{}
	var h http.Handler = http.HandlerFunc(s.note)
	if v != nil {
		h = v.Handler(h)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.raw = append(s.raw, r.Clone(context.Background()))
		s.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	tb.Cleanup(s.Close)
	return s
}

func (s *service) note(w http.ResponseWriter, r *http.Request) {
	id, known := gateway.FromContext(r.Context())
	s.mu.Lock()
	s.seen = append(s.seen, seen{r.Clone(context.Background()), id, known})
	s.mu.Unlock()
	if serve := s.serve.Load(); serve != nil {
		(*serve)(w, r)
		return
	}
	_, _ = io.WriteString(w, "hello "+id.UserID)
}

// take returns the requests since the last call.
func (s *service) take() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.seen
	s.seen, s.raw = nil, nil
	return all
}

// takeRaw returns the requests since the last call, with those that the service
// has refused.
func (s *service) takeRaw() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.raw
	s.seen, s.raw = nil, nil
	return all
}

// setServe changes what the service does until the end of the test.
func (s *service) setServe(tb testing.TB, h http.HandlerFunc) {
	s.serve.Store(&h)
	tb.Cleanup(func() { s.serve.Store(nil) })
}

// fetch sends a request to addr as to host, with these very header names, and
// follows no redirect. The body has been read.
func fetch(tb testing.TB, addr, method, target string, header http.Header) (*http.Response, string) {
	tb.Helper()
	u := must[*url.URL](tb)(url.Parse("http://" + addr + target))
	r := &http.Request{Method: method, URL: u, Host: host, Header: header, Close: true}
	resp, err := client.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body := must[[]byte](tb)(io.ReadAll(resp.Body))
	return resp, string(body)
}

var client = &http.Client{
	Timeout:       20 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// eventually waits for something that a real server does.
func eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	tb.Fatalf("%s: not within 15 seconds", what)
}

func wantStatus(tb testing.TB, resp *http.Response, want int) {
	tb.Helper()
	if resp.StatusCode != want {
		tb.Errorf("status is %d, want %d", resp.StatusCode, want)
	}
}

func wantHeader(tb testing.TB, h http.Header, name, want string) {
	tb.Helper()
	if got := strings.Join(h.Values(name), " | "); got != want {
		tb.Errorf("%s is %q, want %q", name, got, want)
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}
