package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/client"
)

// swapStorage is what Memory, File and FromRequest are.
type swapStorage interface {
	client.Storage
	client.Swapper
}

func TestStorages(t *testing.T) {
	r, _ := http.NewRequest("GET", api, nil)
	for name, s := range map[string]swapStorage{
		"Memory":      &client.Memory{},
		"File":        &client.File{Path: filepath.Join(t.TempDir(), "new", "dir", "session.json")},
		"FromRequest": client.FromRequest(r).(swapStorage),
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			want := func(want string) {
				t.Helper()
				if got, err := s.Get(ctx, "key"); got != want || err != nil {
					t.Errorf("value is %q, %v, want %q", got, err, want)
				}
			}
			swap := func(old, value string, want bool) {
				t.Helper()
				if got, err := s.CompareAndSwap(ctx, "key", old, value); got != want || err != nil {
					t.Errorf("CompareAndSwap(%q, %q) = %t, %v", old, value, got, err)
				}
			}
			want("")
			if err := s.Remove(ctx, "key"); err != nil {
				t.Errorf("removing nothing: %v", err)
			}
			swap("other", "no", false)
			want("")
			swap("", "first", true)
			want("first")
			swap("", "no", false)
			swap("second", "no", false)
			want("first")
			swap("first", "second", true)
			want("second")
			swap("second", "", true)
			want("")
			if err := s.Set(ctx, "key", "third"); err != nil {
				t.Error(err)
			}
			want("third")
			if err := s.Remove(ctx, "key"); err != nil {
				t.Error(err)
			}
			want("")
		})
	}
}

func TestKeysAreApart(t *testing.T) {
	for _, s := range []client.Storage{&client.Memory{}, &client.File{Path: filepath.Join(t.TempDir(), "s")}} {
		a, b := at(unreachable(t)), at(unreachable(t))
		a.Storage, b.Storage, b.Key = s, s, "other"
		holding(t, a, tokenA)
		wantStored(t, b, "")
		holding(t, b, tokenB)
		wantStored(t, a, tokenA)
		if err := b.ClearSession(t.Context()); err != nil {
			t.Error(err)
		}
		wantStored(t, a, tokenA)
		if value, err := s.Get(t.Context(), "flowfull_session_id"); value != tokenA || err != nil {
			t.Errorf("under the default key there is %q, %v", value, err)
		}
	}
}

// TestFileIsPrivate: whatever the umask, and whatever was there.
func TestFileIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("access rights are those of the directory")
	}
	f := &client.File{Path: filepath.Join(t.TempDir(), "app", "session.json")}
	if err := f.Set(t.Context(), "key", tokenA); err != nil {
		t.Fatal(err)
	}
	wantMode := func(path string, want fs.FileMode) {
		t.Helper()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v, %v, want %v", path, info, err, want)
		}
	}
	wantMode(f.Path, 0o600)
	wantMode(filepath.Dir(f.Path), 0o700)
	for _, mode := range []fs.FileMode{0o644, 0o660, 0o620, 0o604} {
		if err := os.Chmod(f.Path, mode); err != nil {
			t.Fatal(err)
		}
		if value, err := f.Get(t.Context(), "key"); value != "" || err == nil || !strings.Contains(err.Error(), "not private") {
			t.Errorf("mode %v: %q, %v", mode, value, err)
		}
	}
	// The next sign-in helps, and believes nothing of what was there.
	if err := f.Set(t.Context(), "other", "value"); err != nil {
		t.Error(err)
	}
	wantMode(f.Path, 0o600)
	if value, err := f.Get(t.Context(), "key"); value != "" || err != nil {
		t.Errorf("what others could have written is still there: %q, %v", value, err)
	}
}

