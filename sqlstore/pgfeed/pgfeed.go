// Package pgfeed is package sqlstore on PostgreSQL with a feed of changes, which
// package cachestore needs: it keeps sessions in memory, and still no session
// outlives its revocation there by more than the time a notification takes. Most
// people need
//
//	db, err := sql.Open("pgx", "postgres://app@localhost/app")
//	store, err := pgfeed.New(db, nil)
//	err = store.Migrate(ctx) // also creates the triggers
//	cache, err := cachestore.New(store, cachestore.Options{})
//	go cache.Run(ctx)
//
// Triggers on the table send a notification (NOTIFY) with the ID of every session
// that is changed or deleted, by whomever: this package, a program in another
// language, an administrator. Follow listens. That takes the driver of pgx,
// because database/sql knows no notifications.
//
// Notifications have a price: PostgreSQL lets only one transaction at a time
// commit that has sent one. docs/sql.md has figures. Where sessions are changed
// more often than that allows, do without.
package pgfeed

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/sqlstore"
	"github.com/updateage/session/sqlstore/internal/table"
)

const (
	defaultTable     = "session"
	defaultHeartbeat = time.Second
)

// Options are the options of [New]. The zero Options are good.
type Options struct {
	// Options are those of the store. Notify is always on.
	sqlstore.Options

	// Heartbeat is how often Follow makes sure of the connection. One that is
	// silent for three is not trusted: so long can a session that was revoked
	// elsewhere stay in a cache while the network fails. 0: 1 second.
	Heartbeat time.Duration
}

// Store is a [sqlstore.Store] that also implements [session.Feed]. It is safe for
// concurrent use; its zero value is not usable.
type Store struct {
	*sqlstore.Store

	db        *sql.DB
	table     table.Table
	heartbeat time.Duration
	log       *slog.Logger
}

var (
	_ session.Store          = (*Store)(nil)
	_ session.LimitedCreator = (*Store)(nil)
	_ session.Sweeper        = (*Store)(nil)
	_ session.Feed           = (*Store)(nil)
)

// New returns a store in the database, which is PostgreSQL by the driver of
// github.com/jackc/pgx/v5/stdlib. The database stays the caller's to close; Follow
// keeps one of its connections. opts may be nil.
func New(db *sql.DB, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Notify = true
	if o.Table == "" {
		o.Table = defaultTable
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = defaultHeartbeat
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	inner, err := sqlstore.New(db, sqlstore.PostgreSQL, &o.Options)
	if o.Heartbeat < 0 {
		err = errors.Join(err, fmt.Errorf("negative Heartbeat %v", o.Heartbeat))
	}
	if err != nil {
		return nil, fmt.Errorf("pgfeed: new store: %w", err)
	}
	name, err := table.Parse(o.Table)
	if err != nil {
		return nil, fmt.Errorf("pgfeed: new store: %w", err)
	}
	return &Store{Store: inner, db: db, table: name, heartbeat: o.Heartbeat, log: o.Logger}, nil
}
