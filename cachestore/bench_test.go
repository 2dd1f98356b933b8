package cachestore_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
	"github.com/updateage/session/memstore"
)

// benched are the stores that are compared: hits, and the memory store.
var benched = []struct {
	name string
	make func(b *testing.B) session.Store
}{
	{"memstore", func(*testing.B) session.Store { return memstore.New(memstore.Options{}) }},
	{"cachestore", func(b *testing.B) session.Store {
		l := newServer().connect()
		return cached(b, l, l, cachestore.Options{MaxAge: time.Hour})
	}},
}

func BenchmarkLoad(b *testing.B) {
	for _, bench := range benched {
		s := bench.make(b)
		ids := make([]string, 1000)
		for i := range ids {
			ids[i] = create(b, s, fmt.Sprint("user ", i)).ID
			load(b, s, ids[i])
		}
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = s.Load(b.Context(), ids[rand.N(len(ids))])
			}
		})
		b.Run(bench.name+", parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = s.Load(b.Context(), ids[rand.N(len(ids))])
				}
			})
		})
	}
}

// discard is a response that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkRequest is a request of a signed-in user, through the middleware.
func BenchmarkRequest(b *testing.B) {
	for _, bench := range benched {
		b.Run(bench.name, func(b *testing.B) {
			m, err := session.New(bench.make(b), session.Config{Logger: slog.New(slog.DiscardHandler)})
			must(b, err)
			w := httptest.NewRecorder()
			m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				must(b, session.FromContext(r.Context()).SignIn(r.Context(), user, session.SignInOptions{}))
			})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://example.com/", nil))
			r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
			c := w.Result().Cookies()[0]
			r.Header.Set("Cookie", c.Name+"="+c.Value)
			h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if session.FromContext(r.Context()).UserID() != user {
					b.Error("not signed in")
				}
			}))
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(discard{http.Header{}}, r)
			}
		})
	}
}

// BenchmarkFull is what else costs something while 100,000 records are held.
func BenchmarkFull(b *testing.B) {
	l := newServer().connect()
	c := cached(b, l, l, cachestore.Options{MaxAge: time.Hour})
	ids := make([]string, 200_000)
	for i := range ids {
		ids[i] = create(b, l, fmt.Sprint("user ", i)).ID
		load(b, c, ids[i])
	}
	b.Run("load, mostly missed", func(b *testing.B) {
		for b.Loop() {
			_, _ = c.Load(b.Context(), ids[rand.N(len(ids))])
		}
	})
	b.Run("delete user", func(b *testing.B) {
		for b.Loop() {
			_, _ = c.DeleteUser(b.Context(), "nobody", time.Now())
		}
	})
	b.Run("told of a change", func(b *testing.B) {
		other := newRecord("").ID
		for b.Loop() {
			l.set(func() { l.tell([]string{other}) })
		}
	})
	b.Run("feed fails and comes back", func(b *testing.B) {
		for b.Loop() {
			l.lose()
			l.restore()
		}
	})
}
