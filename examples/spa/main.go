// Spa is a React page whose sessions are here: who is signed in, on which
// devices, and signing out each of them, in this tab and in all others. The page
// uses the npm package better-auth as it is published; there is no server of
// JavaScript. Build the page first, with Node 20.19 or later and npm:
//
//	npm --prefix examples/spa/page ci
//	npm --prefix examples/spa/page run build
//	go run ./examples/spa
//
// Start with app.go, and page/src/auth.js. It keeps everything in memory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "loopback address to listen on")
	dist := flag.String("dist", "", "`directory` of the built page, by default page/dist of this example")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *dist, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// config is for local development over plain HTTP only. Over HTTPS the zero
// Config is right.
func config() session.Config {
	return session.Config{Cookie: session.Cookie{Insecure: true}}
}

// run serves the application until ctx is done, and then lets the requests that
// are under way finish.
func run(ctx context.Context, addr, dist string, out io.Writer) error {
	page, err := findPage(dist)
	if err != nil {
		return err
	}
	app, err := newApp(&memstore.Store{}, page, config())
	if err != nil {
		return err
	}
	l, err := listen(addr)
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler:           app,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	fmt.Fprintf(out, "Open http://%s in two browsers, and in two tabs.\n", l.Addr())

	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return srv.Shutdown(ctx)
}

// errNotBuilt tells how to build the page.
var errNotBuilt = errors.New(`the page is not built; with Node 20.19 or later:

    npm --prefix examples/spa/page ci
    npm --prefix examples/spa/page run build`)

// findPage returns the built page. Without a directory it is looked for from the
// root of the repository and from here.
func findPage(dist string) (fs.FS, error) {
	candidates := []string{dist}
	if dist == "" {
		candidates = []string{filepath.Join("examples", "spa", "page", "dist"), filepath.Join("page", "dist")}
	}
	for _, dir := range candidates {
		page := os.DirFS(dir)
		if _, err := fs.Stat(page, "index.html"); err == nil {
			return page, nil
		}
	}
	return nil, errNotBuilt
}

// listen listens on a loopback address: the password is in the source.
func listen(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return nil, fmt.Errorf("%s is no loopback address, and everybody knows the password of this demo", addr)
	}
	return net.Listen("tcp", addr)
}
