package redisstore_test

import (
	"log"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
	"github.com/updateage/session/redisstore"
)

func Example() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	store, err := redisstore.New(client, nil)
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(store, session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	var app http.Handler // yours
	log.Fatal(http.ListenAndServe(":8080", sessions.Handler(app)))
}

// Time-outs that let a user know within a second that the server is away,
// instead of many seconds later.
func ExampleNew_cluster() {
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:                 []string{"redis-1:6379", "redis-2:6379", "redis-3:6379"},
		ContextTimeoutEnabled: true,
		DialTimeout:           500 * time.Millisecond,
		ReadTimeout:           500 * time.Millisecond,
		WriteTimeout:          500 * time.Millisecond,
		DialerRetries:         1,
		MaxRedirects:          8, // while slots move
	})
	if _, err := redisstore.New(client, nil); err != nil {
		log.Fatal(err)
	}
}

// With three replicas, two of which have to know of a revocation: it survives
// the loss of the master, and goes on working while one replica is away.
func ExampleNew_sentinel() {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName:            "main",
		SentinelAddrs:         []string{"sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"},
		ContextTimeoutEnabled: true,
	})
	if _, err := redisstore.New(client, &redisstore.Options{ReplicasToConfirm: 2}); err != nil {
		log.Fatal(err)
	}
}
