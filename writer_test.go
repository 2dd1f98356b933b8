package session_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

func TestSameManagerNestedOnlyPassesOn(t *testing.T) {
	store := pxFaultyAll()
	m := pxManager(t, store, session.Config{})
	cookie := pxSignIn(t, m, "alice")
	store.reset()
	var outer *session.Session
	inner := m.Handler(pxFunc(func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		if s != outer {
			t.Error("the inner Handler has a session of its own")
		}
		pxOK(t, "Set", pxName.Set(s, "x"))
	}))
	pxDo(m, cookie, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		outer = s
		inner.ServeHTTP(w, r)
		pxOK(t, "Set after the inner Handler", pxColor.Set(s, "red"))
	})
	loads, _ := store.called("Load")
	if loads != 1 || store.writes() != 1 || pxGet(m, cookie, pxName) != "x" || pxGet(m, cookie, pxColor) != "red" {
		t.Errorf("got %d loads and %d writes, want 1 and 1", loads, store.writes())
	}
}

func TestTwoManagersKeepTheirSessionsApart(t *testing.T) {
	site := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	admin := pxManager(t, memstore.New(memstore.Options{}), session.Config{Cookie: session.Cookie{Name: "__Host-admin-session"}})
	both := func(fn pxFunc, cookie string) *http.Response { return pxServe(site.Handler(admin.Handler(fn)), cookie) }
	var outer *session.Session
	res := pxServe(site.Handler(pxFunc(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		outer = s
		admin.Handler(pxFunc(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, "SignIn", s.SignIn(r.Context(), "root", session.SignInOptions{}))
			pxOK(t, "SignIn outside", outer.SignIn(r.Context(), "alice", session.SignInOptions{}))
		})).ServeHTTP(w, r)
	})), "")
	var cookies []string
	for _, c := range res.Cookies() {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	if len(cookies) != 2 || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %v, want two cookies and no-store", res.Header)
	}
	res = both(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		if s.UserID() != "root" {
			t.Errorf("FromContext gives %q, want that of the nearest manager", s.UserID())
		}
		site.RequireUser(pxFunc(pxRead)).ServeHTTP(w, r) // the outer one is still found
	}, strings.Join(cookies, "; "))
	if res.StatusCode != http.StatusOK {
		t.Errorf("the outer manager's RequireUser: %s", res.Status)
	}
}

// No response will bring the client what the handler began.
func TestPanicUndoesWhatTheClientWillNeverHear(t *testing.T) {
	type exit struct{}
	for _, how := range []struct {
		name string
		fn   func()
		want any
	}{
		{"panic", func() { panic("boom") }, "boom"},
		{"ErrAbortHandler", func() { panic(http.ErrAbortHandler) }, http.ErrAbortHandler},
		{"Goexit", runtime.Goexit, exit{}},
	} {
		run := func(m *session.Manager, cookie string, fn pxFunc) {
			done := make(chan any, 1)
			go func() {
				defer func() {
					got := recover()
					if got == nil {
						got = exit{}
					}
					done <- got
				}()
				pxDo(m, cookie, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
					fn(w, r, s)
					how.fn()
				})
			}()
			if got := <-done; got != how.want {
				t.Errorf("%s: got %v, want the very same to go on", how.name, got)
			}
		}
		for _, row := range pxPanicking {
			t.Run(how.name+", "+row.name, func(t *testing.T) {
				store := memstore.New(memstore.Options{})
				m := pxManager(t, store, session.Config{})
				cookie := ""
				if row.user {
					cookie = pxSignIn(t, m, "alice")
				}
				run(m, cookie, row.fn)
				if user := pxUser(m, cookie); user != row.left || store.Len() != row.records {
					t.Errorf("afterwards: user %q and %d records, want %q and %d", user, store.Len(), row.left, row.records)
				}
				if name := pxGet(m, cookie, pxName); name != "none" {
					t.Errorf("a pending value is stored: %q", name)
				}
			})
		}
	}
}

