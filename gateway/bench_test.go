package gateway_test

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/updateage/session"
	"github.com/updateage/session/gateway"
)

// byHand verifies an assertion as somebody would who calls go-jose himself. It
// checks nothing that go-jose does not check.
func byHand(tb testing.TB, key *jose.JSONWebKey, assertion string) {
	token, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		tb.Fatal(err)
	}
	var claims struct {
		Issuer    string       `json:"iss"`
		Audience  jwt.Audience `json:"aud"`
		Subject   string       `json:"sub"`
		SessionID string       `json:"sid"`
		Level     uint8        `json:"level"`
		AuthTime  int64        `json:"auth_time"`
		IssuedAt  int64        `json:"iat"`
		Expiry    int64        `json:"exp"`
	}
	if err := token.Claims(key, &claims); err != nil || claims.Subject != "alice" {
		tb.Fatal(claims, err)
	}
}

// verifiable returns a Verifier with fetched keys, the key by itself, and an assertion.
func verifiable(tb testing.TB) (*gateway.Verifier, *jose.JSONWebKey, string) {
	key := gateway.NewKey()
	s := newSigner(tb, key)
	v := newVerifier(tb, gateway.VerifierConfig{JWKS: serveJWKS(tb, s)})
	text, _ := assert(tb, s, alice())
	if _, err := v.Verify(tb.Context(), text); err != nil {
		tb.Fatal(err)
	}
	return v, &jose.JSONWebKey{Key: key.Public(), KeyID: key.ID()}, text
}

func TestVerifyAllocatesNoMoreThanGoJose(t *testing.T) {
	v, key, text := verifiable(t)
	ctx := t.Context()
	const runs = 200
	want := testing.AllocsPerRun(runs, func() { byHand(t, key, text) })
	got := testing.AllocsPerRun(runs, func() { _, _ = v.Verify(ctx, text) })
	t.Logf("Verify allocates %v times, go-jose by hand %v times", got, want)
	if got > want {
		t.Errorf("Verify allocates %v times, want at most the %v of go-jose", got, want)
	}
}

func BenchmarkVerify(b *testing.B) {
	v, key, text := verifiable(b)
	b.Run("Verifier", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = v.Verify(b.Context(), text)
		}
	})
	b.Run("go-jose", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			byHand(b, key, text)
		}
	})
	b.Run("Ed25519", func(b *testing.B) { // what no library can save
		message, signature := make([]byte, strings.LastIndexByte(text, '.')), ed25519.Sign(gateway.NewKey().Private, nil)
		for b.Loop() {
			ed25519.Verify(key.Key.(ed25519.PublicKey), message, signature)
		}
	})
}

func BenchmarkAssert(b *testing.B) {
	s := newSigner(b)
	info := alice()
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = s.Assert(audience, info)
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			info.AuthenticatedAt = info.AuthenticatedAt.Add(time.Second)
			_, _, _ = s.Assert(audience, info)
		}
	})
}

func BenchmarkForwardAuth(b *testing.B) {
	m := newManager(b, &store{}, session.Config{})
	h := forwardAuth(b, m, gateway.Config{Signer: newSigner(b), Audience: audience})
	cookie, _ := signIn(b, m, "alice", session.SignInOptions{})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = headers("Cookie", "theme=dark; "+cookieName+"="+cookie)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// BenchmarkNginx compares requests through nginx and ForwardAuth, with sessions in
// memory, with requests through an nginx of the same configuration whose
// auth_request always hears 200.
func BenchmarkNginx(b *testing.B) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer service.Close()
	always := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	defer always.Close()
	m := newManager(b, &store{}, session.Config{})
	gate := httptest.NewServer(forwardAuth(b, m, gateway.Config{Signer: newSigner(b), Audience: audience, StatusOnly: true}))
	defer gate.Close()

	cookies := make([]string, 100)
	for i := range cookies {
		cookies[i], _ = signIn(b, m, fmt.Sprint("user ", i), session.SignInOptions{})
	}
	backend := service.Listener.Addr().String()
	sites := []string{startNginx(b, always.Listener.Addr().String(), backend), startNginx(b, gate.Listener.Addr().String(), backend)}
	for _, parallel := range []int{1, 16} {
		b.Run(fmt.Sprint(parallel), func(b *testing.B) {
			var ratios, base, own []float64
			for round := 0; b.Loop(); round++ {
				var took [2]float64
				for i := range sites { // who begins changes
					i = (i + round) % 2
					took[i] = latency(b, sites[i], cookies, parallel)
				}
				base, own, ratios = append(base, took[0]), append(own, took[1]), append(ratios, took[1]/took[0])
			}
			b.ReportMetric(0, "ns/op") // means nothing
			b.ReportMetric(median(ratios), "ratio")
			b.Logf("%d parallel: ForwardAuth %.0f us, always 200 %.0f us, median ratio %.2f of %.2f",
				parallel, median(own), median(base), median(ratios), ratios)
		})
	}
}

// latency returns the mean time of a request in microseconds, over a window.
func latency(tb testing.TB, addr string, cookies []string, parallel int) float64 {
	tb.Helper()
	const window = 300 * time.Millisecond
	counts := make([]int, parallel)
	var wg sync.WaitGroup
	start := time.Now()
	for c := range parallel {
		wg.Go(func() { counts[c] = hammer(tb, addr, cookies, c, start.Add(window)) })
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(parallel) * float64(time.Since(start).Microseconds()) / float64(total)
}

func hammer(tb testing.TB, addr string, cookies []string, first int, until time.Time) (requests int) {
	for i := first; time.Now().Before(until); i++ {
		r, err := http.NewRequest("GET", "http://"+addr+"/", nil)
		if err != nil {
			tb.Error(err)
			return requests
		}
		r.Host, r.Header = host, withCookie(cookies[i%len(cookies)])
		resp, err := hammers.RoundTrip(r)
		if err != nil {
			tb.Error(err)
			return requests
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			tb.Errorf("status is %d", resp.StatusCode)
			return requests
		}
		requests++
	}
	return requests
}

var hammers = &http.Transport{MaxIdleConnsPerHost: 64}

func median(numbers []float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
