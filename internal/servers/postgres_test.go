//go:build unix

package servers_test

import (
	"net"
	"strings"
	"testing"

	"github.com/updateage/session/internal/servers"
)

// database is a server that keeps its data.
type database interface {
	Kill()
	Restart()
}

func wantBack(t *testing.T, addr string, server database) {
	t.Helper()
	server.Kill()
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("a killed server takes connections")
	}
	server.Restart()
	if _, err := net.Dial("tcp", addr); err != nil {
		t.Errorf("after a restart: got error %v", err)
	}
}

func wantGone(t *testing.T, addr string) {
	t.Helper()
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the server outlived its test")
	}
}

func TestPostgresComesBackOnTheSamePort(t *testing.T) {
	p := servers.StartPostgres(t)
	wantBack(t, p.Addr, p)
	if !strings.Contains(p.DSN("a=b"), p.Addr+"/postgres?a=b&") {
		t.Errorf("got DSN %q", p.DSN("a=b"))
	}
}

func TestPostgresIsGoneAfterItsTest(t *testing.T) {
	var p, standby *servers.Postgres
	t.Run("its test", func(t *testing.T) {
		p = servers.StartPostgres(t)
		standby = p.StartStandby(t)
	})
	wantGone(t, p.Addr)
	wantGone(t, standby.Addr)
}

func TestMariaDBComesBackOnTheSamePort(t *testing.T) {
	m := servers.StartMariaDB(t)
	wantBack(t, m.Addr, m)
	if !strings.HasSuffix(m.DSN("a=b"), "("+m.Addr+")/test?a=b") {
		t.Errorf("got DSN %q", m.DSN("a=b"))
	}
}

func TestFrozenMariaDBIsGoneAfterItsTest(t *testing.T) {
	var m *servers.MariaDB
	t.Run("its test", func(t *testing.T) {
		m = servers.StartMariaDB(t)
		m.Freeze()
	})
	wantGone(t, m.Addr)
}
