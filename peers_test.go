package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// What other session libraries get wrong, as promises of this one. The number in
// front of each test is that of the defect in the survey of them.

// pxEndings are the ways to end alice's session from elsewhere.
var pxEndings = []struct {
	name string
	end  func(t *testing.T, m *session.Manager, cookie string)
}{
	{"sign out", func(t *testing.T, m *session.Manager, cookie string) { pxSignOut(t, m, cookie) }},
	{"revoke", func(t *testing.T, m *session.Manager, cookie string) {
		pxOK(t, "Revoke", m.Revoke(t.Context(), "alice", pxID(cookie)))
	}},
	{"revoke all", func(t *testing.T, m *session.Manager, _ string) {
		_, err := m.RevokeAll(t.Context(), "alice")
		pxOK(t, "RevokeAll", err)
	}},
	{"revoke others", func(t *testing.T, m *session.Manager, _ string) {
		pxDo(m, pxSignIn(t, m, "alice"), func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			_, err := m.RevokeOthers(r.Context(), s)
			pxOK(t, "RevokeOthers", err)
		})
	}},
}

// Defect 1. The request that was under way saves what it has; it must neither
// bring the session back nor claim to have saved.
func TestSignOutIsFinalForRequestsInFlight(t *testing.T) {
	for _, stores := range pxStores {
		for _, ending := range pxEndings {
			t.Run(stores.name+", "+ending.name, func(t *testing.T) {
				store, _ := stores.make()
				m := pxManager(t, store, session.Config{})
				cookie := pxSignIn(t, m, "alice")
				res := pxDo(m, cookie, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
					ending.end(t, m, cookie)
					pxOK(t, "Set", pxName.Set(s, "late"))
					_, err := io.WriteString(w, "saved")
					pxIs(t, "Write", err, session.ErrRevoked)
				})
				if res.StatusCode != http.StatusUnauthorized || strings.Contains(pxBody(t, res), "saved") {
					t.Errorf("in-flight request was answered %s, want 401 and nothing of the handler's", res.Status)
				}
				pxNoCookie(t, res)
				pxEnded(t, m, store, cookie)
			})
		}
	}
}

func pxEnded(t *testing.T, m *session.Manager, store session.Store, cookie string) {
	t.Helper()
	if user := pxUser(m, cookie); user != "" {
		t.Errorf("the old cookie is signed in again, as %q", user)
	}
	_, err := store.Load(t.Context(), pxID(cookie))
	pxIs(t, "Load of the ended session", err, session.ErrNotFound)
}

// Defect 1, by every other write that a request in flight can make.
func TestNothingWritesToASessionThatHasEnded(t *testing.T) {
	writes := []struct {
		name  string
		write func(r *http.Request, s *session.Session) error
	}{
		{"commit", func(r *http.Request, s *session.Session) error {
			pxOK(t, "Set", pxName.Set(s, "late"))
			return s.Commit(r.Context())
		}},
		{"update", func(r *http.Request, s *session.Session) error {
			return pxCount.Update(r.Context(), s, func(n int) (int, error) { return n + 1, nil })
		}},
		{"rotate", func(r *http.Request, s *session.Session) error { return s.Rotate(r.Context()) }},
	}
	for _, stores := range pxStores {
		for _, row := range writes {
			t.Run(stores.name+", "+row.name, func(t *testing.T) {
				store, _ := stores.make()
				m := pxManager(t, store, session.Config{})
				cookie := pxSignIn(t, m, "alice")
				res := pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
					pxSignOut(t, m, cookie)
					pxIs(t, row.name, row.write(r, s), session.ErrRevoked)
				})
				pxNoCookie(t, res)
				pxEnded(t, m, store, cookie)
			})
		}
	}
}

// Defect 1. With an idle timeout, scs and fiber write on every read, and a
// request that only reads brings the session back.
func TestReadInFlightDoesNotBringASessionBack(t *testing.T) {
	for _, ending := range pxEndings {
		store := memstore.New(memstore.Options{})
		m := pxManager(t, store, session.Config{UpdateAge: session.EveryRequest})
		cookie := pxSignIn(t, m, "alice")
		pxDo(m, cookie, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			ending.end(t, m, cookie)
			pxRead(w, r, s)
		})
		pxEnded(t, m, store, cookie)
	}
}

// Defect 2.
func TestParallelWritesOfDifferentKeysAreAllKept(t *testing.T) {
	for _, stores := range pxStores {
		for _, kind := range []string{"anonymous", "signed in"} {
			t.Run(stores.name+", "+kind, func(t *testing.T) {
				store, _ := stores.make()
				m := pxManager(t, store, session.Config{})
				cookie := pxAnonymous(t, m, "none yet")
				if kind == "signed in" {
					cookie = pxSignInWith(t, m, cookie, "alice", session.SignInOptions{})
				}
				pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					pxOK(t, "Set", pxName.Set(s, "outer"))
					pxPut(t, m, cookie, pxColor, "inner")
				})
				name, color := pxGet(m, cookie, pxName), pxGet(m, cookie, pxColor)
				if name != "outer" || color != "inner" {
					t.Errorf("got name %q and color %q, want outer and inner", name, color)
				}
			})
		}
	}
}

// Defect 3. The session is revoked between the load and the refresh's write.
func TestRefreshInFlightDoesNotBringASessionBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		time.Sleep(25 * time.Hour)
		store.before = func(ctx context.Context, op pxOp) error {
			if op.name == "Update" {
				_, err := m.RevokeAll(ctx, "alice")
				pxOK(t, "RevokeAll", err)
			}
			return nil
		}
		var seen string
		res := pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			seen = s.UserID()
			pxIs(t, "Set", pxName.Set(s, "late"), session.ErrRevoked)
		})
		if seen != "" || res.StatusCode != http.StatusOK {
			t.Errorf("got user %q and %s, want nobody and 200", seen, res.Status)
		}
		pxNoCookie(t, res)
		pxEnded(t, m, store, cookie)
	})
}

