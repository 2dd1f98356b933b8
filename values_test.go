package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

type pxCart struct {
	Items []string `json:"items,omitempty"`
	Owner *string  `json:"owner,omitempty"`
}

const pxCartKey = session.Key[pxCart]("cart")

// pxEvery runs fn with a new visitor, a visitor who has a session, and a user,
// on a store that merges and one that does not.
func pxEvery(t *testing.T, fn func(t *testing.T, m *session.Manager, store *pxFault, cookie string)) {
	t.Helper()
	for _, stores := range pxStores {
		for _, who := range []string{"a new visitor", "a visitor", "a user"} {
			t.Run(stores.name+", "+who, func(t *testing.T) {
				store, fault := stores.make()
				m := pxManager(t, store, session.Config{})
				cookie := map[string]func() string{
					"a new visitor": func() string { return "" },
					"a visitor":     func() string { return pxAnonymous(t, m, "before") },
					"a user": func() string {
						return pxSignInWith(t, m, pxAnonymous(t, m, "before"), "alice", session.SignInOptions{})
					},
				}[who]()
				fn(t, m, fault, cookie)
			})
		}
	}
}

// pxNext returns the cookie after a response: the new one, or else the old.
func pxNext(res *http.Response, cookie string) string {
	if c := pxSet(res); c != nil {
		return c.Name + "=" + c.Value
	}
	return cookie
}

func TestValuesAreReadBackAtOnceAndByTheNextRequest(t *testing.T) {
	pxEvery(t, func(t *testing.T, m *session.Manager, _ *pxFault, cookie string) {
		owner := "alice"
		check := func(s *session.Session) {
			t.Helper()
			got, ok := pxCartKey.Get(s)
			if !ok || len(got.Items) != 2 || got.Owner == nil || *got.Owner != owner {
				t.Errorf("got %+v, %t", got, ok)
			}
		}
		res := pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			pxOK(t, "Set", pxCartKey.Set(s, pxCart{Items: []string{"a", "b"}, Owner: &owner}))
			check(s)
		})
		cookie = pxNext(res, cookie)
		pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { check(s) })
	})
}

// What a handler does to a value it got does not reach the session.
func TestValuesAreCopies(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	pxDo(m, "", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		items := []string{"a"}
		pxOK(t, "Set", pxCartKey.Set(s, pxCart{Items: items}))
		items[0] = "changed"
		got, _ := pxCartKey.Get(s)
		got.Items[0] = "changed too"
		if again, _ := pxCartKey.Get(s); again.Items[0] != "a" {
			t.Errorf("got %q, want a", again.Items[0])
		}
	})
}

func TestTakeShowsAMessageOnce(t *testing.T) {
	pxEvery(t, func(t *testing.T, m *session.Manager, _ *pxFault, cookie string) {
		cookie = pxNext(pxPut(t, m, cookie, pxColor, "hello"), cookie)
		take := func(want string, wantOK bool) {
			t.Helper()
			pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				got, ok := pxColor.Take(s)
				if got != want || ok != wantOK {
					t.Errorf("Take: got %q, %t, want %q, %t", got, ok, want, wantOK)
				}
				if again, ok := pxColor.Take(s); ok {
					t.Errorf("Take again: got %q", again)
				}
			})
		}
		take("hello", true)
		take("", false)
	})
}

func TestDeleteRemovesAValue(t *testing.T) {
	pxEvery(t, func(t *testing.T, m *session.Manager, store *pxFault, cookie string) {
		cookie = pxNext(pxPut(t, m, cookie, pxColor, "red"), cookie)
		pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			pxOK(t, "Delete", pxColor.Delete(s))
			if _, ok := pxColor.Get(s); ok {
				t.Error("the value is there after Delete")
			}
		})
		if got := pxGet(m, cookie, pxColor); got != "none" {
			t.Errorf("the next request gets %q", got)
		}
		store.reset()
		pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			pxOK(t, "Delete of nothing", pxColor.Delete(s))
		})
		if n := store.writes(); n != 0 {
			t.Errorf("deleting what is not there made %d writes", n)
		}
	})
}

