package benchmarks

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

func startSession(tb testing.TB, meter *meter) *server {
	store := session.Store(memstore.New(memstore.Options{}))
	if meter != nil {
		store = meteredStore{store.(memoryStore), meter}
	}
	return sessionServer(tb, store, session.Config{})
}

func sessionServer(tb testing.TB, store session.Store, cfg session.Config) *server {
	tb.Helper()
	cfg.Cookie.Insecure, cfg.Logger = true, slog.New(slog.DiscardHandler)
	sessions, err := session.New(store, cfg)
	must(tb, err)
	return serveHTTP(sessionApp(), sessions.Handler)
}

func sessionApp() *app[exchange] {
	of := func(c exchange) *session.Session { return session.FromContext(c.r.Context()) }
	return &app[exchange]{
		describes: true,

		user: func(c exchange) string { return of(c).UserID() },
		value: func(c exchange, key string) string {
			value, _ := session.Key[string](key).Get(of(c))
			return value
		},
		set: func(c exchange, key, value string) error { return session.Key[string](key).Set(of(c), value) },
		signIn: func(c exchange, user string) error {
			return of(c).SignIn(c.r.Context(), user, session.SignInOptions{})
		},
		signOut: func(c exchange) error { return of(c).SignOut(c.r.Context()) },
	}
}

// memoryStore is what the store in memory can do.
type memoryStore interface {
	session.Store
	session.LimitedCreator
	session.Patcher
}

// meteredStore counts calls.
type meteredStore struct {
	memoryStore
	meter *meter
}

func (s meteredStore) Load(ctx context.Context, id string) (*session.Record, error) {
	r, err := s.memoryStore.Load(ctx, id)
	s.meter.read()
	return r, err
}

func (s meteredStore) Create(ctx context.Context, r *session.Record) error {
	return s.meter.write(s.memoryStore.Create(ctx, r))
}

func (s meteredStore) CreateLimited(ctx context.Context, r *session.Record, l session.Limit, now time.Time) ([]string, error) {
	evicted, err := s.memoryStore.CreateLimited(ctx, r, l, now)
	return evicted, s.meter.write(err)
}

func (s meteredStore) Update(ctx context.Context, r *session.Record, version uint64) error {
	return s.meter.write(s.memoryStore.Update(ctx, r, version))
}

func (s meteredStore) Patch(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
	return s.meter.write(s.memoryStore.Patch(ctx, id, changes, version, now))
}

func (s meteredStore) Delete(ctx context.Context, id string) error {
	return s.meter.write(s.memoryStore.Delete(ctx, id))
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
