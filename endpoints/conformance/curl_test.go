package conformance

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
)

var (
	dateText = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	expiry   = regexp.MustCompile(`"expires_at":"[^"]*"`)
	fence    = regexp.MustCompile("(?s)```\n(\\$ .*?)```")
)

// TestCurlLinesOfTheDocumentation runs every "$ curl" of docs/endpoints.md and
// compares what it prints with what the page says: "…" stands for anything.
func TestCurlLinesOfTheDocumentation(t *testing.T) {
	servers.Need(t, "curl", "curl")
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "endpoints.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, block := range fence.FindAllStringSubmatch(string(page), -1) {
		shell := newShell(t)
		for _, step := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			commands++
			command, want := splitStep(step)
			if got := shell.run(command); !matches(got, want) {
				t.Errorf("$ %s\nprints   %s\nthe page: %s", command, got, want)
			}
		}
	}
	if commands < 7 {
		t.Errorf("the page has %d commands", commands)
	}
}

// splitStep returns a command, which goes on where a line ends with a backslash,
// and what the page says it prints.
func splitStep(step string) (command, want string) {
	lines := strings.Split(strings.TrimSpace(step), "\n")
	last := 0
	for strings.HasSuffix(lines[last], `\`) {
		last++
	}
	return strings.Join(lines[:last+1], "\n"), strings.Join(lines[last+1:], "\n")
}

// shell is where somebody types the commands of a block. He is signed in.
type shell struct {
	t     *testing.T
	s     *site
	plain *httptest.Server
	token string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	s := newSite(t, session.Config{})
	sh := &shell{t: t, s: s, plain: httptest.NewServer(s.server.Config.Handler)}
	t.Cleanup(sh.plain.Close)
	sh.token = sessionID.FindStringSubmatch(sh.run(login))[1]
	return sh
}

const login = `curl -s localhost:8080/auth/login -H 'Content-Type: application/json' -d '{"email":"ada@example.com","password":"…"}'`

var sessionID = regexp.MustCompile(`"session_id":"([^"]*)"`)

// run runs a command. Its answer to a login is $TOKEN from then on.
func (sh *shell) run(command string) string {
	sh.t.Helper()
	command = strings.ReplaceAll(command, "localhost:8080", strings.TrimPrefix(sh.plain.URL, "http://"))
	command = strings.ReplaceAll(command, `"password":"…"`, `"password":"`+password+`"`)
	cmd := exec.CommandContext(sh.t.Context(), "sh", "-c", command)
	cmd.Env = append(os.Environ(), "TOKEN="+sh.token, "SECRET="+bridgeSecret, "no_proxy=*")
	out, err := cmd.CombinedOutput()
	if err != nil {
		sh.t.Fatalf("$ %s\n%v\n%s", command, err, out)
	}
	if found := sessionID.FindStringSubmatch(string(out)); found != nil {
		sh.token = found[1]
	}
	return strings.TrimSpace(string(out))
}

var (
	anyUser = regexp.MustCompile(`\\\{"id":"ada"\\\}`)
	anyDate = regexp.MustCompile(`"[0-9-]+T[0-9:]+\\\.\d{3}Z"`)
)

// matches compares an answer with the page's, in which the user has no fields
// but the ID.
func matches(got, want string) bool {
	pattern := regexp.QuoteMeta(want)
	pattern = anyUser.ReplaceAllLiteralString(pattern, `\{"id":"ada"[^}]*\}`)
	pattern = anyDate.ReplaceAllLiteralString(pattern, `"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`)
	pattern = strings.ReplaceAll(pattern, "…64 characters…", "[A-Za-z0-9_-]{64}")
	pattern = strings.ReplaceAll(pattern, "…", `[^"]*`)
	matched, err := regexp.MatchString("^"+pattern+"$", got)
	return matched && err == nil
}
