package conformance

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/updateage/session/internal/browser"
)

// actionTime is how long one thing that a page does may take.
const actionTime = 30 * time.Second

// startBrowser starts Chromium, which takes the certificates of test servers.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	ctx, _ := browser.Start(t, chromedp.IgnoreCertErrors)
	return ctx
}

// page is a page in a tab with cookies of its own.
type page struct {
	t   *testing.T
	ctx context.Context
}

// newPage opens a tab, as a private window does: the browser blocks cookies of
// third parties there.
func newPage(t *testing.T, browser context.Context) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open tab: %v", err)
	}
	return &page{t, ctx}
}

// open loads a page.
func (p *page) open(url string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, actionTime)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Navigate(url)); err != nil {
		p.t.Fatalf("open %s: %v", url, err)
	}
}

// eval runs a script that ends in a promise, and returns what becomes of it.
func (p *page) eval(script string) (result json.RawMessage) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, actionTime)
	defer cancel()
	data, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	return data
}
