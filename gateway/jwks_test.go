package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
)

// issuerServer is an issuer that a test can take down, without a network.
type issuerServer struct {
	signer  *gateway.Signer
	fetches atomic.Int32
	down    atomic.Bool
	// answer, if set, answers in the signer's place.
	answer atomic.Pointer[http.HandlerFunc]
	// hold, if set, is waited for before each answer.
	hold atomic.Pointer[chan struct{}]
}

func (s *issuerServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.fetches.Add(1)
	if hold := s.hold.Load(); hold != nil {
		select {
		case <-*hold:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if s.down.Load() {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	if answer := s.answer.Load(); answer != nil {
		(*answer)(w, r)
	} else {
		s.signer.JWKS().ServeHTTP(w, r)
	}
	return w.Result(), nil
}

func (s *issuerServer) wantFetches(tb testing.TB, when string, want int32) {
	tb.Helper()
	synctest.Wait()
	if got := s.fetches.Swap(0); got != want {
		tb.Errorf("%s: keys were fetched %d times, want %d", when, got, want)
	}
}

// verifying runs a test of a Verifier and its issuer in a bubble.
func verifying(t *testing.T, cfg gateway.VerifierConfig, test func(t *testing.T, s *issuerServer, v *gateway.Verifier)) {
	synctest.Test(t, func(t *testing.T) {
		s := &issuerServer{signer: newSigner(t)}
		cfg.JWKS, cfg.Client = "https://auth.example.com/jwks.json", &http.Client{Transport: s}
		test(t, s, newVerifier(t, cfg))
		time.Sleep(5 * time.Second) // in which a fetch that hangs gives up
	})
}

// wantVerified verifies a new assertion; want is nil or the error.
func wantVerified(tb testing.TB, when string, s *gateway.Signer, v *gateway.Verifier, want error) {
	tb.Helper()
	text, _ := assert(tb, s, alice())
	if id, err := v.Verify(context.Background(), text); !errors.Is(err, want) || err == nil && id.UserID != "alice" {
		tb.Errorf("%s: got %v, %v, want %v", when, id, err, want)
	}
}

func TestKeysAreFetchedOnce(t *testing.T) {
	verifying(t, gateway.VerifierConfig{}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
		s.wantFetches(t, "before the first request", 0)
		hold := make(chan struct{})
		s.hold.Store(&hold)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { wantVerified(t, "at first", s.signer, v, nil) })
		}
		synctest.Wait()
		close(hold)
		wg.Wait()
		s.wantFetches(t, "20 parallel requests", 1)
		time.Sleep(5*time.Minute - time.Second)
		wantVerified(t, "later", s.signer, v, nil)
		s.wantFetches(t, "before they are due", 0)
	})
}

func TestKeysAreRefreshedInTheBackground(t *testing.T) {
	verifying(t, gateway.VerifierConfig{RefreshAfter: time.Minute}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
		wantVerified(t, "at first", s.signer, v, nil)
		s.wantFetches(t, "at first", 1)
		time.Sleep(time.Minute)
		hold := make(chan struct{})
		s.hold.Store(&hold)
		for range 3 { // none of which waits for the issuer
			wantVerified(t, "while they are fetched", s.signer, v, nil)
		}
		close(hold)
		s.wantFetches(t, "when they are due", 1)
		wantVerified(t, "afterwards", s.signer, v, nil)
		s.wantFetches(t, "afterwards", 0)
	})
}

// A key that was withdrawn while nobody asked must not be good for longer than
// one in use, as long as the issuer is there to tell.
func TestWithdrawnKeys(t *testing.T) {
	for _, row := range []struct {
		name string
		idle time.Duration
		want error // of the first request after that; the second finds the key gone
	}{
		{"before they are due", 5*time.Minute - time.Second, nil},
		{"due", 10*time.Minute - time.Second, nil},
		{"overdue", 10 * time.Minute, gateway.ErrAssertion},
		{"almost stale", time.Hour - time.Second, gateway.ErrAssertion},
		{"stale", time.Hour, gateway.ErrAssertion},
	} {
		t.Run(row.name, func(t *testing.T) {
			verifying(t, gateway.VerifierConfig{}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
				leaked := s.signer
				wantVerified(t, "at first", leaked, v, nil)
				s.signer = newSigner(t)
				time.Sleep(row.idle)
				wantVerified(t, "after a while", leaked, v, row.want)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				wantVerified(t, "by a key that the issuer has", s.signer, v, nil)
				wantVerified(t, "then", leaked, v, gateway.ErrAssertion)
			})
		})
	}
}

