package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// Limits of the servers. They are those of questions that proxies ask: short ones,
// with the headers that a client may send.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 10 * time.Second
	// idleTimeout is longer than proxies keep connections, 60 seconds in nginx:
	// closing one at the moment at which it is used makes an error.
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

func (a *app) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is an unknown path like others
	}
}

// run serves until ctx is done. The admin server is the first to start and the
// last to go, so that somebody can see what is going on.
func (a *app) run(ctx context.Context, reload <-chan os.Signal) error {
	admin, main := a.newServer(a.admin()), a.newServer(a)
	failed := make(chan error, 2)
	adminAddr, err := listenAndServe(admin, a.o.adminListen, failed)
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	addr, err := listenAndServe(main, a.o.listen, failed)
	if err != nil {
		return err
	}
	a.announce(addr, adminAddr)
	for {
		select {
		case err := <-failed:
			return err
		case <-reload:
			a.noteReload(a.reload())
		case <-ctx.Done():
			return a.shutdown(main)
		}
	}
}

func listenAndServe(srv *http.Server, addr string, failed chan<- error) (net.Addr, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	return l.Addr(), nil
}

// announce says what to think about, and then what is in force.
func (a *app) announce(addr, adminAddr net.Addr) {
	if a.o.store == "memory" {
		a.log.Warn("sessions are in the memory of this process: no application shares them, and they end with it; use it for a trial only")
	}
	if a.o.trialUser != "" {
		a.log.Warn("trial: whoever reaches the admin address can sign in", "url", "http://"+adminAddr.String()+"/trial/sign-in")
	}
	if a.o.session.Cookie.Insecure {
		a.log.Warn("the cookie is also sent over plain HTTP, where everybody on the way can take the session: for development only")
	}
	for _, addr := range []net.Addr{addr, adminAddr} {
		if !loopback(addr.String()) {
			a.log.Warn("other machines can connect: let only the proxy and services through", "address", addr.String())
		}
	}
	if a.signer == nil {
		a.log.Warn("nothing is signed: services have to trust the headers of whoever reaches them")
	}
	a.log.Info("listening", "version", version(), "listen", addr.String(), "admin", adminAddr.String(),
		"store", a.o.store, "sessions", a.gate.Load().sessions, "signing_keys", a.keyIDs())
}

func (a *app) keyIDs() (ids []string) {
	for _, k := range a.keys {
		ids = append(ids, k.ID())
	}
	return ids
}

func (a *app) noteReload(err error) {
	if err != nil {
		a.metrics.reloads.WithLabelValues("failed").Inc()
		a.log.Error("key files are not used: the former keys stay", "error", err)
		return
	}
	a.metrics.reloads.WithLabelValues("ok").Inc()
	a.log.Info("key files are read", "signing_keys", a.keyIDs())
}

// shutdown says that it is not ready, goes on to serve for a while, since the
// news takes time to spread, and lets the requests under way finish. Idle
// connections are Shutdown's: SetKeepAlivesEnabled would cut them before the
// proxy has heard.
func (a *app) shutdown(srv *http.Server) error {
	a.draining.Store(true)
	a.log.Info("shutting down", "drain", a.o.drain, "timeout", a.o.shutdown)
	time.Sleep(a.o.drain)
	ctx, cancel := context.WithTimeout(context.Background(), a.o.shutdown)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		_ = srv.Close()
		return fmt.Errorf("requests were cut off after %v: %w", a.o.shutdown, err)
	}
	a.log.Info("shut down")
	return nil
}
