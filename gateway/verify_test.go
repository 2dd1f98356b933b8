package gateway_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
)

// forge returns a token of the given header and claims; sign makes the signature.
func forge(tb testing.TB, header, claims map[string]any, sign func(input []byte) []byte) string {
	tb.Helper()
	encode := func(m map[string]any) string {
		return base64.RawURLEncoding.EncodeToString(must[[]byte](tb)(json.Marshal(m)))
	}
	input := encode(header) + "." + encode(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(input)))
}

func signed(key gateway.Key) func([]byte) []byte {
	return func(input []byte) []byte { return ed25519.Sign(key.Private, input) }
}

func with(m map[string]any, name string, value any) map[string]any {
	changed := make(map[string]any)
	for k, v := range m {
		changed[k] = v
	}
	if changed[name] = value; value == nil {
		delete(changed, name)
	}
	return changed
}

// TestForgedAssertions is the attack table of those who reach a service past its
// gateway.
func TestForgedAssertions(t *testing.T) {
	key, other := gateway.NewKey(), gateway.NewKey()
	verifier := newVerifier(t, gateway.VerifierConfig{Keys: []ed25519.PublicKey{key.Public()}})
	now := time.Now().Unix()
	header := map[string]any{"alg": "EdDSA", "typ": "session-assertion+jwt", "kid": key.ID()}
	claims := map[string]any{
		"iss": issuer, "aud": audience, "sub": "alice", "sid": "s", "level": 1, "auth_time": now, "iat": now, "exp": now + 60,
	}
	none := func([]byte) []byte { return nil }
	mac := func(secret []byte) func([]byte) []byte {
		return func(input []byte) []byte {
			h := hmac.New(sha256.New, secret)
			h.Write(input)
			return h.Sum(nil)
		}
	}
	jwk := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(other.Public()), "kid": other.ID()}
	good := forge(t, header, claims, signed(key))
	parts := strings.Split(good, ".")

	for _, row := range []struct {
		name, assertion string
		good            bool
	}{
		{"as the gateway makes it", good, true},
		{"for several audiences, ours among them", forge(t, header, with(claims, "aud", []string{"x", audience}), signed(key)), true},
		{"with further claims", forge(t, header, with(claims, "jti", "x"), signed(key)), true},

		{"empty", "", false},
		{"no token", "alice", false},
		{"with four parts", good + ".x", false},
		{"of 100 kB", good + strings.Repeat("A", 100<<10), false},
		{"with a space at the end", good + " ", false},
		{"as JSON", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, false},
		{"without a signature", parts[0] + "." + parts[1] + ".", false},
		{"with a signature that is cut short", good[:len(good)-4], false},
		{"with another's claims", parts[0] + "." + strings.Split(forge(t, header, with(claims, "sub", "mallory"), signed(other)), ".")[1] + "." + parts[2], false},

		{"alg none", forge(t, with(header, "alg", "none"), claims, none), false},
		{"alg None", forge(t, with(header, "alg", "None"), claims, none), false},
		{"alg none with a good signature", forge(t, with(header, "alg", "none"), claims, signed(key)), false},
		{"no alg", forge(t, with(header, "alg", nil), claims, signed(key)), false},
		{"HMAC with the public key", forge(t, with(header, "alg", "HS256"), claims, mac(key.Public())), false},
		{"HMAC with the public key in base64", forge(t, with(header, "alg", "HS256"), claims, mac([]byte(jwk["x"].(string)))), false},
		{"HMAC named EdDSA", forge(t, header, claims, mac(key.Public())), false},
		{"RSA", forge(t, with(header, "alg", "RS256"), claims, signed(key)), false},
		{"another key under this one's name", forge(t, header, claims, signed(other)), false},
		{"another key under its own name", forge(t, with(header, "kid", other.ID()), claims, signed(other)), false},
		{"another key in the header", forge(t, with(header, "jwk", jwk), claims, signed(other)), false},
		{"another key in the header, by its name", forge(t, with(with(header, "jwk", jwk), "kid", other.ID()), claims, signed(other)), false},
		{"another key by URL", forge(t, with(header, "jku", "https://evil.example/jwks.json"), claims, signed(other)), false},
		{"no key ID", forge(t, with(header, "kid", nil), claims, signed(key)), false},
		{"a path as key ID", forge(t, with(header, "kid", "../../dev/null"), claims, signed(key)), false},
		{"a critical header", forge(t, with(with(header, "crit", []string{"x"}), "x", 1), claims, signed(key)), false},
		{"a payload that is not encoded", forge(t, with(with(header, "crit", []string{"b64"}), "b64", false), claims, signed(key)), false},

		{"another type", forge(t, with(header, "typ", "JWT"), claims, signed(key)), false},
		{"no type", forge(t, with(header, "typ", nil), claims, signed(key)), false},
		{"another issuer", forge(t, header, with(claims, "iss", "https://evil.example"), signed(key)), false},
		{"no issuer", forge(t, header, with(claims, "iss", nil), signed(key)), false},
		{"another audience", forge(t, header, with(claims, "aud", "billing"), signed(key)), false},
		{"an audience that contains ours", forge(t, header, with(claims, "aud", audience+".evil"), signed(key)), false},
		{"no audience", forge(t, header, with(claims, "aud", nil), signed(key)), false},
		{"no user", forge(t, header, with(claims, "sub", nil), signed(key)), false},
		{"no session", forge(t, header, with(claims, "sid", nil), signed(key)), false},
		{"expired this second", forge(t, header, with(with(claims, "exp", now), "iat", now-60), signed(key)), false},
		{"expired long ago", forge(t, header, with(with(claims, "exp", now-3600), "iat", now-3660), signed(key)), false},
		{"no expiry", forge(t, header, with(claims, "exp", nil), signed(key)), false},
		{"an hour's life", forge(t, header, with(claims, "exp", now+3600), signed(key)), false},
		{"an hour's life, no date", forge(t, header, with(with(claims, "exp", now+3600), "iat", nil), signed(key)), false},
		{"from the future", forge(t, header, with(with(claims, "iat", now+40), "exp", now+100), signed(key)), false},
		{"an expiry beyond all numbers", forge(t, header, with(claims, "exp", 1e300), signed(key)), false},
		{"an expiry in words", forge(t, header, with(claims, "exp", "never"), signed(key)), false},
		{"a negative level", forge(t, header, with(claims, "level", -1), signed(key)), false},
		{"a level beyond all levels", forge(t, header, with(claims, "level", 256), signed(key)), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			id, err := verifier.Verify(t.Context(), row.assertion)
			if row.good {
				if err != nil || id.UserID != "alice" {
					t.Errorf("got %v, %v, want alice", id, err)
				}
				return
			}
			if !errors.Is(err, gateway.ErrAssertion) || id != (gateway.Identity{}) {
				t.Errorf("got %v, %v, want ErrAssertion", id, err)
			}
			if err != nil && len(row.assertion) > 50 && strings.Contains(err.Error(), row.assertion[len(row.assertion)-50:]) {
				t.Errorf("error shows the assertion: %v", err)
			}
		})
	}
}

