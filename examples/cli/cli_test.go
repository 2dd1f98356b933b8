package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/updateage/session/client"
)

// binary is the built program.
var binary string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cli")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "cli")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	return m.Run()
}

// machine is a computer with a home directory of its own.
type machine struct {
	testing.TB
	home, server string
}

// result is what one run of the program has left.
type result struct {
	code     int
	out, err string
}

func newMachine(t testing.TB, server string) *machine { return &machine{t, t.TempDir(), server} }

func (m *machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = []string{"HOME=" + m.home, "XDG_CONFIG_HOME=" + filepath.Join(m.home, "config"), "SESSION_SERVER=" + m.server}
	return cmd
}

// run runs the program with something on its standard input.
func (m *machine) run(input string, args ...string) result {
	m.Helper()
	cmd := m.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		m.Fatal(err)
	}
	if strings.Contains(out.String()+errs.String(), demoPassword) {
		m.Errorf("%v shows the password", args)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// want runs the program and checks the exit code and what it says, as a pattern.
func (m *machine) want(code int, says, input string, args ...string) string {
	m.Helper()
	got := m.run(input, args...)
	said := got.out
	if code != 0 {
		said = got.err
		if got.out != "" {
			m.Errorf("%v failed, and printed %q", args, got.out)
		}
	}
	if matched := regexp.MustCompile(says).MatchString(said); got.code != code || !matched {
		m.Errorf("%v: exit code %d, %q, %q; want %d and %q", args, got.code, got.out, got.err, code, says)
	}
	return said
}

// startServer starts the program's own server, as a process of its own.
func startServer(t *testing.T) string {
	t.Helper()
	m := newMachine(t, "")
	cmd := m.command("serve", "--server", "http://127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve ended with %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`http://\S+`).FindString(line)
}

const right = demoPassword + "\n"

func TestSessionSurvivesBetweenRuns(t *testing.T) {
	m := newMachine(t, startServer(t))
	m.want(3, "^cli: nobody is signed in\n$", "", "whoami")
	m.want(0, `^Ada Lovelace \(ada\) at http://127\.0\.0\.1:\d+, until \d{4}-`, right, "sign-in", "ada")
	m.want(0, `^Ada Lovelace \(ada\)`, "", "whoami")
	m.want(0, `^ID +DEVICE +ADDRESS.*\n\S{24}  session-example-cli \(.*\) \(this one\)  127\.0\.0\.1`, "", "devices")
	m.want(0, "^Signed out.\n$", "", "sign-out")
	m.want(3, "^cli: nobody is signed in\n$", "", "whoami")
	m.want(3, "^cli: nobody is signed in\n$", "", "devices")
	m.want(0, "^Signed out.\n$", "", "sign-out") // once more does no harm
}

func TestWrongPasswordKeepsTheSession(t *testing.T) {
	m := newMachine(t, startServer(t))
	m.want(1, `^cli: Wrong user or password\.\n$`, "wrong\n", "sign-in", "ada")
	m.want(1, `^cli: Wrong user or password\.\n$`, "", "sign-in", "nobody")
	m.want(0, "Grace Hopper", right, "sign-in", "grace")
	m.want(1, `Wrong user or password`, "wrong\n", "sign-in", "ada")
	m.want(0, "Grace Hopper", "", "whoami")
	m.want(0, "Alan Turing", strings.TrimSpace(right), "sign-in", "alan") // without a line's end
}

func TestDevicesOfOneUser(t *testing.T) {
	server := startServer(t)
	laptop, desk, phone := newMachine(t, server), newMachine(t, server), newMachine(t, server)
	for _, m := range []*machine{laptop, desk, phone} {
		m.want(0, "Ada", right, "sign-in", "ada")
	}
	grace := newMachine(t, server)
	grace.want(0, "Grace", right, "sign-in", "grace")

	id := func(m *machine) string {
		var s client.Session
		if err := json.Unmarshal([]byte(m.want(0, "", "", "whoami", "--json")), &s); err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	if n := strings.Count(laptop.want(0, "this one", "", "devices"), "session-example-cli"); n != 3 {
		t.Errorf("%d devices", n)
	}
	laptop.want(0, "^Devices signed out: 1\n$", "", "revoke", id(phone))
	phone.want(3, "nobody is signed in", "", "whoami")
	laptop.want(1, "cli: .+", "", "revoke", id(grace)) // another user's is unknown
	grace.want(0, "Grace", "", "whoami")
	laptop.want(1, "cli: .+", "", "revoke", "..")
	desk.want(0, "Ada", "", "whoami")
	laptop.want(0, "^Devices signed out: 1\n$", "", "revoke", "--others")
	desk.want(3, "nobody is signed in", "", "devices")
	laptop.want(0, "Ada", "", "whoami")
}

func TestJSON(t *testing.T) {
	m := newMachine(t, startServer(t))
	read := func(text string, v any) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Errorf("%v: %s", err, text)
		}
	}
	var failed struct {
		Error, Code, Message string
		Status               int
	}
	read(m.want(3, "", "", "--json", "whoami"), &failed)
	if failed.Error != client.ErrNoSession.Error() {
		t.Errorf("error is %+v", failed)
	}
	read(m.want(1, "", "wrong\n", "sign-in", "ada", "--json"), &failed)
	if failed.Status != http.StatusUnauthorized || failed.Code != "INVALID_CREDENTIALS" || failed.Message != "Wrong user or password." {
		t.Errorf("error is %+v", failed)
	}
	var s client.Session
	read(m.want(0, "", right, "sign-in", "ada", "--json"), &s)
	if s.UserID != "ada" || !s.Current || s.ExpiresAt.IsZero() {
		t.Errorf("session is %+v", s)
	}
	var list []client.Session
	read(m.want(0, "", "", "devices", "--json"), &list)
	if len(list) != 1 || list[0].ID != s.ID || !list[0].Current {
		t.Errorf("devices are %+v", list)
	}
	var n map[string]int
	read(m.want(0, "", "", "revoke", "--others", "--json"), &n)
	if n["revoked"] != 0 {
		t.Errorf("revoked %v", n)
	}
	read(m.want(2, "", "", "--json", "dance"), &failed)
	var out map[string]bool
	read(m.want(0, "", "", "sign-out", "--json"), &out)
	if !out["signedOut"] {
		t.Errorf("sign-out says %v", out)
	}
}

func TestWrongUsage(t *testing.T) {
	m := newMachine(t, "")
	for _, row := range []struct {
		args, says string
	}{
		{"", "no command"},
		{"dance", `unknown command "dance"`},
		{"sign-in", "takes 1 arguments"},
		{"whoami ada", "takes 0 arguments"},
		{"revoke", "takes 1 arguments"},
		{"revoke id --others", "takes 0 arguments"},
		{"devices --others", "--others belongs to revoke"},
		{"whoami --colour", "flag provided but not defined"},
		{"whoami --server http://example.com", "must have https://"},
		{"whoami --server example.com", "no URL"},
		{"whoami --server https://user:word@example.com", "no URL"},
		{"serve --server http://0.0.0.0:1", "loopback"},
	} {
		m.want(2, `^cli: .*`+regexp.QuoteMeta(row.says)+`(.|\n)*Usage: cli`, "", strings.Fields(row.args)...)
	}
	m.want(0, "^Usage: cli", "", "--help")
}

// TestServersAreApart: one file, and the session of one server goes to no other.
func TestServersAreApart(t *testing.T) {
	m := newMachine(t, startServer(t))
	m.want(0, "Ada", right, "sign-in", "ada")
	evil := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another server got %v", r.Header)
	}))
	defer evil.Close()
	m.want(3, "nobody is signed in", "", "whoami", "--server", evil.URL)
	m.want(3, "nobody is signed in", "", "devices", "--server", strings.Replace(m.server, "127.0.0.1", "localhost", 1))
	m.want(0, "Ada", "", "whoami")
	m.want(0, "Ada", "", "whoami", "--server", strings.Replace(m.server, "http", "HTTP", 1)+"/") // the same one
}

