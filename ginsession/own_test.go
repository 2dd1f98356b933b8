package ginsession_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/updateage/session"
	"github.com/updateage/session/ginsession"
	"github.com/updateage/session/memstore"
)

// What only Gin has; the table has the rest.

const name session.Key[string] = "name"

// unsaved is a store that keeps what it has and takes nothing new.
type unsaved struct{ session.Store }

var errDown = errors.New("connection refused")

func (unsaved) Create(context.Context, *session.Record) error         { return errDown }
func (unsaved) Update(context.Context, *session.Record, uint64) error { return errDown }

func manager(t testing.TB, store session.Store) *session.Manager {
	t.Helper()
	m, err := session.New(store, session.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sessions(t testing.TB) *session.Manager {
	return manager(t, memstore.New(memstore.Options{}))
}

// engine has recovery and sessions, as most applications do.
func engine(m *session.Manager) *gin.Engine {
	r := gin.New()
	r.Use(gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) { c.AbortWithStatus(500) }), ginsession.Middleware(m))
	return r
}

func do(h http.Handler, method, path, cookie string) *http.Response {
	r := httptest.NewRequest(method, "https://example.com"+path, nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(res *http.Response) string {
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

// sent returns the session cookie of a response, or "".
func sent(res *http.Response) string {
	for _, c := range res.Cookies() {
		return c.Name + "=" + c.Value
	}
	return ""
}

// stored returns the name in the session that a response's cookie is of.
func stored(m *session.Manager, res *http.Response) (got string) {
	if sent(res) == "" {
		return "no cookie"
	}
	do(m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ = name.Get(session.FromContext(r.Context()))
	})), http.MethodGet, "/", sent(res))
	return got
}

func set(t testing.TB, c *gin.Context, value string, want error) {
	t.Helper()
	if err := name.Set(ginsession.FromContext(c), value); !errors.Is(err, want) {
		t.Errorf("Set: got error %v, want %v", err, want)
	}
}

func TestAStatusAloneSendsNothing(t *testing.T) {
	m := sessions(t)
	r := engine(m)
	r.GET("/", func(c *gin.Context) {
		c.Status(http.StatusCreated)
		if c.Writer.Written() || c.Writer.Status() != http.StatusCreated {
			t.Errorf("written %t, status %d", c.Writer.Written(), c.Writer.Status())
		}
		set(t, c, "x", nil)
		c.Status(http.StatusAccepted)
		c.Writer.WriteHeaderNow()
		set(t, c, "y", session.ErrCommitted)
		if !c.Writer.Written() || c.Writer.Size() != 0 {
			t.Errorf("written %t, size %d", c.Writer.Written(), c.Writer.Size())
		}
	})
	if res := do(r, http.MethodGet, "/", ""); res.StatusCode != http.StatusAccepted || stored(m, res) != "x" {
		t.Errorf("got %s and %q", res.Status, stored(m, res))
	}
}

func TestAnAbortIsGins(t *testing.T) {
	m := sessions(t)
	r := engine(m)
	r.Use(func(c *gin.Context) {
		set(t, c, "refused", nil)
		c.AbortWithStatusJSON(http.StatusTeapot, gin.H{"message": "no"})
	})
	r.GET("/", func(*gin.Context) { t.Error("the page ran") })
	res := do(r, http.MethodGet, "/", "")
	if res.StatusCode != http.StatusTeapot || body(res) != `{"message":"no"}` || stored(m, res) != "refused" {
		t.Errorf("got %s and %q", res.Status, stored(m, res))
	}
}

func TestWhatIsRefusedIsAborted(t *testing.T) {
	down := manager(t, outage{})
	up := sessions(t)
	for _, row := range []struct {
		name   string
		use    []gin.HandlerFunc
		status int
	}{
		{"a store that is down", []gin.HandlerFunc{ginsession.Middleware(down)}, http.StatusServiceUnavailable},
		{"nobody", []gin.HandlerFunc{ginsession.Middleware(up), ginsession.RequireUser(up)}, http.StatusUnauthorized},
		{"nobody fresh", []gin.HandlerFunc{ginsession.Middleware(up), ginsession.RequireFresh(up)}, http.StatusUnauthorized},
	} {
		aborted := false
		r := gin.New()
		r.Use(func(c *gin.Context) {
			c.Next()
			aborted = c.IsAborted()
		})
		r.Use(row.use...)
		r.GET("/", func(*gin.Context) { t.Errorf("%s: the page ran", row.name) })
		res := do(r, http.MethodGet, "/", "__Host-session="+strings.Repeat("A", 64))
		if res.StatusCode != row.status || !aborted {
			t.Errorf("%s: got %s, aborted %t", row.name, res.Status, aborted)
		}
	}
}

