package redisstore_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
	"github.com/updateage/session/storetest"
)

func BenchmarkStore(b *testing.B) {
	client := single(b, servers.StartRedis(b))
	storetest.Bench(b, func(b *testing.B) session.Store { return newStore(b, client, nil) })
}

// What a session takes in the server: its key and record, and its share of the
// index of a user with three.
func BenchmarkMemory(b *testing.B) {
	const users, each = 1000, 3
	client := single(b, servers.StartRedis(b))
	store := newStore(b, client, nil)
	v := values(b, set("theme", `"dark"`), set("lang", `"en-GB"`), set("cart", `[1,2,3]`))
	used := func() int64 {
		n, err := strconv.ParseInt(client.InfoMap(b.Context(), "memory").Item("Memory", "used_memory"), 10, 64)
		must(b, err)
		return n
	}
	var r *session.Record
	for b.Loop() {
		must(b, client.FlushAll(b.Context()).Err())
		before := used()
		for range users {
			user := newUser()
			for range each {
				r = create(b, store, user, func(r *session.Record) { r.Values, r.UserAgent = v, strings.Repeat("x", 111) })
			}
		}
		b.ReportMetric(float64(used()-before)/users/each, "B/session")
	}
	blob, err := r.AppendBinary(nil)
	must(b, err)
	b.ReportMetric(float64(len(blob)), "B/record")
	b.ReportMetric(float64(client.MemoryUsage(b.Context(), sessionKey(r.ID)).Val()), "B/key")
	b.ReportMetric(float64(client.MemoryUsage(b.Context(), indexKey(r.UserID)).Val()), "B/index")
}