// pxPanicking is what handlers do before they panic.
var pxPanicking = []struct {
	name    string
	user    bool
	fn      pxFunc
	left    string // who is signed in afterwards, by the cookie of before
	records int
}{
	{"a value of a visitor", false, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { _ = pxName.Set(s, "x") }, "", 0},
	{"a committed value of a visitor", false, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		_ = pxName.Set(s, "x")
		_ = s.Commit(r.Context())
	}, "", 0},
	{"a value of a user", true, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { _ = pxName.Set(s, "x") }, "alice", 1},
	{"a sign-in", false, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		_ = s.SignIn(r.Context(), "alice", session.SignInOptions{})
		_ = pxName.Set(s, "x")
	}, "", 0},
	{"another sign-in of the user", true, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		_ = s.SignIn(r.Context(), "alice", session.SignInOptions{})
	}, "", 0},
	{"a rotation", true, func(_ http.ResponseWriter, r *http.Request, s *session.Session) { _ = s.Rotate(r.Context()) }, "", 0},
	{"a sign-out", true, func(_ http.ResponseWriter, r *http.Request, s *session.Session) { _ = s.SignOut(r.Context()) }, "", 0},
	{"nothing", true, pxRead, "alice", 1},
}

// What has been sent is not undone: the client has its cookie.
func TestPanicAfterTheFirstByteUndoesNothing(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	w := httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }()
		m.Handler(pxFunc(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			pxOK(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}))
			_, _ = io.WriteString(w, "x")
			panic("boom")
		})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	}()
	if user := pxUser(m, pxSent(t, w.Result())); user != "alice" {
		t.Errorf("got user %q, want alice", user)
	}
}

// pxAbilities is a writer that can everything and notes what it was asked, and
// whether the cookie was there by then.
type pxAbilities struct {
	http.ResponseWriter
	asked []string
}

func (a *pxAbilities) note(what string) {
	a.asked = append(a.asked, fmt.Sprintf("%s %t", what, a.Header()["Set-Cookie"] != nil))
}

func (a *pxAbilities) Flush() { a.note("Flush") }
func (a *pxAbilities) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.note("Hijack")
	return nil, nil, nil
}
func (a *pxAbilities) ReadFrom(src io.Reader) (int64, error) {
	a.note("ReadFrom")
	return io.Copy(io.Discard, src)
}
func (a *pxAbilities) CloseNotify() <-chan bool { a.note("CloseNotify"); return nil }

type pxCloseNotifier interface{ CloseNotify() <-chan bool }

type pxUnwrapper struct {
	http.ResponseWriter
	inner http.ResponseWriter
}

func (u pxUnwrapper) Unwrap() http.ResponseWriter { return u.inner }

// pxFlushError has FlushError alone, as some middleware do.
type pxFlushError struct {
	http.ResponseWriter
	a *pxAbilities
}

func (f pxFlushError) FlushError() error { f.a.note("Flush"); return nil }

// A handler asks by type assertion: what the inner writer lacks must not be
// offered, and what it has must not be lost, nor found behind our back.
func TestWriterOffersWhatTheInnerOneHas(t *testing.T) {
	type W = http.ResponseWriter
	type F = http.Flusher
	type H = http.Hijacker
	type R = io.ReaderFrom
	type C = pxCloseNotifier
	for _, row := range []struct {
		can  string
		make func(w W, a *pxAbilities) W
	}{
		{"", func(w W, a *pxAbilities) W { return struct{ W }{w} }},
		{"F", func(w W, a *pxAbilities) W {
			return struct {
				W
				F
			}{w, a}
		}},
		{"H", func(w W, a *pxAbilities) W {
			return struct {
				W
				H
			}{w, a}
		}},
		{"R", func(w W, a *pxAbilities) W {
			return struct {
				W
				R
			}{w, a}
		}},
		{"C", func(w W, a *pxAbilities) W {
			return struct {
				W
				C
			}{w, a}
		}},
		{"FH", func(w W, a *pxAbilities) W {
			return struct {
				W
				F
				H
			}{w, a, a}
		}},
		{"FR", func(w W, a *pxAbilities) W {
			return struct {
				W
				F
				R
			}{w, a, a}
		}},
		{"FC", func(w W, a *pxAbilities) W {
			return struct {
				W
				F
				C
			}{w, a, a}
		}},
		{"HR", func(w W, a *pxAbilities) W {
			return struct {
				W
				H
				R
			}{w, a, a}
		}},
		{"HC", func(w W, a *pxAbilities) W {
			return struct {
				W
				H
				C
			}{w, a, a}
		}},
		{"RC", func(w W, a *pxAbilities) W {
			return struct {
				W
				R
				C
			}{w, a, a}
		}},
		{"FHR", func(w W, a *pxAbilities) W {
			return struct {
				W
				F
				H
				R
			}{w, a, a, a}
		}},
		{"FHC", func(w W, a *pxAbilities) W {
			return struct {
				W
				F
				H
				C
			}{w, a, a, a}
		}},
		{"FRC", func(w W, a *pxAbilities) W {
			return struct {
				W
				F
				R
				C
			}{w, a, a, a}
		}},
		{"HRC", func(w W, a *pxAbilities) W {
			return struct {
				W
				H
				R
				C
			}{w, a, a, a}
		}},
		{"FHRC", func(w W, a *pxAbilities) W { return a }},
		// Flush and Hijack are found as http.ResponseController finds them; the
		// other two only a type assertion finds.
		{"FH", func(w W, a *pxAbilities) W { return pxUnwrapper{w, a} }},
		{"FH", func(w W, a *pxAbilities) W { return pxUnwrapper{w, pxUnwrapper{w, a}} }},
		{"FHR", func(w W, a *pxAbilities) W {
			return struct {
				pxUnwrapper
				R
			}{pxUnwrapper{w, a}, a}
		}},
		{"F", func(w W, a *pxAbilities) W { return pxFlushError{w, a} }},
		{"F", func(w W, a *pxAbilities) W { return pxUnwrapper{w, pxFlushError{w, a}} }},
	} {
		t.Run(row.can, func(t *testing.T) { testAbilities(t, row.can, row.make) })
	}
}

