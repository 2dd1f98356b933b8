package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

func TestCartSurvivesSignIn(t *testing.T) {
	c := newClient(t, newServer(t, &memstore.Store{}))
	c.post("/cart", "product", "tea")
	c.post("/cart", "product", "tea")
	planted := c.cookie()
	c.post("/sign-in", "user", "ada")
	c.wantPage("/", "Ada Lovelace", "2 in the cart")
	if c.cookie() == planted {
		t.Error("signing in kept the token")
	}
	c.post("/cart/empty")
	c.wantPage("/", "Ada Lovelace", "!in the cart")
}

func TestMessageIsShownOnce(t *testing.T) {
	c := newClient(t, newServer(t, &memstore.Store{}))
	page := c.post("/cart", "product", "honey")
	if !strings.Contains(page, "Heather honey is in your cart.") {
		t.Errorf("page after the redirect has no message:\n%s", page)
	}
	c.wantPage("/", "!is in your cart.")
}

func TestRevokedDeviceIsSignedOut(t *testing.T) {
	server := newServer(t, &memstore.Store{})
	phone, laptop, tablet := newClient(t, server), newClient(t, server), newClient(t, server)
	phone.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) Version/26.0 Mobile/15E148 Safari/604.1"
	for _, c := range []*client{phone, laptop, tablet} {
		c.post("/sign-in", "user", "ada")
	}
	page := laptop.get("/devices")
	if n := strings.Count(page, "This device"); n != 1 {
		t.Errorf("%d devices are marked as this one, want 1", n)
	}
	id := regexp.MustCompile(`value="([^"]+)">Sign out<span class="hidden"> Safari on iPhone`).FindStringSubmatch(page)
	if id == nil {
		t.Fatalf("no button signs the phone out:\n%s", page)
	}

	laptop.post("/devices/revoke", "id", id[1])
	laptop.post("/devices/revoke", "id", id[1]) // a double click
	laptop.wantPage("/devices", "!Safari on iPhone")
	phone.wantPage("/", "Sign in", "!Ada Lovelace</span>")
	phone.wantPage("/devices", "Please sign in.")
	tablet.wantPage("/devices", "Ada Lovelace</span>")

	laptop.post("/devices/revoke-others")
	tablet.wantPage("/", "!Ada Lovelace</span>")
	laptop.wantPage("/devices", "Ada Lovelace</span>")
}

// TestOldSessionEndsNoOthers: it may be stolen, and must not lock its owner out.
// He is asked to sign in again, and stays remembered.
func TestOldSessionEndsNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memstore.Store{}
		app := newTestApp(t, store)
		post := func(r *http.Request, cookie *http.Cookie) *http.Response {
			if cookie != nil {
				r.AddCookie(cookie)
			}
			w := httptest.NewRecorder()
			app.ServeHTTP(w, r)
			return w.Result()
		}
		post(form("/sign-in", "user", "ada"), nil)
		old := post(form("/sign-in", "user", "ada", "remember", "on"), nil).Cookies()[0]
		records, err := store.ListUser(t.Context(), "ada", time.Now())
		if err != nil || len(records) != 2 {
			t.Fatalf("sessions of ada: %d, %v", len(records), err)
		}
		time.Sleep(5 * time.Minute)
		for _, r := range []*http.Request{
			form("/devices/revoke-others"), form("/devices/revoke", "id", records[0].ID), form("/devices/revoke", "id", records[1].ID),
		} {
			res := post(r, old)
			page, _ := io.ReadAll(res.Body)
			for _, text := range []string{"Is it you, Ada Lovelace?", `name="remember" value="on"`, `name="user" value="ada"`} {
				if res.StatusCode != http.StatusForbidden || !strings.Contains(string(page), text) {
					t.Errorf("%s: status %d, want 403 and %q in the page:\n%s", r.URL.Path, res.StatusCode, text, page)
				}
			}
		}
		if n := store.Len(); n != 2 {
			t.Errorf("%d sessions are left, want both", n)
		}
		fresh := post(form("/sign-in", "user", "ada", "remember", "on"), old).Cookies()[0]
		if res := post(form("/devices/revoke-others"), fresh); res.StatusCode != http.StatusSeeOther || store.Len() != 1 {
			t.Errorf("after signing in again: status %d, %d sessions are left", res.StatusCode, store.Len())
		}
	})
}