func TestDamagedFile(t *testing.T) {
	for _, content := range []string{"", "{", "null", "[]", `"x"`, `{"key":1}`, `{"key":"` + tokenA + `"}garbage`, strings.Repeat(" ", 1<<20+1)} {
		f := &client.File{Path: filepath.Join(t.TempDir(), "session.json")}
		write := func() {
			if err := os.WriteFile(f.Path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write()
		if value, err := f.Get(t.Context(), "key"); value != "" || err == nil || strings.Contains(err.Error(), tokenA) {
			t.Errorf("%.20q: Get = %q, %v", content, value, err)
		}
		if swapped, err := f.CompareAndSwap(t.Context(), "key", "x", ""); swapped || err != nil {
			t.Errorf("%.20q: CompareAndSwap = %t, %v", content, swapped, err)
		}
		if err := f.Remove(t.Context(), "key"); err != nil {
			t.Errorf("%.20q: Remove: %v", content, err)
		}
		if _, err := f.Get(t.Context(), "key"); err != nil {
			t.Errorf("%.20q: after Remove: %v", content, err)
		}
		write()
		if err := f.Set(t.Context(), "key", tokenA); err != nil {
			t.Errorf("%.20q: Set: %v", content, err)
		}
		if value, err := f.Get(t.Context(), "key"); value != tokenA || err != nil {
			t.Errorf("%.20q: after Set: %q, %v", content, value, err)
		}
	}
	if _, err := (&client.File{Path: t.TempDir()}).Get(t.Context(), "key"); err == nil {
		t.Error("a directory was read")
	}
}

// TestFailedChangeLeavesTheFile: a change that fails leaves the file as it was, and nothing
// beside it.
func TestFailedChangeLeavesTheFile(t *testing.T) {
	f := &client.File{Path: filepath.Join(t.TempDir(), "session.json")}
	if err := f.Set(t.Context(), "key", tokenA); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Get(ctx, "key"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v", err)
	}
	// The place of the file is taken by a directory: the last step fails.
	other := &client.File{Path: filepath.Join(t.TempDir(), "session.json")}
	if err := os.MkdirAll(filepath.Join(other.Path, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := other.Set(t.Context(), "key", tokenA); err == nil || strings.Contains(err.Error(), tokenA) {
		t.Errorf("Set: %v", err)
	}
	left, err := filepath.Glob(other.Path + ".*.new")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestFileLock: a caller who does not want to wait any longer need not.
func TestFileLock(t *testing.T) {
	f := &client.File{Path: filepath.Join(t.TempDir(), "session.json")}
	held := exec.Command(os.Args[0], "-test.run=^TestHelperProcess$")
	held.Env = append(os.Environ(), "CLIENT_TEST=lock", "CLIENT_TEST_FILE="+f.Path)
	in, err := held.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := held.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := held.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); _ = held.Wait() }()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Set(ctx, "key", "value"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another process holds the lock: %v", err)
	}
	if err := held.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := f.Set(t.Context(), "key", "value"); err != nil {
		t.Errorf("after it has died: %v", err)
	}
}

// TestTwoProcesses write to one file, each its own keys, while a third one reads:
// nothing is lost and nothing is read half written.
func TestTwoProcesses(t *testing.T) {
	const writes = 40
	f := &client.File{Path: filepath.Join(t.TempDir(), "session.json")}
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestHelperProcess$")
			cmd.Env = append(os.Environ(), "CLIENT_TEST=write", "CLIENT_TEST_FILE="+f.Path, fmt.Sprintf("CLIENT_TEST_KEY=%d", i))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v\n%s", i, err, out)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		if _, err := f.Get(t.Context(), "0-0"); err != nil {
			t.Errorf("Get: %v", err)
			break
		}
	}
	<-done
	data, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]string
	if err := json.Unmarshal(data, &values); err != nil || len(values) != 2*writes {
		t.Errorf("%d values are left of %d, %v", len(values), 2*writes, err)
	}
}

// TestHelperProcess is what the other processes do.
func TestHelperProcess(t *testing.T) {
	f := &client.File{Path: os.Getenv("CLIENT_TEST_FILE")}
	switch os.Getenv("CLIENT_TEST") {
	case "write":
		for i := range 40 {
			if err := f.Set(t.Context(), fmt.Sprintf("%s-%d", os.Getenv("CLIENT_TEST_KEY"), i), tokenA); err != nil {
				t.Fatal(err)
			}
		}
	case "lock":
		unlock, err := client.LockFile(t.Context(), f.Path+".lock")
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		fmt.Print(".")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent ends it
	}
}

// TestOneOfManySwapsWins also with the file, whose lock is the only one.
func TestOneOfManySwapsWins(t *testing.T) {
	for _, s := range []swapStorage{&client.Memory{}, &client.File{Path: filepath.Join(t.TempDir(), "s")}} {
		var wins counter
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if won, err := s.CompareAndSwap(t.Context(), "key", "", fmt.Sprint(i)); err != nil {
					t.Error(err)
				} else if won {
					wins.add(t.Context())
				}
			})
		}
		if wg.Wait(); wins.count() != 1 {
			t.Errorf("%T: %d swaps have won", s, wins.count())
		}
	}
}

func TestUserFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	f, err := client.UserFile("my-tool")
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "my-tool", "session.json"); runtime.GOOS == "linux" && f.Path != want {
		t.Errorf("path is %s, want %s", f.Path, want)
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/etc"} {
		if _, err := client.UserFile(name); err == nil {
			t.Errorf("UserFile(%q) was accepted", name)
		}
	}
}