// Defect 4. Every request has loaded the session before the first one writes.
func TestParallelDueRequestsRefreshOnce(t *testing.T) {
	for _, n := range []int{20, 64} {
		for _, updateAge := range []time.Duration{0, session.EveryRequest} {
			synctest.Test(t, func(t *testing.T) { testRefreshHerd(t, n, updateAge) })
		}
	}
}

func testRefreshHerd(t *testing.T, n int, updateAge time.Duration) {
	store := pxFaulty()
	events := &pxEvents{}
	m := pxManager(t, store, session.Config{UpdateAge: updateAge, OnEvent: events.hook})
	cookie := pxSignIn(t, m, "alice")
	time.Sleep(25 * time.Hour)
	store.reset()
	events.take()
	var loaded sync.WaitGroup
	loaded.Add(n)
	store.after = func(_ context.Context, op pxOp) error {
		if op.name == "Load" && op.n <= n {
			loaded.Done()
			loaded.Wait()
		}
		return nil
	}
	cookies := make([]int, n)
	pxParallel(n, func(i int) { cookies[i] = len(pxDo(m, cookie, pxRead).Cookies()) })
	loads, _ := store.called("Load")
	_, updates := store.called("Update")
	sent := 0
	for _, c := range cookies {
		sent += c
	}
	// Where the others keep the one that sends the cookie waiting, it looks again
	// whether it is still good.
	if loads < n || loads > n+1 || updates != 1 || sent != 1 {
		t.Errorf("%d due requests: got %d loads, %d updates, %d cookies, want %d, 1, 1", n, loads, updates, sent, n)
	}
	if kinds := events.kinds(); kinds != "refreshed" {
		t.Errorf("got events %q, want one refreshed", kinds)
	}
}

// Defect 5.
func TestReadsWriteNothing(t *testing.T) {
	store := pxFaultyAll()
	m := pxManager(t, store, session.Config{})
	cookie := pxSignIn(t, m, "alice")
	for _, row := range []struct {
		name   string
		cookie string
		loads  int
	}{
		{"signed in", cookie, 100},
		{"without a cookie", "", 0},
		{"with a cookie of another name", "theme=dark; __host-session=" + strings.Repeat("A", 64), 0},
		{"with a malformed token", "__Host-session=abc", 0},
	} {
		store.reset()
		for range 100 {
			pxNoCookie(t, pxDo(m, row.cookie, pxRead))
		}
		if loads, _ := store.called("Load"); loads != row.loads || store.writes() != 0 {
			t.Errorf("100 reads %s: got %d loads and %d writes, want %d and 0", row.name, loads, store.writes(), row.loads)
		}
	}
}

// pxReplacements are the ways in which a request of the same client replaces its token.
var pxReplacements = []struct {
	name    string
	start   func(t *testing.T, m *session.Manager) string
	replace func(t *testing.T, m *session.Manager, cookie string) string
}{
	{"anonymous signs in", func(t *testing.T, m *session.Manager) string { return pxAnonymous(t, m, "cart") },
		func(t *testing.T, m *session.Manager, cookie string) string {
			return pxSignInWith(t, m, cookie, "alice", session.SignInOptions{})
		}},
	{"pending completes", func(t *testing.T, m *session.Manager) string {
		return pxSignInWith(t, m, "", "alice", session.SignInOptions{Pending: true})
	}, func(t *testing.T, m *session.Manager, cookie string) string {
		return pxSignInWith(t, m, cookie, "alice", session.SignInOptions{})
	}},
	{"another user signs in", func(t *testing.T, m *session.Manager) string { return pxSignIn(t, m, "bob") },
		func(t *testing.T, m *session.Manager, cookie string) string {
			return pxSignInWith(t, m, cookie, "alice", session.SignInOptions{})
		}},
	{"the user authenticates again", func(t *testing.T, m *session.Manager) string { return pxSignIn(t, m, "alice") },
		func(t *testing.T, m *session.Manager, cookie string) string {
			return pxSignInWith(t, m, cookie, "alice", session.SignInOptions{})
		}},
	{"rotate", func(t *testing.T, m *session.Manager) string { return pxSignIn(t, m, "alice") },
		func(t *testing.T, m *session.Manager, cookie string) string { return pxRotate(t, m, cookie) }},
}

func pxRotate(t testing.TB, m *session.Manager, cookie string) string {
	t.Helper()
	return pxSent(t, pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "Rotate", s.Rotate(r.Context()))
	}))
}

// Defect 6. The request arrives with the token that was replaced: a new
// anonymous cookie would overwrite the login.
func TestLateRequestDoesNotOverwriteTheLogin(t *testing.T) {
	for _, row := range pxReplacements {
		t.Run(row.name, func(t *testing.T) {
			store := memstore.New(memstore.Options{})
			m := pxManager(t, store, session.Config{})
			old := row.start(t, m)
			login := row.replace(t, m, old)
			before := store.Len()
			res := pxDo(m, old, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				if s.ID() != "" {
					t.Errorf("the replaced token still has session %s", s.ID())
				}
				pxIs(t, "Set", pxName.Set(s, "late"), session.ErrSuperseded)
				pxIs(t, "Update", pxCount.Update(r.Context(), s, func(n int) (int, error) { return 1, nil }), session.ErrSuperseded)
				pxIs(t, "Rotate", s.Rotate(r.Context()), session.ErrSuperseded)
			})
			pxNoCookie(t, res)
			if user := pxUser(m, login); user != "alice" || store.Len() != before {
				t.Errorf("got user %q and %d records, want alice and %d", user, store.Len(), before)
			}
		})
	}
}

