package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session/client"
)

func TestSessionIsCaptured(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	login := func(body string, headers ...string) *http.Response { return reply(200, body, headers...) }
	for _, row := range []struct {
		name, cookie string
		method, path string // "": a POST to the sign-in
		answer       *http.Response
		want         string
	}{
		{name: "session_id at the top", answer: login(`{"success":true,"session_id":"S"}`), want: "S"},
		{name: "sessionId at the top", answer: login(`{"sessionId":"S"}`), want: "S"},
		{name: "session_id in data", answer: login(`{"success":true,"data":{"session_id":"S","x":1}}`), want: "S"},
		{name: "sessionId in data", answer: login(`{"data":{"sessionId":"S"}}`), want: "S"},
		{name: "the top goes before data", answer: login(`{"data":{"session_id":"no"},"sessionId":"S"}`), want: "S"},
		{name: "an empty one at the top", answer: login(`{"data":{"session_id":"S"},"session_id":""}`), want: "S"},
		{name: "the header", answer: login(`{}`, "X-Session-ID: S"), want: "S"},
		{name: "the header goes before the body", answer: login(`{"session_id":"no"}`, "X-Session-ID: S"), want: "S"},
		{name: "problem+json and its like", answer: login(`{"session_id":"S"}`, "Content-Type: application/vnd.api+json; charset=utf-8"), want: "S"},
		{name: "the cookie", cookie: "sid", answer: login(``, "Set-Cookie: sid=S; Path=/; HttpOnly"), want: "S"},
		{name: "the cookie goes before the body", cookie: "sid", answer: login(`{"session_id":"no"}`, "Set-Cookie: sid=S"), want: "S"},
		{name: "the last of several cookies", cookie: "sid", answer: login(``, "Set-Cookie: sid=no", "Set-Cookie: sid=S"), want: "S"},
		{name: "the body where the cookie is expected", cookie: "sid", answer: login(`{"session_id":"S"}`, "Set-Cookie: other=no"), want: "S"},
		{name: "a cookie on any answer", cookie: "sid", method: "GET", path: "/x", answer: reply(404, ``, "Set-Cookie: sid=S"), want: "S"},
		{name: "a header on a change", method: "PUT", path: "/password", answer: reply(200, ``, "X-Session-ID: S"), want: "S"},
		{name: "a path beneath the sign-in's", method: "POST", path: "/auth/token/exchange", answer: login(`{"session_id":"S"}`), want: "S"},

		{name: "the cookie, though it is not expected", answer: login(`{}`, "Set-Cookie: session=no")},
		{name: "another cookie", cookie: "sid", answer: login(``, "Set-Cookie: sid2=no", "Set-Cookie: SID=no")},
		{name: "a cookie that has expired", cookie: "sid", answer: login(``, "Set-Cookie: sid=no; Expires=Thu, 01 Jan 1970 00:00:00 GMT")},
		{name: "a cookie to be deleted", cookie: "sid", answer: login(``, "Set-Cookie: sid=no; Max-Age=0")},
		{name: "a header on a read", method: "GET", path: "/x", answer: reply(200, ``, "X-Session-ID: no")},
		{name: "the body of another path", method: "POST", path: "/analytics", answer: login(`{"session_id":"no"}`)},
		{name: "the body of a path that begins alike", method: "POST", path: "/authors", answer: login(`{"session_id":"no"}`)},
		{name: "the body of a read", method: "GET", path: "/auth/login", answer: login(`{"session_id":"no"}`)},
		{name: "no success", answer: login(`{"success":false,"session_id":"no"}`)},
		{name: "no success in data", answer: login(`{"data":{"success":false,"session_id":"no"}}`)},
		{name: "a refusal", answer: reply(403, `{"session_id":"no"}`)},
		{name: "deeper than data", answer: login(`{"data":{"data":{"session_id":"no"}}}`)},
		{name: "other letters", answer: login(`{"SESSION_ID":"no","Session_Id":"no"}`)},
		{name: "a number", answer: login(`{"session_id":12}`)},
		{name: "data is a list", answer: login(`{"data":[{"session_id":"no"}]}`)},
		{name: "broken JSON", answer: login(`{"session_id":"no"`)},
		{name: "two documents", answer: login(`{"session_id":"no"}{}`)},
		{name: "no JSON", answer: login(`{"session_id":"no"}`, "Content-Type: text/plain")},
		{name: "compressed by who asked for that", answer: login(`{"session_id":"no"}`, "Content-Encoding: gzip")},
		{name: "a long body", answer: login(`{"session_id":"no","x":"` + long + `"}`)},
		{name: "a line break", answer: login(`{"session_id":"no\nX-Admin: 1"}`)},
		{name: "a semicolon", answer: login(`{"session_id":"no; admin=1"}`)},
		{name: "no ASCII", answer: login(`{"session_id":"nö"}`)},
		{name: "too long", answer: login(`{"session_id":"` + long[:4097] + `"}`)},
	} {
		t.Run(row.name, func(t *testing.T) {
			body, _ := io.ReadAll(row.answer.Body)
			row.answer.Body = io.NopCloser(strings.NewReader(string(body)))
			c := at(func(*http.Request) *http.Response { return row.answer })
			c.Cookie = row.cookie
			if row.method == "" {
				row.method, row.path = "POST", "/auth/login"
			}
			req, _ := http.NewRequest(row.method, api+row.path, nil)
			res, err := c.HTTP().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			wantStored(t, c, row.want)
			if got, err := io.ReadAll(res.Body); err != nil || string(got) != string(body) {
				t.Errorf("the body is %.40q (%v), want %.40q", got, err, body)
			}
			res.Body.Close()
		})
	}
}