// Only the first request after a pause waits for an issuer that hangs.
func TestIdleServiceWhoseIssuerHangs(t *testing.T) {
	verifying(t, gateway.VerifierConfig{}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
		wantVerified(t, "at first", s.signer, v, nil)
		never := make(chan struct{})
		s.hold.Store(&never)
		for _, row := range []struct {
			name        string
			after, took time.Duration
		}{
			{"after half an hour", 30 * time.Minute, 5 * time.Second},
			{"at once", 0, 0},
			{"a minute later", time.Minute, 0},
			{"9 minutes later", 9 * time.Minute, 0},
		} {
			time.Sleep(row.after)
			start := time.Now()
			wantVerified(t, row.name, s.signer, v, nil)
			if took := time.Since(start); took != row.took {
				t.Errorf("%s: waited for %v, want %v", row.name, took, row.took)
			}
		}
	})
}

// Whoever hangs up is not let in by a key that may be withdrawn.
func TestRequestThatEndsWhileKeysAreOverdue(t *testing.T) {
	verifying(t, gateway.VerifierConfig{}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
		wantVerified(t, "at first", s.signer, v, nil)
		never := make(chan struct{})
		s.hold.Store(&never)
		time.Sleep(30 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		text, _ := assert(t, s.signer, alice())
		if _, err := v.Verify(ctx, text); !errors.Is(err, gateway.ErrKeys) {
			t.Errorf("got %v, want ErrKeys", err)
		}
	})
}

func TestShortStaleFor(t *testing.T) {
	verifying(t, gateway.VerifierConfig{StaleFor: 5 * time.Second}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
		for range 12 {
			wantVerified(t, "each second", s.signer, v, nil)
			time.Sleep(time.Second)
		}
		s.wantFetches(t, "in 12 seconds", 3)
	})
}

func TestStaleKeysWhileTheIssuerIsDown(t *testing.T) {
	verifying(t, gateway.VerifierConfig{RefreshAfter: time.Minute, StaleFor: 10 * time.Minute}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
		wantVerified(t, "at first", s.signer, v, nil)
		s.wantFetches(t, "at first", 1)
		s.down.Store(true)
		time.Sleep(9 * time.Minute)
		wantVerified(t, "while they are stale", s.signer, v, nil)
		s.wantFetches(t, "while they are stale", 1)
		time.Sleep(4 * time.Second)
		wantVerified(t, "a moment later", s.signer, v, nil)
		s.wantFetches(t, "a moment later", 0)
		time.Sleep(time.Minute)
		wantVerified(t, "when they are too old", s.signer, v, gateway.ErrKeys)
		s.wantFetches(t, "when they are too old", 1)
		wantVerified(t, "when they are too old, again", s.signer, v, gateway.ErrKeys)
		s.wantFetches(t, "when they are too old, again", 0)
		s.down.Store(false)
		time.Sleep(5 * time.Second)
		wantVerified(t, "when the issuer is back", s.signer, v, nil)
	})
}

func TestServiceStartsBeforeItsIssuer(t *testing.T) {
	verifying(t, gateway.VerifierConfig{}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
		s.down.Store(true)
		text, _ := assert(t, s.signer, alice())
		resp := ask(v.Handler(http.NotFoundHandler()), headers(gateway.HeaderAssertion, text))
		wantStatus(t, resp, http.StatusServiceUnavailable)
		wantHeader(t, resp.Header, "Retry-After", "5")
		wantHeader(t, resp.Header, "Cache-Control", "no-store")
		s.down.Store(false)
		time.Sleep(5 * time.Second)
		wantVerified(t, "five seconds later", s.signer, v, nil)
	})
}

func TestSlowIssuer(t *testing.T) {
	verifying(t, gateway.VerifierConfig{}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
		never := make(chan struct{})
		s.hold.Store(&never)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		text, _ := assert(t, s.signer, alice())
		if _, err := v.Verify(ctx, text); !errors.Is(err, gateway.ErrKeys) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v, want ErrKeys when the request ends", err, time.Since(start))
		}
		wantVerified(t, "without a time-out of its own", s.signer, v, gateway.ErrKeys)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("gave up after %v, want 5 seconds", took)
		}
	})
}

func TestUnknownKeyIDs(t *testing.T) {
	verifying(t, gateway.VerifierConfig{}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
		wantVerified(t, "at first", s.signer, v, nil)
		s.wantFetches(t, "at first", 1)
		time.Sleep(time.Minute)
		stranger := newSigner(t)
		for range 100 {
			wantVerified(t, "of a stranger", stranger, v, gateway.ErrAssertion)
		}
		s.wantFetches(t, "100 unknown key IDs", 1)
		wantVerified(t, "meanwhile", s.signer, v, nil)
		time.Sleep(5 * time.Second)
		for range 100 {
			wantVerified(t, "of a stranger", stranger, v, gateway.ErrAssertion)
		}
		s.wantFetches(t, "five seconds later", 1)
	})
}

