package main

import (
	"context"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/updateage/session/internal/browser"
)

// actionTime is how long one thing that a user does may take: a busy machine is slow.
const actionTime = 30 * time.Second

// chromium is a running Chromium, with an empty profile that is removed with it.
type chromium struct{ ctx context.Context }

func startBrowser(t *testing.T, userAgent string) *chromium {
	t.Helper()
	ctx, _ := browser.Start(t, chromedp.UserAgent(userAgent))
	return &chromium{ctx}
}

// tab is a tab of a browser on the page.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// watchPolicy notes what the page's Content-Security-Policy has refused.
const watchPolicy = "window.refused = []; addEventListener('securitypolicyviolation', e => refused.push(e.violatedDirective));"

// noPolling takes the page's interval away, so that what a test sees is not that.
const noPolling = "window.setInterval = () => 0;"

// open opens the page in a tab with the cookies of the browser's other tabs. The
// script runs before the page's.
func (b *chromium) open(t *testing.T, url, script string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open tab: %v", err)
	}
	tab := &tab{t, ctx}
	call(tab, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: watchPolicy + script})
	do(tab, chromedp.Navigate(url))
	t.Cleanup(func() {
		if refused := tab.eval("refused.join()"); refused != "" {
			t.Errorf("the Content-Security-Policy has refused %s", refused)
		}
	})
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

// eval asks the page something, as developer tools do, and waits for a promise.
func (tab *tab) eval(expression string) string {
	tab.t.Helper()
	return do(tab, chromedp.Evaluate[string]("Promise.resolve("+expression+").then(String)", chromedp.EvalAwaitPromise))
}

func (tab *tab) click(selector string) {
	tab.t.Helper()
	do(tab, chromedp.Click(chromedp.CSS(selector)))
}

// focus presses the tabulator until the element has the focus.
func (tab *tab) focus(selector string) {
	tab.t.Helper()
	for range 20 {
		do(tab, chromedp.KeyEvent(kb.Tab))
		if tab.eval("document.activeElement.matches('"+selector+"')") == "true" {
			return
		}
	}
	tab.t.Fatalf("20 times the tabulator does not reach %q", selector)
}

func (tab *tab) press(keys string) {
	tab.t.Helper()
	do(tab, chromedp.KeyEvent(keys))
}

// shown returns the text of the page.
func (tab *tab) shown() string {
	tab.t.Helper()
	return tab.eval("document.body.innerText")
}

// want waits until the page shows each text, or with "!" in front does not.
func (tab *tab) want(texts ...string) {
	tab.t.Helper()
	page := ""
	for deadline := time.Now().Add(actionTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if page = tab.shown(); all(page, texts) {
			return
		}
	}
	tab.t.Fatalf("the page does not come to show %q; it is\n%s", texts, page)
}

func all(page string, texts []string) bool {
	for _, text := range texts {
		text, not := strings.CutPrefix(text, "!")
		if strings.Contains(page, text) == not {
			return false
		}
	}
	return true
}

// window minimizes the tab's window, or restores it to "normal". The page is then
// hidden, and visible again.
func (tab *tab) window(state cdpbrowser.WindowState) {
	tab.t.Helper()
	id := chromedp.FromContext(tab.ctx).Target.TargetID
	window := call(tab, cdpbrowser.GetWindowForTarget, cdpbrowser.GetWindowForTargetParams{TargetID: id}).WindowID
	call(tab, cdpbrowser.SetWindowBounds, cdpbrowser.SetWindowBoundsParams{
		WindowID: window, Bounds: &cdpbrowser.Bounds{WindowState: state},
	})
}

func (tab *tab) prefer(scheme string) {
	tab.t.Helper()
	call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}
