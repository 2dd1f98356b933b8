package client_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/client"
)

// watched is a client that is watched, against a server that a test changes.
type watched struct {
	*testing.T
	c     *client.Client
	w     *client.Watch
	stop  context.CancelFunc
	start time.Time

	mu     sync.Mutex // guards what follows
	answer func() *http.Response
	asked  []time.Duration // when the server was asked
	states []string
}

// watch watches a signed-in client until the end of the test. In a synctest
// bubble it fails if the loop does not end with its context.
func watch(t *testing.T, opts client.WatchOptions) *watched {
	x := &watched{T: t, start: time.Now(), answer: user("ada")}
	x.c = at(func(*http.Request) *http.Response {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.asked = append(x.asked, time.Since(x.start))
		return x.answer()
	})
	holding(t, x.c, tokenA)
	ctx, stop := context.WithCancel(t.Context())
	x.stop, x.w = stop, x.c.Watch(ctx, opts)
	if _, known := x.w.Current(); known {
		t.Error("it knows before it has asked")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := range x.w.Changes() {
			x.mu.Lock()
			x.states = append(x.states, show(s))
			x.mu.Unlock()
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	synctest.Wait()
	return x
}

// show is a state in a word.
func show(s client.State) string {
	text := "nobody"
	if s.Session != nil {
		text = string(s.Session.User)
	}
	if s.Err != nil {
		text += " failing"
	}
	return text
}

func user(name string) func() *http.Response {
	return func() *http.Response {
		return reply(200, fmt.Sprintf(`{"session":{"id":"id"},"user":%q}`, name))
	}
}

func status(status int, headers ...string) func() *http.Response {
	return func() *http.Response { return reply(status, "{}", headers...) }
}

func noNetwork() *http.Response { return nil }

// from now on the server answers so.
func (x *watched) from(answer func() *http.Response) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.answer = answer
}

// after lets time pass and checks the states that were told in it.
func (x *watched) after(d time.Duration, want ...string) {
	x.Helper()
	time.Sleep(d)
	synctest.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Equal(x.states, want) {
		x.Errorf("states are %q, want %q", x.states, want)
	}
	if s, known := x.w.Current(); len(want) > 0 && (!known || show(s) != want[len(want)-1]) {
		x.Errorf("Current is %q, %t", show(s), known)
	}
	x.states = nil
}

// questions returns how often the server was asked since, and when.
func (x *watched) questions() []time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	asked := x.asked
	x.asked = nil
	return asked
}

func (x *watched) wantQuestions(min, max int) {
	x.Helper()
	if asked := x.questions(); len(asked) < min || len(asked) > max {
		x.Errorf("the server was asked %d times (%v), want %d to %d", len(asked), asked, min, max)
	}
}

const ada, grace = `"ada"`, `"grace"`

