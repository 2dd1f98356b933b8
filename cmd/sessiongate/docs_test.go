package main_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/updateage/session/internal/servers"
)

// documented returns the lines of docs/sessiongate.md that a pattern finds.
func documented(t *testing.T, pattern string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "sessiongate.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(pattern).Find(text)
	if found == nil {
		t.Fatalf("docs/sessiongate.md has no %s", pattern)
	}
	return string(found)
}

// TestDocumentedKeyChange runs the command for a new key. It must leave the only
// copy of the old one alone if the disk is full, and the gate's user able to read.
func TestDocumentedKeyChange(t *testing.T) {
	servers.Need(t, "openssl", "openssl")
	command := documented(t, `(?m)^    .*mv next\.pem signing\.pem.*$`)
	for _, row := range []struct {
		name, before string
		fails        bool
	}{
		{"with room on the disk", "", false},
		{"on a full disk", "trap '' XFSZ; ulimit -f 0;", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			key, id := newKey(t)
			path := filepath.Join(t.TempDir(), "signing.pem")
			write(t, path, key)
			owner := own(t, path)

			cmd := exec.Command("sh", "-c", row.before+command)
			cmd.Dir = filepath.Dir(path)
			if out, err := cmd.CombinedOutput(); (err != nil) != row.fails {
				t.Fatalf("%v\n%s", err, out)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Sys().(*syscall.Stat_t).Uid; got != owner || info.Mode().Perm() != 0o640 {
				t.Errorf("the file is now of user %d with mode %v, was of %d with -rw-r-----", got, info.Mode(), owner)
			}
			ids := start(t, nil, append(signing(path), "-store=memory")...).published()
			if row.fails && (len(ids) != 1 || ids[0] != id) || !row.fails && (len(ids) != 2 || ids[1] != id) {
				t.Errorf("the file has the keys %q, and had %q", ids, id)
			}
		})
	}
}

// own gives a file to a group of readers and, where the test may, to another user.
func own(t *testing.T, path string) (user uint32) {
	t.Helper()
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if os.Geteuid() != 0 {
		return uint32(os.Geteuid())
	}
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return nobody
}

// TestDocumentedWayToTheKeys: services get the keys through the proxy, and nothing
// else of the gate.
func TestDocumentedWayToTheKeys(t *testing.T) {
	key, _ := newKey(t)
	g := start(t, nil, append(signing(file(t, key)), "-store=memory", "-trial-user=ada")...)
	location := strings.ReplaceAll(documented(t, `(?s)    location = /jwks\.json \{.*?\n    \}`), "9100", port(g.addr))
	nginx := servers.StartNginx(t, func(listen string) string {
		return "server {\n    listen " + listen + ";\n" + location + "\n}\n"
	})
	service := newService(t, "http://"+nginx.Addr+"/jwks.json")
	cookie := g.trialCookie()
	a := ask(t, http.MethodGet, service.URL, "X-User-Assertion", g.auth(cookie).Header.Get("X-User-Assertion"))
	want(t, a, http.StatusOK)
	for _, path := range []string{"/auth", "/jwks.json/../auth", "/jwks.json/auth"} {
		want(t, ask(t, http.MethodGet, "http://"+nginx.Addr+path, "Cookie", cookie), http.StatusNotFound)
	}
}
