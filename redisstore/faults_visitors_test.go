package redisstore_test

import (
	"context"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
)

// site is an application behind the middleware, and what its visitors have seen
// of it: how many answers they got, and how many of its promises were broken.
type site struct {
	*testing.T
	handler http.Handler
	crowd   []*visitor

	tried, unavailable atomic.Int64
	lost               atomic.Int64 // sign-ins and values that were acknowledged
	revived            atomic.Int64 // sessions accepted after an acknowledged revocation
	slowest            atomic.Int64 // request, ns
	lastFailure        atomic.Int64 // ns since 1970
}

const visitors = 8

func newSite(t *testing.T, store session.Store) *site {
	t.Helper()
	sessions, err := session.New(store, session.Config{
		Cookie: session.Cookie{Insecure: true},
		// Often enough that refreshes are among what the fault hits.
		ExpiresIn: time.Hour, UpdateAge: 50 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	s := &site{T: t, handler: sessions.Handler(pages(sessions))}
	for range visitors {
		v := &visitor{site: s}
		for i := range v.users {
			v.users[i] = newUser() // several, so that they are on all masters of a cluster
		}
		s.crowd = append(s.crowd, v)
	}
	return s
}

// mostValues is how many values a visitor gives a session, each its own, so that
// a request which was answered with 503 and is executed late overwrites nothing.
const mostValues = 10

func valueKey(n int) session.Key[bool] { return session.Key[bool](fmt.Sprint("v", n)) }

func pages(sessions *session.Manager) http.Handler {
	mux := http.NewServeMux()
	page := func(path string, do func(r *http.Request, s *session.Session) (string, error)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			text, err := do(r, session.FromContext(r.Context()))
			if err != nil {
				http.Error(w, err.Error(), session.Status(err))
				return
			}
			fmt.Fprint(w, text)
		})
	}
	page("/in", func(r *http.Request, s *session.Session) (string, error) {
		return "", s.SignIn(r.Context(), r.FormValue("user"), session.SignInOptions{})
	})
	page("/look", func(_ *http.Request, s *session.Session) (string, error) { return seen(s) })
	page("/set", func(r *http.Request, s *session.Session) (string, error) {
		if s.UserID() == "" {
			return "", session.ErrNoSession
		}
		return "", session.Key[bool](r.FormValue("key")).Set(s, true)
	})
	page("/out", func(r *http.Request, s *session.Session) (string, error) { return "", s.SignOut(r.Context()) })
	page("/out-everywhere", func(r *http.Request, _ *session.Session) (string, error) {
		_, err := sessions.RevokeAll(r.Context(), r.FormValue("user"))
		return "", err
	})
	return mux
}

// seen returns a digit for each value that the session has.
func seen(s *session.Session) (string, error) {
	if s.UserID() == "" {
		return "", session.ErrNoSession
	}
	var text strings.Builder
	for n := range mostValues {
		if ok, _ := valueKey(n).Get(s); ok {
			fmt.Fprint(&text, n)
		}
	}
	return text.String(), nil
}

// visitor sends one request at a time and knows what he was promised.
type visitor struct {
	*site
	users    [4]string
	sessions []*promised
}

// promised is what a visitor knows of one of his sessions.
type promised struct {
	user    string
	cookie  *http.Cookie
	values  string // acknowledged, as seen returns them
	tried   int    // values
	revoked bool
}

// request returns the status of the answer, its body and the session cookie.
func (s *site) request(target string, cookie *http.Cookie) (int, string, *http.Cookie) {
	r := httptest.NewRequestWithContext(s.Context(), http.MethodPost, target, nil)
	if cookie != nil {
		r.AddCookie(cookie)
	}
	w, start := httptest.NewRecorder(), time.Now()
	s.handler.ServeHTTP(w, r)
	s.note(w.Code, time.Since(start))
	var set *http.Cookie
	for _, c := range w.Result().Cookies() {
		set = c
	}
	return w.Code, w.Body.String(), set
}

func (s *site) note(status int, took time.Duration) {
	s.tried.Add(1)
	for slowest := s.slowest.Load(); int64(took) > slowest; slowest = s.slowest.Load() {
		s.slowest.CompareAndSwap(slowest, int64(took))
	}
	switch status {
	case http.StatusOK, http.StatusUnauthorized:
	case http.StatusServiceUnavailable:
		s.unavailable.Add(1)
		s.lastFailure.Store(time.Now().UnixNano())
		time.Sleep(5 * time.Millisecond) // as long as it takes to press a button
	default:
		s.Errorf("got status %d, want 200, 401 or 503", status)
	}
}

// mostSessions is how many of his sessions a visitor keeps in mind.
const mostSessions = 200

func (v *visitor) step() {
	if len(v.sessions) == 0 {
		v.signIn()
		return
	}
	i := mathrand.N(len(v.sessions))
	switch n := mathrand.N(100); {
	case n < 10:
		v.signIn()
	case n < 70:
		v.look(i)
	case n < 90:
		v.set(i)
	case n < 99:
		v.signOut(i)
	default:
		v.signOutEverywhere(v.sessions[i].user)
	}
}

// forget is for a session of which nothing is certain any more.
func (v *visitor) forget(i int) {
	last := len(v.sessions) - 1
	v.sessions[i] = v.sessions[last]
	v.sessions = v.sessions[:last]
}