// TestWatch has a row for everything a Watch notices or leaves alone.
func TestWatch(t *testing.T) {
	for _, row := range []struct {
		name string
		opts client.WatchOptions
		test func(x *watched)
	}{
		{"the first state, and then only changes", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.after(0, ada)
			x.after(time.Hour)
			x.wantQuestions(54, 68) // each a minute, give or take a tenth
			x.from(user("grace"))
			x.after(2*time.Minute, grace)
		}},
		{"intervals vary", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.after(time.Hour, ada)
			asked := x.questions()
			gaps := map[time.Duration]bool{}
			for i := range asked[1:] {
				gap := asked[i+1] - asked[i]
				if gap < 54*time.Second || gap > 66*time.Second {
					x.Errorf("gap of %v", gap)
				}
				gaps[gap] = true
			}
			if len(gaps) < 10 {
				x.Errorf("%d different gaps", len(gaps))
			}
		}},
		{"five minutes by default", client.WatchOptions{}, func(x *watched) {
			x.after(4*time.Minute, ada)
			x.wantQuestions(1, 1)
			x.after(2 * time.Minute)
			x.wantQuestions(1, 1)
		}},
		{"without an interval only on demand", client.WatchOptions{Interval: -1}, func(x *watched) {
			x.after(100*time.Hour, ada)
			x.wantQuestions(1, 1)
			x.from(user("grace"))
			x.w.Refetch()
			x.after(0, grace)
			x.wantQuestions(1, 1)
		}},
		{"a session revoked elsewhere", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.after(0, ada)
			x.from(func() *http.Response { return reply(200, "null") })
			x.after(2*time.Minute, "nobody")
			wantStored(x.T, x.c, "")
			x.questions()
			x.after(time.Hour)
			x.wantQuestions(0, 0) // without a session there is nothing to ask
		}},
		{"sign-out here is noticed at once", client.WatchOptions{Interval: time.Hour}, func(x *watched) {
			x.after(0, ada)
			_ = x.c.SignOut(x.Context())
			x.after(0, "nobody")
		}},
		{"401 of another request is noticed at once", client.WatchOptions{Interval: time.Hour}, func(x *watched) {
			x.after(0, ada)
			x.from(status(401))
			_ = x.c.Get(x.Context(), "/orders", nil)
			x.after(0, "nobody")
		}},
		{"sign-in here is noticed at once", client.WatchOptions{Interval: time.Hour}, func(x *watched) {
			_ = x.c.ClearSession(x.Context())
			x.after(0, ada, "nobody")
			holding(x.T, x.c, tokenB)
			x.after(0, ada)
		}},
		{"a failure is told once, and keeps what was known", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.after(0, ada)
			x.from(status(500))
			x.after(time.Hour, `"ada" failing`)
			x.from(user("ada"))
			x.after(2*time.Minute, ada)
			wantStored(x.T, x.c, tokenA)
		}},
		{"back-off grows to the interval", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.from(noNetwork)
			x.w.Refetch()
			x.after(0, ada, `"ada" failing`)
			x.questions()
			x.after(30 * time.Second) // 1, 2, 4, 8, 16 s
			x.wantQuestions(4, 5)
			x.after(time.Hour)
			x.wantQuestions(50, 68)
		}},
		{"Retry-After is kept, whoever asks", client.WatchOptions{Interval: time.Second}, func(x *watched) {
			x.after(0, ada)
			x.from(status(503, "Retry-After: 120"))
			x.after(2*time.Second, `"ada" failing`)
			x.wantQuestions(2, 2)
			x.w.Refetch()
			x.after(115 * time.Second)
			x.wantQuestions(0, 0)
			x.from(user("ada"))
			x.after(10*time.Second, ada)
		}},
		{"Retry-After of a year is an hour", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.from(status(429, "Retry-After: 31536000"))
			x.w.Refetch()
			x.after(0, ada, `"ada" failing`)
			x.from(user("ada"))
			x.after(59 * time.Minute)
			x.after(2*time.Minute, ada)
		}},
		{"sign-out is noticed during Retry-After, without asking", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.from(status(503, "Retry-After: 600"))
			x.w.Refetch()
			x.after(0, ada, `"ada" failing`)
			x.questions()
			_ = x.c.ClearSession(x.Context())
			x.after(0, "nobody")
			holding(x.T, x.c, tokenB)
			x.after(5*time.Minute, "nobody failing")
			x.wantQuestions(0, 0)
			x.from(user("grace"))
			x.after(6*time.Minute, grace)
		}},
		{"another session during Retry-After does not show the last user", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.from(status(503, "Retry-After: 600"))
			x.w.Refetch()
			x.after(0, ada, `"ada" failing`)
			x.questions()
			holding(x.T, x.c, tokenB)
			x.after(0, "nobody failing")
			holding(x.T, x.c, tokenA) // of whom nothing is known any more
			x.after(5 * time.Minute)
			x.wantQuestions(0, 0)
			x.from(user("ada"))
			x.after(6*time.Minute, ada)
		}},
		{"another session while paused does not show the last user", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.after(0, ada)
			x.w.Pause()
			x.from(user("grace"))
			x.questions()
			holding(x.T, x.c, tokenB)
			x.after(0, "nobody failing")
			x.after(time.Hour)
			x.wantQuestions(0, 0)
			x.w.Resume()
			x.after(0, grace)
		}},
		{"the same session while paused stays", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.after(0, ada)
			x.w.Pause()
			holding(x.T, x.c, tokenA)
			x.after(time.Hour)
		}},
		{"another user's session does not show the last user", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.after(0, ada)
			x.from(status(500))
			holding(x.T, x.c, tokenB)
			x.after(0, "nobody failing")
		}},
		{"a sign-in by a plain request is noticed at once", client.WatchOptions{Interval: time.Hour}, func(x *watched) {
			x.after(0, ada)
			x.from(func() *http.Response {
				return reply(200, `{"session_id":"`+tokenB+`","session":{"id":"id"},"user":"grace"}`)
			})
			if err := x.c.Post(x.Context(), "/auth/login", nil, nil); err != nil {
				x.Error(err)
			}
			x.after(0, grace)
		}},
		{"paused while offline", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.after(0, ada)
			x.w.Pause()
			x.questions()
			x.from(user("grace"))
			x.w.Refetch()
			x.after(24 * time.Hour)
			x.wantQuestions(0, 0)
			x.w.Resume()
			x.after(0, grace)
			x.wantQuestions(1, 1)
		}},
		{"sign-out is noticed while paused", client.WatchOptions{Interval: time.Minute}, func(x *watched) {
			x.w.Pause()
			_ = x.c.ClearSession(x.Context())
			x.after(0, ada, "nobody")
		}},
		{"ends while it waits", client.WatchOptions{Interval: time.Hour}, func(x *watched) {
			x.stop()
			x.after(24*time.Hour, ada)
			x.wantQuestions(1, 1)
		}},
		{"ends while it is paused", client.WatchOptions{}, func(x *watched) {
			x.w.Pause()
			x.after(time.Hour, ada)
			x.stop()
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { row.test(watch(t, row.opts)) })
		})
	}
}

