package benchmarks

import (
	"errors"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
)

func startSCS(tb testing.TB, meter *meter) *server {
	return scsServer(newSCS(tb, meter), false)
}

// newSCS is scs with its store in memory, whose cleaning is left out: it comes
// once a minute and would hit one contender of many.
func newSCS(_ testing.TB, meter *meter) *scs.SessionManager {
	sessions := scs.New()
	sessions.Store = memstore.NewWithCleanupInterval(0)
	if meter != nil {
		sessions.Store = meteredSCS{sessions.Store, meter}
	}
	return sessions
}

// scsServer stores what a list of devices shows as values, unless it is to be plain.
func scsServer(sessions *scs.SessionManager, plain bool) *server {
	return serveHTTP(&app[exchange]{
		describes: plain,

		user:  func(c exchange) string { return sessions.GetString(c.r.Context(), "user") },
		value: func(c exchange, key string) string { return sessions.GetString(c.r.Context(), key) },
		set: func(c exchange, key, value string) error {
			sessions.Put(c.r.Context(), key, value)
			return nil
		},
		signIn: func(c exchange, user string) error {
			err := sessions.RenewToken(c.r.Context())
			sessions.Put(c.r.Context(), "user", user)
			return err
		},
		signOut: func(c exchange) error { return sessions.Destroy(c.r.Context()) },
	}, sessions.LoadAndSave)
}

// meteredSCS counts calls.
type meteredSCS struct {
	scs.Store
	meter *meter
}

func (s meteredSCS) Find(token string) ([]byte, bool, error) {
	b, ok, err := s.Store.Find(token)
	s.meter.read()
	return b, ok, err
}

func (s meteredSCS) Commit(token string, b []byte, expiry time.Time) error {
	return s.meter.write(s.Store.Commit(token, b, expiry))
}

func (s meteredSCS) Delete(token string) error {
	return s.meter.write(s.Store.Delete(token))
}

// All lets scs look for a user's sessions.
func (s meteredSCS) All() (map[string][]byte, error) {
	store, ok := s.Store.(scs.IterableStore)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	s.meter.read()
	return store.All()
}
