//go:build unix

package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sentinels = 3

// RedisSentinel is a Redis master with one replica and three sentinels, which
// make the replica the master when the master is silent for a second.
type RedisSentinel struct {
	// Master and Replica are the servers in the parts they began with.
	Master, Replica *Redis
	// Sentinels watch them under the name of MasterName.
	Sentinels  []*Redis
	MasterName string
}

// StartRedisSentinel starts the servers and stops them at the end of the test.
// Arguments are for master and replica, as for [StartRedis].
func StartRedisSentinel(tb testing.TB, args ...string) *RedisSentinel {
	tb.Helper()
	s := &RedisSentinel{MasterName: "main", Master: StartRedis(tb, args...)}
	s.Replica = s.Master.StartReplica(tb, args...)
	for range sentinels {
		s.Sentinels = append(s.Sentinels, s.startSentinel(tb))
	}
	for _, sentinel := range s.Sentinels {
		poll(tb, "start the sentinels", func() error { return s.complete(sentinel) })
	}
	return s
}

// Addrs returns the addresses of the sentinels.
func (s *RedisSentinel) Addrs() []string {
	addrs := make([]string, len(s.Sentinels))
	for i, n := range s.Sentinels {
		addrs[i] = n.Addr
	}
	return addrs
}

// startSentinel starts one sentinel. It rewrites its configuration, so that it
// needs a file of its own; the redis-server program is also the sentinel.
func (s *RedisSentinel) startSentinel(tb testing.TB) *Redis {
	tb.Helper()
	conf := filepath.Join(tb.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]d 2\n"+
		"sentinel down-after-milliseconds %[1]s 1000\n"+
		"sentinel failover-timeout %[1]s 5000\n", s.MasterName, s.Master.port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		tb.Fatalf("servers: start sentinel: %v", err)
	}
	return startRedis(tb, func(int) []string { return []string{conf, "--sentinel"} })
}

// complete is for poll: it says whether the sentinel knows the replica and the
// other sentinels.
func (s *RedisSentinel) complete(sentinel *Redis) error {
	answer, err := sentinel.Do("SENTINEL", "MASTER", s.MasterName)
	if err != nil {
		return err
	}
	text := fmt.Sprint(answer)
	for _, want := range []string{"num-slaves 1 ", fmt.Sprintf("num-other-sentinels %d ", sentinels-1)} {
		if !strings.Contains(text, want) {
			return fmt.Errorf("%s has no %q in %s", sentinel.Addr, want, text)
		}
	}
	return nil
}