func testAbilities(t *testing.T, can string, build func(http.ResponseWriter, *pxAbilities) http.ResponseWriter) {
	uses := []struct {
		letter, name string
		commits      bool
		use          func(w http.ResponseWriter) bool
		control      func(c *http.ResponseController) error
	}{
		{"F", "Flush", true, func(w http.ResponseWriter) bool {
			f, ok := w.(http.Flusher)
			if ok {
				f.Flush()
			}
			return ok
		}, func(c *http.ResponseController) error { return c.Flush() }},
		{"H", "Hijack", true, func(w http.ResponseWriter) bool {
			h, ok := w.(http.Hijacker)
			if ok {
				_, _, _ = h.Hijack()
			}
			return ok
		}, func(c *http.ResponseController) error { _, _, err := c.Hijack(); return err }},
		{"R", "ReadFrom", true, func(w http.ResponseWriter) bool {
			r, ok := w.(io.ReaderFrom)
			if ok {
				_, _ = r.ReadFrom(strings.NewReader("x"))
			}
			return ok
		}, nil},
		{"C", "CloseNotify", false, func(w http.ResponseWriter) bool {
			c, ok := w.(pxCloseNotifier)
			if ok {
				c.CloseNotify()
			}
			return ok
		}, nil},
	}
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	for _, u := range uses {
		for _, controlled := range []bool{false, u.control != nil} {
			a := &pxAbilities{ResponseWriter: httptest.NewRecorder()}
			has, want := strings.Contains(can, u.letter), []string(nil)
			m.Handler(pxFunc(func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
				pxOK(t, "Set", pxName.Set(s, "x"))
				if controlled {
					if err := u.control(http.NewResponseController(w)); (err == nil) != has || err != nil && !errors.Is(err, http.ErrNotSupported) {
						t.Errorf("%s by ResponseController: got %v, inner has it: %t", u.name, err, has)
					}
				} else if offered := u.use(w); offered != has {
					t.Errorf("%s is offered: %t, inner has it: %t", u.name, offered, has)
				}
				if err := pxColor.Set(s, "late"); (err != nil) != (has && u.commits) {
					t.Errorf("after %s: got %v, committed should be %t", u.name, err, has && u.commits)
				}
			})).ServeHTTP(build(a.ResponseWriter, a), httptest.NewRequest(http.MethodGet, "/", nil))
			if has {
				want = []string{fmt.Sprintf("%s %t", u.name, u.commits)}
			}
			if fmt.Sprint(a.asked) != fmt.Sprint(want) {
				t.Errorf("%s: the inner writer was asked %v, want %v", u.name, a.asked, want)
			}
		}
	}
}

