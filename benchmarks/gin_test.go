package benchmarks

import (
	"testing"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"
)

func startGin(_ testing.TB, meter *meter) *server {
	return ginServer(metered(memstore.NewStore(cookieKey), meter))
}

func startGinCookie(_ testing.TB, meter *meter) *server {
	return ginServer(metered(cookie.NewStore(cookieKey), nil))
}

func startGinBare(testing.TB, *meter) *server { return serveGin(bareApp[*gin.Context]()) }

func ginServer(store sessions.Store) *server {
	store.Options(sessions.Options{
		Path: onlyHTTP.Path, MaxAge: onlyHTTP.MaxAge, HttpOnly: true, SameSite: onlyHTTP.SameSite,
	})
	return serveGin(&app[*gin.Context]{
		user:  func(c *gin.Context) string { return text(sessions.Default(c).Get("user")) },
		value: func(c *gin.Context, key string) string { return text(sessions.Default(c).Get(key)) },
		set: func(c *gin.Context, key, value string) error {
			s := sessions.Default(c)
			s.Set(key, value)
			return s.Save()
		},
		signIn: func(c *gin.Context, user string) error {
			s := sessions.Default(c)
			s.Set("user", user)
			return s.Save()
		},
		signOut: func(c *gin.Context) error {
			s := sessions.Default(c)
			s.Options(sessions.Options{Path: "/", MaxAge: -1})
			return s.Save()
		},
	}, sessions.Sessions("session", store))
}

func serveGin(a *app[*gin.Context], middleware ...gin.HandlerFunc) *server {
	gin.SetMode(gin.ReleaseMode)
	a.gate = newGate()
	a.header = func(c *gin.Context, name string) string { return c.Request.Header.Get(name) }
	a.answer = func(c *gin.Context, status int, body []byte) { c.Data(status, html[0], body) }
	engine := gin.New()
	engine.Use(middleware...)
	for path, page := range a.pages() {
		engine.GET(path, page)
	}
	return &server{gate: a.gate, http: engine}
}

// ginStore is a store of gin-contrib whose calls are counted.
type ginStore struct {
	meteredGorilla
	inner sessions.Store
}

func (s ginStore) Options(o sessions.Options) { s.inner.Options(o) }

func metered(store sessions.Store, meter *meter) sessions.Store {
	if meter == nil {
		return store
	}
	return ginStore{meteredGorilla{gorilla.Store(store), meter}, store}
}
