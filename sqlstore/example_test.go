package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/sqlstore"
)

func Example() {
	ctx := context.Background()
	db, err := sql.Open("pgx", "postgres://app@localhost/app")
	if err != nil {
		log.Fatal(err)
	}
	store, err := sqlstore.New(db, sqlstore.PostgreSQL, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(store.Run(ctx, time.Minute)) }() // frees expired sessions
	sessions, err := session.New(store, session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	var app http.Handler // yours
	log.Fatal(http.ListenAndServe(":8080", sessions.Handler(app)))
}

// SQLite in a file: WAL lets readers go on while somebody writes, and the time-out
// lets writers wait for each other.
func ExampleNew_sqlite() {
	db, err := sql.Open("sqlite", "file:app.db?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(1000)")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := sqlstore.New(db, sqlstore.SQLite, nil); err != nil {
		log.Fatal(err)
	}
}

// A new password ends all sessions and begins a new one. Either all of it happens
// or nothing.
func ExampleStore_WithTx() {
	var (
		db       *sql.DB
		store    *sqlstore.Store
		sessions *session.Manager
	)
	changePassword := func(r *http.Request, userID, hash string) error {
		tx, err := db.BeginTx(r.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		if err != nil {
			return err
		}
		defer tx.Rollback() // does nothing after Commit
		ctx := store.WithTx(r.Context(), tx)
		if _, err := tx.ExecContext(ctx, "UPDATE users SET password = $1 WHERE id = $2", hash, userID); err != nil {
			return err
		}
		if _, err := sessions.RevokeAll(ctx, userID); err != nil {
			return err
		}
		if err := session.FromContext(r.Context()).SignIn(ctx, userID, session.SignInOptions{}); err != nil {
			return err
		}
		return tx.Commit() // before the response begins
	}
	http.HandleFunc("POST /password", func(w http.ResponseWriter, r *http.Request) {
		if err := changePassword(r, "ada", "..."); err != nil {
			http.Error(w, http.StatusText(session.Status(err)), session.Status(err))
		}
	})
}

// What a database administrator would execute instead of calling Migrate.
func ExampleSchema() {
	statements, err := sqlstore.Schema(sqlstore.SQLite, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range statements {
		fmt.Println(s + ";")
	}
	// Output:
	// CREATE TABLE IF NOT EXISTS "session_schema" (
	// 	name    varchar(32) NOT NULL,
	// 	version int         NOT NULL,
	// 	PRIMARY KEY (name, version)
	// );
	// CREATE TABLE "session" (
	// 	id         TEXT    NOT NULL PRIMARY KEY,
	// 	user_id    TEXT,
	// 	token_hash BLOB    NOT NULL,
	// 	expires_at INTEGER NOT NULL,
	// 	ip_address TEXT    NOT NULL,
	// 	user_agent TEXT    NOT NULL,
	// 	created_at INTEGER NOT NULL,
	// 	updated_at INTEGER NOT NULL,
	// 	state      INTEGER NOT NULL,
	// 	version    INTEGER NOT NULL,
	// 	record     BLOB    NOT NULL
	// ) STRICT;
	// CREATE INDEX "session_user_id_idx" ON "session" (user_id, expires_at) WHERE user_id IS NOT NULL;
	// CREATE INDEX "session_expires_at_idx" ON "session" (expires_at);
	// INSERT INTO "session_schema" (name, version) VALUES ('table', 1);
}