// Deleting begins no session.
func TestVisitorWithOnlyDeletionsHasNoSession(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	pxNoCookie(t, pxDo(m, "", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		pxOK(t, "Set", pxColor.Set(s, "red"))
		pxOK(t, "Delete", pxColor.Delete(s))
		_, _ = pxName.Take(s)
		if s.ID() != "" {
			t.Errorf("there is session %s", s.ID())
		}
	}))
}

func TestNilIsAValue(t *testing.T) {
	pointer := session.Key[*pxCart]("pointer")
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	res := pxDo(m, "", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		if v, ok := pointer.Get(s); v != nil || ok {
			t.Errorf("before Set: got %v, %t", v, ok)
		}
		pxOK(t, "Set", pointer.Set(s, nil))
	})
	pxDo(m, pxSent(t, res), func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		if v, ok := pointer.Get(s); v != nil || !ok {
			t.Errorf("got %v, %t, want nil, true", v, ok)
		}
		if v, ok := session.Key[string]("pointer").Get(s); v != "" || !ok {
			t.Errorf("as a string: got %q, %t, want empty, true", v, ok)
		}
	})
}

func TestNilSessionReadsAsEmpty(t *testing.T) {
	s := session.FromContext(context.Background())
	if s != nil || s.ID() != "" || s.UserID() != "" || s.PendingUserID() != "" || s.Fresh() || s.Info() != (session.Info{}) {
		t.Errorf("got %v, want an empty session", s)
	}
	if _, ok := pxName.Get(s); ok {
		t.Error("Get: a nil session has a value")
	}
	if _, ok := pxName.Take(s); ok {
		t.Error("Take: a nil session has a value")
	}
	if _, ok := s.Token(); ok {
		t.Error("a nil session has a token")
	}
	ctx := t.Context()
	for what, err := range map[string]error{
		"Set":     pxName.Set(s, "x"),
		"Delete":  pxName.Delete(s),
		"Update":  pxName.Update(ctx, s, func(v string) (string, error) { return v, nil }),
		"Commit":  s.Commit(ctx),
		"SignIn":  s.SignIn(ctx, "alice", session.SignInOptions{}),
		"SignOut": s.SignOut(ctx),
		"Rotate":  s.Rotate(ctx),
	} {
		pxIs(t, what, err, session.ErrNoSession)
	}
	if got := fmt.Sprintf("%v %+v %#v", s, s, s); !strings.Contains(got, "no session") {
		t.Errorf("prints as %q", got)
	}
}

func TestValueOfAnotherTypeIsAbsentAndAnEvent(t *testing.T) {
	events := &pxEvents{}
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{OnEvent: events.hook})
	cookie := pxAnonymous(t, m, "SECRET")
	events.take()
	number := session.Key[int](pxName)
	pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		if v, ok := number.Get(s); v != 0 || ok {
			t.Errorf("got %d, %t, want 0, false", v, ok)
		}
		list := events.take()
		testEvents(t, "Get", list, []session.Event{
			{Kind: session.EventUnreadableRecord, SessionID: pxID(cookie), Err: session.ErrUnreadable}})
		if strings.Contains(fmt.Sprint(list[0].Err), "SECRET") {
			t.Errorf("the event quotes the value: %v", list[0].Err)
		}
		err := number.Update(r.Context(), s, func(int) (int, error) { return 1, nil })
		pxIs(t, "Update", err, session.ErrUnreadable)
		pxOK(t, "Set", number.Set(s, 7)) // replacing it is the way out
		if v, ok := number.Get(s); v != 7 || !ok {
			t.Errorf("after Set: got %d, %t", v, ok)
		}
	})
}

func TestValueWithoutJSONChangesNothing(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	bad := session.Key[any](pxName)
	pxDo(m, pxAnonymous(t, m, "kept"), func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		if bad.Set(s, make(chan int)) == nil {
			t.Error("Set of a channel succeeds")
		}
		if bad.Update(r.Context(), s, func(any) (any, error) { return make(chan int), nil }) == nil {
			t.Error("Update to a channel succeeds")
		}
		if v, _ := pxName.Get(s); v != "kept" {
			t.Errorf("got %q, want kept", v)
		}
	})
}

