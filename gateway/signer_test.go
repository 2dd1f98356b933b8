package gateway_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
)

// alice returns a session as Session.Info has it.
func alice(edits ...func(*session.Info)) session.Info {
	now := time.Now()
	info := session.Info{
		ID: "AAAAAAAAAAAAAAAAAAAAAAAA", UserID: "alice", State: session.StateSignedIn, Level: session.AAL1,
		CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(time.Hour), AuthenticatedAt: now,
	}
	for _, edit := range edits {
		edit(&info)
	}
	return info
}

func assert(tb testing.TB, s *gateway.Signer, info session.Info) (text string, expires time.Time) {
	tb.Helper()
	text, expires, err := s.Assert(audience, info)
	if err != nil {
		tb.Fatal(err)
	}
	return text, expires
}

// decode returns a part of a token, without verifying it.
func decode(tb testing.TB, token string, part int) map[string]any {
	tb.Helper()
	text := must[[]byte](tb)(base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[part]))
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestAssertion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := gateway.NewKey()
		now := time.Now().Unix()
		text, expires := assert(t, newSigner(t, key), alice(func(i *session.Info) { i.UserID = `<a&"ü😀` + "\u2028" }))
		if want := map[string]any{"alg": "EdDSA", "typ": "session-assertion+jwt", "kid": key.ID()}; fmt.Sprint(decode(t, text, 0)) != fmt.Sprint(want) {
			t.Errorf("header is %v, want %v", decode(t, text, 0), want)
		}
		want := map[string]any{
			"iss": issuer, "aud": audience, "sub": `<a&"ü😀` + "\u2028", "sid": "AAAAAAAAAAAAAAAAAAAAAAAA",
			"level": 1., "auth_time": float64(now), "iat": float64(now), "exp": float64(now + 60),
		}
		if got := decode(t, text, 1); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("claims are %v, want %v", got, want)
		}
		if expires.Unix() != now+60 {
			t.Errorf("expires %v, want in a minute", expires)
		}
	})
}

func TestAssertionIsSignedOncePer30Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t)
		info := alice()
		first, _ := assert(t, s, info)
		time.Sleep(30*time.Second - time.Millisecond)
		info.UpdatedAt, info.ExpiresAt = time.Now(), info.ExpiresAt.Add(30*time.Second) // a refresh
		if again, _ := assert(t, s, info); again != first {
			t.Error("signed anew before half of its life was over")
		}
		time.Sleep(time.Millisecond)
		second, expires := assert(t, s, info)
		if second == first {
			t.Error("not signed anew when half of its life was over")
		}
		if left := time.Until(expires); left < 59*time.Second {
			t.Errorf("the new one lives for %v, want a minute", left)
		}
	})
}

func TestAssertionFollowsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t)
		seen := make(map[string]string)
		for name, edit := range map[string]func(*session.Info){
			"as it was":              func(*session.Info) {},
			"a step-up":              func(i *session.Info) { i.Level = session.AAL2 },
			"another authentication": func(i *session.Info) { i.AuthenticatedAt = i.AuthenticatedAt.Add(time.Second) },
			"another user":           func(i *session.Info) { i.UserID = "bob" },
			"another session":        func(i *session.Info) { i.ID = "BBBBBBBBBBBBBBBBBBBBBBBB" },
		} {
			text, _ := assert(t, s, alice(edit))
			if other, taken := seen[text]; taken {
				t.Errorf("%s and %s have one assertion", name, other)
			}
			seen[text] = name
		}
		text, _, _ := s.Assert("another service", alice())
		if other, taken := seen[text]; taken {
			t.Errorf("another audience and %s have one assertion", other)
		}
	})
}

func TestAssertionEndsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t)
		start := time.Now()
		info := alice(func(i *session.Info) { i.ExpiresAt = start.Add(20*time.Second + time.Millisecond) })
		first, expires := assert(t, s, info)
		if want := start.Add(20 * time.Second); !expires.Equal(want) {
			t.Errorf("expires %v, want %v", expires, want)
		}
		time.Sleep(10 * time.Second)
		if again, _ := assert(t, s, info); again != first {
			t.Error("signed anew although nothing has changed")
		}
		info.ExpiresAt = start.Add(time.Hour)
		if _, expires = assert(t, s, info); !expires.Equal(start.Add(70 * time.Second)) {
			t.Errorf("after a refresh: expires %v, want in a minute", expires)
		}
		info.ExpiresAt = start.Add(15 * time.Second)
		if _, expires = assert(t, s, info); !expires.Equal(info.ExpiresAt) {
			t.Errorf("after the session was cut short: expires %v, want %v", expires, info.ExpiresAt)
		}
	})
}