// Defect 6, the other way round: the request refreshed the session when it
// arrived, and answers after another one has replaced the token. Its cookie
// would put the replaced token back into the browser, where it counts as a
// replay half a minute later.
func TestLateRefreshDoesNotOverwriteTheLogin(t *testing.T) {
	for _, row := range pxReplacements {
		t.Run(row.name, clInBubble(func(t *testing.T) {
			m := pxManager(t, memstore.New(memstore.Options{}), session.Config{UpdateAge: session.EveryRequest})
			old := row.start(t, m)
			var login string
			res := pxDo(m, old, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
				time.Sleep(50 * time.Millisecond)
				login = row.replace(t, m, old)
			})
			pxNoCookie(t, res)
			if user := pxUser(m, login); user != "alice" {
				t.Errorf("the login is of user %q, want alice", user)
			}
		}))
	}
}

// Defect 6. A request that was under way before the sign-in is told that its
// values are not stored; it sets no cookie.
func TestWriteOvertakenBySignInIsSuperseded(t *testing.T) {
	for _, stores := range pxStores {
		t.Run(stores.name, func(t *testing.T) {
			store, _ := stores.make()
			m := pxManager(t, store, session.Config{})
			old := pxAnonymous(t, m, "cart")
			var login string
			res := pxDo(m, old, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				login = pxSignInWith(t, m, old, "alice", session.SignInOptions{})
				pxOK(t, "Set", pxColor.Set(s, "late"))
			})
			pxNoCookie(t, res)
			if res.StatusCode != http.StatusConflict {
				t.Errorf("got %s, want 409", res.Status)
			}
			if name, color := pxGet(m, login, pxName), pxGet(m, login, pxColor); name != "cart" || color != "none" {
				t.Errorf("the login has name %q and color %q, want cart and none", name, color)
			}
		})
	}
}

// pxBeginnings are the ways in which a handler can begin its response. Each
// would send the page that needs the session.
var pxBeginnings = []struct {
	name  string
	begin func(w http.ResponseWriter, r *http.Request)
}{
	{"Write", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("SECRET")) }},
	{"WriteString", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "SECRET") }},
	{"Copy", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("SECRET")) }},
	{"WriteHeader", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "SECRET")
	}},
	{"Redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/SECRET", http.StatusSeeOther) }},
	{"ServeContent", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "page.html", time.Unix(1e9, 0), strings.NewReader("SECRET"))
	}},
	{"Flush", func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "SECRET")
	}},
	{"Flusher", func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "SECRET")
	}},
	{"103", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "SECRET")
	}},
	{"return", func(http.ResponseWriter, *http.Request) {}},
}

// Defect 7. scs answered "Internal Server ErrorSECRET PAGE BODY".
func TestFailedCommitSendsNothingOfTheHandler(t *testing.T) {
	for _, row := range pxBeginnings {
		for _, server := range pxServers {
			if row.name == "103" && server.name == "recorder" {
				continue // a recorder takes 103 for the response
			}
			t.Run(server.name+", "+row.name, func(t *testing.T) {
				store := pxFaultyAll()
				m := pxManager(t, store, session.Config{})
				cookie := pxSignIn(t, m, "alice")
				store.before = func(_ context.Context, op pxOp) error {
					if op.name == "Load" {
						return nil
					}
					return errStoreDown
				}
				res := server.do(t, m.Handler(pxFunc(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
					pxOK(t, "Set", pxName.Set(s, "lost"))
					pxDressUp(w.Header())
					row.begin(w, r)
				})), cookie)
				pxNothingLeaked(t, res)
				pxNoCookie(t, res)
				if got := res.Header.Get("Retry-After"); res.StatusCode != http.StatusServiceUnavailable || got == "" {
					t.Errorf("got %s, Retry-After %q, want 503 and some seconds", res.Status, got)
				}
			})
		}
	}
}

// pxDressUp sets every header that describes or places the handler's body.
func pxDressUp(h http.Header) {
	for name, value := range map[string]string{
		"Content-Type": "application/secret", "Content-Length": "6", "Content-Language": "secret",
		"Content-Disposition": "attachment; filename=SECRET", "Content-Location": "/SECRET", "Location": "/SECRET",
		"ETag": `"SECRET"`, "Last-Modified": "Mon, 02 Jan 2006 15:04:05 GMT", "Link": "</SECRET>; rel=preload",
		"Cache-Control": "public, max-age=600", "Expires": "Mon, 02 Jan 2036 15:04:05 GMT", "Refresh": "0; url=/SECRET",
		"CDN-Cache-Control": "max-age=600", "Surrogate-Control": "max-age=600", "Accept-Ranges": "bytes",
	} {
		h.Set(name, value)
	}
}

func pxNothingLeaked(t *testing.T, res *http.Response) {
	t.Helper()
	body := pxBody(t, res)
	if strings.Contains(body, "SECRET") || body == "" {
		t.Errorf("got body %q, want the error's text alone", body)
	}
	for _, name := range []string{
		"Content-Language", "Content-Disposition", "Content-Location", "Location", "ETag", "Last-Modified",
		"Link", "Expires", "Refresh", "CDN-Cache-Control", "Surrogate-Control", "Accept-Ranges",
	} {
		if value := res.Header.Get(name); value != "" {
			t.Errorf("the error answer has the handler's %s: %s", name, value)
		}
	}
	if got := res.Header.Get("Content-Type"); strings.Contains(got, "secret") {
		t.Errorf("the error answer has the handler's Content-Type: %s", got)
	}
	if got := res.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("got Cache-Control %q, want no-store", got)
	}
}

// pxServers carry a request to a handler and its response back.
var pxServers = []struct {
	name string
	do   func(t *testing.T, h http.Handler, cookie string) *http.Response
}{
	{"recorder", func(_ *testing.T, h http.Handler, cookie string) *http.Response { return pxServe(h, cookie) }},
	{"HTTP/1.1", func(t *testing.T, h http.Handler, cookie string) *http.Response { return pxReal(t, h, cookie, false) }},
	{"HTTP/2", func(t *testing.T, h http.Handler, cookie string) *http.Response { return pxReal(t, h, cookie, true) }},
}

