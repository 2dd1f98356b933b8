package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

var (
	buildFlags []string // the race detector's, if the tests have it
	binary     string
)

// TestMain builds the program once. The tests see of it what its users see.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sessiongate")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "sessiongate")
	args := append([]string{"build", "-o", binary}, buildFlags...)
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build: %v\n%s", err, out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// command is the program with nothing in its environment but what is given.
func command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// gate is a running sessiongate.
type gate struct {
	tb     testing.TB
	addr   string // where proxies ask
	admin  string
	cmd    *exec.Cmd
	heard  chan struct{} // closed when it listens
	exited chan struct{}
	code   int // once exited

	mu  sync.Mutex // guards log
	log bytes.Buffer
}

// start starts the program on free ports and stops it at the end of the test.
func start(tb testing.TB, env []string, args ...string) *gate {
	tb.Helper()
	g := launch(tb, env, args...)
	g.wantListening()
	return g
}

// launch starts the program and does not wait until it listens.
func launch(tb testing.TB, env []string, args ...string) *gate {
	tb.Helper()
	args = append([]string{"-listen", "127.0.0.1:0", "-admin-listen", "127.0.0.1:0", "-log-level", "debug"}, args...)
	g := &gate{tb: tb, cmd: command(context.Background(), env, args...), heard: make(chan struct{}), exited: make(chan struct{})}
	out, err := g.cmd.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go g.follow(out)
	tb.Cleanup(g.end)
	return g
}

func (g *gate) wantListening() {
	g.tb.Helper()
	select {
	case <-g.heard:
	case <-g.exited:
		g.tb.Fatalf("sessiongate exits with %d:\n%s", g.code, g.logged())
	case <-time.After(patience):
		g.tb.Fatalf("sessiongate does not listen:\n%s", g.logged())
	}
}

// follow keeps the log, and finds in it the addresses.
func (g *gate) follow(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		g.mu.Lock()
		g.log.Write(append(lines.Bytes(), '\n'))
		g.mu.Unlock()
		var line struct{ Msg, Listen, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			g.addr, g.admin = line.Listen, line.Admin
			close(g.heard)
		}
	}
	_ = g.cmd.Wait() // the code says it
	g.code = g.cmd.ProcessState.ExitCode()
	close(g.exited)
}

func (g *gate) logged() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.String()
}

// end ends the program, and says if it had been racing.
func (g *gate) end() {
	_ = g.cmd.Process.Kill() // it may have ended
	<-g.exited
	if strings.Contains(g.logged(), "DATA RACE") {
		g.tb.Errorf("sessiongate:\n%s", g.logged())
	}
}

func (g *gate) signal(s syscall.Signal) {
	g.tb.Helper()
	if err := g.cmd.Process.Signal(s); err != nil {
		g.tb.Fatal(err)
	}
}

// wantExit waits for the program to end by itself.
func (g *gate) wantExit(code int) {
	g.tb.Helper()
	select {
	case <-g.exited:
	case <-time.After(patience):
		g.tb.Fatalf("sessiongate goes on:\n%s", g.logged())
	}
	if g.code != code {
		g.tb.Errorf("sessiongate exits with %d, want %d:\n%s", g.code, code, g.logged())
	}
}

// answer is a response whose body has been read.
type answer struct {
	*http.Response
	body string
}

var client = &http.Client{
	Timeout:       patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// try sends a request with headers given as names and values in turn.
func try(method, url string, headers ...string) (answer, error) {
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	resp, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp, string(body)}, err
}

func ask(tb testing.TB, method, url string, headers ...string) answer {
	tb.Helper()
	a, err := try(method, url, headers...)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// auth asks for a verdict on a request with a cookie, or without if it is empty.
func (g *gate) auth(cookie string, headers ...string) answer {
	g.tb.Helper()
	if cookie != "" {
		headers = append(headers, "Cookie", cookie)
	}
	return ask(g.tb, http.MethodGet, "http://"+g.addr+"/auth", headers...)
}

func (g *gate) adminGet(path string) answer {
	g.tb.Helper()
	return ask(g.tb, http.MethodGet, "http://"+g.admin+path)
}

func want(tb testing.TB, a answer, status int) {
	tb.Helper()
	if a.StatusCode != status {
		tb.Errorf("status %d, want %d (%q)", a.StatusCode, status, a.body)
	}
}

func wantHeader(tb testing.TB, a answer, name, value string) {
	tb.Helper()
	if got := strings.Join(a.Header.Values(name), " | "); got != value {
		tb.Errorf("%s is %q, want %q", name, got, value)
	}
}

// eventually waits for what a real server does.
func eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	tb.Fatalf("%s: not within %v", what, patience)
}

// file writes a file and returns its path.
func file(tb testing.TB, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "file")
	write(tb, path, text)
	return path
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// output runs the program to its end.
func output(tb testing.TB, env []string, args ...string) (stdout, stderr string, code int) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	cmd := command(ctx, env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		tb.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