// TestSignInTakesAnyPath: SignIn finds a session where a plain Post would not look,
// and says so if there is none.
func TestSignInTakesAnyPath(t *testing.T) {
	answers := map[string]string{"/sign-in": `{"data":{"session_id":"S","name":"Ada"}}`, "/none": `{"name":"Ada"}`}
	c := at(func(r *http.Request) *http.Response { return reply(200, answers[r.URL.Path]) })
	var out struct{ Data struct{ Name string } }
	if err := c.SignIn(t.Context(), "/sign-in", nil, &out); err != nil || out.Data.Name != "Ada" {
		t.Errorf("SignIn: %v, %+v", err, out)
	}
	wantStored(t, c, "S")
	if err := c.SignIn(t.Context(), "/none", nil, nil); err == nil || !strings.Contains(err.Error(), "no session") {
		t.Errorf("SignIn without a session: %v", err)
	}
	wantStored(t, c, "S")
}

// TestSignInBeneathAPrefix: AuthPath is beneath BaseURL.
func TestSignInBeneathAPrefix(t *testing.T) {
	c := at(func(*http.Request) *http.Response { return reply(200, `{"session_id":"S"}`) })
	c.BaseURL, c.AuthPath = api+"/v1", "account/"
	if err := c.Post(t.Context(), "/auth/login", nil, nil); err != nil {
		t.Error(err)
	}
	wantStored(t, c, "")
	if err := c.Post(t.Context(), "/account/login", nil, nil); err != nil {
		t.Error(err)
	}
	wantStored(t, c, "S")
}

