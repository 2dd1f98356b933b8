//go:build unix

package servers

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// MariaDB is a MariaDB server that keeps its data until the end of the test. User
// "root" may do anything, without a password; there is a database "test".
type MariaDB struct {
	// Addr is the host and port it listens on.
	Addr string

	tb   testing.TB
	dir  string
	path string
	args []string
	*process
}

// StartMariaDB starts a MariaDB server with further arguments as on its command
// line, such as "--max-connections=10", and stops it at the end of the test. It
// survives a crash of its process, not one of the machine.
func StartMariaDB(tb testing.TB, args ...string) *MariaDB {
	tb.Helper()
	path := Need(tb, mariadbProgram("mariadbd"), "mariadb-server")
	dir := unprivilegedDir(tb, "mysql")
	runAs(tb, "mysql", dir, Need(tb, "mariadb-install-db", "mariadb-server"), "--no-defaults", "--datadir="+dir+"/data",
		"--auth-root-authentication-method=normal", "--skip-name-resolve")
	for range 5 {
		port := freePort(tb)
		m := &MariaDB{Addr: fmt.Sprintf("127.0.0.1:%d", port), tb: tb, dir: dir, path: path}
		m.args = slices.Concat([]string{
			"--no-defaults", "--datadir=" + dir + "/data", "--bind-address=127.0.0.1", "--port=" + fmt.Sprint(port),
			"--socket=" + dir + "/socket", "--pid-file=" + dir + "/pid", "--skip-name-resolve",
			"--innodb-flush-log-at-trx-commit=2",
		}, args)
		if m.run() {
			return m
		}
	}
	tb.Fatal("servers: start mariadbd: no port is free")
	return nil
}

// mariadbProgram returns the path of a server, which is where only root's PATH
// looks.
func mariadbProgram(name string) string {
	if path := "/usr/sbin/" + name; isFile(path) {
		return path
	}
	return name
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// DSN returns the address as github.com/go-sql-driver/mysql takes it, with further
// parameters such as "timeout=1s".
func (m *MariaDB) DSN(parameters ...string) string { return MariaDBDSN(m.Addr, parameters...) }

// MariaDBDSN is DSN for something that stands before the server.
func MariaDBDSN(addr string, parameters ...string) string {
	return "root@tcp(" + addr + ")/test?" + strings.Join(parameters, "&")
}

// run starts the process and waits until it is ready. It returns false if the port
// was taken.
func (m *MariaDB) run() bool {
	m.tb.Helper()
	m.process = startAs(m.tb, "mysql", m.dir, m.path, m.args...)
	taken := false
	poll(m.tb, "start mariadbd", func() error {
		if err := m.ended(); err != nil {
			taken = true
			return nil
		}
		return m.ready()
	})
	if taken && !strings.Contains(string(m.lastWords()), "Address already in use") {
		m.tb.Fatalf("servers: start mariadbd: %v", m.ended())
	}
	return !taken
}

// ready says whether the server greets, and is this one.
func (m *MariaDB) ready() error {
	text, err := os.ReadFile(filepath.Join(m.dir, "pid"))
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(text)); got != fmt.Sprint(m.Pid) {
		return fmt.Errorf("the pid file says %s", got)
	}
	conn, err := net.DialTimeout("tcp", m.Addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

// Kill ends the server at once, as a crash would. What it has acknowledged it will
// have after Restart.
func (m *MariaDB) Kill() { m.kill() }

// Restart starts a killed server again on the same port.
func (m *MariaDB) Restart() {
	m.tb.Helper()
	if m.ended() == nil {
		m.tb.Fatal("servers: restart mariadbd: it is running")
	}
	if !m.run() {
		m.tb.Fatal("servers: restart mariadbd: the port was taken meanwhile")
	}
}

// Freeze stops the server without closing its connections, as a stall of its
// machine would, until Thaw.
func (m *MariaDB) Freeze() { m.mustSignal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (m *MariaDB) Thaw() { m.mustSignal(syscall.SIGCONT) }

func (m *MariaDB) mustSignal(s syscall.Signal) {
	m.tb.Helper()
	if err := m.Signal(s); err != nil {
		m.tb.Fatalf("servers: %s: %v: %v", m.Addr, s, err)
	}
}
