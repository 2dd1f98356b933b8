//go:build !race

package session_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// Allocations differ under the race detector: make test runs these tests once
// more without it.

// Speed as counts: times depend on the machine, allocations and store calls do
// not. What is counted is what the middleware adds to the bare handler.

// pxSink is a ResponseWriter that keeps nothing.
type pxSink struct{ h http.Header }

func (w *pxSink) Header() http.Header         { return w.h }
func (w *pxSink) Write(b []byte) (int, error) { return len(b), nil }
func (w *pxSink) WriteHeader(int)             {}

// pxPage is a small page that asks who is there.
func pxPage(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = pxHTML
	_ = session.FromContext(r.Context()).UserID()
	_, _ = w.Write(pxHello)
}

var (
	pxHTML  = []string{"text/html"}
	pxHello = []byte("hello")
)

// pxCost returns the allocations and bytes of one request.
func pxCost(h http.Handler, cookie string) (allocs, bytes float64) {
	r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	if cookie != "" {
		r.Header.Set("Cookie", "theme=dark; "+cookie+"; lang=en")
	}
	w := &pxSink{h: make(http.Header)}
	run := func() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
	return testing.AllocsPerRun(1000, run), pxBytesPerRun(1000, run)
}

// pxBytesPerRun is testing.AllocsPerRun for bytes.
func pxBytesPerRun(runs int, f func()) float64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / float64(runs)
}

func TestReadsAllocateLittle(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	headers := pxManager(t, memstore.New(memstore.Options{}), session.Config{HeaderTransport: true, MaxSessions: 5})
	plain, plainBytes := pxCost(http.HandlerFunc(pxPage), "")
	for _, row := range []struct {
		name   string
		m      *session.Manager
		cookie string
		allocs float64
		bytes  float64
	}{
		{"signed in", m, pxSignIn(t, m, "alice"), 2, 490},
		{"a visitor with a cart", m, pxAnonymous(t, m, "cart"), 2, 490},
		{"nobody", m, "", 2, 490},
		{"a token of no form, with its event", m, "__Host-session=" + strings.Repeat("!", 64), 3, 510},
		{"signed in, header transport and limit on", headers, pxSignIn(t, headers, "alice"), 2, 490},
	} {
		allocs, bytes := pxCost(row.m.Handler(http.HandlerFunc(pxPage)), row.cookie)
		allocs, bytes = allocs-plain, bytes-plainBytes
		t.Logf("%s: %g allocations, %g bytes", row.name, allocs, bytes)
		if allocs > row.allocs || bytes > row.bytes {
			t.Errorf("%s: got %g allocations and %g bytes, want at most %g and %g", row.name, allocs, bytes, row.allocs, row.bytes)
		}
	}
}
