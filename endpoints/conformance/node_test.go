package conformance

import (
	"bufio"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/updateage/session/internal/servers"
)

// packages is a directory with the published packages and the programs that use
// them, for all tests.
var packages struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if packages.dir != "" {
		_ = os.RemoveAll(packages.dir)
	}
	os.Exit(code)
}

// needPackages returns the directory of packages.
func needPackages(t *testing.T) string {
	t.Helper()
	servers.Need(t, "npm", "npm")
	packages.once.Do(func() { packages.dir, packages.err = install() })
	if packages.err != nil {
		t.Fatal(packages.err)
	}
	return packages.dir
}

// install has npm fetch what package-lock.json names, and nothing newer.
func install() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "conformance"); err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", "package-lock.json", "driver.mjs", "flowfull.mjs"} {
		data, err := os.ReadFile(name)
		if err != nil {
			return dir, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return dir, err
		}
	}
	npm := exec.Command("npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("npm ci: %v\n%s", err, out)
	}
	return dir, nil
}

// needNode returns the path of a node that the packages run on.
func needNode(t *testing.T) string {
	t.Helper()
	path := servers.Need(t, "node", "nodejs")
	out, err := exec.Command(path, "-p", "let [major, minor] = process.versions.node.split('.'); major > 20 || major == 20 && minor >= 19").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(out)) == "true" {
		return path
	}
	const missing = "missing: node 20.19 (Debian package nodejs, from Debian 13 on)"
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// node is a process with the published clients in it, which is one tab of a
// browser to them.
type node struct {
	t      *testing.T
	in     io.WriteCloser
	out    *bufio.Scanner
	opened int
}

// startNode starts the driver. It trusts the certificate of the sites.
func startNode(t *testing.T, s *site) *node {
	t.Helper()
	path, dir := needNode(t), needPackages(t)
	certificate := filepath.Join(t.TempDir(), "site.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw}
	if err := os.WriteFile(certificate, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "driver.mjs") // killed at the end of the test at the latest
	cmd.Dir, cmd.Stderr = dir, t.Output()
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+certificate)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, in: in, out: bufio.NewScanner(out)}
	n.out.Buffer(nil, 16<<20)
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // by then it has been killed, or has ended
	})
	return n
}

type object map[string]any

// outcome is what became of an operation: a result, or the text of an exception.
type outcome struct {
	Result json.RawMessage
	Threw  string
}

// do has the driver do something.
func (n *node) do(operation string, request object) outcome {
	n.t.Helper()
	request["do"] = operation
	line, err := json.Marshal(request)
	if err != nil {
		n.t.Fatal(err)
	}
	if _, err := n.in.Write(append(line, '\n')); err != nil {
		n.t.Fatalf("%s: %v", operation, err)
	}
	if !n.out.Scan() {
		n.t.Fatalf("%s: the driver has ended: %v", operation, n.out.Err())
	}
	var o outcome
	if err := json.Unmarshal(n.out.Bytes(), &o); err != nil {
		n.t.Fatalf("%s: %v", operation, err)
	}
	return o
}

// must has the driver do something that throws nothing.
func (n *node) must(operation string, request object) json.RawMessage {
	n.t.Helper()
	o := n.do(operation, request)
	if o.Threw != "" {
		n.t.Fatalf("%s: %s", operation, o.Threw)
	}
	return o.Result
}

// client is a client with a cookie jar of its own.
type client struct {
	*node
	tab string
}

// open makes a Better Auth client of the site's, as its own pages have one. More
// may have sessionOptions, headers and cookies.
func (n *node) open(s *site, more object) *client {
	n.t.Helper()
	n.opened++
	c := &client{n, fmt.Sprint("tab ", n.opened)}
	request := object{"tab": c.tab, "baseURL": s.url, "headers": object{"Origin": s.url}}
	for name, value := range more {
		request[name] = value
	}
	n.must("open", request)
	return c
}

// answer is what a method of a Better Auth client resolves to.
type answer struct {
	Data  json.RawMessage
	Error *struct {
		Status  int
		Code    string
		Message string
	}
}

// call calls a method such as "signIn.email".
func (c *client) call(method string, args ...any) answer {
	c.t.Helper()
	if args == nil {
		args = []any{}
	}
	result := c.must("call", object{"tab": c.tab, "path": strings.Split(method, "."), "args": args})
	var a answer
	if err := json.Unmarshal(result, &a); err != nil {
		c.t.Fatalf("%s: %v: %s", method, err, result)
	}
	return a
}

// String is the data as compact JSON with sorted keys, or the error.
func (a answer) String() string {
	if a.Error != nil {
		return fmt.Sprint(a.Error.Status, " ", a.Error.Code)
	}
	var data any
	if a.Data != nil {
		if err := json.Unmarshal(a.Data, &data); err != nil {
			return err.Error()
		}
	}
	text, err := json.Marshal(data)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// signIn signs in with e-mail address and password.
func (c *client) signIn(user string) {
	c.t.Helper()
	a := c.call("signIn.email", object{"email": user + "@example.com", "password": password})
	if a.Error != nil {
		c.t.Fatalf("sign in %s: %v", user, a)
	}
}

// id returns the client's session ID, or "".
func (c *client) id() string {
	c.t.Helper()
	a := c.call("getSession")
	if a.Error != nil {
		c.t.Fatalf("get session: %v", a)
	}
	var data struct{ Session struct{ ID string } }
	if err := json.Unmarshal(a.Data, &data); err != nil {
		c.t.Fatal(err)
	}
	return data.Session.ID
}

// eventually waits for what happens in another process, and says whether it did.
func eventually(done func() bool) bool {
	for range 1000 {
		if done() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
