package pgfeed_test

import (
	"context"
	"database/sql"
	"log"
	"net/http"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
	"github.com/updateage/session/sqlstore/pgfeed"
)

// Sessions in PostgreSQL, and those in use in memory.
func Example() {
	ctx := context.Background()
	db, err := sql.Open("pgx", "postgres://app@localhost/app")
	if err != nil {
		log.Fatal(err)
	}
	store, err := pgfeed.New(db, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	cache, err := cachestore.New(store, cachestore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(cache.Run(ctx)) }()
	go func() { log.Print(store.Run(ctx, time.Minute)) }()
	sessions, err := session.New(cache, session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	var app http.Handler // yours
	log.Fatal(http.ListenAndServe(":8080", sessions.Handler(app)))
}
