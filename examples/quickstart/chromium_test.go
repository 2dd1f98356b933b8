package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/updateage/session/internal/browser"
)

// actionTime is how long one thing that a user does may take: a busy machine is slow.
const actionTime = 30 * time.Second

// chromium is a running Chromium.
type chromium struct {
	ctx  context.Context
	stop func()
}

func startBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) *chromium {
	t.Helper()
	ctx, stop := browser.Start(t, more...)
	return &chromium{ctx, stop}
}

// tab is a tab in which no script runs, on the pages of one server.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string
}

// tab opens a tab with cookies of its own.
func (b *chromium) tab(t *testing.T, url string) *tab {
	t.Helper()
	return b.newTab(t, url, chromedp.WithNewBrowserContext())
}

// profileTab opens a tab with the cookies of the profile.
func (b *chromium) profileTab(t *testing.T, url string) *tab {
	t.Helper()
	return b.newTab(t, url)
}

func (b *chromium) newTab(t *testing.T, url string, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, options...)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open tab: %v", err)
	}
	tab := &tab{t, ctx, url}
	call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	call(tab, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
	return tab
}

// do does what a user or his developer tools do in a tab.
func do[T any](tab *tab, action chromedp.Action[T]) T {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, actionTime)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		tab.t.Fatal(err)
	}
	return v
}

// call runs a command of the DevTools protocol.
func call[P, R any](tab *tab, command cdp.Command[P, R], params P) R {
	tab.t.Helper()
	return do(tab, func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, command, params)
	})
}

// load does what makes the tab load another page, and waits for it.
func (tab *tab) load(action chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, actionTime)
	defer cancel()
	res, err := chromedp.RunResponse(ctx, action)
	if err != nil {
		tab.t.Fatal(err)
	}
	if res != nil && res.Status >= 400 {
		tab.t.Fatalf("%s: status %d", res.URL, res.Status)
	}
}

func (tab *tab) open(path string) {
	tab.t.Helper()
	tab.load(chromedp.Navigate(tab.url + path))
}

func (tab *tab) submit(button string) {
	tab.t.Helper()
	tab.load(chromedp.Click(chromedp.CSS(button)))
}

func (tab *tab) press(key string) {
	tab.t.Helper()
	tab.load(chromedp.KeyEvent(key))
}

func (tab *tab) click(selector string) {
	tab.t.Helper()
	do(tab, chromedp.Click(chromedp.CSS(selector)))
}

// focus presses the tabulator until the element has the focus.
func (tab *tab) focus(id string) {
	tab.t.Helper()
	for range 20 {
		do(tab, chromedp.KeyEvent(kb.Tab))
		if tab.eval("document.activeElement.id") == id {
			return
		}
	}
	tab.t.Fatalf("20 times the tabulator does not reach %q", id)
}

// eval asks the page something, as developer tools do.
func (tab *tab) eval(expression string) string {
	tab.t.Helper()
	return do(tab, chromedp.Evaluate[string]("String("+expression+")"))
}

// want checks that the page shows each text, or with "!" in front does not.
func (tab *tab) want(texts ...string) {
	tab.t.Helper()
	page := tab.eval("document.body.innerText")
	for _, text := range texts {
		text, not := strings.CutPrefix(text, "!")
		if strings.Contains(page, text) == not {
			tab.t.Errorf("page shows %q: %t, want %t; it is\n%s", text, not, !not, page)
		}
	}
}

// wantUser checks who is signed in: next to the button that signs him out.
func (tab *tab) wantUser(name string) {
	tab.t.Helper()
	const user = "document.querySelector('#sign-out')?.parentElement.querySelector('span').textContent ?? ''"
	if got := tab.eval(user); got != name {
		tab.t.Errorf("user %q is signed in, want %q", got, name)
	}
}

func (tab *tab) wantNoSidewaysScroll() {
	tab.t.Helper()
	const widths = "document.documentElement.scrollWidth + ' of ' + document.documentElement.clientWidth"
	if got := tab.eval(widths); got != "360 of 360" {
		tab.t.Errorf("the page is %s px wide", got)
	}
}

// wantNames checks that assistive technology can announce every control.
func (tab *tab) wantNames() {
	tab.t.Helper()
	controls := 0
	for _, n := range call(tab, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if n.Ignored {
			continue
		}
		switch role := string(n.Role.Value); role {
		case `"button"`, `"link"`, `"radio"`, `"checkbox"`, `"progressbar"`:
			controls++
			if n.Name == nil || string(n.Name.Value) == `""` {
				tab.t.Errorf("a %s has no name", role)
			}
		}
	}
	if controls < 5 {
		tab.t.Errorf("found %d controls", controls)
	}
}

func (tab *tab) background() string {
	tab.t.Helper()
	return tab.eval("getComputedStyle(document.body).backgroundColor")
}

func (tab *tab) darken() {
	tab.t.Helper()
	call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	})
}

// cookies returns what the browser would send to the tab's page.
func (tab *tab) cookies() []*network.Cookie {
	tab.t.Helper()
	return call(tab, network.GetCookies, network.GetCookiesParams{}).Cookies
}

// cookie returns the only cookie, which must have the name.
func (tab *tab) cookie(name string) *network.Cookie {
	tab.t.Helper()
	cookies := tab.cookies()
	if len(cookies) != 1 || cookies[0].Name != name {
		tab.t.Fatalf("the browser has %d cookies, want one, %s", len(cookies), name)
	}
	return cookies[0]
}
