package benchmarks

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// startGet is a handler that asks Redis with one GET who is there, and believes
// whatever it finds: what a lookup cannot do without, and no session.
func startGet(c redis.UniversalClient) func(testing.TB, *meter) *server {
	return func(testing.TB, *meter) *server {
		return serveHTTP(&app[exchange]{
			describes: true,

			user: func(x exchange) string {
				cookie, err := x.r.Cookie("get")
				if err != nil {
					return ""
				}
				found, err := c.Get(x.r.Context(), "get:"+cookie.Value).Result()
				if err != nil {
					return ""
				}
				user, _, _ := strings.Cut(found, " ")
				return user
			},
			value:   func(exchange, string) string { return "" },
			set:     func(exchange, string, string) error { return nil },
			signIn:  func(x exchange, user string) error { return signInByHand(x, c, user) },
			signOut: func(exchange) error { return nil },
		}, func(next http.Handler) http.Handler { return next })
	}
}

// signInByHand stores as many bytes as this library does, for as long.
func signInByHand(x exchange, c redis.UniversalClient, user string) error {
	token := rand.Text()
	http.SetCookie(x.w, &http.Cookie{Name: "get", Value: token})
	ctx := context.WithoutCancel(x.r.Context())
	return c.Set(ctx, "get:"+token, user+strings.Repeat(" ", 330-len(user)), floorLife).Err()
}