// TestWatchCoalesces: demands that come while the server is asked are one more question.
func TestWatchCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := at(func(*http.Request) *http.Response {
			asked++
			time.Sleep(time.Second)
			return reply(200, `{"session":{"id":"id"},"user":"ada"}`)
		})
		holding(t, c, tokenA)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		w := c.Watch(ctx, client.WatchOptions{Interval: -1})
		go func() {
			time.Sleep(500 * time.Millisecond)
			for range 100 {
				w.Refetch()
			}
		}()
		for range w.Changes() {
		}
		if asked != 2 {
			t.Errorf("the server was asked %d times, want 2", asked)
		}
	})
}

// TestWatchEndsWithItsLoop: a loop that is left asks no more, and another one
// begins anew.
func TestWatchEndsWithItsLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := at(func(*http.Request) *http.Response { asked++; return user("ada")() })
		holding(t, c, tokenA)
		w := c.Watch(t.Context(), client.WatchOptions{})
		for range w.Changes() {
			break
		}
		time.Sleep(time.Hour)
		if asked != 1 {
			t.Errorf("the server was asked %d times", asked)
		}
		for s := range w.Changes() {
			if show(s) != ada {
				t.Errorf("the second loop begins with %s", show(s))
			}
			break
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range c.Watch(ended, client.WatchOptions{}).Changes() {
			t.Error("an ended Watch has told something")
		}
	})
}

// TestWatchCancelsItsQuestion: it does not wait for a server that hangs.
func TestWatchCancelsItsQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := at(func(r *http.Request) *http.Response { <-r.Context().Done(); return nil })
		holding(t, c, tokenA)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range c.Watch(ctx, client.WatchOptions{}).Changes() {
			t.Error("it has told something")
		}
		wantStored(t, c, tokenA)
	})
}