// io.Copy of a file has to reach net/http's ReadFrom, which uses sendfile.
func TestFilesAreSentByTheInnerWriter(t *testing.T) {
	name := filepath.Join(t.TempDir(), "page")
	pxOK(t, "WriteFile", os.WriteFile(name, bytes.Repeat([]byte("x"), 100<<10), 0o600))
	serve := func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "Set", pxName.Set(s, "x"))
		f, err := os.Open(name)
		pxOK(t, "Open", err)
		defer f.Close()
		_, err = io.Copy(w, f)
		pxOK(t, "Copy", err)
	}
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	rec := httptest.NewRecorder()
	a := &pxAbilities{ResponseWriter: rec}
	m.Handler(pxFunc(serve)).ServeHTTP(a, httptest.NewRequest(http.MethodGet, "/", nil))
	if fmt.Sprint(a.asked) != "[ReadFrom true]" || rec.Body.Len() != 0 {
		t.Errorf("the inner writer was asked %v and written %d bytes, want one ReadFrom", a.asked, rec.Body.Len())
	}
	for _, http2 := range []bool{false, true} {
		res := pxReal(t, m.Handler(pxFunc(serve)), "", http2)
		if n := len(pxBody(t, res)); n != 100<<10 || pxSet(res) == nil {
			t.Errorf("got %d bytes, cookie %v", n, pxSet(res))
		}
	}
}

// 103 is not the response: its headers go out without the cookie, and the
// session stays open.
func TestInformationalResponsesDoNotCommit(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		server := pxServer(t, m.Handler(pxFunc(func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			pxOK(t, "Set", pxName.Set(s, "x"))
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusProcessing)
			pxOK(t, "Set after 103", pxColor.Set(s, "red"))
			_, _ = io.WriteString(w, "page")
		})), http2)
		var hints []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, h.Get("Link") != "", h.Get("Set-Cookie") != ""))
			return nil
		}}
		r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, server.URL, nil)
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if got := fmt.Sprint(hints); got != "[103 true false 102 true false]" || pxGet(m, pxSent(t, res), pxColor) != "red" {
			t.Errorf("HTTP/2 %t: got hints %s, final response %v", http2, got, res.Header)
		}
	}
}

// 101 is the response.
func TestSwitchingProtocolsCommits(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	server := pxServer(t, m.Handler(pxFunc(func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		pxOK(t, "Set", pxName.Set(s, "x"))
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		pxIs(t, "Set after 101", pxColor.Set(s, "red"), session.ErrCommitted)
	})), false)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols || pxGet(m, pxSent(t, res), pxName) != "x" {
		t.Errorf("got %s, cookie %v", res.Status, pxSet(res))
	}
}

// Server-sent events, with what http.ResponseController can do. Setting a
// deadline sends nothing, and therefore commits nothing.
func TestStreamingThroughTheResponseController(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		next := make(chan struct{})
		res := pxReal(t, m.Handler(pxFunc(func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			c := http.NewResponseController(w)
			pxOK(t, "SetReadDeadline", c.SetReadDeadline(time.Now().Add(time.Hour)))
			pxOK(t, "SetWriteDeadline", c.SetWriteDeadline(time.Now().Add(time.Hour)))
			pxOK(t, "EnableFullDuplex", c.EnableFullDuplex())
			if _, ok := w.(http.Hijacker); ok == http2 {
				t.Errorf("HTTP/2 %t: Hijacker is offered: %t", http2, ok)
			}
			if http2 {
				_, _, err := c.Hijack()
				pxIs(t, "Hijack over HTTP/2", err, http.ErrNotSupported)
			}
			pxOK(t, "Set", pxName.Set(s, "x"))
			pxOK(t, "Flush", c.Flush())
			<-next
			_, _ = io.WriteString(w, "data: 1\n\n")
			pxOK(t, "Flush again", c.Flush())
			<-next
		})), "", http2)
		// The headers are here, with the cookie, while the handler waits.
		if name := pxGet(m, pxSent(t, res), pxName); name != "x" {
			t.Errorf("HTTP/2 %t: got name %q", http2, name)
		}
		next <- struct{}{}
		line, err := bufio.NewReader(res.Body).ReadString('\n')
		if line != "data: 1\n" || err != nil {
			t.Errorf("HTTP/2 %t: got %q, %v", http2, line, err)
		}
		next <- struct{}{}
	}
}