func TestFromRequest(t *testing.T) {
	hex := strings.Repeat("0", 64)
	for _, row := range []struct {
		name    string
		headers []string
		cookies []string
		want    string
	}{
		{"nothing", nil, nil, ""},
		{"the header", []string{"X-Session-ID: " + tokenA}, nil, tokenA},
		{"a bearer token", []string{"Authorization: bearer " + tokenA}, nil, tokenA},
		{"the cookie that no sibling can set", []string{"Cookie: a=b; __Host-session=" + tokenA}, nil, tokenA},
		{"a cookie of a given name", []string{"Cookie: sid=sealed|value"}, []string{"sid"}, "sealed|value"},
		{"a cookie of several names", []string{"Cookie: session=" + tokenA}, []string{"sid", "session"}, tokenA},
		{"the same twice", []string{"X-Session-ID: " + tokenA, "Cookie: __Host-session=" + tokenA}, nil, tokenA},

		{"a cookie that a sibling can set", []string{"Cookie: session=" + tokenA}, nil, ""},
		{"a cookie that a sibling with HTTPS can set", []string{"Cookie: __Secure-session=" + tokenA}, nil, ""},
		{"a prefix in other letters", []string{"Cookie: __host-session=" + tokenA}, nil, ""},
		{"a cookie of another name", []string{"Cookie: session=" + tokenA}, []string{"sid"}, ""},
		{"two headers", []string{"X-Session-ID: " + tokenA, "X-Session-ID: " + tokenB}, nil, ""},
		{"header and cookie of two sessions", []string{"X-Session-ID: " + tokenA, "Cookie: __Host-session=" + tokenB}, nil, ""},
		{"two cookies of one name", []string{"Cookie: __Host-session=" + tokenA + "; __Host-session=" + tokenB}, nil, ""},
		{"somebody else's bearer token", []string{"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}, nil, ""},
		{"basic authentication", []string{"Authorization: Basic " + hex}, nil, ""},
		{"what no header may have", []string{"X-Session-ID: a b"}, nil, ""},
	} {
		r, _ := http.NewRequest("GET", "https://www.example.com", nil)
		for _, h := range row.headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Add(name, value)
		}
		c := at(unreachable(t))
		wantStored(t, c.WithStorage(client.FromRequest(r, row.cookies...)), row.want)
		wantStored(t, c, "")
	}
}

// TestFromRequestKnowsNoMoreThanTheMiddleware: a session that another host of the
// domain has planted, and that the front end's middleware does not see, must not
// be that of the services behind it.
func TestFromRequestKnowsNoMoreThanTheMiddleware(t *testing.T) {
	s := startSite(t, client.Native, session.Config{})
	id, _ := signIn(t, s.client(client.Native, byHeader), "mallory").SessionID(t.Context())
	back := s.client(client.Native, byHeader)
	for name, want := range map[string]string{"session": "", "__Secure-session": "", "__Host-session": "mallory"} {
		page := s.m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if own := session.FromContext(r.Context()).UserID(); own != want {
				t.Errorf("%s: the middleware sees %q, want %q", name, own, want)
			}
			err := back.WithStorage(client.FromRequest(r)).Get(r.Context(), "/orders", nil)
			if (err == nil) != (want != "") {
				t.Errorf("%s: the service behind: %v", name, err)
			}
		}))
		r := httptest.NewRequest("GET", "https://www.example.com/", nil)
		r.Header.Set("Cookie", name+"="+id)
		page.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// TestFromRequestChangesNothingElse: what happens stays with the request.
func TestFromRequestChangesNothingElse(t *testing.T) {
	c := at(func(*http.Request) *http.Response { return reply(401, "{}") })
	holding(t, c, tokenB)
	r, _ := http.NewRequest("GET", "https://www.example.com", nil)
	r.Header.Set("X-Session-ID", tokenA)
	user := c.WithStorage(client.FromRequest(r))
	_ = user.Get(t.Context(), "/", nil)
	wantStored(t, user, "")
	wantStored(t, c, tokenB)
	if r.Header.Get("X-Session-ID") != tokenA {
		t.Error("the incoming request was changed")
	}
}

func TestSetSessionID(t *testing.T) {
	c := at(unreachable(t))
	holding(t, c, tokenA)
	for _, id := range []string{"", "a b", "a\n", "a;b", `a"b`, "ä", strings.Repeat("x", 4097)} {
		if err := c.SetSessionID(t.Context(), id); err == nil || id != "" && strings.Contains(err.Error(), id) {
			t.Errorf("SetSessionID(%q): %v", id, err)
		}
	}
	wantStored(t, c, tokenA)
	if err := c.ClearSession(t.Context()); err != nil {
		t.Error(err)
	}
	wantStored(t, c, "")
}