// pxReal serves one request over a connection.
func pxReal(t *testing.T, h http.Handler, cookie string, http2 bool) *http.Response {
	t.Helper()
	server := pxServer(t, h, http2)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/", nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(r)
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if want := map[bool]int{false: 1, true: 2}[http2]; res.ProtoMajor != want {
		t.Fatalf("got %s, want HTTP/%d", res.Proto, want)
	}
	return res
}

// pxServer starts a server with TLS, or with HTTP/2.
func pxServer(t *testing.T, h http.Handler, http2 bool) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = http2
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// Defect 8. In scs Flush and WriteHeader(103) send the headers without the cookie.
func TestCookieArrivesHoweverTheResponseBegins(t *testing.T) {
	for _, row := range pxBeginnings {
		for _, server := range pxServers {
			if row.name == "103" && server.name == "recorder" {
				continue // a recorder takes 103 for the response
			}
			t.Run(server.name+", "+row.name, func(t *testing.T) {
				store := memstore.New(memstore.Options{})
				m := pxManager(t, store, session.Config{})
				res := server.do(t, m.Handler(pxFunc(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
					pxOK(t, "Set", pxName.Set(s, "kept"))
					row.begin(w, r)
				})), "")
				if got := pxGet(m, pxSent(t, res), pxName); got != "kept" || store.Len() != 1 {
					t.Errorf("got name %q and %d records, want kept and 1", got, store.Len())
				}
			})
		}
	}
}

// Defect 8. scs ends the session of a connection that was hijacked.
func TestHijackLeavesTheSessionAlone(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	cookie := pxSignIn(t, m, "alice")
	res := pxReal(t, m.Handler(pxFunc(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "Set before Hijack", pxName.Set(s, "before"))
		conn, buf, err := w.(http.Hijacker).Hijack()
		pxOK(t, "Hijack", err)
		defer conn.Close()
		pxIs(t, "Set after Hijack", pxColor.Set(s, "after"), session.ErrCommitted)
		pxOK(t, "Update after Hijack", pxCount.Update(r.Context(), s, func(n int) (int, error) { return n + 1, nil }))
		_, err = w.Write([]byte("late"))
		pxIs(t, "Write after Hijack", err, http.ErrHijacked)
		_, _ = buf.WriteString("HTTP/1.1 204 No Content\r\n\r\n")
		_ = buf.Flush()
	})), cookie, false)
	if res.StatusCode != http.StatusNoContent || pxGet(m, cookie, pxName) != "before" || pxUser(m, cookie) != "alice" {
		t.Errorf("after Hijack: %s, name %q, user %q", res.Status, pxGet(m, cookie, pxName), pxUser(m, cookie))
	}
}

// Defect 9. After the first byte, scs drops a Put and gorilla's Save returns nil.
func TestLateWriteIsNeverSilent(t *testing.T) {
	for _, row := range pxBeginnings[:len(pxBeginnings)-1] {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		for _, cookie := range []string{"", pxAnonymous(t, m, "cart"), pxSignIn(t, m, "alice")} {
			pxDo(m, cookie, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
				row.begin(w, r)
				pxIs(t, row.name+": Set", pxColor.Set(s, "late"), session.ErrCommitted)
				pxIs(t, row.name+": Delete", pxName.Delete(s), session.ErrCommitted)
				pxIs(t, row.name+": SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}), session.ErrCommitted)
				pxIs(t, row.name+": Rotate", s.Rotate(r.Context()), session.ErrCommitted)
				_, _ = io.WriteString(w, "more")
			})
			if cookie != "" && pxGet(m, cookie, pxColor) != "none" {
				t.Errorf("%s: a late write that was refused is stored", row.name)
			}
		}
	}
}

// Defect 10. scs over Redis: "context canceled", and the user is still signed in.
func TestHangingUpLosesNothing(t *testing.T) {
	acts := []struct {
		name string
		act  func(t *testing.T, m *session.Manager, r *http.Request, s *session.Session)
		done func(m *session.Manager, cookie string) bool
	}{
		{"a value", func(t *testing.T, _ *session.Manager, _ *http.Request, s *session.Session) {
			pxOK(t, "Set", pxColor.Set(s, "red"))
		}, func(m *session.Manager, cookie string) bool { return pxGet(m, cookie, pxColor) == "red" }},
		{"commit", func(t *testing.T, _ *session.Manager, r *http.Request, s *session.Session) {
			pxOK(t, "Set", pxColor.Set(s, "red"))
			pxOK(t, "Commit", s.Commit(r.Context()))
		}, func(m *session.Manager, cookie string) bool { return pxGet(m, cookie, pxColor) == "red" }},
		{"update", func(t *testing.T, _ *session.Manager, r *http.Request, s *session.Session) {
			pxOK(t, "Update", pxColor.Update(r.Context(), s, func(string) (string, error) { return "red", nil }))
		}, func(m *session.Manager, cookie string) bool { return pxGet(m, cookie, pxColor) == "red" }},
		{"sign out", func(t *testing.T, _ *session.Manager, r *http.Request, s *session.Session) {
			pxOK(t, "SignOut", s.SignOut(r.Context()))
		}, func(m *session.Manager, cookie string) bool { return pxUser(m, cookie) == "" }},
		{"revoke all", func(t *testing.T, m *session.Manager, r *http.Request, _ *session.Session) {
			_, err := m.RevokeAll(r.Context(), "alice")
			pxOK(t, "RevokeAll", err)
		}, func(m *session.Manager, cookie string) bool { return pxUser(m, cookie) == "" }},
		{"revoke", func(t *testing.T, m *session.Manager, r *http.Request, s *session.Session) {
			pxOK(t, "Revoke", m.Revoke(r.Context(), "alice", s.ID()))
		}, func(m *session.Manager, cookie string) bool { return pxUser(m, cookie) == "" }},
	}
	for _, stores := range pxStores {
		for _, row := range acts {
			t.Run(stores.name+", "+row.name, func(t *testing.T) {
				store, _ := stores.make()
				m := pxManager(t, store, session.Config{})
				cookie := pxSignIn(t, m, "alice")
				ctx, hangUp := context.WithCancel(t.Context())
				pxDo(m, cookie, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
					hangUp()
					row.act(t, m, r, s)
				}, func(r *http.Request) { *r = *r.WithContext(ctx) })
				if !row.done(m, cookie) {
					t.Error("the client hung up, and it did not happen")
				}
			})
		}
	}
}