func TestAssertionIsOfSignedInUsers(t *testing.T) {
	s := newSigner(t)
	for _, state := range []session.State{session.StateAnonymous, session.StatePending, session.StateMoved} {
		if text, _, err := s.Assert(audience, alice(func(i *session.Info) { i.State = state })); !errors.Is(err, session.ErrNoSession) || text != "" {
			t.Errorf("%v: got %q, %v, want ErrNoSession", state, text, err)
		}
	}
	if text, _, err := s.Assert(audience, session.Info{}); !errors.Is(err, session.ErrNoSession) || text != "" {
		t.Errorf("nobody: got %q, %v, want ErrNoSession", text, err)
	}
}

// Parallel requests of one session share one signature, also while the
// assertions of many others push theirs out.
func TestAssertionsInParallel(t *testing.T) {
	s := newSigner(t)
	v := newVerifier(t, gateway.VerifierConfig{JWKS: serveJWKS(t, s)})
	info := alice()
	var mu sync.Mutex
	texts := make(map[string]bool)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 10 {
				text, _ := assert(t, s, info)
				mu.Lock()
				texts[text] = true
				mu.Unlock()
				other, _ := assert(t, s, alice(func(info *session.Info) { info.UserID = fmt.Sprint(n, i) }))
				if id, err := v.Verify(t.Context(), other); err != nil || id.UserID != fmt.Sprint(n, i) {
					t.Errorf("got %v, %v, want user %q", id, err, fmt.Sprint(n, i))
				}
			}
		})
	}
	wg.Wait()
	if len(texts) != 1 {
		t.Errorf("one session has %d assertions, want 1", len(texts))
	}
}

func serveJWKS(tb testing.TB, s *gateway.Signer) string {
	server := httptest.NewServer(s.JWKS())
	tb.Cleanup(server.Close)
	return server.URL
}

func TestKeyRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := gateway.NewKey(), gateway.NewKey()
		s := newSigner(t, old)
		kid := func() any {
			text, _ := assert(t, s, alice(func(i *session.Info) { i.AuthenticatedAt = time.Unix(1, 0) }))
			return decode(t, text, 0)["kid"]
		}
		wantKid := func(when string, want gateway.Key) {
			t.Helper()
			if got := kid(); got != want.ID() {
				t.Errorf("%s: signed by %v, want %v", when, got, want)
			}
		}
		wantKid("at first", old)
		next.SignFrom = time.Now().Add(10 * time.Minute)
		if err := s.SetKeys(next, old); err != nil {
			t.Fatal(err)
		}
		wantKid("when the new key is published", old)
		wantPublished(t, s, next, old)
		time.Sleep(10*time.Minute - time.Millisecond)
		wantKid("just before its time", old)
		time.Sleep(time.Millisecond)
		wantKid("from its time on, in spite of a cached assertion", next)
		if err := s.SetKeys(next); err != nil {
			t.Fatal(err)
		}
		wantPublished(t, s, next)
		if err := s.SetKeys(gateway.Key{Private: old.Private, SignFrom: time.Now().Add(time.Second)}); err == nil {
			t.Error("no key signs yet: no error")
		}
		if err := s.SetKeys(old, old); err == nil {
			t.Error("one key twice: no error")
		}
		wantKid("after a mistake", next)
	})
}

// A key that leaked is withdrawn at once: its successor has no SignFrom, and no
// assertion of it is used further.
func TestAWithdrawnKeyStopsSigning(t *testing.T) {
	leaked, next := gateway.NewKey(), gateway.NewKey()
	s := newSigner(t, leaked)
	info := alice()
	v := newVerifier(t, gateway.VerifierConfig{JWKS: serveJWKS(t, s)})
	before, _ := assert(t, s, info)
	if err := s.SetKeys(next); err != nil {
		t.Fatal(err)
	}
	wantPublished(t, s, next)
	after, _ := assert(t, s, info)
	if got := decode(t, after, 0)["kid"]; got != next.ID() {
		t.Errorf("signed by %v, want %v", got, next)
	}
	if _, err := v.Verify(t.Context(), after); err != nil {
		t.Errorf("assertion of the new key: %v", err)
	}
	if _, err := v.Verify(t.Context(), before); !errors.Is(err, gateway.ErrAssertion) {
		t.Errorf("assertion of the withdrawn key: %v, want ErrAssertion", err)
	}
}

func wantPublished(tb testing.TB, s *gateway.Signer, keys ...gateway.Key) {
	tb.Helper()
	resp := ask(s.JWKS(), nil)
	wantStatus(tb, resp, http.StatusOK)
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		tb.Fatal(err)
	}
	if len(set.Keys) != len(keys) {
		tb.Fatalf("%d keys are published, want %d", len(set.Keys), len(keys))
	}
	for i, k := range keys {
		want := map[string]string{
			"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": k.ID(),
			"x": base64.RawURLEncoding.EncodeToString(k.Public()),
		}
		if fmt.Sprint(set.Keys[i]) != fmt.Sprint(want) {
			tb.Errorf("key %d is published as %v, want %v", i, set.Keys[i], want)
		}
	}
}

