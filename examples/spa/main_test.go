package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestRunServesUntilItIsStopped(t *testing.T) {
	dist := t.TempDir()
	if err := os.WriteFile(filepath.Join(dist, "index.html"), []byte("<!doctype html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, "127.0.0.1:0", dist, w); w.Close() }()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(line))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("status %d", res.StatusCode)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunTellsHowToBuildThePage(t *testing.T) {
	err := run(t.Context(), "127.0.0.1:0", t.TempDir(), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "npm --prefix examples/spa/page ci") {
		t.Errorf("run without a page = %v, want how to build it", err)
	}
}

func TestListenRefusesTheNetwork(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "example.com:0"} {
		if _, err := listen(addr); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("listen(%q) = %v, want a refusal", addr, err)
		}
	}
}
