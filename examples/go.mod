module github.com/updateage/session/examples

go 1.25

require (
	github.com/chromedp/cdproto v0.159.0 // with chromedp
	// Of the tests only: it drives Chromium by the DevTools protocol, without
	// Node, a driver program or a download.
	github.com/chromedp/chromedp v0.23.0
	// Of examples/live: a maintained WebSocket library without dependencies, whose
	// reads and writes take contexts, and which checks origins by itself.
	github.com/coder/websocket v1.8.15
	github.com/updateage/session v0.0.0
	github.com/updateage/session/internal/browser v0.0.0
	// Of examples/cli: reading a password without showing it is different on every
	// system.
	golang.org/x/term v0.40.0
)

require (
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/gorilla/securecookie v1.1.2 // indirect
	golang.org/x/sys v0.41.0 // indirect
)

replace github.com/updateage/session/internal/browser => ../internal/browser

replace github.com/updateage/session => ../