func TestValuesAreLimitedTogether(t *testing.T) {
	pxEvery(t, func(t *testing.T, m *session.Manager, _ *pxFault, cookie string) {
		half := strings.Repeat("x", 32<<10)
		res := pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, "Set of a half", pxColor.Set(s, half))
			other := session.Key[string]("other")
			pxIs(t, "Set of the other half", other.Set(s, half), session.ErrTooLarge)
			pxIs(t, "Update to the other half", other.Update(r.Context(), s, func(string) (string, error) { return half, nil }), session.ErrTooLarge)
			pxIs(t, "Set of twice as much", pxColor.Set(s, half+half), session.ErrTooLarge)
			if v, ok := other.Get(s); ok {
				t.Errorf("what was refused is there, %d bytes", len(v))
			}
			if v, _ := pxColor.Get(s); v != half {
				t.Errorf("the value before has %d bytes, want %d", len(v), len(half))
			}
			pxOK(t, "Set of something small", other.Set(s, "small"))
		})
		if got := pxGet(m, pxNext(res, cookie), pxColor); res.StatusCode != http.StatusOK || got != half {
			t.Errorf("got %s and %d bytes", res.Status, len(got))
		}
	})
}

// Each of two requests stays below the limit, and together they exceed it.
func TestValuesThatAreTooLargeTogetherAre413(t *testing.T) {
	for _, stores := range pxStores {
		store, _ := stores.make()
		m := pxManager(t, store, session.Config{})
		cookie, half := pxSignIn(t, m, "alice"), strings.Repeat("x", 33<<10)
		res := pxDo(m, cookie, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			pxPut(t, m, cookie, pxColor, half)
			pxOK(t, "Set", pxName.Set(s, half))
			_, err := io.WriteString(w, "saved")
			pxIs(t, "Write", err, session.ErrTooLarge)
		})
		if got := pxGet(m, cookie, pxColor); res.StatusCode != http.StatusRequestEntityTooLarge || got != half || pxGet(m, cookie, pxName) != "none" {
			t.Errorf("%s: got %s, %d bytes of the first", stores.name, res.Status, len(got))
		}
	}
}

func TestKeysHaveOneTo1024Bytes(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	pxDo(m, pxSignIn(t, m, "alice"), func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		one := func(int) (int, error) { return 1, nil }
		for _, bad := range []session.Key[int]{"", session.Key[int](strings.Repeat("k", 1025))} {
			if bad.Set(s, 1) == nil || bad.Delete(s) == nil {
				t.Errorf("a key of %d bytes can be set or deleted", len(bad))
			}
			if bad.Update(r.Context(), s, one) == nil {
				t.Errorf("a key of %d bytes can be updated", len(bad))
			}
			if _, ok := bad.Get(s); ok {
				t.Errorf("a key of %d bytes has a value", len(bad))
			}
		}
		longest := session.Key[int](strings.Repeat("k", 1024))
		pxOK(t, "Set", longest.Set(s, 1))
		odd := session.Key[int]("\x00\xff😀")
		pxOK(t, "Update", odd.Update(r.Context(), s, one))
		if v, ok := odd.Get(s); v != 1 || !ok {
			t.Errorf("got %d, %t, want 1, true", v, ok)
		}
	})
}

func TestEqualSetWritesNothing(t *testing.T) {
	for _, stores := range pxStores {
		store, fault := stores.make()
		m := pxManager(t, store, session.Config{})
		cookie := pxSignInWith(t, m, pxAnonymous(t, m, "same"), "alice", session.SignInOptions{})
		fault.reset()
		pxNoCookie(t, pxPut(t, m, cookie, pxName, "same"))
		if n := fault.writes(); n != 0 {
			t.Errorf("%s: got %d writes, want 0", stores.name, n)
		}
	}
}

