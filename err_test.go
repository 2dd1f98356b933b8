package session_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

func TestErrSaysWhyThereIsNoSession(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(t *testing.T, m *session.Manager, store *pxFault) (cookie string)
		want error
	}{
		{"no token", func(*testing.T, *session.Manager, *pxFault) string { return "" }, session.ErrNoSession},
		{"signed in", func(t *testing.T, m *session.Manager, _ *pxFault) string { return pxSignIn(t, m, "alice") }, nil},
		{"expired", func(t *testing.T, m *session.Manager, _ *pxFault) string {
			cookie := pxSignIn(t, m, "alice")
			time.Sleep(30 * pxDay)
			return cookie
		}, session.ErrExpired},
		{"revoked", func(t *testing.T, m *session.Manager, _ *pxFault) string {
			cookie := pxSignIn(t, m, "alice")
			liveRevoke(t, m, cookie)
			return cookie
		}, session.ErrNoSession},
		{"wrong secret", func(t *testing.T, m *session.Manager, _ *pxFault) string {
			cookie := pxSignIn(t, m, "alice")
			return cookie[:len(cookie)-4] + strings.Repeat("x", 4)
		}, session.ErrSuperseded},
		{"store is down", func(t *testing.T, m *session.Manager, store *pxFault) string {
			cookie := pxSignIn(t, m, "alice")
			store.before = func(context.Context, pxOp) error { return errStoreDown }
			return cookie
		}, session.ErrUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := pxFaulty()
				m := pxManager(t, store, session.Config{})
				cookie := tc.make(t, m, store)
				pxServe(m.Optional(pxFunc(func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					pxIs(t, "Err", s.Err(), tc.want)
				})), cookie)
			})
		})
	}
	var none *session.Session
	if err := none.Err(); !errors.Is(err, session.ErrNoSession) {
		t.Errorf("Err outside Handler: got %v, want ErrNoSession", err)
	}
}

func TestErrAfterTheSessionEnded(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	cookie := pxSignIn(t, m, "alice")
	pxDo(m, cookie, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "SignOut", s.SignOut(r.Context()))
		pxIs(t, "Err after SignOut", s.Err(), session.ErrNoSession)
	})
}