// TestEndpointsAtTheRoot: AuthPath can be BaseURL itself.
func TestEndpointsAtTheRoot(t *testing.T) {
	for base, want := range map[string]string{api: "/session", api + "/": "/session", api + "/v1": "/v1/session"} {
		for _, path := range []string{"/", "//"} {
			c := at(func(r *http.Request) *http.Response {
				if r.Method == http.MethodPost {
					return reply(200, `{"session_id":"S"}`)
				}
				if r.URL.Path != want {
					t.Errorf("%s was asked, want %s", r.URL, want)
				}
				return user("ada")()
			})
			c.BaseURL, c.AuthPath = base, path
			if err := c.Post(t.Context(), "/login", nil, nil); err != nil {
				t.Error(err)
			}
			wantStored(t, c, "S")
			if _, err := c.Session(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestLateAnswersChangeNothing: an answer speaks of the session its request
// carried, not of the one that is there when it arrives.
func TestLateAnswersChangeNothing(t *testing.T) {
	for _, row := range []struct {
		name, cookie, before, after string
		answer                      *http.Response
	}{
		{"401 after a new sign-in", "", tokenA, tokenB, reply(401, "{}")},
		{"401 of nobody after a sign-in", "", "", tokenB, reply(401, "{}")},
		{"a deleted cookie after a new sign-in", "sid", tokenA, tokenB, reply(200, "", "Set-Cookie: sid=; Max-Age=0")},
		{"a rotated cookie after a new sign-in", "sid", tokenA, tokenB, reply(200, "", "Set-Cookie: sid=old")},
		{"a rotated cookie after a sign-out", "sid", tokenA, "", reply(200, "", "Set-Cookie: sid=old")},
		{"a visitor's cookie after a sign-in", "sid", "", tokenB, reply(200, "", "Set-Cookie: sid=visitor")},
		{"a late sign-in by Post after another", "", "", tokenB, reply(200, `{"session_id":"late"}`)},
	} {
		t.Run(row.name, func(t *testing.T) {
			for name, storage := range map[string]client.Storage{"Memory": &client.Memory{}, "a plain storage": &plainStorage{}} {
				var expired counter
				var c *client.Client
				c = at(func(*http.Request) *http.Response {
					if err := errors.Join(c.ClearSession(t.Context()), setIf(t, c, row.after)); err != nil {
						t.Error(err)
					}
					return row.answer
				})
				c.Cookie, c.OnExpired, c.Storage = row.cookie, expired.add, storage
				_ = setIf(t, c, row.before)
				_ = c.Post(t.Context(), "/auth/login", nil, nil)
				wantStored(t, c, row.after)
				if expired.count() > 0 {
					t.Errorf("%s: OnExpired was called", name)
				}
			}
		})
	}
}

func setIf(t *testing.T, c *client.Client, id string) error {
	if id == "" {
		return nil
	}
	return c.SetSessionID(t.Context(), id)
}

// TestEnds is what ends a session on this side, what tells of it, and what does neither.
func TestEnds(t *testing.T) {
	const deleted = "Set-Cookie: sid=; Max-Age=0"
	for _, row := range []struct {
		name, cookie, method string
		answer               *http.Response // nil: the network is down
		cleared              bool
		told                 int
	}{
		{"401", "", "GET", reply(401, "{}"), true, 1},
		{"401 to a change", "", "POST", reply(401, "{}"), true, 1},
		{"401 with an anonymous session", "sid", "GET", reply(401, "{}", "Set-Cookie: sid=visitor"), true, 1},
		{"the cookie is deleted on a read: it had expired", "sid", "GET", reply(200, "", deleted), true, 1},
		{"the cookie is deleted on a change: signed out", "sid", "POST", reply(204, "", deleted), true, 0},
		{"403", "", "GET", reply(403, "{}"), false, 0},
		{"404", "", "GET", reply(404, "{}"), false, 0},
		{"407", "", "GET", reply(407, "{}"), false, 0},
		{"429", "", "GET", reply(429, "{}"), false, 0},
		{"500", "", "GET", reply(500, "{}"), false, 0},
		{"502 of a proxy", "", "GET", reply(502, "<html>", "Content-Type: text/html"), false, 0},
		{"503", "", "GET", reply(503, "{}", "Retry-After: 5"), false, 0},
		{"no network", "", "GET", nil, false, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			var expired counter
			c := at(func(*http.Request) *http.Response { return row.answer })
			c.Cookie, c.OnExpired = row.cookie, expired.add
			holding(t, c, tokenA)
			if row.method == "GET" {
				_ = c.Get(t.Context(), "/", nil)
			} else {
				_ = c.Post(t.Context(), "/", nil, nil)
			}
			want := tokenA
			if row.cleared {
				want = ""
			}
			wantStored(t, c, want)
			if expired.count() != row.told {
				t.Errorf("OnExpired was called %d times, want %d", expired.count(), row.told)
			}
		})
	}
}

// TestOnlyNullSaysThatThereIsNoSession: what is not the session endpoint is no
// reason to sign out.
func TestOnlyNullSaysThatThereIsNoSession(t *testing.T) {
	for _, contract := range []client.Contract{client.Native, client.BetterAuth} {
		for _, row := range []struct {
			body    string
			headers []string
			null    bool
		}{
			{body: "null", null: true},
			{body: " null\n", null: true},
			{body: ""},
			{body: "{}"},
			{body: `{"session":null}`},
			{body: `"null"`},
			{body: "[]"},
			{body: "null", headers: []string{"Content-Type: text/html"}},
		} {
			c := at(func(*http.Request) *http.Response { return reply(200, row.body, row.headers...) })
			c.Contract = contract
			holding(t, c, tokenA)
			_, err := c.Session(t.Context())
			if err == nil || errors.Is(err, client.ErrNoSession) != row.null {
				t.Errorf("%v answers %q: %v", contract, row.body, err)
			}
			if in, _ := c.SignedIn(t.Context()); in == row.null {
				t.Errorf("%v answers %q: signed in is %t", contract, row.body, in)
			}
		}
	}
	c := at(func(*http.Request) *http.Response { return reply(200, "{}") })
	c.Contract = client.Flowfull
	if _, err := holding(t, c, tokenA).Session(t.Context()); err == nil || errors.Is(err, client.ErrNoSession) {
		t.Errorf("flowfull answers {}: %v", err)
	}
}

// TestKeepSession: until the second factor has come, every contract answers as if
// there were no session.
func TestKeepSession(t *testing.T) {
	for _, answer := range []*http.Response{reply(401, "{}"), reply(200, "null"), reply(200, "null", "Set-Cookie: sid=; Max-Age=0")} {
		c := at(func(*http.Request) *http.Response { return answer })
		c.Cookie = "sid"
		holding(t, c, tokenA)
		if _, err := c.Session(client.KeepSession(t.Context())); !errors.Is(err, client.ErrNoSession) {
			t.Errorf("Session: %v", err)
		}
		wantStored(t, c, tokenA)
	}
}

// TestParallelRequestsOfOneSessionTellOnce also with a storage that cannot swap.
func TestParallelRequestsOfOneSessionTellOnce(t *testing.T) {
	for _, storage := range []client.Storage{&client.Memory{}, &plainStorage{}, &client.File{Path: t.TempDir() + "/s"}} {
		var expired counter
		c := at(func(*http.Request) *http.Response { return reply(401, "{}") })
		c.Storage, c.OnExpired = storage, expired.add
		for i := range 5 {
			holding(t, c, fmt.Sprint(tokenA, i))
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { _ = c.Get(t.Context(), "/", nil) })
			}
			wg.Wait()
			if wantStored(t, c, ""); expired.count() != i+1 {
				t.Errorf("%T: OnExpired was called %d times, want %d", storage, expired.count(), i+1)
			}
		}
	}
}

// TestOnExpiredMaySignInAgain: nothing is locked while it runs.
func TestOnExpiredMaySignInAgain(t *testing.T) {
	c := at(func(r *http.Request) *http.Response {
		switch {
		case r.URL.Path == "/auth/login":
			return reply(200, `{"session_id":"new"}`)
		case r.Header.Get("X-Session-ID") == "new":
			return reply(200, `"hello"`)
		}
		return reply(401, "{}")
	})
	c.OnExpired = func(ctx context.Context) {
		if err := c.SignIn(ctx, "/auth/login", nil, nil); err != nil {
			t.Error(err)
		}
	}
	holding(t, c, tokenA)
	if err := c.Get(t.Context(), "/", nil); !errors.Is(err, client.ErrNoSession) {
		t.Errorf("first: %v", err)
	}
	var out string
	if err := c.Get(t.Context(), "/", &out); err != nil || out != "hello" {
		t.Errorf("second: %q, %v", out, err)
	}
}

// TestStorageFails: without knowing the session nothing goes out as nobody's; a
// sign-in that cannot be kept is none; an answer that arrived is not hidden.
func TestStorageFails(t *testing.T) {
	down := &brokenStorage{}
	c := at(unreachable(t))
	c.Storage = down
	down.get = true
	if err := c.Get(t.Context(), "/", nil); !errors.Is(err, errStorage) {
		t.Errorf("Get: %v", err)
	}
	if _, err := c.SignedIn(t.Context()); !errors.Is(err, errStorage) {
		t.Errorf("SignedIn: %v", err)
	}
	if err := c.SignOut(t.Context()); !errors.Is(err, errStorage) || !down.removed {
		t.Errorf("SignOut: %v, removed %t", err, down.removed)
	}

	down = &brokenStorage{}
	c = at(func(*http.Request) *http.Response { return reply(200, `{"session_id":"S"}`, "Set-Cookie: sid=S") })
	c.Storage, down.set = down, true
	if err := c.SignIn(t.Context(), "/auth/login", nil, nil); !errors.Is(err, errStorage) {
		t.Errorf("SignIn: %v", err)
	}
	if err := c.Post(t.Context(), "/auth/login", nil, nil); !errors.Is(err, errStorage) {
		t.Errorf("Post: %v", err)
	}
	rotating := at(func(*http.Request) *http.Response { return reply(200, `{}`, "Set-Cookie: sid=S") })
	down = &brokenStorage{}
	rotating.Storage, rotating.Cookie = down, "sid"
	holding(t, rotating, tokenA)
	down.set = true
	if err := rotating.Get(t.Context(), "/", nil); err != nil {
		t.Errorf("an answer with a rotated cookie: %v", err)
	}

	c = at(unreachable(t))
	c.Storage = plantedStorage("a\r\nX-Admin: 1")
	if err := c.Get(t.Context(), "/", nil); err == nil || strings.Contains(err.Error(), "Admin") {
		t.Errorf("a malformed stored session: %v", err)
	}
}

// TestSignInReplacesWhatCannotBeRead: the way out of a damaged storage is to sign
// in again. A storage that fails altogether lets nobody in.
func TestSignInReplacesWhatCannotBeRead(t *testing.T) {
	for name, content := range map[string]string{"damaged": "{", "empty": "", "malformed": `{"flowfull_session_id":"a b"}`} {
		f := &client.File{Path: filepath.Join(t.TempDir(), "s")}
		if err := os.WriteFile(f.Path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c := at(func(*http.Request) *http.Response { return reply(200, `{"session_id":"S"}`) })
		c.Storage = f
		if err := c.Get(t.Context(), "/", nil); err == nil {
			t.Errorf("%s: a request went out as nobody's", name)
		}
		if err := c.SignIn(t.Context(), "/login", nil, nil); err != nil {
			t.Errorf("%s: sign in: %v", name, err)
		}
		wantStored(t, c, "S")
	}
	down := &brokenStorage{get: true, set: true}
	c := at(func(*http.Request) *http.Response { return reply(200, `{"session_id":"S"}`) })
	c.Storage = down
	if err := c.SignIn(t.Context(), "/login", nil, nil); !errors.Is(err, errStorage) {
		t.Errorf("broken: %v", err)
	}
}

// TestRefusedSignInLeavesTheSession whatever comes along, such as a visitor's session.
func TestRefusedSignInLeavesTheSession(t *testing.T) {
	const header, cookie = "X-Session-ID: visitor", "Set-Cookie: sid=visitor"
	plain := func(c *client.Client) error { return c.Post(t.Context(), "/auth/login", nil, nil) }
	signIn := func(c *client.Client) error { return c.SignIn(t.Context(), "/login", nil, nil) }
	broken := func(c *client.Client) error { return c.SignIn(t.Context(), "/login", nil, new(int)) }
	for _, row := range []struct {
		name   string
		call   func(*client.Client) error
		status []int
		body   string
	}{
		{"SignIn is refused", signIn, []int{400, 401, 403, 404, 422, 429, 500, 503}, "{}"},
		{"SignIn is refused, with a session", signIn, []int{400, 401, 403, 500}, `{"session_id":"visitor"}`},
		{"SignIn is no success", signIn, []int{200, 201}, `{"success":false,"error":"wrong password"}`},
		{"SignIn is no success in data", signIn, []int{200}, `{"data":{"success":false}}`},
		{"SignIn leads nowhere", signIn, []int{300, 304}, "{}"},
		{"SignIn answers what the caller cannot read", broken, []int{200}, `{"session_id":"visitor"}`},
		{"a request beneath AuthPath is refused", plain, []int{400, 403, 404, 422, 429, 500, 503}, "{}"},
	} {
		for _, status := range row.status {
			for _, how := range []string{"", "sid"} {
				c := at(func(*http.Request) *http.Response { return reply(status, row.body, header, cookie) })
				c.Cookie = how
				holding(t, c, tokenA)
				if err := row.call(c); err == nil {
					t.Errorf("%s, %d, cookie %q: no error", row.name, status, how)
				}
				wantStored(t, c, tokenA)
			}
		}
	}
}

// TestAnswersFromElsewhere: after a redirect another server has answered, which
// knows nothing of the session. Away and back is no better.
func TestAnswersFromElsewhere(t *testing.T) {
	calls := map[string]func(*client.Client) error{
		"Session": func(c *client.Client) error { _, err := c.Session(t.Context()); return err },
		"User":    func(c *client.Client) error { return c.User(t.Context(), new(any)) },
		"Validate": func(c *client.Client) error {
			ok, err := c.Validate(t.Context())
			if ok {
				t.Error("the session is good, says another server")
			}
			return err
		},
		"Sessions":     func(c *client.Client) error { _, err := c.Sessions(t.Context()); return err },
		"Revoke":       func(c *client.Client) error { return c.Revoke(t.Context(), "AAAAAAAAAAAAAAAAAAAAAAAA") },
		"RevokeOthers": func(c *client.Client) error { _, err := c.RevokeOthers(t.Context()); return err },
		"SignOut":      func(c *client.Client) error { return c.SignOut(t.Context()) },
	}
	answers := map[string]func() *http.Response{
		"null":    func() *http.Response { return reply(200, "null") },
		"401":     func() *http.Response { return reply(401, "{}", "Set-Cookie: sid=; Max-Age=0") },
		"a user":  user("mallory"),
		"success": func() *http.Response { return reply(200, `{"success":true,"user":"mallory"}`) },
		"nothing": func() *http.Response { return reply(204, "") },
	}
	for _, contract := range []client.Contract{client.Native, client.Flowfull, client.BetterAuth} {
		for _, via := range []string{"https://other.example/", "https://other.example/back"} {
			for name, call := range calls {
				for says, answer := range answers {
					var expired counter
					c := at(func(r *http.Request) *http.Response {
						switch {
						case r.URL.Path == "/back":
							return reply(307, "", "Location: "+api+"/there")
						case r.URL.Host == "api.example.com" && r.URL.Path != "/there":
							return reply(307, "", "Location: "+via)
						}
						return answer()
					})
					c.Contract, c.Cookie, c.OnExpired = contract, "sid", expired.add
					holding(t, c, tokenA)
					if err := call(c); err == nil || errors.Is(err, client.ErrNoSession) || expired.count() > 0 {
						t.Errorf("%v, %s via %s, answer %s: %v, expired %d times", contract, name, via, says, err, expired.count())
					}
					if name != "SignOut" {
						wantStored(t, c, tokenA)
					}
				}
			}
		}
	}
}

// TestSignOutWaitsForNoStorage longer than ten seconds, also for a caller who has gone.
func TestSignOutWaitsForNoStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &client.File{Path: filepath.Join(t.TempDir(), "s")}
		c := at(func(*http.Request) *http.Response { return nil })
		c.Storage = f
		holding(t, c, tokenA)
		unlock, err := client.LockFile(t.Context(), f.Path+".lock")
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := c.SignOut(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// TestSignOutIsNoExpiry: not even if the session could not be forgotten at first,
// and the server says that it was over.
func TestSignOutIsNoExpiry(t *testing.T) {
	var expired counter
	storage := &brokenStorage{}
	c := at(func(*http.Request) *http.Response {
		storage.remove = false
		return reply(401, "{}")
	})
	c.Storage, c.OnExpired = storage, expired.add
	holding(t, c, tokenA)
	storage.remove = true
	if err := c.SignOut(t.Context()); !errors.Is(err, errStorage) || expired.count() > 0 {
		t.Errorf("SignOut: %v, expired %d times", err, expired.count())
	}
}

// TestSignOutOfNobodyLeavesNothing on the disk.
func TestSignOutOfNobodyLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	c := at(unreachable(t))
	c.Storage = &client.File{Path: filepath.Join(dir, "tool", "session.json")}
	if err := c.SignOut(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

// patientStorage refuses callers who have gone, as a database does.
type patientStorage struct{ client.Memory }

func (s *patientStorage) Set(ctx context.Context, key, value string) error {
	return errors.Join(ctx.Err(), s.Memory.Set(ctx, key, value))
}

func (s *patientStorage) CompareAndSwap(ctx context.Context, key, old, value string) (bool, error) {
	swapped, err := s.Memory.CompareAndSwap(ctx, key, old, value)
	return swapped, errors.Join(ctx.Err(), err)
}

// TestAnswersAreKeptForCallersWhoHaveGone: the server has the session already.
func TestAnswersAreKeptForCallersWhoHaveGone(t *testing.T) {
	for name, call := range map[string]func(*client.Client, context.Context) error{
		"SignIn": func(c *client.Client, ctx context.Context) error { return c.SignIn(ctx, "/login", nil, nil) },
		"Post":   func(c *client.Client, ctx context.Context) error { return c.Post(ctx, "/auth/login", nil, nil) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		c := at(func(*http.Request) *http.Response {
			cancel()
			return reply(200, `{"session_id":"S"}`)
		})
		c.Storage = &patientStorage{}
		if err := call(c, ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantStored(t, c, "S")
	}
}