// A rejected response leaves nothing behind: values of before the error stay.
func TestCommitStoresNowAndKeepsWhatItCouldNotStore(t *testing.T) {
	for _, stores := range pxStores {
		store, fault := stores.make()
		m := pxManager(t, store, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, "Set", pxName.Set(s, "now"))
			fault.before = func(context.Context, pxOp) error { return errStoreDown }
			pxIs(t, "Commit while down", s.Commit(r.Context()), session.ErrUnavailable)
			fault.before = nil
			if got := pxGet(m, cookie, pxName); got != "none" {
				t.Errorf("%s: a failed Commit stored %q", stores.name, got)
			}
			pxOK(t, "Commit", s.Commit(r.Context()))
			if got := pxGet(m, cookie, pxName); got != "now" {
				t.Errorf("%s: after Commit another request gets %q", stores.name, got)
			}
			pxOK(t, "Set after Commit", pxName.Set(s, "later"))
		})
		if got := pxGet(m, cookie, pxName); got != "later" {
			t.Errorf("%s: got %q, want later", stores.name, got)
		}
	}
}

// The goroutines of one request use its session at once.
func TestSessionIsSafeForTheGoroutinesOfARequest(t *testing.T) {
	pxEvery(t, func(t *testing.T, m *session.Manager, _ *pxFault, cookie string) {
		const n = 16
		res := pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxParallel(n, func(i int) {
				pxOK(t, "Set", pxWriter(i).Set(s, i))
				pxOK(t, "Update", pxCount.Update(r.Context(), s, func(n int) (int, error) { return n + 1, nil }))
				if v, ok := pxWriter(i).Get(s); v != i || !ok {
					t.Errorf("goroutine %d reads %d, %t", i, v, ok)
				}
				_, _, _, _ = s.ID(), s.UserID(), s.Info(), s.String()
				pxOK(t, "Commit", s.Commit(r.Context()))
				_, _ = pxColor.Take(s)
			})
		})
		pxDo(m, pxNext(res, cookie), func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			if v, _ := pxCount.Get(s); v != n {
				t.Errorf("counted %d, want %d", v, n)
			}
			for i := range n {
				if v, ok := pxWriter(i).Get(s); v != i || !ok {
					t.Errorf("goroutine %d's value is %d, %t", i, v, ok)
				}
			}
		})
	})
}

// Signing in and out beside readers and writers: no race, and the end is one of
// the two ends.
func TestSignInAndOutBesideOtherGoroutines(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	for range 20 {
		pxDo(m, pxAnonymous(t, m, "cart"), func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			pxParallel(6, func(i int) {
				switch i {
				case 0:
					_ = s.SignIn(r.Context(), "alice", session.SignInOptions{})
				case 1:
					pxOK(t, "SignOut", s.SignOut(r.Context()))
				case 2:
					_ = s.Rotate(r.Context())
				case 3:
					_ = pxCount.Update(r.Context(), s, func(n int) (int, error) { return n + 1, nil })
				default:
					_ = pxColor.Set(s, "red")
					_, _, _ = s.UserID(), s.Fresh(), s.Info()
				}
			})
		})
	}
}

func TestUpdateLosesNothing(t *testing.T) {
	for _, stores := range pxMerging {
		for _, who := range []string{"a visitor", "a user"} {
			t.Run(stores.name+", "+who, func(t *testing.T) {
				m := pxManager(t, stores.make(), session.Config{})
				cookie := pxAnonymous(t, m, "x")
				if who == "a user" {
					cookie = pxSignIn(t, m, "alice")
				}
				const n = 64
				pxParallel(n, func(i int) {
					pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
						pxOK(t, "Set", pxWriter(i).Set(s, i))
						pxOK(t, "Update", pxCount.Update(r.Context(), s, func(n int) (int, error) { return n + 1, nil }))
					})
				})
				pxDo(m, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					if v, _ := pxCount.Get(s); v != n {
						t.Errorf("counted %d, want %d", v, n)
					}
				})
			})
		}
	}
}