func TestNobodyRevokesAnotherUsersDevice(t *testing.T) {
	store := &memstore.Store{}
	server := newServer(t, store)
	ada, grace := newClient(t, server), newClient(t, server)
	ada.post("/sign-in", "user", "ada")
	grace.post("/sign-in", "user", "grace")
	records, err := store.ListUser(t.Context(), "ada", time.Now())
	if err != nil || len(records) != 1 {
		t.Fatalf("sessions of ada: %d, %v", len(records), err)
	}
	grace.post("/devices/revoke", "id", records[0].ID)
	ada.wantPage("/devices", "Ada Lovelace</span>")
}

func TestRevokingThisDeviceSignsItOut(t *testing.T) {
	store := &memstore.Store{}
	c := newClient(t, newServer(t, store))
	c.post("/sign-in", "user", "ada")
	records, err := store.ListUser(t.Context(), "ada", time.Now())
	if err != nil || len(records) != 1 {
		t.Fatalf("sessions of ada: %d, %v", len(records), err)
	}
	page := c.post("/devices/revoke", "id", records[0].ID)
	if !strings.Contains(page, "Please sign in.") {
		t.Errorf("the answer does not offer to sign in:\n%s", page)
	}
}

func TestSignOutLeavesNeitherCookieNorSession(t *testing.T) {
	store := &memstore.Store{}
	c := newClient(t, newServer(t, store))
	c.post("/sign-in", "user", "ada")
	c.post("/sign-out")
	c.wantPage("/?notice=signed-out", "You are signed out.", "!Ada Lovelace</span>")
	if got := c.cookie(); got != "" {
		t.Error("the browser still has a cookie")
	}
	if n := store.Len(); n != 0 {
		t.Errorf("the store still has %d sessions", n)
	}
}

func TestUpdateAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newTestApp(t, &memstore.Store{})
		do := func(r *http.Request, c *http.Cookie) *http.Response {
			if c != nil {
				r.AddCookie(c)
			}
			w := httptest.NewRecorder()
			app.ServeHTTP(w, r)
			return w.Result()
		}
		signIn := do(form("/sign-in", "user", "ada", "remember", "on"), nil)
		cookie := signIn.Cookies()[0]
		for _, step := range []struct {
			after   time.Duration
			refresh bool
		}{
			{0, false},
			{14 * time.Second, false},
			{time.Second, true}, // 15 s after the refresh
			{14 * time.Second, false},
			{9 * time.Minute, true},
			{10*time.Minute - time.Millisecond, true},
		} {
			time.Sleep(step.after)
			res := do(httptest.NewRequest("GET", "/devices", nil), cookie)
			if got := len(res.Cookies()) == 1; res.StatusCode != http.StatusOK || got != step.refresh {
				t.Errorf("after another %v: status %d, refreshed %t, want %t", step.after, res.StatusCode, got, step.refresh)
			}
		}
		time.Sleep(10 * time.Minute)
		if res := do(httptest.NewRequest("GET", "/devices", nil), cookie); res.StatusCode != http.StatusSeeOther {
			t.Errorf("10 minutes without a request: status %d, want to be asked to sign in", res.StatusCode)
		}
	})
}

func TestRefusals(t *testing.T) {
	app := newTestApp(t, &memstore.Store{})
	foreign := form("/cart", "product", "tea")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	for _, test := range []struct {
		name string
		r    *http.Request
		want int
	}{
		{"a form of another site", foreign, http.StatusForbidden},
		{"a product nobody sells", form("/cart", "product", "gold"), http.StatusBadRequest},
		{"a user nobody knows", form("/sign-in", "user", "eve"), http.StatusBadRequest},
		{"a form of a megabyte", form("/cart", "product", strings.Repeat("x", 1<<20)), http.StatusBadRequest},
		{"signing out by a link", httptest.NewRequest("GET", "/sign-out", nil), http.StatusMethodNotAllowed},
		{"a page that is not there", httptest.NewRequest("GET", "/nowhere", nil), http.StatusNotFound},
		{"the devices of nobody", httptest.NewRequest("GET", "/devices", nil), http.StatusSeeOther},
		{"nobody revoking", form("/devices/revoke", "id", "x"), http.StatusSeeOther},
		{"nobody revoking others", form("/devices/revoke-others"), http.StatusSeeOther},
	} {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, test.r)
		if w.Code != test.want {
			t.Errorf("%s: status %d, want %d", test.name, w.Code, test.want)
		}
		if got := w.Result().Cookies(); len(got) > 0 {
			t.Errorf("%s: sets %v", test.name, got)
		}
	}
}