// TestWatchFollowsTheServer from sign-in over a refresh to the end of the session,
// with the real endpoints.
func TestWatchFollowsTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, client.Native, session.Config{MaxLifetime: 10 * 24 * time.Hour})
		c := at(s.answer)
		signIn(t, c, "ada")
		ctx, stop := context.WithTimeout(t.Context(), 30*24*time.Hour)
		defer stop()
		var expiries []time.Time
		start, ended := time.Now(), time.Duration(0)
		for state := range c.Watch(ctx, client.WatchOptions{Interval: time.Hour}).Changes() {
			if state.Err != nil {
				t.Error(state.Err)
			}
			if state.Session == nil {
				ended = time.Since(start)
				break
			}
			expiries = append(expiries, state.Session.ExpiresAt)
		}
		if len(expiries) < 4 || !slices.IsSortedFunc(expiries, time.Time.Compare) {
			t.Errorf("expiries are %v", expiries)
		}
		if days := ended.Hours() / 24; days < 10 || days > 10.1 {
			t.Errorf("it ended after %v", ended)
		}
	})
}

// TestWatchBeginsPaused: then nothing is known but that there is a session.
func TestWatchBeginsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := at(func(*http.Request) *http.Response { return user("ada")() })
		holding(t, c, tokenA)
		w := c.Watch(t.Context(), client.WatchOptions{})
		w.Pause()
		var states []string
		for s := range w.Changes() {
			if states = append(states, show(s)); s.Session != nil {
				break
			}
			w.Resume()
		}
		if want := []string{"nobody failing", ada}; !slices.Equal(states, want) {
			t.Errorf("states are %q, want %q", states, want)
		}
	})
}

// TestWatchDropsAnswersAboutAnotherSession: grace signs in while ada's session is
// asked about, in this process or another one.
func TestWatchDropsAnswersAboutAnotherSession(t *testing.T) {
	for _, row := range []struct {
		name        string
		late, after func() *http.Response
		want        []string
	}{
		{"a user, and then a failure", user("ada"), status(500), []string{"nobody failing"}},
		{"a user, and then another", user("ada"), user("grace"), []string{grace}},
		{"null", func() *http.Response { return reply(200, "null") }, user("grace"), []string{grace}},
		{"401", status(401), user("grace"), []string{grace}},
		{"a failure", status(500), user("grace"), []string{"nobody failing", grace}},
	} {
		for _, where := range []string{"this process", "another process"} {
			synctest.Test(t, func(t *testing.T) {
				storage, asked := &client.Memory{}, 0
				var c *client.Client
				c = at(func(*http.Request) *http.Response {
					if asked++; asked > 1 {
						return row.after()
					}
					if where == "this process" {
						holding(t, c, tokenB)
					} else {
						_ = storage.Set(t.Context(), client.DefaultKey, tokenB)
					}
					return row.late()
				})
				c.Storage = storage
				holding(t, c, tokenA)
				ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
				defer stop()
				var states []string
				for s := range c.Watch(ctx, client.WatchOptions{}).Changes() {
					states = append(states, show(s))
				}
				if !slices.Equal(states, row.want) {
					t.Errorf("%s, in %s: states are %q, want %q", row.name, where, states, row.want)
				}
				wantStored(t, c, tokenB)
			})
		}
	}
}

// TestWatchFollowsRotation: another secret is not another session, and those that
// come with its own answers do not make it ask again.
func TestWatchFollowsRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, client.Native, session.Config{RotateEvery: time.Hour})
		asked := 0
		c := at(func(r *http.Request) *http.Response {
			if r.Method == http.MethodGet {
				asked++
			}
			return s.answer(r)
		})
		c.Cookie = sessionCookie
		signIn(t, c, "ada")
		first, _ := c.SessionID(t.Context())
		ctx, stop := context.WithTimeout(t.Context(), 48*time.Hour)
		defer stop()
		for state := range c.Watch(ctx, client.WatchOptions{Interval: 30 * time.Minute}).Changes() {
			if state.Session == nil || state.Err != nil {
				t.Errorf("it shows %s", show(state))
			}
		}
		if asked < 80 || asked > 110 {
			t.Errorf("the server was asked %d times", asked)
		}
		if last, _ := c.SessionID(t.Context()); last == first {
			t.Error("nothing was rotated")
		}
	})
}

