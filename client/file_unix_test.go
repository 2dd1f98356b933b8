//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package client_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/updateage/session/client"
)

// TestFilesThatAreNotOurs are refused, without waiting for what they say, and the
// next sign-in puts another one in their place.
func TestFilesThatAreNotOurs(t *testing.T) {
	write := func(path string, mode os.FileMode) error {
		planted := []byte(`{"flowfull_session_id":"planted"}`)
		return errors.Join(os.WriteFile(path, planted, 0o600), os.Chmod(path, mode))
	}
	rows := map[string]func(path string) error{
		"a named pipe":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"readable by others":    func(path string) error { return write(path, 0o604) },
		"writable by the group": func(path string) error { return write(path, 0o620) },
	}
	if os.Geteuid() == 0 { // nobody else can make, or read, such a file
		rows["another user's"] = func(path string) error {
			return errors.Join(write(path, 0o600), os.Chown(path, 65534, 65534))
		}
	}
	for name, plant := range rows {
		t.Run(name, func(t *testing.T) {
			f := &client.File{Path: filepath.Join(t.TempDir(), "session.json")}
			if err := plant(f.Path); err != nil {
				t.Fatal(err)
			}
			if value, err := f.Get(t.Context(), client.DefaultKey); value != "" || err == nil || !strings.Contains(err.Error(), "not private") {
				t.Errorf("Get = %q, %v", value, err)
			}
			c := at(func(*http.Request) *http.Response { return reply(200, `{"session_id":"S"}`) })
			c.Storage = f
			if err := c.Get(t.Context(), "/", nil); err == nil {
				t.Error("a request went out as nobody's")
			}
			if err := c.SignIn(t.Context(), "/auth/login", nil, nil); err != nil {
				t.Error(err)
			}
			wantStored(t, c, "S")
		})
	}
}
