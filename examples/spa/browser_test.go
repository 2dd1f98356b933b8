package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

var screenshots = flag.String("screenshots", "", "write spa-*.png to this `directory`")

//go:generate go test -run TestBrowser -screenshots ../../docs

const (
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
	iPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1"

	signedOut = "E-mail address"
)

// TestBrowser uses the page in two Chromiums, which are two devices of Ada's.
func TestBrowser(t *testing.T) {
	buildPage(t)
	laptop, phone := startBrowser(t, firefox), startBrowser(t, iPhone)

	t.Run("the keyboard signs in and out", func(t *testing.T) {
		tab := laptop.open(t, newServer(t).URL, "")
		tab.want(signedOut)
		tab.focus("input[name=email]")
		tab.press("ada@example.com")
		tab.focus("input[name=password]")
		tab.press("difference engine\r")
		tab.want("Invalid email or password")
		tab.eval("document.querySelector('input[name=password]').value = ''")
		tab.press("analytical engine\r")
		tab.want("Ada Lovelace", "Firefox on Linux", "This device", "127.0.0.1", "!Invalid", "!"+signedOut)
		tab.focus("#sign-out")
		tab.press("\r")
		tab.want(signedOut, "!Ada Lovelace")
		if cookies := tab.eval("cookieStore.getAll().then(c => c.length)"); cookies != "0" {
			t.Errorf("the page can see %s cookies", cookies)
		}
	})

	t.Run("a new device appears by itself and can be signed out", func(t *testing.T) {
		s := newServer(t)
		near, far := laptop.open(t, s.URL, ""), phone.open(t, s.URL, noPolling)
		near.signIn()
		near.want("Firefox on Linux", "!Safari", "Sign in with a second browser")
		far.signIn()
		far.want("Firefox on Linux", "Safari on iOS")
		near.want("Safari on iOS", "Sign out all other devices") // nobody has touched it
		near.click("li button")
		near.want("!Safari on iOS", "Firefox on Linux")
		if focused := near.eval("document.activeElement.id"); focused != "list" {
			t.Errorf("the button is gone, and the focus is at %q, want the list", focused)
		}
		if page := far.shown(); !strings.Contains(page, "Ada Lovelace") {
			t.Errorf("without asking, the other device shows\n%s", page)
		}
		far.click("#others") // it may not do anything any more
		far.want(signedOut)
		near.want("Ada Lovelace")
	})

	t.Run("all other devices are signed out", func(t *testing.T) {
		s := newServer(t)
		near, far := laptop.open(t, s.URL, noPolling), phone.open(t, s.URL, "")
		far.signIn()
		far.want("This device")
		near.signIn()
		near.want("Safari on iOS")
		near.click("#others")
		near.want("!Safari on iOS", "Firefox on Linux")
		far.want(signedOut) // which polls
	})

	t.Run("one look at a tab shows that it was signed out elsewhere", func(t *testing.T) {
		s := newServer(t)
		near, far := laptop.open(t, s.URL, noPolling), phone.open(t, s.URL, noPolling)
		far.signIn()
		far.want("Safari on iOS")
		far.window("minimized")
		far.wantVisibility("hidden")
		near.signIn()
		near.want("Safari on iOS")
		near.click("#others")
		near.want("!Safari on iOS")
		before := s.phone.Load()
		if page := far.shown(); !strings.Contains(page, "Ada Lovelace") {
			t.Errorf("without being looked at, the tab shows\n%s", page)
		}
		far.window("normal")
		far.want(signedOut, "!Ada Lovelace")
		if n := s.phone.Load() - before; n != 1 {
			t.Errorf("the tab has asked for the session %d times, want once", n)
		}
	})

	t.Run("signing out is seen in the other tab", func(t *testing.T) {
		s := newServer(t)
		one, two := laptop.open(t, s.URL, noPolling), laptop.open(t, s.URL, noPolling)
		one.signIn()
		one.want("Ada Lovelace")
		do(two, chromedp.Reload())
		two.want("Ada Lovelace", "This device")
		one.click("#sign-out")
		one.want(signedOut)
		two.want(signedOut, "!Ada Lovelace")
	})

	t.Run("an outage signs nobody out", func(t *testing.T) {
		s := newServer(t)
		tab := laptop.open(t, s.URL, noPolling)
		tab.signIn()
		tab.want("Firefox on Linux")
		s.down.Store(true)
		tab.click("#sign-out")
		tab.want("The server cannot be reached", "Ada Lovelace", "Firefox on Linux")
		do(tab, chromedp.Reload())
		tab.want("The server cannot be reached", "!"+signedOut)
		s.down.Store(false)
		tab.click("#again")
		tab.want("!cannot be reached", "Ada Lovelace", "Firefox on Linux")
	})

	t.Run("an old sign-in has to be repeated to see devices", func(t *testing.T) {
		s := newServer(t)
		tab := laptop.open(t, s.URL, noPolling)
		tab.want(signedOut)
		tab.click("input[name=remember]") // others last no longer than a day anyway
		tab.signIn()
		tab.want("Firefox on Linux")
		s.age(t, 25*time.Hour)
		do(tab, chromedp.Reload())
		tab.want("Ada Lovelace", "Sign in again to see your devices", "!Firefox on Linux")
		tab.signIn()
		tab.want("Firefox on Linux", "!Sign in again")
	})

	t.Run("it fits a small screen, and everybody can use it", func(t *testing.T) {
		s := newServer(t)
		tab := laptop.open(t, s.URL, noPolling)
		do(tab, chromedp.EmulateViewport(360, 740))
		for _, scheme := range []string{"light", "dark"} {
			tab.prefer(scheme)
			tab.want(signedOut)
			tab.wantAccessible(scheme + ", signed out")
			tab.signIn()
			tab.want("Firefox on Linux")
			tab.wantAccessible(scheme + ", signed in")
			s.down.Store(true)
			tab.click("#sign-out")
			tab.want("The server cannot be reached")
			tab.wantAccessible(scheme + ", in an outage")
			s.down.Store(false)
			tab.click("#sign-out")
		}
	})

	if *screenshots != "" {
		t.Run("screenshots", func(t *testing.T) { takeScreenshots(t, laptop, phone, *screenshots) })
	}
}