// An assertion is good as often as it is used within its minute, and not later.
func TestReplayedAssertion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := gateway.NewKey()
		v := newVerifier(t, gateway.VerifierConfig{Keys: []ed25519.PublicKey{key.Public()}})
		text, expires := assert(t, newSigner(t, key), alice())
		for time.Now().Before(expires) {
			if id, err := v.Verify(t.Context(), text); err != nil || !id.ExpiresAt.Equal(expires) {
				t.Fatalf("%v before its end: got %v, %v", time.Until(expires), id, err)
			}
			time.Sleep(10 * time.Second)
		}
		if id, err := v.Verify(t.Context(), text); !errors.Is(err, gateway.ErrAssertion) {
			t.Errorf("at its end: got %v, %v, want ErrAssertion", id, err)
		}
	})
}

func TestVerifierHandler(t *testing.T) {
	key := gateway.NewKey()
	var log lockedBuffer
	v := newVerifier(t, gateway.VerifierConfig{
		Keys:   []ed25519.PublicKey{key.Public()},
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	info := alice(func(i *session.Info) { i.Level = session.AAL2 })
	good, _ := assert(t, newSigner(t, key), info)
	h := v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := gateway.FromContext(r.Context())
		if !ok || id.UserID != "alice" || id.SessionID != info.ID || id.Level != session.AAL2 ||
			id.AuthenticatedAt.Unix() != info.AuthenticatedAt.Unix() {
			t.Errorf("identity is %v, %t", id, ok)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	for _, row := range []struct {
		name   string
		header http.Header
		status int
	}{
		{"a good assertion", headers(gateway.HeaderAssertion, good), 204},
		{"a good one and another's name beside it", headers(gateway.HeaderAssertion, good, gateway.HeaderUserID, "mallory"), 204},
		{"none", nil, 401},
		{"an empty one", headers(gateway.HeaderAssertion, ""), 401},
		{"a user's name", headers(gateway.HeaderUserID, "alice"), 401},
		{"two", headers(gateway.HeaderAssertion, good, gateway.HeaderAssertion, good), 401},
		{"two in one line", headers(gateway.HeaderAssertion, good+", "+good), 401},
		{"one as bearer token", headers("Authorization", "Bearer "+good), 401},
		{"one in another spelling", headers("X_user_assertion", good), 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp := ask(h, row.header)
			wantStatus(t, resp, row.status)
			if row.status == http.StatusUnauthorized {
				wantHeader(t, resp.Header, "Cache-Control", "no-store")
				if body := must[[]byte](t)(io.ReadAll(resp.Body)); string(body) != "Unauthorized\n" {
					t.Errorf("body is %q: the reason is for the log", body)
				}
			}
		})
	}
	if log.String() == "" || strings.Contains(log.String(), good[:60]) {
		t.Errorf("log is %q, want reasons and no assertion", log.String())
	}
	if _, ok := gateway.FromContext(t.Context()); ok {
		t.Error("outside of Handler somebody is known")
	}
}

// A service that demands more than its gateway.
func TestVerifierDemands(t *testing.T) {
	for _, row := range []struct {
		name   string
		cfg    gateway.VerifierConfig
		level  session.Level
		after  time.Duration // the authentication
		want   error
		reason string
	}{
		{"nothing", gateway.VerifierConfig{}, session.AAL1, 24 * time.Hour, nil, ""},
		{"a level that suffices", gateway.VerifierConfig{Level: session.AAL2}, session.AAL2, 0, nil, ""},
		{"a level that does not", gateway.VerifierConfig{Level: session.AAL2}, session.AAL1, 0, gateway.ErrLevel, "level"},
		{"an age just below", gateway.VerifierConfig{MaxAge: time.Hour}, session.AAL1, time.Hour - time.Second, nil, ""},
		{"an age", gateway.VerifierConfig{MaxAge: time.Hour}, session.AAL1, time.Hour, session.ErrNotFresh, "freshness"},
		{"both", gateway.VerifierConfig{Level: session.AAL2, MaxAge: time.Hour}, session.AAL3, time.Minute, nil, ""},
		{"both, of which one is wanting", gateway.VerifierConfig{Level: session.AAL2, MaxAge: time.Hour}, session.AAL3, 2 * time.Hour, session.ErrNotFresh, "freshness"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := gateway.NewKey()
				row.cfg.Keys = []ed25519.PublicKey{key.Public()}
				v := newVerifier(t, row.cfg)
				text, _ := assert(t, newSigner(t, key), alice(func(i *session.Info) {
					i.Level, i.AuthenticatedAt = row.level, time.Now().Add(-row.after)
				}))
				if id, err := v.Verify(t.Context(), text); !errors.Is(err, row.want) || (id == gateway.Identity{}) != (err != nil) {
					t.Errorf("got %v, %v, want %v", id, err, row.want)
				}
				status := http.StatusNoContent
				if row.want != nil {
					status = http.StatusForbidden
				}
				resp := ask(v.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(http.StatusNoContent)
				})), headers(gateway.HeaderAssertion, text))
				wantStatus(t, resp, status)
				wantHeader(t, resp.Header, gateway.HeaderReason, row.reason)
			})
		})
	}
}

