package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestRunServesUntilItIsStopped(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, addr := range []string{"127.0.0.1:0", taken.Addr().String()} {
		t.Run(addr, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			r, w := io.Pipe()
			done := make(chan error, 1)
			go func() { done <- run(ctx, addr, w); w.Close() }()

			url, said := "", ""
			for lines := bufio.NewScanner(r); url == "" && lines.Scan(); said += lines.Text() {
				url = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(lines.Text())
			}
			go io.Copy(io.Discard, r)
			if strings.Contains(said, "free port") != (addr == taken.Addr().String()) {
				t.Errorf("it says %q", said)
			}
			res, err := http.Get(url)
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
		})
	}
}

func TestRunRefusesTheNetwork(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "example.com:0"} {
		if err := run(t.Context(), addr, io.Discard); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("run(%q) = %v, want a refusal", addr, err)
		}
	}
}
