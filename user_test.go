package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// Who may use a session, and what is told of it: binding, guards, lists,
// revocation, events.

func TestBindingIsToTheClientThatSignedIn(t *testing.T) {
	agent, device := pxHeader("User-Agent", "Firefox"), pxHeader("X-Device-ID", "phone")
	from := func(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
	home := from("[2001:db8:1:2::3]:1000")
	for _, row := range []struct {
		name    string
		binding session.Binding
		edits   []func(*http.Request)
		same    bool
	}{
		{"the same client", session.BindIP | session.BindUserAgent | session.BindDevice, []func(*http.Request){home, agent, device}, true},
		{"nothing is bound", 0, nil, true},
		{"another host of the same network", session.BindIP, []func(*http.Request){from("[2001:db8:1:2::4]:1")}, true},
		{"another network", session.BindIP, []func(*http.Request){from("[2001:db8:1:3::3]:1000")}, false},
		{"no address", session.BindIP, []func(*http.Request){from("@")}, false},
		{"another agent", session.BindUserAgent, []func(*http.Request){pxHeader("User-Agent", "Chrome")}, false},
		{"no agent", session.BindUserAgent, nil, false},
		{"another device", session.BindDevice, []func(*http.Request){pxHeader("X-Device-ID", "tablet")}, false},
		{"no device", session.BindDevice, nil, false},
		{"one of two differs", session.BindUserAgent | session.BindDevice, []func(*http.Request){agent}, false},
	} {
		for _, revoke := range []bool{false, true} {
			if revoke && row.binding == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s, revoke %t", row.name, revoke), func(t *testing.T) {
				events := &pxEvents{}
				m := pxManager(t, memstore.New(memstore.Options{}),
					session.Config{Binding: row.binding, RevokeOnMismatch: revoke, OnEvent: events.hook})
				cookie := pxSent(t, pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
					pxOK(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}))
				}, home, agent, device))
				events.take()
				user := func(edits ...func(*http.Request)) (user string) {
					pxNoCookie(t, pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { user = s.UserID() }, edits...))
					return user
				}
				if got := user(row.edits...) == "alice"; got != row.same {
					t.Errorf("signed in %t, want %t", got, row.same)
				}
				want := map[bool]string{false: "binding mismatch", true: "binding mismatch, revoked"}[revoke]
				if row.same {
					want = ""
				}
				if got := events.kinds(); got != want {
					t.Errorf("got events %q, want %q", got, want)
				}
				if got := user(home, agent, device) == "alice"; got != (row.same || !revoke) {
					t.Errorf("afterwards its own client is signed in: %t", got)
				}
			})
		}
	}
}

// The binding is checked after the secret: who has no token cannot end a session
// by calling from elsewhere.
func TestMismatchWithoutTheSecretRevokesNothing(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{Binding: session.BindIP, RevokeOnMismatch: true})
	cookie := pxSignIn(t, m, "alice")
	pxDo(m, "__Host-session="+pxID(cookie)+strings.Repeat("A", 40), pxRead, func(r *http.Request) { r.RemoteAddr = "203.0.113.1:1" })
	if user := pxUser(m, cookie); user != "alice" {
		t.Errorf("got user %q, want alice", user)
	}
}