// An assertion without a time of authentication is none of a moment ago.
func TestVerifierDemandsATime(t *testing.T) {
	key := gateway.NewKey()
	v := newVerifier(t, gateway.VerifierConfig{Keys: []ed25519.PublicKey{key.Public()}, MaxAge: time.Hour})
	now := time.Now().Unix()
	text := forge(t, map[string]any{"alg": "EdDSA", "typ": "session-assertion+jwt", "kid": key.ID()},
		map[string]any{"iss": issuer, "aud": audience, "sub": "alice", "sid": "s", "iat": now, "exp": now + 60}, signed(key))
	if id, err := v.Verify(t.Context(), text); !errors.Is(err, session.ErrNotFresh) {
		t.Errorf("got %v, %v, want ErrNotFresh", id, err)
	}
}

func TestVerifierErrorHandler(t *testing.T) {
	v := newVerifier(t, gateway.VerifierConfig{
		Keys: []ed25519.PublicKey{gateway.NewKey().Public()},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if !errors.Is(err, gateway.ErrAssertion) {
				t.Errorf("error is %v, want ErrAssertion", err)
			}
			w.WriteHeader(http.StatusTeapot)
		},
	})
	wantStatus(t, ask(v.Handler(http.NotFoundHandler()), nil), http.StatusTeapot)
}

