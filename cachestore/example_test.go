package cachestore_test

import (
	"context"
	"log"
	"net/http"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
)

func Example() {
	var redis session.Store // a store with a feed, such as that of package redisstore

	cached, err := cachestore.New(redis, cachestore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		if err := cached.Run(ctx); ctx.Err() == nil {
			log.Print(err) // sessions go on without the cache
		}
	}()

	sessions, err := session.New(cached, session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	log.Print(http.ListenAndServe("localhost:8080", sessions.Handler(http.DefaultServeMux)))
}