func TestJWKSHandler(t *testing.T) {
	h := newSigner(t).JWKS()
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "PUT": 405, "OPTIONS": 405} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/jwks.json", nil))
		if w.Code != want {
			t.Errorf("%s: status is %d, want %d", method, w.Code, want)
		}
	}
	resp := ask(h, nil)
	wantHeader(t, resp.Header, "Content-Type", "application/jwk-set+json")
	wantHeader(t, resp.Header, "Cache-Control", "public, max-age=60")
}

func TestSignerMistakes(t *testing.T) {
	key := gateway.NewKey()
	for _, row := range []struct {
		name string
		cfg  gateway.SignerConfig
		want string // "": none
	}{
		{"the least", gateway.SignerConfig{Issuer: issuer, Keys: []gateway.Key{key}}, ""},
		{"a short life", gateway.SignerConfig{Issuer: issuer, Keys: []gateway.Key{key}, Lifetime: 2 * time.Second}, ""},
		{"no issuer", gateway.SignerConfig{Keys: []gateway.Key{key}}, "Issuer"},
		{"no key", gateway.SignerConfig{Issuer: issuer}, "none of the keys"},
		{"no key yet", gateway.SignerConfig{Issuer: issuer, Keys: []gateway.Key{{key.Private, time.Now().Add(time.Hour)}}}, "none of the keys"},
		{"an empty key", gateway.SignerConfig{Issuer: issuer, Keys: []gateway.Key{key, {}}}, "key 1"},
		{"one key twice", gateway.SignerConfig{Issuer: issuer, Keys: []gateway.Key{key, {key.Private, time.Now().Add(time.Hour)}}}, "key 1 is there twice"},
		{"a long life", gateway.SignerConfig{Issuer: issuer, Keys: []gateway.Key{key}, Lifetime: time.Minute + 1}, "Lifetime"},
		{"hardly a life", gateway.SignerConfig{Issuer: issuer, Keys: []gateway.Key{key}, Lifetime: time.Second}, "Lifetime"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := gateway.NewSigner(row.cfg)
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("error is %v, want one about %q", err, row.want)
			}
		})
	}
}

func TestParseKey(t *testing.T) {
	want := gateway.NewKey()
	good := pemKey(t, want.Private)
	got, err := gateway.ParseKey(good)
	if err != nil || !got.Private.Equal(want.Private) || !got.SignFrom.IsZero() {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	p256 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for name, text := range map[string][]byte{
		"nothing": nil, "a public key": bytes.ReplaceAll(good, []byte("PRIVATE"), []byte("PUBLIC")),
		"two keys": append(bytes.Clone(good), good...), "half a key": good[:len(good)/2],
		"no PKCS #8":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: want.Private}),
		"a P-256 key": pemKey(t, p256),
	} {
		if _, err := gateway.ParseKey(text); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			wantSecret(t, err.Error(), want)
		}
	}
}

func pemKey(tb testing.TB, private any) []byte {
	der := must[[]byte](tb)(x509.MarshalPKCS8PrivateKey(private))
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// FuzzParseKey looks for a panic and for a key that is none.
func FuzzParseKey(f *testing.F) {
	f.Add(pemKey(f, gateway.NewKey().Private))
	f.Fuzz(func(t *testing.T, text []byte) {
		if k, err := gateway.ParseKey(text); err == nil && len(k.Private) != ed25519.PrivateKeySize {
			t.Errorf("%q is a key of %d bytes", text, len(k.Private))
		}
	})
}

func TestPrivateKeysAreNeverShown(t *testing.T) {
	key := gateway.NewKey()
	signer := newSigner(t, key)
	cfg := gateway.SignerConfig{Issuer: issuer, Keys: []gateway.Key{key}}
	for _, v := range []any{key, &key, cfg, &cfg, signer, struct{ K gateway.Key }{key}, gateway.Config{Signer: signer}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
			wantSecret(t, fmt.Sprintf(verb, v), key)
		}
		text, _ := json.Marshal(v)
		wantSecret(t, string(text), key)
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		wantSecret(t, log.String(), key)
	}
}

// wantSecret looks for a private key in the forms in which it is printed.
func wantSecret(tb testing.TB, text string, k gateway.Key) {
	tb.Helper()
	seed := k.Private.Seed()
	for _, form := range []string{
		string(seed), fmt.Sprintf("%x", seed), fmt.Sprintf("%X", seed), strings.Trim(fmt.Sprint(seed), "[]"),
		fmt.Sprintf("%#v", seed)[len("[]byte{"):40], base64.StdEncoding.EncodeToString(seed[:30]), base64.RawURLEncoding.EncodeToString(seed[:30]),
	} {
		if strings.Contains(text, form) {
			tb.Errorf("shows a private key: %q", text)
		}
	}
}