// A key that signs without having been published is found by the first request,
// and one that is withdrawn is bad from the next fetch on.
func TestKeysChange(t *testing.T) {
	verifying(t, gateway.VerifierConfig{}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
		old, _ := assert(t, s.signer, alice())
		wantVerified(t, "at first", s.signer, v, nil)
		time.Sleep(10 * time.Second)
		if err := s.signer.SetKeys(gateway.NewKey()); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), old); err != nil {
			t.Errorf("old key before the next fetch: %v", err)
		}
		wantVerified(t, "by the new key", s.signer, v, nil)
		s.wantFetches(t, "in all", 2)
		time.Sleep(10 * time.Second)
		if _, err := v.Verify(t.Context(), old); !errors.Is(err, gateway.ErrAssertion) {
			t.Errorf("old key after it was withdrawn: got %v, want ErrAssertion", err)
		}
	})
}

// What is no key set leaves the known keys as they are.
func TestBadKeySets(t *testing.T) {
	key := gateway.NewKey()
	var set struct{ Keys []map[string]any }
	if err := json.NewDecoder(ask(newSigner(t, key).JWKS(), nil).Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	good := set.Keys[0]
	keys := func(list ...map[string]any) string {
		return string(must[[]byte](t)(json.Marshal(map[string]any{"keys": list})))
	}
	for _, row := range []struct {
		name   string
		status int
		text   string
	}{
		{"404", 404, keys(good)},
		{"500", 500, "oops"},
		{"a redirect", 302, ""},
		{"a page", 200, "<html>"},
		{"nothing", 200, ""},
		{"null", 200, "null"},
		{"a list", 200, "[]"},
		{"no keys", 200, keys()},
		{"keys that are no list", 200, `{"keys":1}`},
		{"half of it", 200, keys(good)[:40]},
		{"100 kB", 200, strings.Repeat(" ", 100<<10) + keys(good)},
		{"two keys of one name", 200, keys(good, good)},
		{"a key without a name", 200, keys(with(good, "kid", nil))},
		{"a key for encryption", 200, keys(with(good, "use", "enc"))},
		{"a key for another algorithm", 200, keys(with(good, "alg", "ES256"))},
		{"a key of another curve", 200, keys(with(good, "crv", "X25519"))},
		{"a short key", 200, keys(with(good, "x", "AAAA"))},
		{"a private key", 200, keys(with(good, "d", good["x"]))},
		{"a secret", 200, keys(map[string]any{"kty": "oct", "k": good["x"], "kid": good["kid"], "alg": "EdDSA"})},
	} {
		t.Run(row.name, func(t *testing.T) {
			verifying(t, gateway.VerifierConfig{RefreshAfter: time.Second}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
				wantVerified(t, "at first", s.signer, v, nil)
				answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(row.status)
					_, _ = fmt.Fprint(w, row.text)
				})
				s.answer.Store(&answer)
				time.Sleep(time.Minute)
				wantVerified(t, "due", s.signer, v, nil)
				synctest.Wait()
				wantVerified(t, "after the bad answer", s.signer, v, nil)
			})
		})
	}
	t.Run("keys of others beside ours", func(t *testing.T) {
		verifying(t, gateway.VerifierConfig{}, func(t *testing.T, s *issuerServer, v *gateway.Verifier) {
			answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprint(w, keys(map[string]any{"kty": "future", "kid": "x"}, with(good, "use", "enc"), good, nil))
			})
			s.answer.Store(&answer)
			s.signer = newSigner(t, key)
			wantVerified(t, "at first", s.signer, v, nil)
		})
	})
}

// Redirects are not followed: an open redirect at the issuer must not choose its keys.
func TestKeysAreNotFetchedElsewhere(t *testing.T) {
	s := newSigner(t)
	elsewhere := serveJWKS(t, s)
	server := httptest.NewServer(http.RedirectHandler(elsewhere, http.StatusFound))
	defer server.Close()
	wantVerified(t, "by redirect", s, newVerifier(t, gateway.VerifierConfig{JWKS: server.URL}), gateway.ErrKeys)
	wantVerified(t, "directly", s, newVerifier(t, gateway.VerifierConfig{JWKS: elsewhere}), nil)
}

func FuzzJWKS(f *testing.F) {
	s := newSigner(f)
	w := httptest.NewRecorder()
	s.JWKS().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	f.Add(w.Body.Bytes())
	f.Add([]byte(`{"keys":[{"kty":"OKP"}]}`))
	stranger := newSigner(f)
	text, _, err := stranger.Assert(audience, session.Info{ID: "s", UserID: "mallory", State: session.StateSignedIn, ExpiresAt: time.Now().Add(time.Hour)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, set []byte) {
		server := &issuerServer{}
		answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) })
		server.answer.Store(&answer)
		v := newVerifier(t, gateway.VerifierConfig{JWKS: "https://a/", Client: &http.Client{Transport: server}})
		if id, err := v.Verify(context.Background(), text); err == nil {
			t.Errorf("%q verifies a stranger: %v", set, id)
		}
	})
}
