// Package sqlstore keeps sessions in PostgreSQL, MySQL or MariaDB, and SQLite: in
// the application's own database, beside its users. Most people need
//
//	db, err := sql.Open("pgx", "postgres://app@localhost/app")
//	store, err := sqlstore.New(db, sqlstore.PostgreSQL, nil)
//	err = store.Migrate(ctx) // or the statements of Schema, by hand
//	go store.Run(ctx, time.Minute)
//
// with the driver of their choice. A lookup is one SELECT by primary key, prepared;
// every other operation but a sign-in with a limit is one statement as well.
// docs/sql.md describes the table for database administrators.
//
// # Time
//
// Whether a session has expired is judged by the clock of the process that asks,
// as in every store, and never by that of the database. Times are stored as
// milliseconds since 1970: no time zone, of the client, of the server or of the
// connection, can move one. Keep the clocks of the processes within a few seconds.
//
// # The database
//
// PostgreSQL 11 or newer with UTF8 encoding, MySQL 8.0 or MariaDB 10.6 or newer
// with InnoDB, SQLite 3.37 or newer. The database has to be the one that takes
// writes: a replica lags behind, and would accept a session that was revoked.
//
// Nothing frees expired sessions by itself: use [Store.Run] in one process or in
// all, or call Sweep of the session.Manager now and then.
//
// # Caching
//
// Package pgfeed adds a feed of changes by LISTEN and NOTIFY for PostgreSQL, which
// package cachestore needs. Elsewhere there is none: databases do not tell. What
// follows a session then, like Manager.Live, asks every ten seconds.
package sqlstore
