package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
)

// pxMerging are stores on which parallel writers of one session must lose nothing.
var pxMerging = []struct {
	name string
	make func() session.Store
}{
	{"compare and set", func() session.Store { return pxFaulty() }},
	{"every 2nd write conflicts", func() session.Store { return pxConflicting(2) }},
	{"every 3rd write conflicts", func() session.Store { return pxConflicting(3) }},
	{"patch", func() session.Store { return pxFaultyAll() }},
}

// pxConflicting is a store on which every n-th update meets another writer.
func pxConflicting(n int) *pxFault {
	f := pxFaulty()
	f.before = func(_ context.Context, op pxOp) error {
		if op.name == "Update" && op.n%n == 0 {
			return fmt.Errorf("update: %w", session.ErrConflict)
		}
		return nil
	}
	return f
}

func TestParallelWritersLoseNothing(t *testing.T) {
	const rounds = 5
	for _, stores := range pxMerging {
		for _, n := range []int{2, 16} {
			t.Run(fmt.Sprintf("%s, %d writers", stores.name, n), func(t *testing.T) {
				m := pxManager(t, stores.make(), session.Config{})
				cookie := pxSignIn(t, m, "alice")
				pxParallel(n, func(i int) {
					for round := range rounds {
						res := pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
							pxOK(t, "Set", pxWriter(i).Set(s, round))
							if round > 0 {
								pxOK(t, "Delete", session.Key[int](fmt.Sprint(i, round-1)).Delete(s))
							}
							pxOK(t, "Set", session.Key[int](fmt.Sprint(i, round)).Set(s, i))
						})
						if res.StatusCode != http.StatusOK {
							t.Errorf("writer %d was answered %s", i, res.Status)
						}
					}
				})
				pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					for i := range n {
						last, ok := pxWriter(i).Get(s)
						_, before := session.Key[int](fmt.Sprint(i, rounds-2)).Get(s)
						own, kept := session.Key[int](fmt.Sprint(i, rounds-1)).Get(s)
						if last != rounds-1 || !ok || before || own != i || !kept {
							t.Errorf("writer %d: last %d, %t; deleted value %t; own %d, %t", i, last, ok, before, own, kept)
						}
					}
				})
			})
		}
	}
}

// A conflict that never ends is bounded by the time of a commit and not by a
// number of tries, which a busy session would use up at once.
func TestCommitIsBoundedByTime(t *testing.T) {
	for _, row := range []struct {
		name   string
		before func(ctx context.Context, op pxOp) error
	}{
		{"conflicts for ever", func(_ context.Context, op pxOp) error {
			if op.name == "Update" {
				return session.ErrConflict
			}
			return nil
		}},
		{"hangs", func(ctx context.Context, op pxOp) error {
			if op.name == "Update" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := pxFaulty()
			m := pxManager(t, store, session.Config{})
			cookie := pxSignIn(t, m, "alice")
			store.before = row.before
			start := time.Now()
			res := pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				pxOK(t, "Set", pxName.Set(s, "x"))
			})
			if took := time.Since(start); took < 3*time.Second || took > 3100*time.Millisecond {
				t.Errorf("%s: took %v, want 3 s", row.name, took)
			}
			if calls, _ := store.called("Update"); row.name == "conflicts for ever" && calls < 50 {
				t.Errorf("tried %d times in 3 s", calls)
			}
			if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
				t.Errorf("%s: got %s, want 503", row.name, res.Status)
			}
			pxNoCookie(t, res)
			store.before = nil
			if user := pxUser(m, cookie); user != "alice" {
				t.Errorf("%s: the session is of %q afterwards", row.name, user)
			}
		})
	}
}

