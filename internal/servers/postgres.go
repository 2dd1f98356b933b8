//go:build unix

package servers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Postgres is a PostgreSQL server that keeps its data until the end of the test.
// User "test" may do anything on database "postgres", without a password.
type Postgres struct {
	// Addr is the host and port it listens on.
	Addr string

	tb   testing.TB
	dir  string
	path string
	args []string
	*process
}

// StartPostgres starts a PostgreSQL server with further arguments as on its
// command line, such as "-c", "max_connections=10", and stops it at the end of the
// test. It survives a crash of its process, not one of the machine.
func StartPostgres(tb testing.TB, args ...string) *Postgres {
	tb.Helper()
	path := Need(tb, postgresProgram("postgres"), "postgresql")
	dir := unprivilegedDir(tb, "postgres")
	runAs(tb, "postgres", dir, postgresProgram("initdb"), "-D", "data", "-U", "test", "--auth=trust",
		"-E", "UTF8", "--locale=C", "--no-sync")
	for range 5 {
		port := freePort(tb)
		p := &Postgres{Addr: fmt.Sprintf("127.0.0.1:%d", port), tb: tb, dir: dir, path: path}
		p.args = slices.Concat([]string{
			"-D", "data", "-h", "127.0.0.1", "-p", fmt.Sprint(port), "-c", "unix_socket_directories=",
			"-c", "fsync=off", "-c", "full_page_writes=off",
		}, args)
		if p.run() {
			return p
		}
	}
	tb.Fatal("servers: start postgres: no port is free")
	return nil
}

// postgresProgram returns the path of a program of PostgreSQL. Debian keeps them
// where no PATH looks, one directory for each version.
func postgresProgram(name string) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return name
	}
	return found[len(found)-1]
}

// DSN returns the address as drivers take it, with further parameters such as
// "application_name=x".
func (p *Postgres) DSN(parameters ...string) string { return PostgresDSN(p.Addr, parameters...) }

// PostgresDSN is DSN for something that stands before the server.
func PostgresDSN(addr string, parameters ...string) string {
	return "postgres://test@" + addr + "/postgres?" + strings.Join(append(parameters, "sslmode=disable"), "&")
}

// run starts the process and waits until it is ready. It returns false if the port
// was taken.
func (p *Postgres) run() bool {
	p.tb.Helper()
	p.launch()
	taken := false
	poll(p.tb, "start postgres", func() error {
		if p.ended() == nil {
			return p.ready()
		}
		taken = strings.Contains(string(p.lastWords()), "Address already in use")
		if !taken && strings.Contains(string(p.lastWords()), "pre-existing shared memory block") {
			// What a killed server has left is still there for a moment.
			p.launch()
			return p.ready()
		}
		return nil
	})
	if !taken && p.ended() != nil {
		p.tb.Fatalf("servers: start postgres: %v", p.ended())
	}
	return !taken
}

func (p *Postgres) launch() {
	p.tb.Helper()
	p.process = startAs(p.tb, "postgres", p.dir, p.path, p.args...)
	p.tb.Cleanup(p.quit) // before it is killed
}

// ready says whether the server takes connections, and is this one.
func (p *Postgres) ready() error {
	text, err := os.ReadFile(filepath.Join(p.dir, "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 8 || lines[0] != fmt.Sprint(p.Pid) || strings.TrimSpace(lines[7]) != "ready" {
		return fmt.Errorf("postmaster.pid says %q", lines)
	}
	conn, err := net.DialTimeout("tcp", p.Addr, time.Second)
	if err == nil {
		err = conn.Close()
	}
	return err
}

// Kill ends the server at once, as a crash would. What it has acknowledged it will
// have after Restart.
func (p *Postgres) Kill() { p.kill() }

// Restart starts a killed server again on the same port.
func (p *Postgres) Restart() {
	p.tb.Helper()
	if p.ended() == nil {
		p.tb.Fatal("servers: restart postgres: it is running")
	}
	if !p.run() {
		p.tb.Fatal("servers: restart postgres: the port was taken meanwhile")
	}
}

// quit lets the server end in its own way, which is quick and gives shared memory
// back to the kernel.
func (p *Postgres) quit() {
	_ = p.Signal(syscall.SIGQUIT) // it may have ended by itself
	select {
	case <-p.gone:
	case <-time.After(5 * time.Second): // it is killed next
	}
}

// StartStandby starts a replica of the server, which answers queries and refuses
// writes.
func (p *Postgres) StartStandby(tb testing.TB) *Postgres {
	tb.Helper()
	dir := unprivilegedDir(tb, "postgres")
	host, port, _ := net.SplitHostPort(p.Addr)
	runAs(tb, "postgres", dir, postgresProgram("pg_basebackup"), "-D", "data", "-h", host, "-p", port,
		"-U", "test", "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	for range 5 {
		port := freePort(tb)
		s := &Postgres{Addr: fmt.Sprintf("127.0.0.1:%d", port), tb: tb, dir: dir, path: p.path}
		s.args = []string{"-D", "data", "-h", "127.0.0.1", "-p", fmt.Sprint(port), "-c", "unix_socket_directories=", "-c", "fsync=off"}
		if s.run() {
			return s
		}
	}
	tb.Fatal("servers: start postgres: no port is free")
	return nil
}

// The servers of databases refuse to run as root. There, they run as the user that
// their package has made.

// unprivilegedDir returns a directory of that user, gone at the end of the test. A
// TempDir is below one that only root can enter.
func unprivilegedDir(tb testing.TB, user string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", user+"-")
	if err != nil {
		tb.Fatalf("servers: make a directory: %v", err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("servers: remove the directory of %s: %v", user, err)
		}
	})
	if os.Getuid() == 0 {
		if out, err := exec.Command("chown", user+":", dir).CombinedOutput(); err != nil {
			tb.Fatalf("servers: give a directory to %s: %v: %s", user, err, out)
		}
	}
	return dir
}

// as returns a command as the user has to run it. setpriv does not fork: the
// process is the server. The kernel forgets whom it watches when a process changes
// its user, so setpriv tells it again.
func as(tb testing.TB, user, path string, args []string) (string, []string) {
	tb.Helper()
	if os.Getuid() != 0 {
		return path, args
	}
	setpriv := Need(tb, "setpriv", "util-linux")
	return setpriv, slices.Concat([]string{
		"--reuid", user, "--regid", user, "--init-groups", "--pdeathsig", "KILL", "--", path,
	}, args)
}

// startAs is start as an unprivileged user.
func startAs(tb testing.TB, user, dir, path string, args ...string) *process {
	tb.Helper()
	program, all := as(tb, user, path, args)
	p, err := start(tb, dir, program, all...)
	if err != nil {
		tb.Fatalf("servers: start %s: %v", path, err)
	}
	return p
}

// runAs runs a program to its end.
func runAs(tb testing.TB, user, dir, path string, args ...string) {
	tb.Helper()
	program, all := as(tb, user, path, args)
	cmd := exec.Command(program, all...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("servers: run %s: %v: %s", path, err, out)
	}
}