// Defect 10, over a real connection.
func TestHangingUpOverAConnectionLosesNothing(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		cookie := pxSignIn(t, m, "alice")
		arrived, done := make(chan struct{}), make(chan error, 1)
		server := pxServer(t, m.Handler(pxFunc(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			close(arrived)
			<-r.Context().Done()
			done <- s.SignOut(r.Context())
		})), http2)
		ctx, hangUp := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		r.Header.Set("Cookie", cookie)
		go func() {
			<-arrived
			hangUp()
		}()
		if res, err := server.Client().Do(r); err == nil {
			_ = res.Body.Close() // over HTTP/2 the answer may overtake the cancellation
		}
		pxOK(t, "SignOut", <-done)
		if user := pxUser(m, cookie); user != "" {
			t.Errorf("still signed in as %q", user)
		}
	}
}

// Defect 11 (fiber, CVE-2024-38513).
func TestClientChosenIDIsNeverAdopted(t *testing.T) {
	chosen := "__Host-session=" + strings.Repeat("attacker", 8)
	for _, row := range []struct {
		name string
		fn   pxFunc
	}{
		{"set", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { pxOK(t, "Set", pxName.Set(s, "x")) }},
		{"sign in", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}))
		}},
	} {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		got := pxSent(t, pxDo(m, chosen, row.fn))
		if pxID(got) == pxID(chosen) || strings.Contains(got, chosen[len(chosen)-40:]) {
			t.Errorf("%s: the new token %q has parts of the client's", row.name, got)
		}
		pxDo(m, chosen, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			if s.ID() != "" {
				t.Errorf("%s: the client's token has session %s", row.name, s.ID())
			}
		})
	}
}

// Defect 12. While the store is down nobody is anonymous and nobody is signed
// out; pages that need no session work.
func TestOutageIsNeitherAnonymousNorSignedOut(t *testing.T) {
	store := pxFaultyAll()
	events := &pxEvents{}
	m := pxManager(t, store, session.Config{OnEvent: events.hook})
	cookie := pxSignIn(t, m, "alice")
	events.take()
	store.before = func(context.Context, pxOp) error { return errStoreDown }

	ran := false
	res := pxDo(m, cookie, func(http.ResponseWriter, *http.Request, *session.Session) { ran = true })
	if ran || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("got handler run %t, %s, Retry-After %q, want 503", ran, res.Status, res.Header.Get("Retry-After"))
	}
	if got := res.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("got Cache-Control %q on the 503, want no-store", got)
	}
	pxNoCookie(t, res)
	if list := events.take(); len(list) != 1 || list[0].Kind != session.EventStoreError ||
		list[0].SessionID != pxID(cookie) || !errors.Is(list[0].Err, errStoreDown) {
		t.Errorf("got events %v, want one store error of this session", list)
	}
	if res := pxDo(m, "", pxRead); res.StatusCode != http.StatusOK {
		t.Errorf("a request without a token got %s during the outage, want 200", res.Status)
	}
	store.before = nil
	if user := pxUser(m, cookie); user != "alice" {
		t.Errorf("after the outage the cookie is of %q, want alice", user)
	}
}

// Defect 12. Public pages behind Optional go on, and know that they know nothing.
func TestOptionalServesPublicPagesDuringAnOutage(t *testing.T) {
	store := pxFaultyAll()
	m := pxManager(t, store, session.Config{})
	cookie := pxSignIn(t, m, "alice")
	store.before = func(context.Context, pxOp) error { return errStoreDown }
	res := pxServe(m.Optional(pxFunc(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		if s == nil || s.UserID() != "" || s.ID() != "" {
			t.Errorf("got %v, want a session of nobody", s)
		}
		pxIs(t, "Set", pxName.Set(s, "x"), session.ErrUnavailable)
		pxIs(t, "Rotate", s.Rotate(r.Context()), session.ErrUnavailable)
		pxIs(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}), session.ErrUnavailable)
		pxIs(t, "SignOut", s.SignOut(r.Context()), session.ErrUnavailable)
		_, _ = io.WriteString(w, "public")
	})), cookie)
	if body := pxBody(t, res); res.StatusCode != http.StatusOK || body != "public" {
		t.Errorf("got %s, %q, want 200, public", res.Status, body)
	}
	pxNoCookie(t, res)
	res = pxServe(m.Optional(m.RequireUser(pxFunc(pxRead))), cookie)
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("RequireUser in Optional: got %s, want 503", res.Status)
	}
}

// Defect 12. Optional for the site and Handler for a part of it: what Handler
// promises holds for the part, although the store was asked outside it.
func TestHandlerInsideOptionalStillRefusesDuringAnOutage(t *testing.T) {
	store := pxFaultyAll()
	m := pxManager(t, store, session.Config{})
	cookie := pxSignIn(t, m, "alice")
	store.before = func(context.Context, pxOp) error { return errStoreDown }
	ran := false
	part := m.Handler(pxFunc(func(http.ResponseWriter, *http.Request, *session.Session) { ran = true }))
	if res := pxServe(m.Optional(part), cookie); ran || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got handler run %t and %s, want 503", ran, res.Status)
	}
}

