// Package browser starts Chromium for tests.
package browser

import (
	"context"
	"errors"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/updateage/session/internal/servers"
)

const (
	lifeTime  = 4 * time.Minute  // at most, of a browser: then it is killed
	closeTime = 30 * time.Second // at most, to write its profile and end
)

// Start starts Chromium and stops it at the end of the test, or when stop is
// called. Its profile is a new directory that is removed with it, unless an
// option names another. A machine without one skips the test, continuous
// integration must not.
func Start(tb testing.TB, more ...chromedp.ExecAllocatorOption) (ctx context.Context, stop func()) {
	tb.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path(tb)),
		chromedp.Headless,
		chromedp.NoSandbox, // the pages are the tests' own, and containers have no sandbox
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("password-store", "basic"),
	}
	life, end := context.WithTimeout(context.Background(), lifeTime)
	allocator, kill := chromedp.NewExecAllocator(life, append(options, more...)...)
	ctx, _ = chromedp.NewContext(allocator)
	stop = sync.OnceFunc(func() {
		// Asks it to close, which writes the cookies to the profile, and waits.
		deadline, cancel := context.WithTimeout(ctx, closeTime)
		defer cancel()
		if err := chromedp.Cancel(deadline); err != nil && !errors.Is(err, context.Canceled) {
			tb.Errorf("close browser: %v", err)
		}
		kill() // and waits again
		end()
	})
	tb.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		tb.Fatalf("start browser: %v", err)
	}
	return ctx, stop
}

func path(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return servers.Need(tb, "chromium", "chromium")
}
