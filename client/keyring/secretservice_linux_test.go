package keyring_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/updateage/session/client"
	"github.com/updateage/session/client/keyring"
	"github.com/updateage/session/internal/servers"
	oskeyring "github.com/zalando/go-keyring"
)

// TestSecretService keeps sessions in a real GNOME Keyring.
func TestSecretService(t *testing.T) {
	daemon := startSecretService(t)
	ctx := t.Context()
	s := &keyring.Storage{Service: "session-test"}
	want := func(key, want string) {
		t.Helper()
		if got, err := s.Get(ctx, key); got != want || err != nil {
			t.Errorf("value of %q is %q, %v, want %q", key, got, err, want)
		}
	}
	want("key", "")
	if err := s.Remove(ctx, "key"); err != nil {
		t.Errorf("removing nothing: %v", err)
	}
	token := strings.Repeat("a", 64)
	for _, value := range []string{token, strings.Repeat("b", 2048)} {
		if err := s.Set(ctx, "key", value); err != nil {
			t.Fatal(err)
		}
		want("key", value)
	}
	want("other", "")
	if got, err := (&keyring.Storage{Service: "another"}).Get(ctx, "key"); got != "" || err != nil {
		t.Errorf("another service has %q, %v", got, err)
	}
	if err := s.Remove(ctx, "key"); err != nil {
		t.Error(err)
	}
	want("key", "")

	api := serve(t, token)
	api.Storage = s
	if err := api.SignIn(ctx, "/auth/login", nil, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := oskeyring.Get("session-test", client.DefaultKey); got != token || err != nil {
		t.Errorf("the keyring has %q, %v", got, err)
	}
	again := &client.Client{BaseURL: api.BaseURL, Storage: &keyring.Storage{Service: "session-test"}}
	if err := again.Get(ctx, "/orders", nil); !errors.Is(err, client.ErrNoSession) {
		t.Errorf("Get of an ended session: %v", err)
	}
	want(client.DefaultKey, "")

	if err := s.Set(ctx, "key", token); err != nil {
		t.Fatal(err)
	}
	daemon.stop()
	if _, err := s.Get(ctx, "key"); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("without the Secret Service: %v", err)
	}
	if err := s.Set(ctx, "key", token); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("without the Secret Service: %v", err)
	}
}

// serve returns a client of a server that signs everybody in, and says at the next
// request, if it carries the token, that the session is over.
func serve(t *testing.T, token string) *client.Client {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/auth/login":
			fmt.Fprintf(w, `{"session_id":%q}`, token)
		case r.Header.Get("X-Session-ID") == token:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			t.Errorf("%s without the session", r.URL.Path)
		}
	}))
	t.Cleanup(server.Close)
	return &client.Client{BaseURL: server.URL}
}

// service is a Secret Service with a bus of its own.
type service struct {
	testing.TB
	bus, keyring *daemon
}

// startSecretService starts a message bus and a GNOME Keyring with an unlocked
// keyring in a temporary directory. The environment tells the library where, so
// that no two tests can have one at a time.
func startSecretService(t *testing.T) *service {
	t.Helper()
	busPath := servers.Need(t, "dbus-daemon", "dbus-daemon")
	keyringPath := servers.Need(t, "gnome-keyring-daemon", "gnome-keyring")
	home := t.TempDir()
	for _, name := range []string{"HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"} {
		dir := filepath.Join(home, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, dir)
	}
	s := &service{TB: t}
	t.Cleanup(s.stop)

	config := filepath.Join(home, "bus.conf")
	if err := os.WriteFile(config, []byte(busConfig(home)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	bus := exec.Command(busPath, "--config-file="+config, "--nofork", "--print-address")
	bus.Stdout = in
	s.bus = start(t, bus)
	in.Close()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("start dbus-daemon: %v", err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", strings.TrimSpace(address))

	unlocked := exec.Command(keyringPath, "--foreground", "--unlock", "--components=secrets")
	unlocked.Stdin = strings.NewReader("password of the keyring")
	s.keyring = start(t, unlocked)
	s.wait()
	return s
}

// daemon is a process that a test has started.
type daemon struct {
	*os.Process
	gone chan struct{} // closed when it has ended
}

// start starts a process that dies with the test's. The parent that the kernel
// watches is the thread that forked, so that one has to live as long.
func start(t *testing.T, cmd *exec.Cmd) *daemon {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	d := &daemon{gone: make(chan struct{})}
	started := make(chan error)
	go func() {
		defer close(d.gone)
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	d.Process = cmd.Process
	return d
}

// busConfig lets everybody who can open the socket do everything: that is this
// user alone.
func busConfig(dir string) string {
	return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=` + dir + `/bus</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>`
}

// wait waits until the Secret Service answers.
func (s *service) wait() {
	s.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err = oskeyring.Get("session-test", "none"); err == oskeyring.ErrNotFound {
			return
		}
	}
	s.Fatalf("gnome-keyring-daemon does not answer: %v", err)
}

// stop ends what was started.
func (s *service) stop() {
	for _, d := range []*daemon{s.keyring, s.bus} {
		if d != nil {
			_ = d.Kill() // it may have ended by itself
			<-d.gone
		}
	}
}