// Every write that hangs ends, and says that the store could not be asked.
func TestEveryWriteIsBounded(t *testing.T) {
	for _, row := range []struct {
		name  string
		write func(r *http.Request, m *session.Manager, s *session.Session) error
	}{
		{"SignIn again", func(r *http.Request, _ *session.Manager, s *session.Session) error {
			return s.SignIn(r.Context(), "alice", session.SignInOptions{})
		}},
		{"SignIn of bob", func(r *http.Request, _ *session.Manager, s *session.Session) error {
			return s.SignIn(r.Context(), "bob", session.SignInOptions{})
		}},
		{"Rotate", func(r *http.Request, _ *session.Manager, s *session.Session) error { return s.Rotate(r.Context()) }},
		{"SignOut", func(r *http.Request, _ *session.Manager, s *session.Session) error { return s.SignOut(r.Context()) }},
		{"Update", func(r *http.Request, _ *session.Manager, s *session.Session) error {
			return pxCount.Update(r.Context(), s, func(n int) (int, error) { return n + 1, nil })
		}},
		{"RevokeAll", func(r *http.Request, m *session.Manager, _ *session.Session) error {
			_, err := m.RevokeAll(r.Context(), "alice")
			return err
		}},
		{"Revoke", func(r *http.Request, m *session.Manager, s *session.Session) error {
			return m.Revoke(r.Context(), "alice", s.ID())
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := pxFaulty()
			m := pxManager(t, store, session.Config{})
			cookie := pxSignIn(t, m, "alice")
			res := pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				store.before = func(ctx context.Context, op pxOp) error {
					<-ctx.Done()
					return ctx.Err()
				}
				start := time.Now()
				pxIs(t, row.name, row.write(r, m, s), session.ErrUnavailable)
				want := 3 * time.Second
				if row.name == "SignIn of bob" {
					want *= 2 // to undo what the store may have done has a time of its own
				}
				if took := time.Since(start); took != want {
					t.Errorf("%s: took %v, want %v", row.name, took, want)
				}
				store.before = nil
			})
			pxNoCookie(t, res)
			if user := pxUser(m, cookie); user != "alice" {
				t.Errorf("%s: the session is of %q afterwards", row.name, user)
			}
		})
	}
}

// A refresh that hangs or fails is no reason to fail the request.
func TestFailedRefreshIsAnEventAndTheRequestGoesOn(t *testing.T) {
	for _, row := range []struct {
		name string
		fail func(ctx context.Context) error
		took time.Duration
	}{
		{"fails", func(context.Context) error { return errStoreDown }, 0},
		{"hangs", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := pxFaulty()
			events := &pxEvents{}
			m := pxManager(t, store, session.Config{OnEvent: events.hook})
			cookie := pxSignIn(t, m, "alice")
			time.Sleep(25 * time.Hour)
			events.take()
			store.before = func(ctx context.Context, op pxOp) error {
				if op.name == "Update" {
					return row.fail(ctx)
				}
				return nil
			}
			start := time.Now()
			if user := pxUser(m, cookie); user != "alice" || time.Since(start) != row.took {
				t.Errorf("%s: got user %q after %v, want alice after %v", row.name, user, time.Since(start), row.took)
			}
			testEvents(t, row.name, events.take(), []session.Event{{Kind: session.EventStoreError, SessionID: pxID(cookie)}})
			store.before = nil
			pxSent(t, pxDo(m, cookie, pxRead)) // the next request tries again
		})
	}
}

// A client that hung up while its session was loaded is no outage.
func TestCancelledClientIsNoOutage(t *testing.T) {
	store := pxFaulty()
	events := &pxEvents{}
	m := pxManager(t, store, session.Config{OnEvent: events.hook})
	cookie := pxSignIn(t, m, "alice")
	events.take()
	ctx, hangUp := context.WithCancel(t.Context())
	store.before = func(ctx context.Context, _ pxOp) error {
		hangUp()
		return fmt.Errorf("load: %w", ctx.Err())
	}
	ran := false
	res := pxDo(m, cookie, func(http.ResponseWriter, *http.Request, *session.Session) { ran = true },
		func(r *http.Request) { *r = *r.WithContext(ctx) })
	if kinds := events.kinds(); ran || kinds != "" || res.StatusCode != 499 || res.Header.Get("Retry-After") != "" {
		t.Errorf("got handler run %t, events %q, %s", ran, kinds, res.Status)
	}
	pxNoCookie(t, res)
}

// The store's own cancellation, of a lookup that requests share, say, is an
// outage for a client that is still there.
func TestCancellationInsideTheStoreIsAnOutage(t *testing.T) {
	store := pxFaulty()
	events := &pxEvents{}
	m := pxManager(t, store, session.Config{OnEvent: events.hook})
	cookie := pxSignIn(t, m, "alice")
	events.take()
	cancelled := func(name string) func(context.Context, pxOp) error {
		return func(_ context.Context, op pxOp) error {
			if op.name == name {
				return fmt.Errorf("%s: %w", name, context.Canceled)
			}
			return nil
		}
	}
	for _, name := range []string{"Load", "Update"} {
		store.before = cancelled(name)
		res := pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			pxOK(t, "Set", pxName.Set(s, "x"))
		})
		if kinds := events.kinds(); kinds != "store error" || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: got events %q, %s, Retry-After %q, want 503", name, kinds, res.Status, res.Header.Get("Retry-After"))
		}
	}
}

