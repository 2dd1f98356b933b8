package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
	"github.com/updateage/session/memstore"
)

// app is the program as it was configured.
type app struct {
	o       *options
	log     *slog.Logger
	metrics *metrics
	store   session.Store
	client  io.Closer       // of the store; nil: there is none
	signer  *gateway.Signer // nil: nothing is signed

	keys     []gateway.Key // the signer's; of the goroutine that reloads
	gate     atomic.Pointer[gate]
	draining atomic.Bool
}

// gate is what a reload replaces.
type gate struct {
	sessions *session.Manager
	auth     http.Handler
}

// newApp makes everything that can be wrong. The error joins all mistakes; close
// the app also then.
func newApp(o *options, logTo io.Writer) (*app, error) {
	a := &app{o: o, log: newLog(o, logTo), metrics: newMetrics()}
	storeErr := a.openStore()
	keys, keysErr := readSigningKeys(o.signingKeys)
	signer, signerErr := newSigner(o, keys)
	a.keys, a.signer = keys, signer
	gate, gateErr := a.newGate()
	a.gate.Store(gate)
	return a, errors.Join(storeErr, keysErr, signerErr, gateErr)
}

func newLog(o *options, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: o.logLevel}
	if o.logFormat == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func (a *app) openStore() error {
	a.store = &memstore.Store{}
	if a.o.store == "memory" || a.o.redis.url == "" {
		return nil // the latter has been complained of
	}
	store, client, err := newRedis(a.o.redis, a.log)
	if err != nil {
		return err
	}
	a.store, a.client = store, client
	return nil
}

func (a *app) close() {
	if a.client != nil {
		_ = a.client.Close() // the program ends
	}
}

// newSigner returns nil without keys, or without an issuer, which has been
// complained of.
func newSigner(o *options, keys []gateway.Key) (*gateway.Signer, error) {
	if len(keys) == 0 || o.signer.Issuer == "" {
		return nil, nil
	}
	cfg := o.signer
	cfg.Keys = keys
	return gateway.NewSigner(cfg)
}

// newGate makes the handler of the verdicts.
func (a *app) newGate() (*gate, error) {
	cfg := a.o.session
	cfg.Logger, cfg.OnEvent = a.log, a.metrics.event
	keys, keysErr := readCookieKeys(a.o.cookieKeysFile)
	cfg.Cookie.Keys = keys
	if keysErr != nil {
		cfg.Cookie.AcceptUnsealedUntil = time.Time{} // needs keys: no second complaint
	}
	sessions, sessionsErr := session.New(a.store, cfg)
	if sessionsErr != nil {
		// It stands in, so that what is wrong with the verdict is told as well.
		sessions, _ = session.New(a.store, session.Config{})
	}
	auth, authErr := gateway.ForwardAuth(sessions, a.verdict())
	if err := errors.Join(keysErr, sessionsErr, authErr); err != nil {
		return nil, err
	}
	return &gate{sessions, a.observed(auth)}, nil
}

func (a *app) verdict() gateway.Config {
	cfg := a.o.gate
	cfg.Signer = a.signer
	if a.signer == nil {
		cfg.Audience = "" // needs a signer: no second complaint
	}
	return cfg
}

// reload reads the key files again: all of them count, or none.
func (a *app) reload() error {
	keys, err := readSigningKeys(a.o.signingKeys)
	if err != nil {
		return err
	}
	early := phaseIn(keys, a.keys, time.Now(), a.o.signFrom)
	gate, err := a.newGate()
	if err != nil {
		return err
	}
	if a.signer != nil {
		if err := a.signer.SetKeys(keys...); err != nil {
			return err
		}
	}
	if early != nil {
		a.log.Warn("every key that signed was taken away: a key that services may not know yet signs at once", "signing_key", early.ID())
	}
	a.keys = keys
	a.gate.Store(gate)
	return nil
}

// ready asks the store for sessions that nobody has. IDs are random, because of a
// cluster a part can be away: a gate that serves most users is ready.
func (a *app) ready(ctx context.Context) error {
	if a.draining.Load() {
		return errDraining
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var err error
	for range readyTries {
		if _, err = a.store.Load(ctx, rand.Text()[:24]); errors.Is(err, session.ErrNotFound) {
			return nil
		}
	}
	return err
}

const (
	readyTimeout = 2 * time.Second
	readyTries   = 3
)

var errDraining = errors.New("shutting down")