// A new anonymous cookie would replace the login that SameSite withheld.
func TestOtherSitesStartNoSession(t *testing.T) {
	cross := []func(*http.Request){pxHeader("Sec-Fetch-Site", "cross-site")}
	link := append(cross[:1:1], pxHeader("Sec-Fetch-Mode", "navigate"), pxHeader("Sec-Fetch-Dest", "document"))
	frame := append(cross[:1:1], pxHeader("Sec-Fetch-Mode", "navigate"), pxHeader("Sec-Fetch-Dest", "iframe"))
	post := append(link[:3:3], func(r *http.Request) { r.Method = http.MethodPost })
	strict := session.Cookie{SameSite: http.SameSiteStrictMode}
	for _, row := range []struct {
		name   string
		cookie session.Cookie
		edits  []func(*http.Request)
		want   error
	}{
		{"an image", session.Cookie{}, cross, session.ErrCrossSite},
		{"a frame", session.Cookie{}, frame, session.ErrCrossSite},
		{"a form", session.Cookie{}, post, session.ErrCrossSite},
		{"a link, where Lax cookies come along", session.Cookie{}, link, nil},
		{"a link, where Strict cookies do not", strict, link, session.ErrCrossSite},
		{"an image, where None cookies come along", session.Cookie{SameSite: http.SameSiteNoneMode}, cross, nil},
		{"the same site", session.Cookie{}, []func(*http.Request){pxHeader("Sec-Fetch-Site", "same-site")}, nil},
		{"the address bar", session.Cookie{}, []func(*http.Request){pxHeader("Sec-Fetch-Site", "none")}, nil},
		{"a client that says nothing", session.Cookie{}, nil, nil},
	} {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{Cookie: row.cookie})
		res := pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxIs(t, row.name+": Set", pxName.Set(s, "x"), row.want)
			pxIs(t, row.name+": Update", pxCount.Update(r.Context(), s, func(n int) (int, error) { return 1, nil }), row.want)
			pxIs(t, row.name+": Delete", pxColor.Delete(s), row.want)
		}, row.edits...)
		if sent := pxSet(res) != nil; sent != (row.want == nil) {
			t.Errorf("%s: cookie sent %t", row.name, sent)
		}
		pxSent(t, pxDo(m, "", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, row.name+": SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}))
		}, row.edits...))
	}
}

func TestGuards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		stale := pxSignIn(t, m, "alice")
		time.Sleep(24 * time.Hour)
		fresh := pxSignIn(t, m, "alice")
		user, recent := m.RequireUser(pxFunc(pxRead)), m.RequireFresh(pxFunc(pxRead))
		for _, row := range []struct {
			name   string
			h      http.Handler
			cookie string
			want   int
		}{
			{"RequireUser, nobody", m.Handler(user), "", 401},
			{"RequireUser, a visitor", m.Handler(user), pxAnonymous(t, m, "x"), 401},
			{"RequireUser, a user", m.Handler(user), stale, 200},
			{"RequireUser outside Handler", user, stale, 500},
			{"RequireUser in another manager's Handler", pxManager(t, memstore.New(memstore.Options{}), session.Config{}).Handler(user), stale, 500},
			{"RequireFresh, nobody", m.Handler(recent), "", 401},
			{"RequireFresh, authenticated a day ago", m.Handler(recent), stale, 403},
			{"RequireFresh, authenticated now", m.Handler(recent), fresh, 200},
			{"RequireFresh outside Handler", recent, fresh, 500},
		} {
			if res := pxServe(row.h, row.cookie); res.StatusCode != row.want {
				t.Errorf("%s: got %s, want %d", row.name, res.Status, row.want)
			}
		}
	})
}

func TestErrorHandlerAnswersInTheApplicationsWay(t *testing.T) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		if errors.Is(err, session.ErrNoSession) {
			w.Header().Set("Location", "/login")
			w.WriteHeader(http.StatusSeeOther)
		} // otherwise silent, which must not become a 200
	}})
	guarded := m.Handler(m.RequireUser(pxFunc(pxRead)))
	if res := pxServe(guarded, ""); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/login" {
		t.Errorf("got %s to %q, want 303 to /login", res.Status, res.Header.Get("Location"))
	}
	cookie := pxSignIn(t, m, "alice")
	store.before = func(context.Context, pxOp) error { return errStoreDown }
	if res := pxServe(guarded, cookie); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("silent ErrorHandler: got %s, want 503", res.Status)
	}
}

func TestSessionsShowsTheUsersOwnLiveSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		first := pxSignIn(t, m, "alice")
		time.Sleep(time.Hour)
		second := pxSignInWith(t, m, pxAnonymous(t, m, "cart"), "alice", session.SignInOptions{Method: "passkey", Level: session.AAL2})
		pxSignIn(t, m, "bob")
		pxSignIn(t, m, "Alice")
		list, err := m.Sessions(t.Context(), "alice")
		if err != nil || len(list) != 2 || list[0].ID != pxID(second) || list[1].ID != pxID(first) {
			t.Fatalf("got %v, %v, want the second and the first", list, err)
		}
		if i := list[0]; i.Method != "passkey" || i.Level != session.AAL2 || i.State != session.StateSignedIn || !i.Persistent ||
			i.IPAddress != "192.0.2.1" || time.Until(i.ExpiresAt) != 7*24*time.Hour || time.Until(i.NextRefresh) != 24*time.Hour {
			t.Errorf("got %+v", i)
		}
		time.Sleep(7*24*time.Hour - time.Hour)
		if list, err := m.Sessions(t.Context(), "alice"); len(list) != 1 || err != nil {
			t.Errorf("after the first expired: got %v, %v, want one", list, err)
		}
	})
}

func TestRevokeOthersKeepsThisSession(t *testing.T) {
	events := &pxEvents{}
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{OnEvent: events.hook})
	this, other, bob := pxSignIn(t, m, "alice"), pxSignIn(t, m, "alice"), pxSignIn(t, m, "bob")
	pending := pxSignInWith(t, m, "", "alice", session.SignInOptions{Pending: true})
	events.take()
	pxDo(m, this, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		n, err := m.RevokeOthers(r.Context(), s)
		if n != 2 || err != nil {
			t.Errorf("got %d, %v, want 2", n, err)
		}
	})
	testEvents(t, "revoke others", events.take(), []session.Event{{Kind: session.EventRevoked, UserID: "alice", Count: 2}})
	if pxUser(m, this) != "alice" || pxUser(m, other) != "" || pxUser(m, bob) != "bob" {
		t.Error("RevokeOthers ended the wrong sessions")
	}
	pxDo(m, pending, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		if s.PendingUserID() != "" {
			t.Error("RevokeOthers left a pending session, whose first factor may be the old password")
		}
	})
	_, err := m.RevokeOthers(t.Context(), nil)
	pxIs(t, "RevokeOthers(nil)", err, session.ErrNoSession)
}

func TestRevokeTellsNothingOfOtherUsers(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	bob, visitor := pxSignIn(t, m, "bob"), pxAnonymous(t, m, "x")
	moved := pxAnonymous(t, m, "x")
	pxSignInWith(t, m, moved, "alice", session.SignInOptions{})
	for _, id := range []string{pxID(bob), pxID(visitor), pxID(moved), strings.Repeat("A", 24), "", "../../etc", "\x00"} {
		err := m.Revoke(t.Context(), "alice", id)
		if err != session.ErrNotFound {
			t.Errorf("Revoke(%q): got %v, want the very same ErrNotFound", id, err)
		}
	}
	pxIs(t, "Revoke of a visitor's", m.Revoke(t.Context(), "", pxID(visitor)), session.ErrNotFound)
	if pxUser(m, bob) != "bob" || pxGet(m, visitor, pxName) != "x" {
		t.Error("somebody else's session was ended")
	}
}

func TestNotBeforeSignsEveryoneOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := pxFaultyAll()
		var cut atomic.Pointer[time.Time]
		cut.Store(new(time.Time))
		m := pxManager(t, store, session.Config{NotBefore: func() time.Time { return *cut.Load() }})
		alice, visitor := pxSignIn(t, m, "alice"), pxAnonymous(t, m, "cart")
		time.Sleep(time.Second)
		now := time.Now()
		cut.Store(&now)
		store.reset()
		if list, err := m.Sessions(t.Context(), "alice"); len(list) != 0 || err != nil || store.writes() != 0 {
			t.Errorf("got %v, %v, %d writes, want nothing", list, err, store.writes())
		}
		if pxUser(m, alice) != "" || pxGet(m, visitor, pxName) != "cart" {
			t.Error("NotBefore left a user in, or ended a visitor's session")
		}
		if user := pxUser(m, pxSignIn(t, m, "alice")); user != "alice" {
			t.Errorf("a sign-in at that time: got user %q, want alice", user)
		}
	})
}

func TestEventsAreToldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &pxEvents{}
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{OnEvent: events.hook})
		visitor := pxAnonymous(t, m, "cart")
		testEvents(t, "anonymous", events.take(), []session.Event{{Kind: session.EventCreated, SessionID: pxID(visitor)}})
		login := pxSignInWith(t, m, visitor, "alice", session.SignInOptions{})
		id := pxID(login)
		testEvents(t, "sign in", events.take(), []session.Event{
			{Kind: session.EventCreated, SessionID: id, UserID: "alice"}, {Kind: session.EventSignedIn, SessionID: id, UserID: "alice"}})
		login = pxSignInWith(t, m, login, "alice", session.SignInOptions{})
		testEvents(t, "again", events.take(), []session.Event{{Kind: session.EventSignedIn, SessionID: id, UserID: "alice"}})
		pxDo(m, visitor, pxRead)
		testEvents(t, "late", events.take(), []session.Event{{Kind: session.EventRejectedToken, SessionID: pxID(visitor)}})
		time.Sleep(24 * time.Hour)
		pxDo(m, login, pxRead)
		testEvents(t, "refresh", events.take(), []session.Event{{Kind: session.EventRefreshed, SessionID: id, UserID: "alice"}})
		pxSignOut(t, m, login)
		testEvents(t, "sign out", events.take(), []session.Event{{Kind: session.EventSignedOut, SessionID: id, UserID: "alice"}})
		pxDo(m, login, pxRead)
		testEvents(t, "unknown", events.take(), []session.Event{{Kind: session.EventRejectedToken, SessionID: id}})
		over := pxSignInWith(t, m, pxSignIn(t, m, "alice"), "bob", session.SignInOptions{})
		testEvents(t, "another user", events.take()[3:], []session.Event{
			{Kind: session.EventCreated, SessionID: pxID(over), UserID: "bob"}, {Kind: session.EventSignedIn, SessionID: pxID(over), UserID: "bob"}})
		login = pxSignIn(t, m, "alice")
		pxOK(t, "Revoke", m.Revoke(t.Context(), "alice", pxID(login)))
		testEvents(t, "revoke", events.take()[2:], []session.Event{{Kind: session.EventRevoked, SessionID: pxID(login), UserID: "alice"}})
		login = pxSignIn(t, m, "alice")
		events.take()
		time.Sleep(7 * 24 * time.Hour)
		pxDo(m, login, pxRead)
		testEvents(t, "expired", events.take(), []session.Event{{Kind: session.EventExpired, SessionID: pxID(login), UserID: "alice"}})
	})
}

// The hook runs in the goroutine of the event, where no lock may be held.
func TestEventHookMayUseTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m *session.Manager
		var kinds []session.EventKind
		m = pxManager(t, memstore.New(memstore.Options{}), session.Config{RotateEvery: time.Hour, OnEvent: func(ctx context.Context, e session.Event) {
			kinds = append(kinds, e.Kind)
			s := session.FromContext(ctx)
			_, _, _, _ = s.ID(), s.UserID(), s.Fresh(), s.Info()
			_, _ = pxName.Get(s)
			_ = pxColor.Set(s, "seen")
			_ = s.Commit(ctx)
			_, _ = m.Sessions(ctx, "alice")
		}})
		cookie := pxRotate(t, m, pxSignIn(t, m, "alice"))
		time.Sleep(25 * time.Hour)
		cookie = pxSent(t, pxDo(m, cookie, pxRead))
		pxSignOut(t, m, cookie)
		if len(kinds) < 5 {
			t.Errorf("the hook was told of %v only", kinds)
		}
	})
}