// outage is a store that answers nothing.
type outage struct{ unsaved }

func (outage) Load(context.Context, string) (*session.Record, error) { return nil, errDown }

// HandleContext starts anew with Gin's own writer, past every middleware's.
func TestHandleContextKeepsTheSession(t *testing.T) {
	for _, row := range []struct {
		name string
		page gin.HandlerFunc
	}{
		{"a body", func(c *gin.Context) { c.String(http.StatusOK, "page") }},
		{"no body", func(c *gin.Context) { c.Status(http.StatusNoContent) }},
		{"a redirect", func(c *gin.Context) { c.Redirect(http.StatusSeeOther, "/elsewhere") }},
	} {
		run := func(m *session.Manager) *http.Response {
			r := engine(m)
			r.POST("/old", func(c *gin.Context) {
				set(t, c, "old", nil)
				c.Request.URL.Path = "/new"
				r.HandleContext(c)
				set(t, c, "late", session.ErrCommitted)
			})
			r.POST("/new", func(c *gin.Context) {
				if got, _ := name.Get(ginsession.FromContext(c)); got != "old" {
					t.Errorf("%s: the session has %q", row.name, got)
				}
				set(t, c, "new", nil)
				row.page(c)
			})
			return do(r, http.MethodPost, "/old", "")
		}
		m := sessions(t)
		if got := stored(m, run(m)); got != "new" {
			t.Errorf("%s: got %q", row.name, got)
		}
		down := run(manager(t, unsaved{memstore.New(memstore.Options{})}))
		if text := body(down); down.StatusCode != http.StatusServiceUnavailable || text != "Service Unavailable\n" {
			t.Errorf("%s: not stored, but got %s %q", row.name, down.Status, text)
		}
	}
}

func TestGinsOwnStream(t *testing.T) {
	m := sessions(t)
	r := engine(m)
	r.GET("/", func(c *gin.Context) {
		set(t, c, "x", nil)
		n := 0
		c.Stream(func(io.Writer) bool {
			n++
			c.SSEvent("tick", n)
			set(t, c, "y", session.ErrCommitted)
			return n < 2
		})
	})
	server := httptest.NewServer(r) // Gin asks for a CloseNotifier, which a recorder is not
	defer server.Close()
	res, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := body(res); got != "event:tick\ndata:1\n\nevent:tick\ndata:2\n\n" || stored(m, res) != "x" {
		t.Errorf("got %q and %q", got, stored(m, res))
	}
}

func TestNoRouteHasASession(t *testing.T) {
	m := sessions(t)
	r := engine(m)
	r.NoRoute(func(c *gin.Context) {
		set(t, c, "lost", nil)
		c.String(http.StatusNotFound, "not here")
	})
	res := do(r, http.MethodGet, "/nowhere", "")
	if got := body(res); res.StatusCode != http.StatusNotFound || got != "not here" || stored(m, res) != "lost" {
		t.Errorf("got %s %q and %q", res.Status, got, stored(m, res))
	}
}

// A recovery has no session to change: nothing would store it.
func TestARecoveryCannotChangeTheSessionInSilence(t *testing.T) {
	m := sessions(t)
	r := gin.New()
	var own gin.ResponseWriter
	r.Use(func(c *gin.Context) { own = c.Writer }, gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) {
		set(t, c, "panicked", session.ErrNoSession)
		if c.Writer != own {
			t.Error("the recovery writes to the session's writer")
		}
		c.AbortWithStatus(http.StatusInternalServerError)
	}), ginsession.Middleware(m))
	r.GET("/", func(*gin.Context) { panic("boom") })
	if res := do(r, http.MethodGet, "/", ""); res.StatusCode != http.StatusInternalServerError || sent(res) != "" {
		t.Errorf("got %s and cookie %q", res.Status, sent(res))
	}
}

func TestWhatRunsAfterwardsReadsTheSession(t *testing.T) {
	m := sessions(t)
	var logged string
	r := gin.New()
	r.Use(func(c *gin.Context) {
		own := c.Writer
		c.Next()
		if c.Writer != own {
			t.Error("the writer was not put back")
		}
		logged = ginsession.FromContext(c).UserID()
		set(t, c, "late", session.ErrCommitted)
		if err := c.Request.Context().Err(); err != nil {
			t.Errorf("the context that is left behind has ended: %v", err)
		}
	}, ginsession.Middleware(m), ginsession.Live(m))
	var inCopy string
	r.GET("/", func(c *gin.Context) {
		if err := ginsession.FromContext(c).SignIn(c, "alice", session.SignInOptions{}); err != nil {
			t.Error(err)
		}
		inCopy = ginsession.FromContext(c.Copy()).UserID()
	})
	cookie := sent(do(r, http.MethodGet, "/", ""))
	do(r, http.MethodGet, "/", cookie) // Live has a session to watch
	if logged != "alice" || inCopy != "alice" {
		t.Errorf("the log has %q, a copy of the context %q", logged, inCopy)
	}
}

