package endpoints_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
)

// parallel runs n requests at once and counts the answers.
func parallel(n int, request func() answer) map[answerKey]int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := make(map[answerKey]int)
	start := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-start
			a := request()
			mu.Lock()
			got[answerKey{a.status, a.body}]++
			mu.Unlock()
		})
	}
	close(start)
	wg.Wait()
	return got
}

func inBubble(test func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, test) }
}

type answerKey struct {
	status int
	body   string
}

// Ten thousand requests end one session. Each is told that it has ended it, or
// that it is not there; none fails, and the session is gone.
func TestParallelRevocationsOfOneSession(t *testing.T) {
	const n = 10_000
	done, gone := answerKey{200, `{"status":true}`}, answerKey{404, `{"code":"NOT_FOUND","message":"Not Found"}`}
	for _, tt := range []struct {
		name string
		won  int
		send func(c *client, id string) answer
	}{
		{"native", 1, func(c *client, id string) answer { return c.do("DELETE", "/auth/sessions/"+id, "") }},
		{"Better Auth", n, func(c *client, id string) answer {
			return c.do("POST", "/api/auth/revoke-session", `{"token":"`+id+`"}`)
		}},
	} {
		// In a bubble, where no store call runs out of time however many wait for
		// the processor.
		t.Run(tt.name, inBubble(func(t *testing.T) {
			s := newSite(t, session.Config{}, endpoints.Options{})
			ada, victim := s.signIn("ada"), s.signIn("ada")
			got := parallel(n, func() answer {
				c := *ada
				return tt.send(&c, victim.id())
			})
			// Better Auth tells nobody that it was too late.
			if won := got[done]; got[gone] != n-won || won != tt.won {
				t.Errorf("got %v, want %d to win", got, tt.won)
			}
			victim.want(victim.do("GET", "/auth/session", ""), 200, `null`)
			if a := ada.do("GET", "/auth/sessions", ""); a.status != 200 {
				t.Errorf("the asking session answers %d", a.status)
			}
		}))
	}
}

// Ten thousand requests of one session sign it out.
func TestParallelSignOuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{})
		ada := s.signIn("ada")
		got := parallel(10_000, func() answer {
			c := *ada
			return c.do("POST", "/auth/sign-out", "")
		})
		if got[answerKey{200, `{"success":true}`}] != 10_000 {
			t.Errorf("got %v", got)
		}
		ada.want(ada.do("GET", "/auth/session", ""), 200, `null`)
	})
}

// However many sessions of one user end all others at once, at most one is left,
// and none is told a lie: what answered 200 was signed in, what did not got 401.
func TestParallelEndOthers(t *testing.T) {
	s := newSite(t, session.Config{}, endpoints.Options{})
	clients := make(chan *client, 100)
	for range cap(clients) {
		clients <- s.signIn("ada")
	}
	got := parallel(cap(clients), func() answer {
		a := (<-clients).do("DELETE", "/auth/sessions", "")
		a.body = ""
		return a
	})
	if got[answerKey{200, ""}] == 0 || got[answerKey{200, ""}]+got[answerKey{401, ""}] != cap(clients) {
		t.Errorf("got %v", got)
	}
	if left, err := s.m.Sessions(t.Context(), "ada"); err != nil || len(left) > 1 {
		t.Errorf("%d sessions are left, %v", len(left), err)
	}
}

// Clients ask in bursts when a tab gets the focus: one of the requests refreshes,
// and its answer alone has a cookie.
func TestABurstRefreshesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, session.Config{}, endpoints.Options{})
		ada := s.signIn("ada")
		time.Sleep(25 * time.Hour)
		var cookies atomic.Int64
		got := parallel(100, func() answer {
			c := *ada
			a := c.do("GET", "/api/auth/get-session?disableCookieCache=true", "")
			cookies.Add(int64(len(a.header["Set-Cookie"])))
			a.body = ""
			return a
		})
		if got[answerKey{200, ""}] != 100 || cookies.Load() != 1 {
			t.Errorf("got %v, %d cookies", got, cookies.Load())
		}
	})
}
