package benchmarks

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	fiberredis "github.com/gofiber/storage/redis/v3"
	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// A page makes its browser ask for twenty things at once, and the session is due
// for a refresh. gorilla/sessions, and what is built on it, never refreshes by
// itself: its sessions end, however much they are used.

const (
	herd = 20
	// due is how old a session has to be in these tests: longer than a herd takes.
	due = 2 * time.Second
)

// TestHerdInMemory counts writes and cookies when the requests of a herd have
// all found the session due before one of them refreshes it.
func TestHerdInMemory(t *testing.T) {
	for _, c := range []contender{
		{name: "session", start: func(tb testing.TB, m *meter) *server {
			return sessionServer(tb, meteredStore{memstore.New(memstore.Options{}), m}, session.Config{UpdateAge: due})
		}},
		{name: "scs-idle", start: func(tb testing.TB, m *meter) *server {
			sessions := newSCS(tb, m)
			sessions.IdleTimeout = time.Hour
			return scsServer(sessions, false)
		}},
		{name: "fiber", start: startFiber},
	} {
		if c.name == "session" { // the others write on every request, and what Fiber starts for ever is not for a bubble
			synctest.Test(t, func(t *testing.T) { herdInMemory(t, c, due) })
			continue
		}
		herdInMemory(t, c, 0)
	}
}

func herdInMemory(t *testing.T, c contender, wait time.Duration) {
	m := new(meter)
	s := c.start(t, m)
	q := request{path: readPage, cookie: s.signIn(t, "alice")}
	time.Sleep(wait)
	m.reset()
	m.met = together(herd)
	cookies := s.stampede(t, q)
	noteHerd(t, "memory", c.name, int(m.writes.Load()), int(m.refused.Load()), cookies)
}

// together returns a function that waits until it has been called n times.
func together(n int64) func() {
	var calls atomic.Int64
	all := make(chan struct{})
	return func() {
		if calls.Add(1) == n {
			close(all)
		}
		<-all
	}
}

// meeting calls met after each GET, before whoever sent it gets the reply.
type meeting struct{ met func() }

func (*meeting) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m *meeting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == "get" && m.met != nil {
			m.met()
		}
		return err
	}
}

func (*meeting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestHerdOnRedis counts what Redis was made to write, when the requests of a herd
// have all found the session due.
func TestHerdOnRedis(t *testing.T) {
	client, gets := connect(t), new(meeting)
	client.AddHook(gets)
	for _, c := range []contender{
		{name: "session", start: func(tb testing.TB, _ *meter) *server {
			return sessionServer(tb, newStore(tb, client, "session", false), session.Config{UpdateAge: due})
		}},
		{name: "scs-idle", start: func(testing.TB, *meter) *server {
			sessions := scs.New()
			sessions.Store, sessions.IdleTimeout = goredisstore.New(client), time.Hour
			return scsServer(sessions, false)
		}},
		{name: "fiber", start: func(testing.TB, *meter) *server {
			return fiberServer(fiberredis.NewFromConnection(client), nil)
		}},
	} {
		s := c.start(t, nil)
		q := request{path: readPage, cookie: s.signIn(t, "alice")}
		first := request{path: readPage, cookie: s.signIn(t, "bob")}
		if c.name == "session" { // the others write on every request
			time.Sleep(due)
		}
		s.ask(t, first) // the server learns the script
		before := calls(t, client)
		gets.met = together(herd)
		cookies := s.stampede(t, q)
		gets.met = nil
		more := minus(calls(t, client), before)
		writes := more["set"] + more["setex"] + more["psetex"]
		scripts := more["evalsha"] + more["eval"] // each of which writes or finds that another was first
		noteHerd(t, "redis", c.name, writes, max(scripts-writes, 0), cookies)
	}
}

func noteHerd(t *testing.T, where, name string, writes, refused, cookies int) {
	t.Helper()
	note(t, 0, fmt.Sprintf("BenchmarkHerd/%s/%s 1 %d writes %d refused %d cookies", where, name, writes, refused, cookies))
	if name == "session" && (writes != 1 || cookies != 1) {
		t.Errorf("a herd of %d caused %d writes and %d cookies, want 1 and 1", herd, writes, cookies)
	}
}

// stampede sends a request many times at once, and counts the cookies.
func (s *server) stampede(t *testing.T, q request) int {
	t.Helper()
	var wg sync.WaitGroup
	var cookies atomic.Int64
	for range herd {
		request := s.repeat(t, q)
		wg.Go(func() { cookies.Add(int64(request())) })
	}
	wg.Wait()
	return int(cookies.Load())
}
