//go:build unix

package servers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Redis is a Redis server.
type Redis struct {
	// Addr is the host and port it listens on.
	Addr string

	tb   testing.TB
	path string
	args []string
	dir  string
	port int
	*process
}

// StartRedis starts a Redis server with further arguments as on its command
// line, and stops it at the end of the test. It keeps nothing on disk, unless the
// arguments say so.
func StartRedis(tb testing.TB, args ...string) *Redis {
	tb.Helper()
	return startRedis(tb, func(int) []string { return slices.Concat(inMemory, args) })
}

// inMemory are arguments for a server that keeps nothing on disk.
var inMemory = []string{"--save", "", "--appendonly", "no"}

// startRedis starts a server whose arguments may depend on its port. Another
// process may take a port between its choice and its use, so some are tried.
func startRedis(tb testing.TB, args func(port int) []string) *Redis {
	tb.Helper()
	path := Need(tb, "redis-server", "redis-server")
	for range 5 {
		port := freePort(tb)
		r := &Redis{Addr: fmt.Sprintf("127.0.0.1:%d", port), tb: tb, path: path, dir: tb.TempDir(), port: port}
		r.args = slices.Concat(args(port), []string{
			"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", r.dir,
			"--repl-diskless-sync-delay", "0",
		})
		if r.run() {
			return r
		}
	}
	tb.Fatal("servers: start redis-server: no port is free")
	return nil
}

// run starts the process and waits until it answers. It returns false if the
// port was taken.
func (r *Redis) run() bool {
	r.tb.Helper()
	p, err := start(r.tb, r.dir, r.path, r.args...)
	if err != nil {
		r.tb.Fatalf("servers: start %s: %v", r.path, err)
	}
	r.process = p
	taken := false
	poll(r.tb, "start redis-server", func() error {
		if err := p.ended(); err != nil {
			taken = true
			return nil
		}
		return r.answers()
	})
	if taken && !strings.Contains(string(p.lastWords()), "Address already in use") {
		r.tb.Fatalf("servers: start redis-server: %v", p.ended())
	}
	return !taken
}

// answers says whether the server answers, and is this one: another process may
// have started a server on the same port. One that wants a password says no more
// than that.
func (r *Redis) answers() error {
	if _, err := r.Do("PING"); err != nil && strings.HasPrefix(err.Error(), "NOAUTH") {
		return nil
	}
	return r.wantInfo("server", "process_id", fmt.Sprint(r.Pid))
}

// Do sends a command and returns the reply: an int64, a string, nil, or a slice
// of those.
func (r *Redis) Do(args ...string) (any, error) { return ask(r.Addr, args...) }

// MustDo is Do for a command that has to succeed.
func (r *Redis) MustDo(args ...string) any {
	r.tb.Helper()
	answer, err := r.Do(args...)
	if err != nil {
		r.tb.Fatalf("servers: %s %v: %v", r.Addr, args, err)
	}
	return answer
}

// Info returns a field of the INFO command, or the empty string.
func (r *Redis) Info(section, field string) string {
	text, _ := r.Do("INFO", section)
	lines, _ := text.(string)
	for line := range strings.Lines(lines) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Kill ends the server at once, as a crash would. What it held is lost.
func (r *Redis) Kill() { r.kill() }

// Restart starts a killed server again on the same port, with what it has on disk.
func (r *Redis) Restart() {
	r.tb.Helper()
	if r.ended() == nil {
		r.tb.Fatal("servers: restart redis-server: it is running")
	}
	if !r.run() {
		r.tb.Fatal("servers: restart redis-server: the port was taken meanwhile")
	}
}

// Freeze stops the server without closing its connections, as a stall of its
// machine would, until Thaw.
func (r *Redis) Freeze() { r.mustSignal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (r *Redis) Thaw() { r.mustSignal(syscall.SIGCONT) }

func (r *Redis) mustSignal(s syscall.Signal) {
	r.tb.Helper()
	if err := r.Signal(s); err != nil {
		r.tb.Fatalf("servers: %s: %v: %v", r.Addr, s, err)
	}
}

// wantInfo is for poll: it says whether a field of INFO has this value.
func (r *Redis) wantInfo(section, field, want string) error {
	if got := r.Info(section, field); got != want {
		return errors.New(r.Addr + ": " + field + " is " + got + ", not " + want)
	}
	return nil
}

// StartReplica starts a replica of the server, which is empty yet, and waits until
// it confirms what is written. Arguments are as for [StartRedis].
func (r *Redis) StartReplica(tb testing.TB, args ...string) *Redis {
	tb.Helper()
	replica := StartRedis(tb, append([]string{"--replicaof", "127.0.0.1", fmt.Sprint(r.port)}, args...)...)
	poll(tb, "start the replica", func() error {
		if err := replica.wantInfo("replication", "master_link_status", "up"); err != nil {
			return err
		}
		return r.confirmed()
	})
	return replica
}

// confirmed is for poll: it says whether all replicas confirm what is written. In
// the second after one has come up it does not. FLUSHALL is replicated even when
// there is nothing to flush.
func (r *Redis) confirmed() error {
	replicas := r.Info("replication", "connected_slaves")
	if replicas == "0" {
		return errors.New(r.Addr + " has no replica")
	}
	answers, err := converse(r.Addr, []string{"FLUSHALL"}, []string{"WAIT", replicas, "100"})
	if err == nil && fmt.Sprint(answers[1]) != replicas {
		err = fmt.Errorf("%v of %s replicas confirm", answers[1], replicas)
	}
	return err
}