func (v *visitor) signIn() {
	user := v.users[mathrand.N(len(v.users))]
	status, _, cookie := v.request("/in?user="+user, nil)
	if status != http.StatusOK {
		return
	}
	if cookie == nil {
		v.Error("got no cookie from an acknowledged sign-in")
		return
	}
	if len(v.sessions) == mostSessions {
		v.forget(mathrand.N(mostSessions))
	}
	v.sessions = append(v.sessions, &promised{user: user, cookie: cookie})
}

func (v *visitor) look(i int) {
	p := v.sessions[i]
	status, values, cookie := v.request("/look", p.cookie)
	if cookie != nil && cookie.MaxAge < 0 && status == http.StatusServiceUnavailable {
		v.Error("the cookie was deleted because the store could not be asked")
	}
	switch {
	case status == http.StatusOK && p.revoked:
		v.revived.Add(1)
		v.forget(i)
	case status == http.StatusUnauthorized && !p.revoked:
		v.lost.Add(1)
		v.forget(i)
	case status == http.StatusOK && lacks(values, p.values):
		v.lost.Add(1)
		p.values = values
	}
}

// lacks says whether a value that was acknowledged is missing.
func lacks(got, acknowledged string) bool {
	for _, n := range acknowledged {
		if !strings.ContainsRune(got, n) {
			return true
		}
	}
	return false
}

func (v *visitor) set(i int) {
	p := v.sessions[i]
	if p.revoked || p.tried == mostValues {
		v.look(i)
		return
	}
	n := p.tried
	p.tried++
	switch status, _, _ := v.request("/set?key="+string(valueKey(n)), p.cookie); status {
	case http.StatusOK:
		p.values += fmt.Sprint(n)
	case http.StatusUnauthorized:
		v.lost.Add(1)
		v.forget(i)
	}
}

func (v *visitor) signOut(i int) {
	p := v.sessions[i]
	if p.revoked {
		v.look(i)
		return
	}
	if status, _, _ := v.request("/out", p.cookie); status != http.StatusOK {
		v.forget(i)
		return
	}
	p.revoked = true
}

func (v *visitor) signOutEverywhere(user string) {
	status, _, _ := v.request("/out-everywhere?user="+user, nil)
	for i := len(v.sessions) - 1; i >= 0; i-- {
		switch p := v.sessions[i]; {
		case p.user != user || p.revoked:
		case status == http.StatusOK:
			p.revoked = true
		default:
			v.forget(i)
		}
	}
}

// open lets the visitors in until stop is called.
func (s *site) open() (stop func()) {
	ctx, cancel := context.WithCancel(s.Context())
	var wg sync.WaitGroup
	for _, v := range s.crowd {
		wg.Go(func() {
			for ctx.Err() == nil {
				v.step()
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// settle waits until for a second nobody was turned away.
func (s *site) settle() {
	s.Helper()
	eventually(s.T, "recover", func() bool {
		before := s.tried.Load()
		time.Sleep(100 * time.Millisecond)
		return s.tried.Load() > before+visitors && time.Since(time.Unix(0, s.lastFailure.Load())) > time.Second
	})
}

// recall makes every visitor look at every session that he remembers.
func (s *site) recall() {
	for _, v := range s.crowd {
		for i := len(v.sessions) - 1; i >= 0; i-- {
			v.look(i)
		}
	}
}

// damage is what must be zero, as far as Redis can promise it.
type damage struct {
	lost      int64 // acknowledged writes
	revived   int64 // sessions accepted after an acknowledged revocation
	unindexed int64 // live sessions of a user that his index lacks
	immortal  int64 // keys without a time to live
}

// endure measures what a fault does, from before it until all is well again.
// The fault lasts until the function returns.
func (s *site) endure(client redis.UniversalClient, fault func()) damage {
	s.Helper()
	stop := s.open()
	time.Sleep(time.Second)
	began := time.Now()
	fault()
	lasted := time.Since(began)
	s.settle()
	stop()
	tried, unavailable, slowest := s.tried.Load(), s.unavailable.Load(), s.slowest.Load()
	recovery := max(0, time.Duration(s.lastFailure.Load()-began.UnixNano()))
	s.recall()

	d := damage{lost: s.lost.Load(), revived: s.revived.Load()}
	found := scanAll(s.T, client)
	d.unindexed, d.immortal = found.unindexed(), found.immortal()
	s.Logf("fault: tried %d, answered %d, 503 %d, fault %.2fs, last 503 %.2fs, slowest %.2fs; lost %d, revived %d, unindexed %d of %d, immortal %d",
		tried, tried-unavailable, unavailable, lasted.Seconds(), recovery.Seconds(), time.Duration(slowest).Seconds(),
		d.lost, d.revived, d.unindexed, len(found.sessions), d.immortal)
	if tried-unavailable == 0 {
		s.Error("nothing was answered")
	}
	return d
}

func (s scan) unindexed() (n int64) {
	listed := make(map[string]bool)
	for _, members := range s.indexes {
		for _, m := range members {
			listed[m.Member.(string)] = true
		}
	}
	for id, r := range s.sessions {
		if r.UserID != "" && r.State != session.StateMoved && !listed[id] {
			n++
		}
	}
	return n
}

func (s scan) immortal() (n int64) {
	for _, ttl := range s.ttl {
		if ttl == -1 {
			n++
		}
	}
	return n
}

// want fails the test for what is not zero although it could be.
func (d damage) want(t *testing.T, zero damage) {
	t.Helper()
	if d != zero {
		t.Errorf("damage: got %+v, want %+v", d, zero)
	}
}
