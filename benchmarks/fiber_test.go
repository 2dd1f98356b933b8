package benchmarks

import (
	"context"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"
)

func startFiber(_ testing.TB, meter *meter) *server { return fiberServer(nil, meter) }

// fiberServer uses fiber's own storage in memory if storage is nil.
func fiberServer(storage fiber.Storage, meter *meter) *server {
	if meter != nil {
		if storage == nil {
			storage = session.NewStore().Storage
		}
		storage = meteredFiber{storage, meter}
	}
	middleware := session.New(session.Config{
		Storage: storage, IdleTimeout: time.Duration(onlyHTTP.MaxAge) * time.Second, CookieHTTPOnly: true,
	})
	return serveFiber(&app[fiber.Ctx]{
		user:  func(c fiber.Ctx) string { return text(session.FromContext(c).Get("user")) },
		value: func(c fiber.Ctx, key string) string { return text(session.FromContext(c).Get(key)) },
		set: func(c fiber.Ctx, key, value string) error {
			session.FromContext(c).Set(key, value)
			return nil
		},
		signIn: func(c fiber.Ctx, user string) error {
			s := session.FromContext(c)
			err := s.Regenerate()
			s.Set("user", user)
			return err
		},
		signOut: func(c fiber.Ctx) error { return session.FromContext(c).Destroy() },
	}, middleware)
}

func startFiberBare(testing.TB, *meter) *server { return serveFiber(bareApp[fiber.Ctx]()) }

func serveFiber(a *app[fiber.Ctx], middleware ...any) *server {
	a.gate = newGate()
	// A copy: fiber's strings are good until the handler returns.
	a.header = func(c fiber.Ctx, name string) string { return string(append([]byte(nil), c.Get(name)...)) }
	a.answer = func(c fiber.Ctx, status int, body []byte) {
		c.Set(fiber.HeaderContentType, html[0])
		_ = c.Status(status).Send(body)
	}
	f := fiber.New()
	for _, m := range middleware {
		f.Use(m)
	}
	for path, page := range a.pages() {
		f.Get(path, func(c fiber.Ctx) error { page(c); return nil })
	}
	return &server{gate: a.gate, fast: f.Handler()}
}

// meteredFiber counts calls.
type meteredFiber struct {
	fiber.Storage
	meter *meter
}

func (s meteredFiber) GetWithContext(ctx context.Context, key string) ([]byte, error) {
	b, err := s.Storage.GetWithContext(ctx, key)
	s.meter.read()
	return b, err
}

func (s meteredFiber) SetWithContext(ctx context.Context, key string, value []byte, exp time.Duration) error {
	return s.meter.write(s.Storage.SetWithContext(ctx, key, value, exp))
}

func (s meteredFiber) DeleteWithContext(ctx context.Context, key string) error {
	return s.meter.write(s.Storage.DeleteWithContext(ctx, key))
}