func TestUpdateStoresAtOnceWithWhatIsPending(t *testing.T) {
	pxEvery(t, func(t *testing.T, m *session.Manager, store *pxFault, cookie string) {
		var id string
		res := pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, "Set", pxColor.Set(s, "red"))
			pxOK(t, "Update", pxCount.Update(r.Context(), s, func(n int) (int, error) {
				if color, _ := pxColor.Get(s); color != "red" { // fn may read other values
					t.Errorf("fn reads %q", color)
				}
				return n + 1, nil
			}))
			id = s.ID()
			rec, err := store.Store.Load(r.Context(), id)
			if err != nil {
				t.Errorf("after Update the store has no session: %v", err)
				return
			}
			color, _ := rec.Values.Get(string(pxColor))
			count, _ := rec.Values.Get(string(pxCount))
			if color != `"red"` || count != "1" {
				t.Errorf("after Update the store has %s and %s", color, count)
			}
			store.reset()
		})
		if n := store.writes(); n != 0 {
			t.Errorf("the response wrote %d times again", n)
		}
		if next := pxNext(res, cookie); pxID(next) != id {
			t.Errorf("the client has session %s, want %s", pxID(next), id)
		}
	})
}

func TestUpdateReturnsTheErrorOfItsFunction(t *testing.T) {
	own := errors.New("sold out")
	pxEvery(t, func(t *testing.T, m *session.Manager, store *pxFault, cookie string) {
		store.reset()
		res := pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			err := pxCount.Update(r.Context(), s, func(n int) (int, error) { return 99, own })
			if err != own {
				t.Errorf("got %v, want the function's own error", err)
			}
			if v, ok := pxCount.Get(s); ok {
				t.Errorf("the value is %d", v)
			}
		})
		if n := store.writes(); n != 0 || pxSet(res) != nil {
			t.Errorf("got %d writes, cookie %v, want none", n, pxSet(res))
		}
	})
}

// Server-sent events: the response has begun, and the counter goes on.
func TestUpdateWorksAfterTheFirstByteInASessionThatExists(t *testing.T) {
	pxEvery(t, func(t *testing.T, m *session.Manager, store *pxFault, cookie string) {
		add := func(n int) (int, error) { return n + 1, nil }
		pxDo(m, cookie, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			_, _ = io.WriteString(w, "data: 1\n\n")
			for i := range 3 {
				err := pxCount.Update(r.Context(), s, add)
				if cookie == "" {
					pxIs(t, "Update without a session", err, session.ErrCommitted)
					continue
				}
				pxOK(t, "Update", err)
				if v, _ := pxCount.Get(s); v != i+1 {
					t.Errorf("got %d, want %d", v, i+1)
				}
			}
			if cookie != "" {
				pxSignOut(t, m, cookie)
				pxIs(t, "Update after the end", pxCount.Update(r.Context(), s, add), session.ErrRevoked)
			}
		})
		if creates, _ := store.called("Create"); cookie == "" && creates != 0 {
			t.Errorf("got %d sessions that no cookie tells of", creates)
		}
	})
}

// The response begins while fn runs: a session that is created now could not
// tell its client.
func TestUpdateOvertakenByTheFirstByteCreatesNoSession(t *testing.T) {
	store := memstore.New(memstore.Options{})
	m := pxManager(t, store, session.Config{})
	pxNoCookie(t, pxDo(m, "", func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		err := pxCount.Update(r.Context(), s, func(n int) (int, error) {
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = io.WriteString(w, "first byte") })
			wg.Wait()
			return n + 1, nil
		})
		pxIs(t, "Update", err, session.ErrCommitted)
	}))
	if n := store.Len(); n != 0 {
		t.Errorf("got %d sessions that nobody has the token of", n)
	}
}

// The session of fn's value is gone when fn returns.
func TestUpdateOvertakenBySignOutDoesNotWrite(t *testing.T) {
	for _, stores := range pxStores {
		store, _ := stores.make()
		m := pxManager(t, store, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxIs(t, "Update", pxCount.Update(r.Context(), s, func(n int) (int, error) {
				pxSignOut(t, m, cookie)
				return n + 1, nil
			}), session.ErrRevoked)
		})
		pxEnded(t, m, store, cookie)
	}
}