// Defect 13. scs answers 500 to every page until the cookie expires.
func TestUnreadableRecordIsNoSession(t *testing.T) {
	store := pxFaultyAll()
	events := &pxEvents{}
	m := pxManager(t, store, session.Config{OnEvent: events.hook})
	old := pxSignIn(t, m, "alice")
	events.take()
	store.before = func(_ context.Context, op pxOp) error {
		if op.name == "Load" && op.id == pxID(old) {
			return fmt.Errorf("decode: %w", session.ErrUnreadable)
		}
		return nil
	}
	res := pxDo(m, old, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		if s.UserID() != "" || s.ID() != "" {
			t.Errorf("got %v, want no session", s)
		}
		pxIs(t, "Set", pxName.Set(s, "x"), session.ErrSuperseded)
	})
	pxNoCookie(t, res)
	if list := events.take(); res.StatusCode != http.StatusOK || len(list) != 1 ||
		list[0].Kind != session.EventUnreadableRecord || list[0].SessionID != pxID(old) {
		t.Errorf("got %s and events %v, want 200 and one unreadable record", res.Status, list)
	}
	if user := pxUser(m, pxSignInWith(t, m, old, "alice", session.SignInOptions{})); user != "alice" {
		t.Errorf("after the next sign-in got user %q, want alice", user)
	}
}

// Defect 14. In scs a revocation reported success and the session still worked.
func TestRevokedSessionStopsWorking(t *testing.T) {
	for _, stores := range pxStores {
		for _, ending := range pxEndings {
			for _, cfg := range []session.Config{{}, {Cookie: session.Cookie{Keys: [][]byte{bytes.Repeat([]byte("k"), 32)}}}} {
				store, _ := stores.make()
				m := pxManager(t, store, cfg)
				cookie := pxSignIn(t, m, "alice")
				list, err := m.Sessions(t.Context(), "alice")
				if err != nil || len(list) != 1 {
					t.Fatalf("got %v, %v, want one session", list, err)
				}
				if len(cfg.Cookie.Keys) > 0 && ending.name == "revoke" {
					pxOK(t, "Revoke", m.Revoke(t.Context(), "alice", list[0].ID))
				} else {
					ending.end(t, m, cookie)
				}
				if user := pxUser(m, cookie); user != "" {
					t.Errorf("%s, %s: the session still signs %q in", stores.name, ending.name, user)
				}
			}
		}
	}
}

// Defect 14. A revocation that could not be made is no success.
func TestRevocationThatFailedSaysSo(t *testing.T) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{})
	cookie := pxSignIn(t, m, "alice")
	store.before = func(_ context.Context, op pxOp) error {
		if op.name == "Load" {
			return nil
		}
		return errStoreDown
	}
	pxIs(t, "Revoke", m.Revoke(t.Context(), "alice", pxID(cookie)), session.ErrUnavailable)
	_, err := m.RevokeAll(t.Context(), "alice")
	pxIs(t, "RevokeAll", err, session.ErrUnavailable)
	res := pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxIs(t, "SignOut", s.SignOut(r.Context()), session.ErrUnavailable)
		_, err := m.RevokeOthers(r.Context(), s)
		pxIs(t, "RevokeOthers", err, session.ErrUnavailable)
	})
	pxNoCookie(t, res)
	pxIs(t, "Revoke of bob's", m.Revoke(t.Context(), "bob", pxID(cookie)), session.ErrNotFound)
	pxIs(t, "Revoke of nobody's", m.Revoke(t.Context(), "alice", strings.Repeat("A", 24)), session.ErrNotFound)
}

// Defect 15. In fiber, alice's stream saw bob through a pooled session.
func TestStreamNeverSeesAnotherUser(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	cookies := map[string]string{"alice": pxSignIn(t, m, "alice"), "bob": pxSignIn(t, m, "bob")}
	var kept *session.Session
	pxDo(m, cookies["alice"], func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		kept = s
		_, _ = io.WriteString(w, "data: 1\n\n")
		pxParallel(16, func(i int) {
			user := []string{"alice", "bob"}[i%2]
			if got := pxUser(m, cookies[user]); got != user {
				t.Errorf("%s's request saw %q", user, got)
			}
			if got := s.UserID(); got != "alice" {
				t.Errorf("alice's stream saw %q", got)
			}
		})
	})
	for range 100 {
		pxUser(m, cookies["bob"])
	}
	if got := kept.UserID(); got != "alice" {
		t.Errorf("alice's session, kept after the request, is of %q", got)
	}
}

// Defect 16. gorilla and fiber: no HttpOnly, SameSite=None, Secure off.
func TestZeroConfigCookieIsSecure(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	for _, res := range []*http.Response{
		pxDo(m, "", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { pxOK(t, "Set", pxName.Set(s, "x")) }),
		pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}))
		}),
		pxSignOut(t, m, pxSignIn(t, m, "alice")),
	} {
		c := pxSet(res)
		if c == nil || c.Name != "__Host-session" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode ||
			c.Path != "/" || c.Domain != "" || len(res.Cookies()) != 1 {
			t.Errorf("got cookies %v, want one secure __Host-session", res.Header["Set-Cookie"])
		}
	}
}