// The session ends between the load and every single step of the write.
func TestRevocationDuringCommitWins(t *testing.T) {
	for _, row := range []struct {
		name     string
		when     string // the operation before which the session is revoked
		nth      int
		conflict bool // another writer comes between first
	}{
		{"before the write", "Update", 1, false},
		{"before the write that another writer delays", "Update", 2, true},
		{"before the load that follows a conflict", "Load", 1, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			store := pxFaulty()
			m := pxManager(t, store, session.Config{})
			cookie := pxSignIn(t, m, "alice")
			res := pxDo(m, cookie, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
				store.reset()
				store.before = func(ctx context.Context, op pxOp) error {
					if op.name == row.when && op.n == row.nth {
						pxOK(t, "Delete", store.Store.Delete(ctx, pxID(cookie)))
					}
					if op.name == "Update" && row.conflict && op.n == 1 {
						return session.ErrConflict
					}
					return nil
				}
				pxOK(t, "Set", pxName.Set(s, "late"))
				_, err := io.WriteString(w, "SECRET")
				pxIs(t, "Write", err, session.ErrRevoked)
				if s.ID() != "" || s.UserID() != "" {
					t.Errorf("afterwards the request still has %v", s)
				}
			})
			pxNoCookie(t, res)
			if res.StatusCode != http.StatusUnauthorized || strings.Contains(pxBody(t, res), "SECRET") {
				t.Errorf("got %s, want 401 and nothing of the handler's", res.Status)
			}
			store.before = nil
			pxEnded(t, m, store, cookie)
		})
	}
}

// A store that fails its n-th operation, whichever it is: no request panics,
// nobody gets somebody else's view, and once the store is back everything works.
func TestAnySingleFailureIsSurvived(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for n := 1; n <= 12; n++ {
			t.Run(fmt.Sprintf("operation %d, reply lost %t", n, lost), func(t *testing.T) { testSingleFailure(t, n, lost) })
		}
	}
}

func testSingleFailure(t *testing.T, n int, lost bool) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{MaxSessions: 2})
	visitor := pxAnonymous(t, m, "cart")
	var count atomic.Int32
	fail := func(context.Context, pxOp) error {
		if int(count.Add(1)) == n {
			return errStoreDown
		}
		return nil
	}
	if store.before = fail; lost {
		store.before, store.after = nil, fail
	}
	signedIn := false
	res := pxDo(m, visitor, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		_ = pxColor.Set(s, "red")
		signedIn = s.SignIn(r.Context(), "alice", session.SignInOptions{}) == nil
		_ = pxCount.Update(r.Context(), s, func(n int) (int, error) { return n + 1, nil })
		_ = pxColor.Set(s, "blue")
	})
	store.before, store.after = nil, nil
	cookie := visitor
	if c := pxSet(res); c != nil {
		cookie = c.Name + "=" + c.Value
	}
	if user := pxUser(m, cookie); signedIn != (user == "alice") {
		t.Errorf("sign-in succeeded %t, and the cookie is of %q", signedIn, user)
	}
	if name := pxGet(m, cookie, pxName); name != "cart" && !lost {
		t.Errorf("the visitor's value is %q, want cart", name)
	}
	pxSignOut(t, m, cookie)
	if user := pxUser(m, cookie); user != "" {
		t.Errorf("after SignOut the cookie is of %q", user)
	}
	if user := pxUser(m, pxSignIn(t, m, "alice")); user != "alice" {
		t.Errorf("afterwards a sign-in gives user %q", user)
	}
}