func TestEveryKindOfResponseCarriesTheCookie(t *testing.T) {
	content := func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "page.txt", time.Unix(1e9, 0), strings.NewReader("0123456789"))
	}
	method := func(name string) func(*http.Request) { return func(r *http.Request) { r.Method = name } }
	for _, row := range []struct {
		name   string
		fn     func(w http.ResponseWriter, r *http.Request)
		edit   func(*http.Request)
		status int
		body   string
	}{
		{"HEAD", content, method(http.MethodHead), 200, ""},
		{"HEAD with a body written", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, method(http.MethodHead), 200, ""},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, nil, 204, ""},
		{"304", content, pxHeader("If-Modified-Since", time.Unix(1e9, 0).UTC().Format(http.TimeFormat)), 304, ""},
		{"a range", content, pxHeader("Range", "bytes=2-4"), 206, "234"},
		{"a range beyond the end", content, pxHeader("Range", "bytes=20-"), 416, "invalid range: failed to overlap\n"},
		{"WriteHeader twice", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(202)
			w.WriteHeader(500)
		}, nil, 202, ""},
		{"an error page", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 404) }, nil, 404, "no\n"},
		{"a Content-Length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			_, _ = io.WriteString(w, "abc")
		}, nil, 200, "abc"},
	} {
		for _, http2 := range []bool{false, true} {
			m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
			server := pxServer(t, m.Handler(pxFunc(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
				pxOK(t, "Set", pxName.Set(s, "kept"))
				row.fn(w, r)
			})), http2)
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			if row.edit != nil {
				row.edit(r)
			}
			res, err := server.Client().Do(r)
			if err != nil {
				t.Errorf("%s: %v", row.name, err)
				continue
			}
			body := pxBody(t, res)
			_ = res.Body.Close()
			if res.StatusCode != row.status || body != row.body || pxGet(m, pxSent(t, res), pxName) != "kept" {
				t.Errorf("%s, HTTP/2 %t: got %s, %q, want %d, %q", row.name, http2, res.Status, body, row.status, row.body)
			}
		}
	}
}

func TestTrailersPass(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		res := pxReal(t, m.Handler(pxFunc(func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			pxOK(t, "Set", pxName.Set(s, "x"))
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "page")
			w.Header().Set("X-Sum", "42")
			w.Header().Set(http.TrailerPrefix+"X-Late", "43")
		})), "", http2)
		_ = pxBody(t, res)
		if res.Trailer.Get("X-Sum") != "42" || res.Trailer.Get("X-Late") != "43" || pxSet(res) == nil {
			t.Errorf("HTTP/2 %t: got trailers %v, cookie %v", http2, res.Trailer, pxSet(res))
		}
	}
}

// The handler kept the header map, and sets its trailers there after the error
// answer has gone out.
func TestFailedCommitSendsNoTrailers(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		store := pxFaulty()
		m := pxManager(t, store, session.Config{})
		cookie := pxSignIn(t, m, "alice")
		store.before = func(_ context.Context, op pxOp) error {
			if op.name == "Update" {
				return errStoreDown
			}
			return nil
		}
		res := pxReal(t, m.Handler(pxFunc(func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			pxOK(t, "Set", pxName.Set(s, "x"))
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "SECRET")
			w.Header().Set("X-Sum", "SECRET")
			w.Header().Set(http.TrailerPrefix+"X-Late", "SECRET")
		})), cookie, http2)
		if body := pxBody(t, res); strings.Contains(fmt.Sprint(body, res.Header, res.Trailer), "SECRET") {
			t.Errorf("HTTP/2 %t: got %q, %v, %v", http2, body, res.Header, res.Trailer)
		}
	}
}