// Defect 17. kratos and sessionup believe X-Forwarded-For of anybody.
func TestForwardedForIsNotBelievedUnlessTrusted(t *testing.T) {
	proxy := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // httptest's client is 192.0.2.1
	for _, row := range []struct {
		name    string
		trusted []netip.Prefix
		header  string
		want    string
	}{
		{"nobody is trusted", nil, "203.0.113.7", "192.0.2.1"},
		{"another network is trusted", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "203.0.113.7", "192.0.2.1"},
		{"the proxy is trusted", proxy, "203.0.113.7", "203.0.113.7"},
		{"the client forges a hop before the proxy's", proxy, "10.1.1.1, 203.0.113.7", "203.0.113.7"},
	} {
		events := &pxEvents{}
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{TrustedProxies: row.trusted, OnEvent: events.hook})
		pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}))
			if got := s.Info().IPAddress; got != row.want {
				t.Errorf("%s: got address %s, want %s", row.name, got, row.want)
			}
		}, pxHeader("X-Forwarded-For", row.header), pxHeader("X-Real-IP", "203.0.113.9"))
		for _, e := range events.take() {
			if e.IPAddress != row.want {
				t.Errorf("%s: event %s has address %s, want %s", row.name, e.Kind, e.IPAddress, row.want)
			}
		}
	}
}

// Defect 18. sessionup and better-auth list the bearer token itself.
func TestNothingThatIsShownHasTheToken(t *testing.T) {
	var shown bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&shown, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{Logger: log, HeaderTransport: true,
		OnEvent: func(_ context.Context, e session.Event) { fmt.Fprintf(&shown, "%v %+v %#v\n", e, e, e) }})
	cookie := pxSignIn(t, m, "alice")
	cookie = pxRotate(t, m, cookie)
	pxDo(m, cookie, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		list, err := m.Sessions(r.Context(), "alice")
		pxOK(t, "Sessions", err)
		held := struct{ w http.ResponseWriter }{w}
		for _, what := range []any{list, s, s.Info(), *m, w, held, http.NewResponseController(w), r.Context()} {
			_ = json.NewEncoder(&shown).Encode(what)
			fmt.Fprintf(&shown, "%v %+v %#v %d %s\n", what, what, what, what, what)
			log.Info("shown", "what", what)
		}
	})
	pxSignOut(t, m, cookie)
	secret := cookie[len(cookie)-40:]
	if !strings.Contains(shown.String(), pxID(cookie)) || strings.Contains(shown.String(), secret) {
		t.Error("what is shown lacks the ID or has the secret")
	}
}

// Defect 20. Spring Security and better-auth let parallel sign-ins pass the limit.
func TestSessionLimitIsExactUnderParallelSignIns(t *testing.T) {
	const limit, n = 3, 16
	for _, refuse := range []bool{false, true} {
		t.Run(fmt.Sprintf("refuse %t", refuse), func(t *testing.T) {
			m := pxManager(t, memstore.New(memstore.Options{}), session.Config{MaxSessions: limit, RefuseOverLimit: refuse})
			cookies, errs := pxSignInsAtOnce(m, n)
			live, refused := 0, 0
			for i := range n {
				if errors.Is(errs[i], session.ErrLimit) {
					refused++
				} else if errs[i] != nil {
					t.Errorf("SignIn: %v", errs[i])
				}
				if cookies[i] != "" && pxUser(m, cookies[i]) == "alice" {
					live++
				}
			}
			list, err := m.Sessions(t.Context(), "alice")
			if err != nil || len(list) != limit || live != limit {
				t.Errorf("got %d listed and %d live of %d sign-ins (%v), want %d", len(list), live, n, err, limit)
			}
			if want := map[bool]int{false: 0, true: n - limit}[refuse]; refused != want {
				t.Errorf("%d sign-ins were refused, want %d", refused, want)
			}
		})
	}
}

// pxSignInsAtOnce signs alice in from n clients at once.
func pxSignInsAtOnce(m *session.Manager, n int) (cookies []string, errs []error) {
	cookies, errs = make([]string, n), make([]error, n)
	pxParallel(n, func(i int) {
		res := pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			errs[i] = s.SignIn(r.Context(), "alice", session.SignInOptions{})
		})
		if c := pxSet(res); c != nil {
			cookies[i] = c.Name + "=" + c.Value
		}
	})
	return cookies, errs
}

// Defect 21. In better-auth the client could drop the cookie that made its
// session short.
func TestForgetIsKeptOnTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{UpdateAge: time.Hour})
		res := pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{Forget: true}))
		})
		if c := pxSet(res); len(res.Cookies()) != 1 || c.MaxAge != 0 || !c.Expires.IsZero() {
			t.Errorf("got %v, want one cookie without Max-Age and Expires", res.Header["Set-Cookie"])
		}
		cookie := pxSent(t, res)
		for range 23 {
			time.Sleep(time.Hour)
			res := pxDo(m, cookie, pxRead)
			pxNoCookie(t, res)
		}
		if user := pxUser(m, cookie); user != "alice" {
			t.Errorf("after 23 hours of use: user %q, want alice", user)
		}
		time.Sleep(time.Hour)
		if user := pxUser(m, cookie); user != "" {
			t.Errorf("after 24 hours of use: user %q, want nobody", user)
		}
	})
}

