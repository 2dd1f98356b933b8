//go:build unix

package servers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	clusterMasters = 3
	clusterNodes   = 2 * clusterMasters
	clusterSlots   = 16384
)

// RedisCluster is a Redis Cluster of three masters with a replica each.
type RedisCluster struct {
	// Nodes are the servers: the first three began as masters, and the one
	// three further on as the replica of each.
	Nodes []*Redis
}

// StartRedisCluster starts a cluster in which a failover takes some two seconds,
// and stops it at the end of the test. Arguments are as for [StartRedis].
func StartRedisCluster(tb testing.TB, args ...string) *RedisCluster {
	tb.Helper()
	c := &RedisCluster{}
	bus := make([]string, clusterNodes)
	for i := range clusterNodes {
		c.Nodes = append(c.Nodes, startRedis(tb, func(int) []string {
			// The usual bus port, 10,000 higher, may be beyond the last one.
			bus[i] = fmt.Sprint(freePort(tb))
			return slices.Concat(inMemory, []string{
				"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", bus[i],
				"--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0",
				"--cluster-require-full-coverage", "no",
			}, args)
		}))
	}
	c.meet(tb, bus)
	c.replicate(tb)
	return c
}

// Addrs returns the addresses of all nodes.
func (c *RedisCluster) Addrs() []string {
	addrs := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		addrs[i] = n.Addr
	}
	return addrs
}

// Masters returns the nodes that are masters now.
func (c *RedisCluster) Masters() (masters []*Redis) {
	for _, n := range c.Nodes {
		if n.ended() == nil && n.Info("replication", "role") == "master" {
			masters = append(masters, n)
		}
	}
	return masters
}

// meet gives the masters their slots and makes all nodes known to each other.
func (c *RedisCluster) meet(tb testing.TB, bus []string) {
	tb.Helper()
	for i, n := range c.Nodes {
		if i < clusterMasters {
			first, next := clusterSlots*i/clusterMasters, clusterSlots*(i+1)/clusterMasters
			n.MustDo("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(first), fmt.Sprint(next-1))
		}
		n.MustDo("CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
		c.Nodes[0].MustDo("CLUSTER", "MEET", "127.0.0.1", fmt.Sprint(n.port), bus[i])
	}
	for _, n := range c.Nodes {
		poll(tb, "form the cluster", func() error {
			known, _ := n.MustDo("CLUSTER", "NODES").(string)
			if strings.Count(known, "\n") != clusterNodes || strings.Contains(known, "handshake") {
				return fmt.Errorf("%s knows:\n%s", n.Addr, known)
			}
			return nil
		})
	}
}

// replicate makes replicas of the second half and waits until every node knows
// of it and every replica follows its master.
func (c *RedisCluster) replicate(tb testing.TB) {
	tb.Helper()
	for i, n := range c.Nodes[clusterMasters:] {
		master, _ := c.Nodes[i].MustDo("CLUSTER", "MYID").(string)
		n.MustDo("CLUSTER", "REPLICATE", master)
	}
	for i, n := range c.Nodes {
		poll(tb, "start the replicas", func() error {
			known, _ := n.MustDo("CLUSTER", "NODES").(string)
			state, _ := n.MustDo("CLUSTER", "INFO").(string)
			if strings.Count(known, "slave") != clusterNodes-clusterMasters || !strings.Contains(state, "cluster_state:ok") {
				return fmt.Errorf("%s knows:\n%s\n%s", n.Addr, known, state)
			}
			if i < clusterMasters {
				return n.confirmed()
			}
			return n.wantInfo("replication", "master_link_status", "up")
		})
	}
}
