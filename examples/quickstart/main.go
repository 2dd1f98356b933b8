// Quickstart is a small web application with sessions: a cart that survives
// signing in, "remember me", a page of your devices, and signing out. It keeps
// everything in memory and needs no other server:
//
//	go run ./examples/quickstart
//
// Start with handlers.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// config is that of a demonstration. For production over HTTPS leave all of it
// out: the zero Config is secure.
func config() session.Config {
	return session.Config{
		// Short, so that you can watch. By default a session is refreshed once
		// a day and lives for 7 days without being used.
		UpdateAge:          15 * time.Second,
		ExpiresIn:          10 * time.Minute,
		AnonymousExpiresIn: 10 * time.Minute,
		FreshAge:           5 * time.Minute, // after which ending other sessions takes a new sign-in

		// For local development over plain HTTP only: without it the cookie is
		// __Host-session, which browsers send over HTTPS alone.
		Cookie: session.Cookie{Insecure: true},
	}
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "loopback address to listen on")
	flag.Parse()
	slog.SetLogLoggerLevel(slog.LevelDebug) // shows every refresh

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run serves the application until ctx is done, and then lets the requests that
// are under way finish.
func run(ctx context.Context, addr string, out io.Writer) error {
	app, err := newApp(&memstore.Store{}, config())
	if err != nil {
		return err
	}
	l, err := listen(addr, out)
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
	fmt.Fprintf(out, "Open http://%s in two browsers, or try\n\n", l.Addr())
	fmt.Fprintf(out, "    curl -si -d user=ada -d remember=on http://%s/sign-in\n\n", l.Addr())

	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return srv.Shutdown(ctx)
}

// listen listens on addr or, if that is taken, on a free port of the same host.
func listen(addr string, out io.Writer) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return nil, fmt.Errorf("%s is no loopback address, and this demo asks for no password", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return l, nil
	}
	fmt.Fprintf(out, "%v: using a free port\n", err)
	return net.Listen("tcp", net.JoinHostPort(host, "0"))
}