// downStore is a store that cannot be asked.
type downStore struct{ session.Store }

func (downStore) Load(context.Context, string) (*session.Record, error) {
	return nil, errors.New("connection refused")
}

func TestOutageIsNoSignOut(t *testing.T) {
	c := newClient(t, newServer(t, &memstore.Store{}))
	c.post("/sign-in", "user", "ada")
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: "session", Value: c.cookie()})
	w := httptest.NewRecorder()
	newTestApp(t, downStore{&memstore.Store{}}).ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("status %d, headers %v; want 503 with Retry-After and the cookie untouched", w.Code, w.Header())
	}
}

func TestHeaders(t *testing.T) {
	app := newTestApp(t, &memstore.Store{})
	for path, vary := range map[string]string{"/": "Cookie", "/style.css": ""} {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		h := w.Header()
		if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v lack the policy", path, h)
		}
		if got := h.Get("Vary"); got != vary {
			t.Errorf("%s: Vary %q, want %q", path, got, vary)
		}
	}
}

func TestDevice(t *testing.T) {
	for _, test := range []struct{ userAgent, want string }{
		{"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Linux"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", "Chrome on Windows"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0", "Edge on Windows"},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15", "Safari on macOS"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"},
		{"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36", "Chrome on Android"},
		{"curl/8.14.1", "curl"},
		{"<script>", "Unknown device"},
		{"", "Unknown device"},
	} {
		if got := device(test.userAgent); got != test.want {
			t.Errorf("device(%q) = %q, want %q", test.userAgent, got, test.want)
		}
	}
}

func newTestApp(t *testing.T, store session.Store) http.Handler {
	t.Helper()
	app, err := newApp(store, config())
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func newServer(t *testing.T, store session.Store) *httptest.Server {
	server := httptest.NewServer(newTestApp(t, store))
	t.Cleanup(server.Close)
	return server
}

// form returns a POST of name and value pairs.
func form(path string, pairs ...string) *http.Request {
	values := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest("POST", path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// client is a browser in a few lines: it keeps cookies and follows redirects.
type client struct {
	t     *testing.T
	http  http.Client
	url   *url.URL
	agent string
}

func newClient(t *testing.T, server *httptest.Server) *client {
	t.Helper()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	jar, _ := cookiejar.New(nil)
	return &client{t: t, http: http.Client{Jar: jar, Timeout: 10 * time.Second}, url: u}
}

func (c *client) post(path string, pairs ...string) string {
	c.t.Helper()
	return c.do(form(path, pairs...))
}

func (c *client) get(path string) string {
	c.t.Helper()
	return c.do(httptest.NewRequest("GET", path, nil))
}

func (c *client) do(r *http.Request) string {
	c.t.Helper()
	r.URL, r.Host, r.RequestURI = c.url.ResolveReference(r.URL), "", ""
	r.Header.Set("User-Agent", c.agent)
	res, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %s: status %d, %v", r.Method, r.URL.Path, res.StatusCode, err)
	}
	return string(body)
}

// wantPage checks that a page has each text, or with "!" in front has it not.
func (c *client) wantPage(path string, texts ...string) {
	c.t.Helper()
	page := c.get(path)
	for _, text := range texts {
		text, not := strings.CutPrefix(text, "!")
		if strings.Contains(page, text) == not {
			c.t.Errorf("%s: contains %q: %t, want %t", path, text, not, !not)
		}
	}
}

func (c *client) cookie() string {
	for _, cookie := range c.http.Jar.Cookies(c.url) {
		if cookie.Name == "session" {
			return cookie.Value
		}
	}
	return ""
}