// A value whose commit's reply is lost is stored once, and the request is told
// that nobody knows.
func TestLostReplyOfACommitIsAnOutage(t *testing.T) {
	for _, stores := range pxStores {
		store, fault := stores.make()
		m := pxManager(t, store, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		fault.after = func(_ context.Context, op pxOp) error {
			if op.name == "Update" || op.name == "Patch" {
				return errStoreDown
			}
			return nil
		}
		res := pxPut(t, m, cookie, pxName, "kept")
		fault.after = nil
		if name := pxGet(m, cookie, pxName); res.StatusCode != http.StatusServiceUnavailable || name != "kept" {
			t.Errorf("%s: got %s and name %q, want 503 and kept", stores.name, res.Status, name)
		}
	}
}

// The counter's write was made, and only its reply lost.
func TestLostReplyOfAnUpdateCountsOnce(t *testing.T) {
	for _, stores := range pxStores {
		store, fault := stores.make()
		m := pxManager(t, store, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		fault.reset()
		fault.after = func(_ context.Context, op pxOp) error {
			if op.name == "Update" && op.n == 1 {
				return errStoreDown
			}
			return nil
		}
		pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			add := func(n int) (int, error) { return n + 1, nil }
			if pxCount.Update(r.Context(), s, add) != nil {
				return // nobody knows: the application decides
			}
			pxOK(t, "second Update", pxCount.Update(r.Context(), s, add))
			if n, _ := pxCount.Get(s); n != 2 {
				t.Errorf("%s: counted %d, want 2", stores.name, n)
			}
		})
	}
}

// A sign-in whose reply is lost leaves no session that lives for a week and that
// nobody has the token of.
func TestLostReplyOfASignInLeavesNoSessionBehind(t *testing.T) {
	for _, lose := range []string{"Create", "Update"} {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{})
		visitor := pxAnonymous(t, m, "cart")
		store.after = func(_ context.Context, op pxOp) error {
			if op.name == lose {
				return errStoreDown
			}
			return nil
		}
		res := pxDo(m, visitor, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxIs(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}), session.ErrUnavailable)
		})
		pxNoCookie(t, res)
		store.after = nil
		if list, err := m.Sessions(t.Context(), "alice"); len(list) != 0 || err != nil {
			t.Errorf("reply of %s lost: got sessions %v, %v, want none", lose, list, err)
		}
	}
}

// The same with the commonest of lost replies: a timeout, which leaves the
// context of the sign-in no time to undo anything.
func TestTimedOutSignInLeavesNoSessionBehind(t *testing.T) {
	for _, hang := range []string{"Create", "Update"} {
		synctest.Test(t, func(t *testing.T) {
			store := pxFaulty()
			m := pxManager(t, store, session.Config{})
			visitor := pxAnonymous(t, m, "cart")
			store.after = func(ctx context.Context, op pxOp) error {
				if op.name == hang {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			}
			res := pxDo(m, visitor, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				pxIs(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}), session.ErrUnavailable)
			})
			pxNoCookie(t, res)
			store.after = nil
			if list, err := m.Sessions(t.Context(), "alice"); len(list) != 0 || err != nil {
				t.Errorf("reply of %s timed out: got sessions %v, %v, want none", hang, list, err)
			}
		})
	}
}

// A single lost reply costs nobody his session. Whatever the call returns, the
// token the client has afterwards is good: the old one, or the new one if it was
// sent. Contract: a repeated Update with the same version succeeds.
func TestLostReplyCostsNobodyHisSession(t *testing.T) {
	for _, row := range []struct {
		name  string
		start func(t *testing.T, m *session.Manager) string
		act   func(r *http.Request, s *session.Session) error
	}{
		{"rotate", func(t *testing.T, m *session.Manager) string {
			return pxSignInWith(t, m, pxAnonymous(t, m, "cart"), "alice", session.SignInOptions{})
		}, func(r *http.Request, s *session.Session) error { return s.Rotate(r.Context()) }},
		{"authenticate again", func(t *testing.T, m *session.Manager) string {
			return pxSignInWith(t, m, pxAnonymous(t, m, "cart"), "alice", session.SignInOptions{})
		}, func(r *http.Request, s *session.Session) error {
			return s.SignIn(r.Context(), "alice", session.SignInOptions{})
		}},
		{"sign in a visitor", func(t *testing.T, m *session.Manager) string { return pxAnonymous(t, m, "cart") },
			func(r *http.Request, s *session.Session) error {
				return s.SignIn(r.Context(), "alice", session.SignInOptions{})
			}},
	} {
		for _, lose := range []string{"Create", "Update"} {
			store := pxFaulty()
			m := pxManager(t, store, session.Config{})
			cookie := row.start(t, m)
			store.reset()
			store.after = func(_ context.Context, op pxOp) error {
				if op.name == lose && op.n == 1 {
					return errStoreDown
				}
				return nil
			}
			res := pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) { _ = row.act(r, s) })
			store.after = nil
			if name := pxGet(m, pxNext(res, cookie), pxName); name != "cart" {
				t.Errorf("%s, reply of %s lost: the client's token has name %q, want cart", row.name, lose, name)
			}
		}
	}
}

