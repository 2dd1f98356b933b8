package benchmarks

import (
	"flag"
	"net/http"
	"regexp"
	"testing"
)

// contender is a way to have sessions.
type contender struct {
	name   string
	module string // whose version belongs into the table; "": this one
	bare   bool   // no sessions at all: only what cannot be avoided
	plain  bool   // sessions without what a list of devices shows

	// start returns a server with an empty store, whose calls meter counts
	// unless it is nil.
	start func(tb testing.TB, meter *meter) *server
}

var only = flag.String("contenders", ".", "which contenders take part, a regular `expression`: for profiles")

// chosen leaves out contenders as the flag says.
func chosen(tb testing.TB, all []contender) (some []contender) {
	tb.Helper()
	names, err := regexp.Compile(*only)
	must(tb, err)
	for _, c := range all {
		if names.MatchString(c.name) {
			some = append(some, c)
		}
	}
	return some
}

// inMemory are the contenders that need nothing but memory.
func inMemory() []contender {
	return []contender{
		{name: "bare", bare: true, start: startBare},
		{name: "floor", start: startFloor},
		{name: "session", start: startSession},
		{name: "scs", module: "github.com/alexedwards/scs/v2", start: startSCS},
		{name: "scs-plain", module: "github.com/alexedwards/scs/v2", plain: true, start: func(tb testing.TB, m *meter) *server {
			return scsServer(newSCS(tb, m), true)
		}},
		{name: "gorilla-cookie", module: "github.com/gorilla/sessions", start: startGorilla},
		{name: "gorilla-plain", module: "github.com/gorilla/sessions", plain: true, start: func(testing.TB, *meter) *server {
			return gorillaServer(newGorilla(), true)
		}},
		{name: "gin", module: "github.com/gin-contrib/sessions", start: startGin},
		{name: "gin-cookie", module: "github.com/gin-contrib/sessions", start: startGinCookie},
		{name: "gin-bare", module: "github.com/gin-gonic/gin", bare: true, start: startGinBare},
		{name: "echo-cookie", module: "github.com/labstack/echo-contrib", start: startEcho},
		{name: "echo-bare", module: "github.com/labstack/echo/v4", bare: true, start: startEchoBare},
		{name: "fiber", module: "github.com/gofiber/fiber/v3", start: startFiber},
		{name: "fiber-bare", module: "github.com/gofiber/fiber/v3", bare: true, start: startFiberBare},
	}
}

// bareApp has no sessions: everybody is nobody.
func bareApp[C any]() *app[C] {
	return &app[C]{
		user:    func(C) string { return "" },
		value:   func(C, string) string { return "" },
		set:     func(C, string, string) error { return errNobody },
		signIn:  func(C, string) error { return errNobody },
		signOut: func(C) error { return nil },
	}
}

func startBare(testing.TB, *meter) *server {
	return serveHTTP(bareApp[exchange](), func(next http.Handler) http.Handler { return next })
}

func startFloor(_ testing.TB, meter *meter) *server { return floorServer(newFloorMemory(meter)) }

func floorServer(store floorStore) *server {
	return serveHTTP(&app[exchange]{
		describes: true, // it lists no devices

		user:    func(c exchange) string { return floorFrom(c.r).user() },
		value:   func(c exchange, key string) string { return floorFrom(c.r).value(key) },
		set:     func(c exchange, key, value string) error { return floorFrom(c.r).set(key, value) },
		signIn:  func(c exchange, user string) error { return floorFrom(c.r).signIn(user) },
		signOut: func(c exchange) error { return floorFrom(c.r).signOut() },
	}, floorMiddleware(store))
}
