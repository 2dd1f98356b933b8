package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/updateage/session/internal/servers"
)

// built is the page as npm builds it, in a directory of its own, for all tests.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// buildPage returns the built page.
func buildPage(t *testing.T) fs.FS {
	t.Helper()
	needNode(t)
	built.once.Do(func() { built.dir, built.err = build() })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return os.DirFS(filepath.Join(built.dir, "dist"))
}

// build builds the page from nothing but what is committed.
func build() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "spa"); err != nil {
		return "", err
	}
	for _, pattern := range []string{"*.json", "*.js", "*.html", "src/*"} {
		files, err := filepath.Glob(filepath.Join("page", pattern))
		if err != nil {
			return dir, err
		}
		for _, file := range files {
			if err := copyFile(file, filepath.Join(dir, strings.TrimPrefix(file, "page"))); err != nil {
				return dir, err
			}
		}
	}
	for _, args := range [][]string{{"ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"}, {"run", "build"}} {
		npm := exec.Command("npm", args...)
		npm.Dir = dir
		if out, err := npm.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("npm %s: %v\n%s", args[0], err, out)
		}
	}
	return dir, nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

// needNode ends the test unless there are npm and a node that Vite runs on.
func needNode(t *testing.T) {
	t.Helper()
	servers.Need(t, "npm", "npm")
	node := servers.Need(t, "node", "nodejs")
	out, err := exec.Command(node, "-p", "let [major, minor] = process.versions.node.split('.'); major > 20 || major == 20 && minor >= 19").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(out)) == "true" {
		return
	}
	const missing = "missing: node 20.19 (Debian package nodejs, from Debian 13 on)"
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}