// A store that panics: the panic goes on, no lock stays held, and what the
// handler writes after it has recovered does not pass for a success.
func TestStorePanicGoesOnAndLeavesNoLock(t *testing.T) {
	for _, name := range []string{"Load", "Update", "Create"} {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		if name == "Create" {
			cookie = ""
		}
		store.before = func(_ context.Context, op pxOp) error {
			if op.name == name {
				panic("store bug")
			}
			return nil
		}
		func() {
			defer func() {
				if got := recover(); got != "store bug" {
					t.Errorf("%s: recovered %v, want the store's panic", name, got)
				}
			}()
			pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				pxOK(t, "Set", pxName.Set(s, "x"))
			})
		}()
		store.before = nil
		if cookie != "" && pxUser(m, cookie) != "alice" {
			t.Errorf("%s: afterwards the session is of %q", name, pxUser(m, cookie))
		}
	}
}

// A middleware inside ours recovers from the store's panic and answers. The
// commit does not run again, so that later values have to be refused.
func TestStorePanicThatAHandlerRecoversIsNotSilent(t *testing.T) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{})
	cookie := pxSignIn(t, m, "alice")
	store.before = func(_ context.Context, op pxOp) error {
		if op.name == "Update" {
			panic("store bug")
		}
		return nil
	}
	res := pxDo(m, cookie, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		pxOK(t, "Set", pxName.Set(s, "x"))
		func() {
			defer func() { _ = recover() }()
			_, _ = io.WriteString(w, "saved")
		}()
		pxIs(t, "Set after the panic", pxColor.Set(s, "late"), session.ErrCommitted)
		http.Error(w, "our fault", http.StatusInternalServerError)
	})
	if body := pxBody(t, res); res.StatusCode != http.StatusInternalServerError || body != "our fault\n" {
		t.Errorf("got %s, %q, want the handler's 500", res.Status, body)
	}
}

// Two cookies of one name, and the store goes down between the two lookups.
func TestRequestIsRefusedIfAnyOfItsTokensCannotBeLookedUp(t *testing.T) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{})
	alice, other := pxSignIn(t, m, "alice"), pxSignIn(t, m, "alice")
	store.before = func(_ context.Context, op pxOp) error {
		if op.id == pxID(other) {
			return errStoreDown
		}
		return nil
	}
	for _, cookies := range []string{alice + "; " + other, other + "; " + alice} {
		if res := pxDo(m, cookies, pxRead); res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("got %s, want 503", res.Status)
		}
	}
}

// The session was loaded a moment before its end, and refreshed by another
// request before that end. The first request sees an expired record, and must
// not delete what has been prolonged.
func TestExpiryDoesNotEndWhatWasRefreshedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{ExpiresIn: time.Hour, UpdateAge: time.Minute})
		cookie := pxSignIn(t, m, "alice")
		time.Sleep(time.Hour - time.Millisecond)
		store.reset()
		store.after = func(_ context.Context, op pxOp) error {
			if op.name == "Load" && op.n == 1 { // its reply takes a while
				pxSent(t, pxDo(m, cookie, pxRead))
				time.Sleep(10 * time.Millisecond)
			}
			return nil
		}
		pxDo(m, cookie, pxRead)
		if user := pxUser(m, cookie); user != "alice" {
			t.Errorf("the session that was just refreshed is of %q", user)
		}
	})
}

func TestStoreErrorsKeepTheirCause(t *testing.T) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{})
	store.before = func(context.Context, pxOp) error { return errStoreDown }
	_, err := m.Sessions(t.Context(), "alice")
	if !errors.Is(err, session.ErrUnavailable) || !errors.Is(err, errStoreDown) {
		t.Errorf("got %v, want ErrUnavailable with its cause", err)
	}
}