// Defect 22. better-auth and Auth.js compute when a refresh is due from the
// expiry and the configuration of today.
func TestConfigChangeLeavesLiveSessionsAlone(t *testing.T) {
	const hour, day = time.Hour, 24 * time.Hour
	for _, row := range []struct {
		name     string
		then     session.Config
		now      session.Config
		age      time.Duration
		alive    bool
		refresh  bool
		lifetime time.Duration // by the next refresh
	}{
		{"longer ExpiresIn: not due early", session.Config{ExpiresIn: day, UpdateAge: 6 * hour},
			session.Config{ExpiresIn: 7 * day, UpdateAge: 6 * hour}, 5 * hour, true, false, 0},
		{"longer ExpiresIn: due on time, own lifetime", session.Config{ExpiresIn: day, UpdateAge: 6 * hour},
			session.Config{ExpiresIn: 7 * day, UpdateAge: 6 * hour}, 6 * hour, true, true, day},
		{"shorter ExpiresIn: not due early", session.Config{ExpiresIn: 7 * day, UpdateAge: 6 * hour},
			session.Config{ExpiresIn: day, UpdateAge: 6 * hour}, 5 * hour, true, false, 0},
		{"shorter ExpiresIn: due on time, new lifetime", session.Config{ExpiresIn: 7 * day, UpdateAge: 6 * hour},
			session.Config{ExpiresIn: day, UpdateAge: 6 * hour}, 6 * hour, true, true, day},
		{"shorter ExpiresIn ends what was unused for it", session.Config{ExpiresIn: 7 * day},
			session.Config{ExpiresIn: day}, day, false, false, 0},
		{"shorter UpdateAge: due at once", session.Config{UpdateAge: day},
			session.Config{UpdateAge: hour}, hour, true, true, 7 * day},
		{"longer UpdateAge: due later", session.Config{UpdateAge: hour},
			session.Config{UpdateAge: day}, 23 * hour, true, false, 0},
		{"shorter MaxLifetime ends what is older", session.Config{},
			session.Config{ExpiresIn: day, MaxLifetime: day, UpdateAge: day}, day, false, false, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New(memstore.Options{})
				cookie := pxSignIn(t, pxManager(t, store, row.then), "alice")
				time.Sleep(row.age)
				res := pxDo(pxManager(t, store, row.now), cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					if alive := s.UserID() == "alice"; alive != row.alive {
						t.Errorf("alive %t, want %t", alive, row.alive)
					}
					if left := time.Until(s.Info().ExpiresAt); row.refresh && left != row.lifetime {
						t.Errorf("lives %v after the refresh, want %v", left, row.lifetime)
					}
				})
				if c := pxSet(res); row.alive && (c != nil) != row.refresh {
					t.Errorf("cookie sent %t, want %t", c != nil, row.refresh)
				}
			})
		})
	}
}

// Defect 23 (CVE-2023-30861, CVE-2026-27205, CVE-2026-35192).
func TestSharedCachesKeepNoSession(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	cookie := pxSignIn(t, m, "alice")
	public := func(h http.Header) {
		h.Set("Cache-Control", "public, max-age=600")
		h.Set("Expires", "Mon, 02 Jan 2036 15:04:05 GMT")
		h.Set("CDN-Cache-Control", "max-age=600")
		h.Set("Surrogate-Control", "max-age=600")
		h.Set("Vary", "Accept-Encoding")
	}
	for _, row := range []struct {
		name   string
		cookie string
		fn     pxFunc
		cache  string
		vary   []string
		kept   bool // the handler's other caching headers
	}{
		{"nobody, untouched", "", func(http.ResponseWriter, *http.Request, *session.Session) {}, "", []string{"Cookie"}, false},
		{"nobody, public page", "", func(w http.ResponseWriter, _ *http.Request, _ *session.Session) { public(w.Header()) },
			"public, max-age=600", []string{"Accept-Encoding", "Cookie"}, true},
		{"a user, unmarked page", cookie, pxRead, "private", []string{"Cookie"}, false},
		{"a user, marked page", cookie, func(w http.ResponseWriter, _ *http.Request, _ *session.Session) {
			w.Header().Set("Cache-Control", "private, max-age=60")
		}, "private, max-age=60", []string{"Cookie"}, false},
		{"a new cookie on a public page", "", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			public(w.Header())
			pxOK(t, "Set", pxName.Set(s, "x"))
		}, "no-store", []string{"Accept-Encoding", "Cookie"}, false},
		{"a cleared cookie on a public page", pxSignIn(t, m, "bob"), func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			public(w.Header())
			pxOK(t, "SignOut", s.SignOut(r.Context()))
		}, "no-store", []string{"Accept-Encoding", "Cookie"}, false},
	} {
		h := pxDo(m, row.cookie, row.fn).Header
		if got := h.Get("Cache-Control"); got != row.cache {
			t.Errorf("%s: got Cache-Control %q, want %q", row.name, got, row.cache)
		}
		if got := strings.Join(h["Vary"], ", "); got != strings.Join(row.vary, ", ") {
			t.Errorf("%s: got Vary %q, want %q", row.name, got, row.vary)
		}
		for _, name := range []string{"Expires", "CDN-Cache-Control", "Surrogate-Control"} {
			if kept := h.Get(name) != ""; kept != row.kept {
				t.Errorf("%s: %s is there: %t, want %t", row.name, name, kept, row.kept)
			}
		}
	}
}

// Defect 25. memstore starts no goroutine, so that there is nothing to stop, and
// frees what is expired as new sessions come: a bubble with a goroutine in it
// would not end.
func TestMemstoreFreesExpiredSessionsWithoutAGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		m := pxManager(t, store, session.Config{})
		for range 2000 {
			pxAnonymous(t, m, "visitor")
		}
		time.Sleep(48 * time.Hour)
		for range 40000 {
			pxAnonymous(t, m, "visitor")
			if store.Len() < 2000 {
				return
			}
			time.Sleep(time.Minute)
		}
		t.Errorf("got %d records after a month of visitors, most of them expired", store.Len())
	})
}

// Defect 25. Sweep may run at any time, several at once, beside readers.
func TestSweepDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		m := pxManager(t, store, session.Config{})
		for range 500 {
			pxAnonymous(t, m, "visitor")
		}
		time.Sleep(25 * time.Hour)
		cookie := pxSignIn(t, m, "alice")
		var mu sync.Mutex
		freed := 0
		pxParallel(8, func(i int) {
			if user := pxUser(m, cookie); user != "alice" {
				t.Errorf("during a sweep the cookie is of %q", user)
			}
			n, err := m.Sweep(t.Context())
			pxOK(t, "Sweep", err)
			mu.Lock()
			freed += n
			mu.Unlock()
		})
		if store.Len() != 1 {
			t.Errorf("8 sweeps freed %d and left %d records, want 1", freed, store.Len())
		}
	})
}