// What was committed is merged into the record when somebody asks: nothing of it
// may be missing, and nothing of another request's be overwritten.
func TestValuesAfterCommitsBesideAnotherWriter(t *testing.T) {
	for _, tc := range pxStores {
		t.Run(tc.name, func(t *testing.T) {
			store, _ := tc.make()
			m := pxManager(t, store, session.Config{})
			cookie := pxSignIn(t, m, "alice")
			other := func(k session.Key[string], v string) { pxPut(t, m, cookie, k, v) }
			const a, b, c = session.Key[string]("a"), session.Key[string]("b"), session.Key[string]("c")
			res := pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				ctx := r.Context()
				pxOK(t, "set", a.Set(s, "1"))
				pxOK(t, "commit", s.Commit(ctx))
				other(b, "other")
				pxOK(t, "set", c.Set(s, "pending"))
				pxOK(t, "update", pxCount.Update(ctx, s, func(n int) (int, error) { return n + 1, nil }))
				if v, _ := b.Get(s); v != "other" {
					t.Errorf("after update b=%q", v)
				}
				pxOK(t, "delete", a.Delete(s))
				pxOK(t, "commit", s.Commit(ctx))
				other(a, "again")
				pxOK(t, "commit", s.Commit(ctx))
				pxOK(t, "rotate", s.Rotate(ctx))
			})
			next := pxSent(t, res)
			if got := pxGet(m, next, a) + pxGet(m, next, b) + pxGet(m, next, c); got != "againotherpending" {
				t.Errorf("got %q", got)
			}
			res = pxDo(m, next, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				pxOK(t, "set", a.Set(s, "mine"))
				pxOK(t, "commit", s.Commit(r.Context()))
				pxPut(t, m, next, b, "late")
				pxOK(t, "sign in", s.SignIn(r.Context(), "alice", session.SignInOptions{}))
				if v, _ := b.Get(s); v != "late" {
					t.Errorf("b=%q", v)
				}
			})
			next = pxSent(t, res)
			if got := pxGet(m, next, a) + pxGet(m, next, b); got != "minelate" {
				t.Errorf("got %q", got)
			}
			anon := pxAnonymous(t, m, "n")
			res = pxDo(m, anon, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				pxOK(t, "set", a.Set(s, "mine"))
				pxOK(t, "commit", s.Commit(r.Context()))
				pxPut(t, m, anon, b, "late")
				pxOK(t, "set", c.Set(s, "p"))
				pxOK(t, "sign in", s.SignIn(r.Context(), "alice", session.SignInOptions{}))
			})
			next = pxSent(t, res)
			if got := pxGet(m, next, a) + pxGet(m, next, b) + pxGet(m, next, c) + pxGet(m, next, pxName); got != "minelatepn" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestGoroutinesOfARequestSeeWhatTheyCommit(t *testing.T) {
	for _, tc := range pxStores {
		t.Run(tc.name, func(t *testing.T) {
			store, _ := tc.make()
			m := pxManager(t, store, session.Config{})
			cookie := pxSignIn(t, m, "alice")
			pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				pxParallel(12, func(i int) {
					k := session.Key[int](string(rune('a' + i)))
					for j := range 20 {
						switch i % 3 {
						case 0:
							pxOK(t, "update", pxCount.Update(r.Context(), s, func(n int) (int, error) { return n + 1, nil }))
						default:
							pxOK(t, "set", k.Set(s, j))
							pxOK(t, "commit", s.Commit(r.Context()))
							if v, ok := k.Get(s); !ok || v != j {
								t.Errorf("got %d %t, want %d", v, ok, j)
							}
						}
					}
				})
			})
			pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				if n, _ := pxCount.Get(s); n != 80 {
					t.Errorf("count %d", n)
				}
				for i := range 12 {
					if v, ok := session.Key[int](string(rune('a' + i))).Get(s); i%3 != 0 && (!ok || v != 19) {
						t.Errorf("key %d = %d %t", i, v, ok)
					}
				}
			})
		})
	}
}