// wrapped is what Gin's compressing and recording middlewares put around a writer.
type wrapped struct {
	gin.ResponseWriter
	seen *bytes.Buffer
}

func (w wrapped) Write(b []byte) (int, error) {
	w.seen.Write(b)
	return w.ResponseWriter.Write(b)
}

func TestOtherWritersAroundAndInside(t *testing.T) {
	for _, inside := range []bool{true, false} {
		for _, down := range []bool{true, false} {
			store := session.Store(memstore.New(memstore.Options{}))
			if down {
				store = unsaved{store}
			}
			m := manager(t, store)
			var seen bytes.Buffer
			wrap := func(c *gin.Context) { c.Writer = wrapped{c.Writer, &seen} } // never taken off, as usual
			r := gin.New()
			if inside {
				r.Use(ginsession.Middleware(m), wrap)
			} else {
				r.Use(wrap, ginsession.Middleware(m))
			}
			r.GET("/", func(c *gin.Context) {
				set(t, c, "x", nil)
				_, _ = c.Writer.Write([]byte("page"))
			})
			res := do(r, http.MethodGet, "/", "")
			want, wantSeen := "page", "page"
			if down {
				want = "Service Unavailable\n"
				if !inside {
					wantSeen = want
				}
			}
			if got := body(res); got != want || seen.String() != wantSeen || !down && stored(m, res) != "x" {
				t.Errorf("inside %t, down %t: got %q, the other writer saw %q, stored %q", inside, down, got, seen.String(), stored(m, res))
			}
		}
	}
}

// What a handler says after its response was replaced goes nowhere.
func TestTrailersOfAPageThatWasReplaced(t *testing.T) {
	r := engine(manager(t, unsaved{memstore.New(memstore.Options{})}))
	r.GET("/", func(c *gin.Context) {
		set(t, c, "x", nil)
		c.String(http.StatusOK, "page")
		c.Header(http.TrailerPrefix+"Secret", "x")
	})
	if res := do(r, http.MethodGet, "/", ""); res.StatusCode != http.StatusServiceUnavailable || len(res.Trailer) != 0 {
		t.Errorf("got %s with trailers %v", res.Status, res.Trailer)
	}
}

// Manager.Handler may stand around the whole engine as well.
func TestAroundTheEngine(t *testing.T) {
	m := sessions(t)
	r := engine(m)
	r.GET("/", func(c *gin.Context) {
		set(t, c, "x", nil)
		c.String(http.StatusOK, "page")
		set(t, c, "y", session.ErrCommitted)
	})
	res := do(m.Handler(r), http.MethodGet, "/", "")
	if text := body(res); text != "page" || stored(m, res) != "x" {
		t.Errorf("got %q and %q", text, stored(m, res))
	}
}

func TestOutsideOfEverything(t *testing.T) {
	if s := ginsession.FromContext(&gin.Context{}); s.UserID() != "" || !errors.Is(name.Set(s, "x"), session.ErrNoSession) {
		t.Error("a context without a request has a session")
	}
}

// A request's context shows no cookie, however it is printed.
func TestContextsShowNothing(t *testing.T) {
	m := sessions(t)
	r := engine(m)
	var printed string
	show := func(c *gin.Context) {
		printed += fmt.Sprintf("%v %+v %#v\n", c.Request.Context(), c.Request.Context(), c.Request.Context())
	}
	r.Use(show, ginsession.Middleware(m), show)
	r.GET("/", func(c *gin.Context) {
		if err := ginsession.FromContext(c).SignIn(c, "alice", session.SignInOptions{}); err != nil {
			t.Error(err)
		}
	})
	cookie := sent(do(m.Handler(r), http.MethodGet, "/", ""))
	printed = ""
	do(m.Handler(r), http.MethodGet, "/", cookie)
	_, secret, _ := strings.Cut(cookie, "=")
	if !strings.Contains(printed, "ginsession.Middleware context") {
		t.Error("the adapter's context was not printed")
	}
	if secret == "" || strings.Contains(printed, secret[24:]) || strings.Contains(printed, "Cookie") {
		t.Errorf("printed %q", printed)
	}
}