// After a failed commit every way of writing says so.
func TestWritesAfterAFailedCommitFail(t *testing.T) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{})
	cookie := pxSignIn(t, m, "alice")
	store.before = func(_ context.Context, op pxOp) error {
		if op.name == "Update" {
			return errStoreDown
		}
		return nil
	}
	pxReal(t, m.Handler(pxFunc(func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		pxOK(t, "Set", pxName.Set(s, "x"))
		c := http.NewResponseController(w)
		pxIs(t, "Flush", c.Flush(), session.ErrUnavailable)
		_, err := w.Write([]byte("x"))
		pxIs(t, "Write", err, session.ErrUnavailable)
		_, err = io.WriteString(w, "x")
		pxIs(t, "WriteString", err, session.ErrUnavailable)
		_, err = w.(io.ReaderFrom).ReadFrom(strings.NewReader("x"))
		pxIs(t, "ReadFrom", err, session.ErrUnavailable)
		_, _, err = c.Hijack()
		pxIs(t, "Hijack", err, session.ErrUnavailable)
		pxIs(t, "Set", pxName.Set(s, "y"), session.ErrCommitted)
		w.WriteHeader(http.StatusOK)
	})), cookie, false)
}

// pxStrings counts the strings that reach the inner writer without a copy.
type pxStrings struct {
	*httptest.ResponseRecorder
	n int
}

func (w *pxStrings) WriteString(s string) (int, error) {
	w.n++
	return w.ResponseRecorder.WriteString(s)
}

func TestStringsPassWithoutACopy(t *testing.T) {
	m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
	w := &pxStrings{ResponseRecorder: httptest.NewRecorder()}
	m.Handler(pxFunc(func(w http.ResponseWriter, _ *http.Request, _ *session.Session) {
		_, _ = io.WriteString(w, "a")
		fmt.Fprint(w, "b")
	})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.n != 1 || w.Body.String() != "ab" {
		t.Errorf("got %d strings, %q", w.n, w.Body.String())
	}
}

// http.TimeoutHandler inside: its answer commits what the slow handler had set by
// then, and what it sets later is refused.
func TestTimeoutHandlerInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		done := make(chan struct{})
		slow := pxFunc(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			defer close(done)
			pxOK(t, "Set in time", pxName.Set(s, "in time"))
			<-r.Context().Done()
			time.Sleep(time.Second)
			pxIs(t, "Set too late", pxColor.Set(s, "late"), session.ErrCommitted)
			pxIs(t, "SignIn too late", s.SignIn(context.Background(), "alice", session.SignInOptions{}), session.ErrCommitted)
			_, err := io.WriteString(w, "late")
			pxIs(t, "Write too late", err, http.ErrHandlerTimeout)
		})
		res := pxServe(m.Handler(http.TimeoutHandler(slow, time.Second, "slow")), "")
		<-done
		cookie := pxSent(t, res)
		if body := pxBody(t, res); res.StatusCode != 503 || body != "slow" || pxGet(m, cookie, pxName) != "in time" || pxUser(m, cookie) != "" {
			t.Errorf("got %s, %q, name %q", res.Status, body, pxGet(m, cookie, pxName))
		}
	})
}

// http.TimeoutHandler outside: the client has its answer already, but what the
// handler was told is stored.
func TestTimeoutHandlerOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{})
		cookie := pxSignIn(t, m, "alice")
		done := make(chan struct{})
		slow := m.Handler(pxFunc(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			defer close(done)
			<-r.Context().Done()
			time.Sleep(time.Second) // by now the client has its answer
			pxOK(t, "Set", pxName.Set(s, "kept"))
			_, err := io.WriteString(w, "late")
			pxIs(t, "Write", err, http.ErrHandlerTimeout)
		}))
		res := pxServe(http.TimeoutHandler(slow, time.Second, "slow"), cookie)
		<-done
		if name := pxGet(m, cookie, pxName); res.StatusCode != 503 || name != "kept" {
			t.Errorf("got %s, name %q, want 503 and kept", res.Status, name)
		}
	})
}

// pxGzip is a middleware as they are: it sets the encoding when the first byte
// comes, or at once.
func pxGzip(next http.Handler, early bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if early {
			w.Header().Set("Content-Encoding", "gzip")
		}
		z := &pxGzipWriter{ResponseWriter: w}
		next.ServeHTTP(z, r)
		z.start()
		_ = z.z.Close()
	})
}

type pxGzipWriter struct {
	http.ResponseWriter
	z *gzip.Writer
}

func (w *pxGzipWriter) start() {
	if w.z == nil {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Del("Content-Length")
		w.z = gzip.NewWriter(w.ResponseWriter)
	}
}

func (w *pxGzipWriter) WriteHeader(status int) {
	w.start()
	w.ResponseWriter.WriteHeader(status)
}

