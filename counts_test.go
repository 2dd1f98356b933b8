package session_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
)

// A request costs the store nothing without a token, and one Load with one.
// N parallel due requests are in TestParallelDueRequestsRefreshOnce.
func TestStoreCallsPerRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := pxFaultyAll()
		m := pxManager(t, store, session.Config{})
		cookie, anonymous := pxSignIn(t, m, "alice"), pxAnonymous(t, m, "cart")
		write := func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			pxOK(t, "Set", pxColor.Set(s, time.Now().String()))
		}
		slow := func(_ http.ResponseWriter, _ *http.Request, _ *session.Session) { time.Sleep(time.Second) }
		for _, row := range []struct {
			name          string
			wait          time.Duration
			cookie        string
			fn            pxFunc
			loads, writes int
		}{
			{"a read without a token", 0, "", pxRead, 0, 0},
			{"a malformed token", 0, "__Host-session=x", pxRead, 0, 0},
			{"a read", 0, cookie, pxRead, 1, 0},
			{"a visitor's read", 0, anonymous, pxRead, 1, 0},
			{"a write", time.Second, cookie, write, 1, 1},
			{"the same write again", 0, cookie, write, 1, 0},
			{"a first write without a token", 0, "", write, 0, 1},
			{"a read just within the update window", 24*time.Hour - time.Second - time.Millisecond, cookie, pxRead, 1, 0},
			{"a read at its end", time.Millisecond, cookie, pxRead, 1, 1},
			{"the read after", 0, cookie, pxRead, 1, 0},
			{"a slow read at the end of the next window, which looks whether its cookie is still good", 24 * time.Hour, cookie, slow, 2, 1},
			{"an unknown token", 0, "__Host-session=" + strings.Repeat("A", 64), pxRead, 1, 0},
			{"two cookies of one session", 0, cookie + "; " + cookie, pxRead, 1, 0},
			{"five cookies", 0, strings.Repeat("__Host-session="+strings.Repeat("A", 64)+"; ", 5), pxRead, 0, 0},
		} {
			time.Sleep(row.wait)
			store.reset()
			pxDo(m, row.cookie, row.fn)
			if loads, _ := store.called("Load"); loads != row.loads || store.writes() != row.writes {
				t.Errorf("%s: got %d loads and %d writes, want %d and %d", row.name, loads, store.writes(), row.loads, row.writes)
			}
		}
	})
}
