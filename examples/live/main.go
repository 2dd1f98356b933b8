// Live is a page that a server keeps up to date, by an event stream and by a
// WebSocket. Both end when their session does: sign in with two browsers, press
// "Sign out everywhere else" in one, and watch the other.
//
//	go run ./examples/live
//
// Start with streams.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "loopback address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := listen(*addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("open http://%s in two browsers", l.Addr())
	if err := run(ctx, l); err != nil {
		log.Fatal(err)
	}
}

// listen listens on a loopback address: whoever reaches the demo is its user, and
// its cookie goes over plain HTTP.
func listen(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return nil, fmt.Errorf("%s is no loopback address, and this demo asks for no password", addr)
	}
	return net.Listen("tcp", addr)
}

// run serves the application until ctx is done.
func run(ctx context.Context, l net.Listener) error {
	// For local development over plain HTTP only: leave Insecure out over HTTPS.
	app, err := newApp(&memstore.Store{}, session.Config{Cookie: session.Cookie{Insecure: true}})
	if err != nil {
		return err
	}
	// Streams last: only the context of all requests ends them with the server.
	// Shutdown waits for event streams, and does not know of WebSockets.
	streams, end := context.WithCancelCause(context.Background())
	defer end(nil)
	srv := &http.Server{
		Handler:           app,
		BaseContext:       func(net.Listener) context.Context { return streams },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second, // streams set their own
		IdleTimeout:       time.Minute,
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	end(errShutdown)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return srv.Shutdown(ctx)
}

var errShutdown = errors.New("server is shutting down")