func (w *pxGzipWriter) Write(b []byte) (int, error) {
	w.start()
	return w.z.Write(b)
}

func (w *pxGzipWriter) Flush() {
	w.start()
	_ = w.z.Flush()
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *pxGzipWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A compressing middleware on either side: cookie and page arrive, and so does
// the error page if the commit fails.
func TestCompressionOnEitherSide(t *testing.T) {
	for _, row := range []struct {
		name string
		wrap func(m *session.Manager, h http.Handler) http.Handler
	}{
		{"inside", func(m *session.Manager, h http.Handler) http.Handler { return m.Handler(pxGzip(h, false)) }},
		{"inside, early", func(m *session.Manager, h http.Handler) http.Handler { return m.Handler(pxGzip(h, true)) }},
		{"outside", func(m *session.Manager, h http.Handler) http.Handler { return pxGzip(m.Handler(h), false) }},
		{"outside, early", func(m *session.Manager, h http.Handler) http.Handler { return pxGzip(m.Handler(h), true) }},
	} {
		for _, flush := range []bool{false, true} {
			for _, fail := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, flush %t, failing %t", row.name, flush, fail), func(t *testing.T) {
					testCompression(t, row.wrap, flush, fail)
				})
			}
		}
	}
}

func testCompression(t *testing.T, wrap func(*session.Manager, http.Handler) http.Handler, flush, fail bool) {
	store := pxFaulty()
	m := pxManager(t, store, session.Config{})
	store.before = func(_ context.Context, op pxOp) error {
		if fail && op.name == "Create" {
			return errStoreDown
		}
		return nil
	}
	res := pxReal(t, wrap(m, pxFunc(func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		pxOK(t, "Set", pxName.Set(s, "x"))
		if flush {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, "SECRET")
	})), "", false)
	body := pxBody(t, res) // the client's transport decodes gzip, if the header says so
	status, text := http.StatusOK, "SECRET"
	if fail {
		status, text = http.StatusServiceUnavailable, "Service Unavailable\n"
	}
	if res.StatusCode != status || body != text || (pxSet(res) != nil) == fail {
		t.Errorf("got %s, %q, cookie %v, want %d, %q", res.Status, body, pxSet(res), status, text)
	}
}

// An ErrorHandler that flushes or sends a hint, and nothing else, must not turn
// the error into a 200.
func TestErrorHandlerThatOnlyFlushesIsNoSuccess(t *testing.T) {
	for _, row := range []struct {
		name string
		fn   func(w http.ResponseWriter)
	}{
		{"nothing", func(http.ResponseWriter) {}},
		{"103", func(w http.ResponseWriter) { w.WriteHeader(http.StatusEarlyHints) }},
		{"Flush", func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }},
	} {
		m := pxManager(t, memstore.New(memstore.Options{}), session.Config{
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { row.fn(w) }})
		res := pxReal(t, m.Handler(m.RequireUser(pxFunc(pxRead))), "", false)
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: got %s, want 401", row.name, res.Status)
		}
	}
}

// A middleware inside that answers for the handler it runs, as a router's 404 or
// a recoverer does, finds the session as usual.
func TestRecovererOnEitherSide(t *testing.T) {
	recoverer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if recover() != nil {
					http.Error(w, "our fault", http.StatusInternalServerError)
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
	store := memstore.New(memstore.Options{})
	m := pxManager(t, store, session.Config{})
	failing := pxFunc(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		pxOK(t, "SignIn", s.SignIn(r.Context(), "alice", session.SignInOptions{}))
		panic("boom")
	})
	// Outside: the panic passes us, and nothing of the sign-in remains.
	if res := pxServe(recoverer(m.Handler(failing)), ""); res.StatusCode != 500 || pxSet(res) != nil || store.Len() != 0 {
		t.Errorf("outside: got %s, cookie %v, %d records", res.Status, pxSet(res), store.Len())
	}
	// Inside: to us the handler has answered with a 500, and is signed in.
	if res := pxServe(m.Handler(recoverer(failing)), ""); res.StatusCode != 500 || pxUser(m, pxSent(t, res)) != "alice" {
		t.Errorf("inside: got %s, cookie %v", res.Status, pxSet(res))
	}
}