// TestServerFails: nothing of that signs anybody out but sign-out itself.
func TestServerFails(t *testing.T) {
	var down atomic.Bool
	app := must(newServer())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		app.ServeHTTP(w, r)
	}))
	m := newMachine(t, server.URL)
	m.want(0, "Ada", right, "sign-in", "ada")
	down.Store(true)
	m.want(1, "cli: Service Unavailable", "", "whoami")
	server.Close()
	m.want(1, "cli: .*connection refused", "", "whoami")
	m.want(1, "cli: .*connection refused", "", "devices")
	m.want(1, "you are signed out here, but the server does not know", "", "sign-out")
	m.want(3, "nobody is signed in", "", "whoami")
}

// TestFileIsPrivate: the session is nobody else's business.
func TestFileIsPrivate(t *testing.T) {
	m := newMachine(t, startServer(t))
	m.want(0, "Ada", right, "sign-in", "ada")
	var found []string
	err := filepath.WalkDir(m.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v", path, info.Mode())
		}
		found = append(found, d.Name())
		return err
	})
	if err != nil || len(found) != 2 {
		t.Errorf("files are %v, %v", found, err)
	}
	if err := os.Chmod(filepath.Join(m.home, "config", "session-example-cli", "session.json"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.want(1, "not private", "", "whoami")
	m.want(0, "Grace", right, "sign-in", "grace") // which puts another in its place
	m.want(0, "Grace", "", "whoami")
}

// TestOutputCannotMoveTheCursor: names of devices are what somebody's program said.
func TestOutputCannotMoveTheCursor(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/auth/login":
			_, _ = w.Write([]byte(`{"session_id":"S"}`))
		case "/auth/session":
			_, _ = w.Write([]byte(`{"session":{"id":"id"},"user":{"id":"a\u001b[2J","name":"b\u0007\r\nc\u202e"}}`))
		default:
			_, _ = w.Write([]byte(`[{"id":"\u001b]0;x","userAgent":"\u001b[31m","ipAddress":"\n1","device":""}]`))
		}
	}))
	defer server.Close()
	m := newMachine(t, server.URL)
	for _, said := range []string{m.want(0, "", right, "sign-in", "ada"), m.want(0, "", "", "devices")} {
		if strings.ContainsAny(said, "\x1b\a\r\u202e") {
			t.Errorf("it printed %q", said)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