// slowStorage is one that takes a while, such as a keyring that has to be unlocked.
type slowStorage struct {
	client.Memory
	delay atomic.Int64
}

func (s *slowStorage) Get(ctx context.Context, key string) (string, error) {
	time.Sleep(time.Duration(s.delay.Load()))
	return s.Memory.Get(ctx, key)
}

// TestWatchOutlivesASlowStorage: that the time to wait for is over when the storage
// has answered must not be taken for waiting for ever.
func TestWatchOutlivesASlowStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := at(func(*http.Request) *http.Response {
			if asked++; asked == 1 {
				return reply(503, "{}", "Retry-After: 10")
			}
			return user("ada")()
		})
		storage := &slowStorage{}
		c.Storage = storage
		holding(t, c, tokenA)
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		w := c.Watch(ctx, client.WatchOptions{Interval: time.Minute})
		go func() {
			time.Sleep(9 * time.Second)
			storage.delay.Store(int64(3 * time.Second))
			w.Refetch()
		}()
		for range w.Changes() {
		}
		if asked < 40 {
			t.Errorf("the server was asked %d times in an hour", asked)
		}
	})
}

// TestWatchRestsWhenSessionsEndAtOnce: OnExpired signs in again, and the server
// takes each session for none, as when it wants a second factor.
func TestWatchRestsWhenSessionsEndAtOnce(t *testing.T) {
	for _, row := range []struct {
		name string
		id   func(n int) string
		over func() *http.Response
	}{
		{"other sessions, null", func(n int) string { return fmt.Sprint("S", n) }, func() *http.Response { return reply(200, "null") }},
		{"other sessions, 401", func(n int) string { return fmt.Sprint("S", n) }, status(401)},
		{"one and the same", func(int) string { return "S" }, func() *http.Response { return reply(200, "null") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []time.Duration
				signedIn, start := 0, time.Now()
				good := func() bool { return time.Since(start) > 5*time.Minute }
				ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
				defer stop()
				c := at(func(r *http.Request) *http.Response {
					if r.Method == http.MethodPost {
						signedIn++
						return reply(200, `{"session_id":"`+row.id(signedIn)+`"}`)
					}
					if asked = append(asked, time.Since(start)); len(asked) > 100 {
						stop()
					}
					if good() {
						return user("ada")()
					}
					return row.over()
				})
				c.OnExpired = func(ctx context.Context) { _ = c.SignIn(ctx, "/auth/login", nil, nil) }
				holding(t, c, tokenA)
				last := ""
				for s := range c.Watch(ctx, client.WatchOptions{Interval: time.Minute}).Changes() {
					if last = show(s); s.Session != nil && !good() {
						t.Errorf("it shows %s", last)
					}
				}
				// The second at once, which is why OnExpired signs in; then after 1, 2, 4 ... 60 s.
				if len(asked) < 13 || len(asked) > 22 || asked[1] > 0 || asked[2]-asked[1] < 900*time.Millisecond {
					t.Errorf("the server was asked %d times: %v", len(asked), asked)
				}
				if last != ada {
					t.Errorf("at last it shows %s", last)
				}
			})
		})
	}
}

// TestWatchOfAPendingSession: with KeepSession it shows nobody, asks neither more
// nor less often, and sees the second factor come.
func TestWatchOfAPendingSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, start := 0, time.Now()
		c := at(func(*http.Request) *http.Response {
			if asked++; asked <= 10 {
				return reply(200, "null")
			}
			return user("ada")()
		})
		holding(t, c, tokenA)
		var states []string
		w := c.Watch(client.KeepSession(t.Context()), client.WatchOptions{Interval: time.Hour})
		for s := range w.Changes() {
			if states = append(states, show(s)); s.Session != nil {
				break
			}
		}
		if want := []string{"nobody", ada}; !slices.Equal(states, want) {
			t.Errorf("states are %q, want %q", states, want)
		}
		if hours := time.Since(start).Hours(); hours < 9 || hours > 11 {
			t.Errorf("11 questions took %v", time.Since(start))
		}
		wantStored(t, c, tokenA)
	})
}
