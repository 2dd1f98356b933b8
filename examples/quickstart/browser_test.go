package main

import (
	"flag"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

var screenshots = flag.String("screenshots", "", "write quickstart.png and quickstart-dark.png to this `directory`")

//go:generate go test -run TestBrowser/screenshots -screenshots ../../docs

const (
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
	iPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1"
)

// TestBrowser uses the application as its users do, in Chromium and without
// JavaScript: with the keyboard, on a small screen, in the dark. Every sub-test
// has an application of its own, and every tab its own cookies.
func TestBrowser(t *testing.T) {
	laptop := startBrowser(t, chromedp.UserAgent(firefox))

	t.Run("cookie of a remembered user", func(t *testing.T) {
		tab := laptop.tab(t, serve(t))
		tab.open("/")
		tab.click("input[name=remember]")
		tab.submit("#sign-in")
		c := tab.cookie("session")
		if !c.HTTPOnly || c.SameSite != "Lax" || c.Path != "/" || c.Domain != host || c.Secure {
			t.Errorf("cookie is %+v, want HttpOnly, SameSite=Lax, Path=/, of this host only, and for plain HTTP", c)
		}
		if left := time.Until(time.Unix(int64(c.Expires), 0)); c.Session || left < 9*time.Minute || left > 10*time.Minute {
			t.Errorf("cookie lasts %v (session cookie: %t), want 10 minutes", left, c.Session)
		}
	})

	t.Run("cookie of a user to be forgotten", func(t *testing.T) {
		tab := laptop.tab(t, serve(t))
		tab.open("/")
		tab.submit("#sign-in")
		if c := tab.cookie("session"); !c.Session || !c.HTTPOnly || c.SameSite != "Lax" || c.Path != "/" || c.Domain != host {
			t.Errorf("cookie is %+v, want one that ends with the browser", c)
		}
	})

	t.Run("cookie over HTTPS", func(t *testing.T) {
		app, err := newApp(&memstore.Store{}, session.Config{})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(app)
		server.Config.ErrorLog = log.New(io.Discard, "", 0) // the browser first refuses the certificate
		server.StartTLS()
		defer server.Close()
		tab := laptop.tab(t, onHost(server.URL))
		tab.open("/")
		tab.submit("#sign-in")
		tab.wantUser("Ada Lovelace")
		if c := tab.cookie("__Host-session"); !c.Secure || !c.HTTPOnly || c.SameSite != "Lax" || c.Path != "/" || c.Domain != host {
			t.Errorf("cookie is %+v, want Secure, HttpOnly, SameSite=Lax, Path=/, of this host only", c)
		}
	})

	t.Run("cart survives signing in", func(t *testing.T) {
		tab := laptop.tab(t, serve(t))
		tab.open("/")
		tab.submit("button[value=tea]")
		tab.want("Green tea is in your cart.")
		tab.submit("button[value=tea]")
		tab.submit("button[value=bread]")
		tab.submit("#sign-in")
		tab.want("Welcome, Ada Lovelace.", "2 in the cart", "1 in the cart")
		tab.open("/")
		tab.want("!Welcome", "2 in the cart", "1 in the cart")
	})

	t.Run("signing out clears the cookie", func(t *testing.T) {
		tab := laptop.tab(t, serve(t))
		tab.open("/")
		tab.submit("#sign-in")
		tab.submit("#sign-out")
		tab.want("You are signed out.")
		tab.wantUser("")
		if cookies := tab.cookies(); len(cookies) > 0 {
			t.Errorf("the browser keeps %d cookies", len(cookies))
		}
	})

	t.Run("keyboard signs in", func(t *testing.T) {
		tab := laptop.tab(t, serve(t))
		tab.open("/")
		tab.focus("sign-in")
		tab.press("\r")
		tab.want("Welcome, Ada Lovelace.")
	})

	t.Run("every control has a name", func(t *testing.T) {
		tab := laptop.tab(t, serve(t))
		tab.open("/")
		tab.wantNames()
		tab.submit("#sign-in")
		tab.open("/devices")
		tab.wantNames()
	})

	t.Run("no page scrolls sideways at 360 px", func(t *testing.T) {
		tab := laptop.tab(t, serve(t))
		do(tab, chromedp.EmulateViewport(360, 740))
		tab.open("/")
		tab.wantNoSidewaysScroll()
		tab.submit("button[value=honey]")
		tab.wantNoSidewaysScroll()
		tab.submit("#sign-in")
		tab.wantNoSidewaysScroll()
		tab.open("/devices")
		tab.wantNoSidewaysScroll()
	})

	t.Run("dark mode", func(t *testing.T) {
		tab := laptop.tab(t, serve(t))
		tab.open("/")
		light := tab.background()
		tab.darken()
		if dark := tab.background(); light != "rgb(244, 245, 247)" || dark != "rgb(15, 18, 22)" {
			t.Errorf("background is %s and in the dark %s", light, dark)
		}
	})

	t.Run("no script runs", func(t *testing.T) {
		tab := laptop.tab(t, "data:")
		tab.open("text/html,<title>off</title><script>document.title='on'</script>")
		if title := tab.eval("document.title"); title != "off" {
			t.Error("the tests of this file run with JavaScript")
		}
	})

	phone := startBrowser(t, chromedp.UserAgent(iPhone))

	t.Run("one device signs out another", func(t *testing.T) {
		url := serve(t)
		near, far := laptop.tab(t, url), phone.tab(t, url)
		for _, tab := range []*tab{far, near} {
			tab.open("/")
			tab.submit("#sign-in")
			tab.open("/devices")
		}
		near.want("Firefox on Linux This device", "Safari on iPhone", "!Safari on iPhone This device", "127.0.0.1")
		far.open("/devices")
		far.want("Safari on iPhone This device", "!Firefox on Linux This device")
		near.submit("form[action='/devices/revoke'] button")
		near.want("That device is signed out.", "!Safari on iPhone", "Firefox on Linux This device")
		far.open("/devices")
		far.want("Please sign in.")
		near.open("/devices")
		near.want("Firefox on Linux This device")

		far.submit("#sign-in")
		near.open("/devices")
		near.submit("#revoke-others")
		near.want("Other devices signed out: 1.", "!Safari on iPhone")
		far.open("/")
		far.wantUser("")
		near.wantUser("Ada Lovelace")
	})

	if *screenshots != "" {
		t.Run("screenshots", func(t *testing.T) { takeScreenshots(t, laptop, phone, *screenshots) })
	}
}

func TestRememberMeOutlivesTheBrowser(t *testing.T) {
	profile := chromedp.UserDataDir(t.TempDir())
	remembered := serve(t)
	forgotten := strings.Replace(remembered, host, "other."+host, 1)

	before := startBrowser(t, profile)
	tab := before.profileTab(t, remembered)
	tab.open("/")
	tab.click("input[name=remember]")
	tab.submit("#sign-in")
	tab = before.profileTab(t, forgotten)
	tab.open("/")
	tab.submit("#sign-in")
	before.stop()

	after := startBrowser(t, profile)
	tab = after.profileTab(t, remembered)
	tab.open("/")
	tab.wantUser("Ada Lovelace")
	tab = after.profileTab(t, forgotten)
	tab.open("/")
	tab.wantUser("")
}

// takeScreenshots waits until there is a refresh to show, which takes half a minute.
func takeScreenshots(t *testing.T, laptop, phone *chromium, directory string) {
	url := serve(t)
	far, near := phone.tab(t, url), laptop.tab(t, url)
	far.open("/")
	far.submit("#sign-in")
	near.open("/")
	near.submit("button[value=tea]")
	near.submit("button[value=bread]")
	near.click("input[name=remember]")
	near.submit("#sign-in")
	for _, wait := range []time.Duration{21 * time.Second, 6 * time.Second} {
		time.Sleep(wait)
		near.open("/devices")
	}
	for _, name := range []string{"quickstart.png", "quickstart-dark.png"} {
		do(near, chromedp.EmulateViewport(820, 100, chromedp.EmulateScale(2)))
		png := do(near, chromedp.FullScreenshot(100))
		if err := os.WriteFile(filepath.Join(directory, name), png, 0o644); err != nil {
			t.Fatal(err)
		}
		near.darken()
	}
}

// serve returns the address of a new application.
func serve(t *testing.T) string {
	t.Helper()
	return onHost(newServer(t, &memstore.Store{}).URL)
}

// onHost gives a server of 127.0.0.1 a name. To an address a browser would not
// give a cookie with Domain, so that a cookie of this host only would prove nothing.
func onHost(url string) string { return strings.Replace(url, "127.0.0.1", host, 1) }

const host = "shop.localhost"
