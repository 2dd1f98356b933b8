package redisstore_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/updateage/session/internal/servers"
)

// BenchmarkDelayOfAChange measures the time from the call that deletes a key to
// the call of changed on another node.
func BenchmarkDelayOfAChange(b *testing.B) {
	client := single(b, servers.StartRedis(b))
	store := newStore(b, client, nil)
	told, healthy := make(chan string, 1), make(chan bool, 1)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() {
		ended <- store.Follow(ctx, func(id string) { told <- id }, func(ok bool) { healthy <- ok })
	}()
	defer func() { cancel(); <-ended }()
	if !<-healthy {
		b.Fatal("not healthy")
	}
	var delays, afterReply []time.Duration
	for b.Loop() {
		id := newID("")
		must(b, client.Set(b.Context(), sessionKey(id), "x", time.Minute).Err())
		<-told // of its creation
		began := time.Now()
		var replied time.Time
		deleted := make(chan error)
		go func() {
			err := client.Del(b.Context(), sessionKey(id)).Err()
			replied = time.Now()
			deleted <- err
		}()
		<-told
		heard := time.Now()
		must(b, <-deleted)
		delays, afterReply = append(delays, heard.Sub(began)), append(afterReply, heard.Sub(replied))
	}
	report(b, "call", delays)
	report(b, "reply", afterReply)
}

func report(b *testing.B, since string, delays []time.Duration) {
	slices.Sort(delays)
	us := func(q float64) float64 {
		return float64(delays[int(q*float64(len(delays)-1))]) / float64(time.Microsecond)
	}
	b.ReportMetric(us(0.5), "µs-p50-from-"+since)
	b.ReportMetric(us(0.99), "µs-p99-from-"+since)
	b.ReportMetric(us(1), "µs-max-from-"+since)
}
