package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/updateage/session/client"
)

// Tokens as servers hand them out.
var (
	tokenA = strings.Repeat("a", 64)
	tokenB = strings.Repeat("b", 64)
)

const api = "https://api.example.com"

// server is a server that a test writes down as a function.
type server func(*http.Request) *http.Response

func (s server) RoundTrip(r *http.Request) (*http.Response, error) {
	res := s(r)
	if res == nil {
		return nil, io.ErrUnexpectedEOF // the network is down
	}
	res.Request = r
	if r.Body != nil {
		r.Body.Close()
	}
	return res, nil
}

// reply is an answer in JSON, with headers written "Name: value".
func reply(status int, body string, headers ...string) *http.Response {
	res := &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{"Content-Type": {"application/json"}},
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if res.Header.Add(name, value); name == "Content-Type" {
			res.Header.Set(name, value)
		}
	}
	return res
}

// at returns a client of a server that is a function.
func at(s server) *client.Client {
	return &client.Client{BaseURL: api, HTTPClient: &http.Client{Transport: s}}
}

// holding gives the client a session.
func holding(t testing.TB, c *client.Client, id string) *client.Client {
	t.Helper()
	if err := c.SetSessionID(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return c
}

// wantStored checks which session the client has.
func wantStored(t testing.TB, c *client.Client, want string) {
	t.Helper()
	got, err := c.SessionID(context.WithoutCancel(t.Context()))
	if err != nil || got != want {
		t.Errorf("stored session is %q (%v), want %q", got, err, want)
	}
	if in, err := c.SignedIn(context.WithoutCancel(t.Context())); err != nil || in != (want != "") {
		t.Errorf("SignedIn = %t, %v", in, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// counter counts calls of OnExpired.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add(context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// plainStorage is a storage as an application writes it, which cannot swap.
type plainStorage struct{ values sync.Map }

func (s *plainStorage) Get(_ context.Context, key string) (string, error) {
	v, _ := s.values.Load(key)
	text, _ := v.(string)
	return text, nil
}

func (s *plainStorage) Set(_ context.Context, key, value string) error {
	s.values.Store(key, value)
	return nil
}

func (s *plainStorage) Remove(_ context.Context, key string) error {
	s.values.Delete(key)
	return nil
}

var errStorage = errors.New("the keyring is locked")

// brokenStorage fails where it is told to.
type brokenStorage struct {
	plainStorage
	get, set, remove bool
	removed          bool
}

func (s *brokenStorage) Get(ctx context.Context, key string) (string, error) {
	if s.get {
		return "", errStorage
	}
	return s.plainStorage.Get(ctx, key)
}

func (s *brokenStorage) Set(ctx context.Context, key, value string) error {
	if s.set {
		return errStorage
	}
	return s.plainStorage.Set(ctx, key, value)
}

func (s *brokenStorage) Remove(ctx context.Context, key string) error {
	s.removed = true
	if s.remove {
		return errStorage
	}
	return s.plainStorage.Remove(ctx, key)
}

// plantedStorage has a value that nobody stored.
type plantedStorage string

func (s plantedStorage) Get(context.Context, string) (string, error) { return string(s), nil }
func (s plantedStorage) Set(context.Context, string, string) error   { return nil }
func (s plantedStorage) Remove(context.Context, string) error        { return nil }