// wantVisibility waits until the page knows that it is hidden.
func (tab *tab) wantVisibility(want string) {
	tab.t.Helper()
	got := ""
	for deadline := time.Now().Add(actionTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = tab.eval("document.visibilityState"); got == want {
			return
		}
	}
	tab.t.Fatalf("the page is %s, want %s", got, want)
}

// signIn fills in the form.
func (tab *tab) signIn() {
	tab.t.Helper()
	tab.want(signedOut)
	do(tab, chromedp.SendKeys(chromedp.CSS("input[name=email]"), "ada@example.com"))
	do(tab, chromedp.SendKeys(chromedp.CSS("input[name=password]"), "analytical engine"))
	tab.click("#sign-in")
}

// wantAccessible has axe-core look at the page: names, roles, contrast. Nothing
// scrolls sideways.
func (tab *tab) wantAccessible(when string) {
	tab.t.Helper()
	const widths = "document.documentElement.scrollWidth + ' of ' + document.documentElement.clientWidth"
	if got := tab.eval(widths); got != "360 of 360" {
		tab.t.Errorf("%s: the page is %s px wide", when, got)
	}
	axe, err := os.ReadFile(filepath.Join(built.dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		tab.t.Fatal(err)
	}
	do(tab, chromedp.Evaluate[chromedp.Void](string(axe)))
	const run = "axe.run().then(r => r.passes.length + ' ' + JSON.stringify(r.violations.map(v => [v.id, v.nodes.map(n => n.html)])))"
	passed, violations, _ := strings.Cut(tab.eval(run), " ")
	if violations != "[]" || len(passed) < 2 {
		tab.t.Errorf("%s: axe passes %s rules and finds %s", when, passed, violations)
	}
}

func takeScreenshots(t *testing.T, laptop, phone *chromium, directory string) {
	url := newServer(t).URL
	near, far := laptop.open(t, url, ""), phone.open(t, url, "")
	save := func(name string, tab *tab, width int64) {
		for _, scheme := range []string{"light", "dark"} {
			tab.prefer(scheme)
			do(tab, chromedp.EmulateViewport(width, 100, chromedp.EmulateScale(2)))
			png := do(tab, chromedp.FullScreenshot(100))
			if err := os.WriteFile(filepath.Join(directory, "spa-"+name+"-"+scheme+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	near.want(signedOut)
	save("signed-out", near, 820)
	near.signIn()
	far.signIn()
	near.want("Safari on iOS")
	far.want("Safari on iOS")
	save("devices", near, 820)
	save("devices-small", far, 360)
}

// server is the application, on a store that can be down.
type server struct {
	*httptest.Server
	store *memstore.Store
	down  atomic.Bool
	phone atomic.Int64 // how often the phone has asked for the session
}

var hosts atomic.Int64

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{store: &memstore.Store{}}
	app, err := newApp(&faulty{s.store, &s.down}, buildPage(t), config())
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/get-session") && r.UserAgent() == iPhone {
			s.phone.Add(1)
		}
		app.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	// Cookies know no ports: each server has a name of its own.
	s.URL = strings.Replace(s.URL, "127.0.0.1", fmt.Sprintf("spa%d.localhost", hosts.Add(1)), 1)
	return s
}

// age makes all of Ada's authentications older.
func (s *server) age(t *testing.T, d time.Duration) {
	t.Helper()
	records, err := s.store.ListUser(t.Context(), "ada", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		older := *r
		older.AuthenticatedAt = r.AuthenticatedAt.Add(-d)
		older.Version++
		if err := s.store.Update(t.Context(), &older, r.Version); err != nil {
			t.Fatal(err)
		}
	}
}

// faulty is a store that cannot be reached while it is down.
type faulty struct {
	session.Store
	down *atomic.Bool
}

func (f *faulty) Load(ctx context.Context, id string) (*session.Record, error) {
	if f.down.Load() {
		return nil, errors.New("connection refused")
	}
	return f.Store.Load(ctx, id)
}
