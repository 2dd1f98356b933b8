//go:build unix

package servers_test

import (
	"net"
	"testing"

	"github.com/updateage/session/internal/servers"
)

func TestRedisComesBackEmptyOnTheSamePort(t *testing.T) {
	r := servers.StartRedis(t)
	r.MustDo("SET", "k", "v")
	if got := r.MustDo("GET", "k"); got != "v" {
		t.Errorf("got %v, want v", got)
	}
	r.Kill()
	if _, err := net.Dial("tcp", r.Addr); err == nil {
		t.Error("a killed server takes connections")
	}
	r.Restart()
	if got := r.MustDo("GET", "k"); got != nil {
		t.Errorf("after a restart: got %v, want nothing", got)
	}
}

func TestRedisIsGoneAfterItsTest(t *testing.T) {
	var r *servers.Redis
	t.Run("its test", func(t *testing.T) { r = servers.StartRedis(t) })
	if _, err := r.Do("PING"); err == nil {
		t.Error("the server outlived its test")
	}
}

func TestFrozenRedisIsGoneAfterItsTest(t *testing.T) {
	var r *servers.Redis
	t.Run("its test", func(t *testing.T) {
		r = servers.StartRedis(t)
		r.Freeze()
	})
	if _, err := r.Do("PING"); err == nil {
		t.Error("the server outlived its test")
	}
}

func TestRedisClusterHasThreeMastersAndThreeReplicas(t *testing.T) {
	c := servers.StartRedisCluster(t)
	if got := len(c.Masters()); got != 3 {
		t.Errorf("got %d masters, want 3", got)
	}
	for _, n := range c.Nodes[:3] {
		if got := n.Info("replication", "connected_slaves"); got != "1" {
			t.Errorf("got %s replicas of a master, want 1", got)
		}
	}
}

func TestRedisSentinelKnowsItsMaster(t *testing.T) {
	s := servers.StartRedisSentinel(t)
	for _, n := range s.Sentinels {
		addr, _ := n.MustDo("SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.MasterName).([]any)
		if len(addr) != 2 || net.JoinHostPort(addr[0].(string), addr[1].(string)) != s.Master.Addr {
			t.Errorf("got master %v, want %s", addr, s.Master.Addr)
		}
	}
}
