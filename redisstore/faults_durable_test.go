package redisstore_test

import (
	"net"
	"os/exec"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session/internal/servers"
)

// durable is a Redis server that has on disk what it acknowledges, which those of
// package servers never have.
type durable struct {
	tb         testing.TB
	addr, path string
	dir        string
	cmd        *exec.Cmd
}

func startDurable(tb testing.TB) *durable {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	d := &durable{tb: tb, addr: listener.Addr().String(), path: servers.Need(tb, "redis-server", "redis-server"), dir: tb.TempDir()}
	must(tb, listener.Close())
	d.run()
	tb.Cleanup(d.kill)
	return d
}

// run starts the server, with what it knew before, and waits until it answers.
func (d *durable) run() {
	d.tb.Helper()
	host, port, err := net.SplitHostPort(d.addr)
	must(d.tb, err)
	d.cmd = exec.Command(d.path, "--bind", host, "--port", port, "--dir", d.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always")
	must(d.tb, d.cmd.Start())
	client := redis.NewClient(tuned(d.addr))
	defer client.Close()
	eventually(d.tb, "start a server that writes to disk", func() bool { return client.Ping(d.tb.Context()).Err() == nil })
}

// kill ends the very process that was started, as a crash would.
func (d *durable) kill() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
}