func TestVerifierMistakes(t *testing.T) {
	keys := []ed25519.PublicKey{gateway.NewKey().Public()}
	for _, row := range []struct {
		name string
		cfg  gateway.VerifierConfig
		want string // "": none
	}{
		{"fixed keys", gateway.VerifierConfig{Issuer: "i", Audience: "a", Keys: keys}, ""},
		{"a URL", gateway.VerifierConfig{Issuer: "i", Audience: "a", JWKS: "https://auth.example.com/jwks.json"}, ""},
		{"a URL of this machine", gateway.VerifierConfig{Issuer: "i", Audience: "a", JWKS: "http://127.0.0.1/jwks.json"}, ""},
		{"a URL without TLS that is meant", gateway.VerifierConfig{Issuer: "i", Audience: "a", JWKS: "http://gate/", InsecureHTTP: true}, ""},
		{"a URL without TLS", gateway.VerifierConfig{Issuer: "i", Audience: "a", JWKS: "http://auth.example.com/"}, "InsecureHTTP"},
		{"a URL that looks local", gateway.VerifierConfig{Issuer: "i", Audience: "a", JWKS: "http://localhost.evil.example/"}, "InsecureHTTP"},
		{"a file", gateway.VerifierConfig{Issuer: "i", Audience: "a", JWKS: "file:///jwks.json"}, "JWKS"},
		{"no URL", gateway.VerifierConfig{Issuer: "i", Audience: "a", JWKS: "://"}, "JWKS"},
		{"no keys", gateway.VerifierConfig{Issuer: "i", Audience: "a"}, "either JWKS or Keys"},
		{"both", gateway.VerifierConfig{Issuer: "i", Audience: "a", JWKS: "https://a/", Keys: keys}, "either JWKS or Keys"},
		{"a short key", gateway.VerifierConfig{Issuer: "i", Audience: "a", Keys: []ed25519.PublicKey{{1}}}, "Keys: 0"},
		{"no issuer", gateway.VerifierConfig{Audience: "a", Keys: keys}, "Issuer"},
		{"no audience", gateway.VerifierConfig{Issuer: "i", Keys: keys}, "Audience"},
		{"a level and an age", gateway.VerifierConfig{Issuer: "i", Audience: "a", Keys: keys, Level: session.AAL3, MaxAge: time.Hour}, ""},
		{"an unknown level", gateway.VerifierConfig{Issuer: "i", Audience: "a", Keys: keys, Level: 4}, "Level"},
		{"an age of half a second", gateway.VerifierConfig{Issuer: "i", Audience: "a", Keys: keys, MaxAge: time.Second / 2}, "MaxAge"},
		{"a negative age", gateway.VerifierConfig{Issuer: "i", Audience: "a", Keys: keys, MaxAge: -time.Second}, "MaxAge"},
		{"keys that are stale before they may be fetched", gateway.VerifierConfig{Issuer: "i", Audience: "a", JWKS: "https://a/", StaleFor: 4 * time.Second}, "StaleFor"},
		{"a negative pause", gateway.VerifierConfig{Issuer: "i", Audience: "a", JWKS: "https://a/", RefreshAfter: -1}, "RefreshAfter"},
		{"a negative time", gateway.VerifierConfig{Issuer: "i", Audience: "a", JWKS: "https://a/", StaleFor: -1}, "StaleFor"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := gateway.NewVerifier(row.cfg)
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("error is %v, want one about %q", err, row.want)
			}
		})
	}
}

// FuzzVerify looks for a panic, and for an assertion that is good although the
// gateway has not signed it.
func FuzzVerify(f *testing.F) {
	key := gateway.NewKey()
	v := newVerifier(f, gateway.VerifierConfig{Keys: []ed25519.PublicKey{key.Public()}})
	good, _, err := newSigner(f, key).Assert(audience, alice())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := v.Verify(context.Background(), text)
		if err == nil && !sameToken(text, good) {
			t.Errorf("%q is good: %v", text, id)
		}
	})
}

// sameToken says whether two tokens differ at most in the bits that base64 does
// not use and in line breaks.
func sameToken(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range bs {
		if i >= len(as) {
			return false
		}
		x, _ := base64.RawURLEncoding.DecodeString(as[i])
		y, _ := base64.RawURLEncoding.DecodeString(bs[i])
		if !bytes.Equal(x, y) {
			return false
		}
	}
	return len(as) == len(bs)
}
