package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// trialCookie signs the trial user in.
func (g *gate) trialCookie() string {
	g.tb.Helper()
	a := ask(g.tb, http.MethodPost, "http://"+g.admin+"/trial/sign-in")
	want(g.tb, a, http.StatusOK)
	return cookieOf(g.tb, a.Response)
}

func TestMemory(t *testing.T) {
	key, _ := newKey(t)
	g := start(t, nil, append(signing(file(t, key)), "-store=memory", "-trial-user=ada", "-level=2",
		"-login-url=https://login.example.com/in", "-origins=https://app.example.com", "-max-reuse=5s")...)
	if log := g.logged(); !strings.Contains(log, "no application shares them") || !strings.Contains(log, `"store":"memory"`) {
		t.Errorf("the log does not say that nobody shares the sessions:\n%s", log)
	}

	a := g.auth("")
	want(t, a, http.StatusUnauthorized)
	wantHeader(t, a, "X-Auth-Reason", "session")
	wantHeader(t, a, "X-User-Id", "")
	a = g.auth("", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "X-Forwarded-Host", "app.example.com", "X-Forwarded-Uri", "/cart?a=1")
	want(t, a, http.StatusFound)
	wantHeader(t, a, "Location", "https://login.example.com/in?return_to=https%3A%2F%2Fapp.example.com%2Fcart%3Fa%3D1")

	cookie := g.trialCookie()
	a = g.auth(cookie + "; theme=dark")
	want(t, a, http.StatusOK)
	wantHeader(t, a, "X-User-Id", "ada")
	wantHeader(t, a, "X-User-Level", "2")
	wantHeader(t, a, "X-Auth-Max-Age", "5")
	wantHeader(t, a, "Cookie", "theme=dark")
	if a.Header.Get("X-User-Assertion") == "" {
		t.Error("there is no assertion")
	}

	service := newService(t, "http://"+g.addr+"/jwks.json")
	b := ask(t, http.MethodGet, service.URL, "X-User-Assertion", a.Header.Get("X-User-Assertion"))
	want(t, b, http.StatusOK)
	if b.body != `ada []` {
		t.Errorf("service answers %q", b.body)
	}
}

// TestPaths: what is not offered is not there, and no path is redirected, because
// Envoy puts the client's path behind /auth.
func TestPaths(t *testing.T) {
	key, _ := newKey(t)
	g := start(t, nil, append(signing(file(t, key)), "-store=memory", "-trial-user=ada")...)
	plain := start(t, nil, "-store=memory")
	main, admin := "http://"+g.addr, "http://"+g.admin
	for _, row := range []struct {
		method, url string
		status      int
	}{
		{"GET", main + "/auth", 401},
		{"POST", main + "/auth", 401},
		{"DELETE", main + "/auth/orders/1?x=/auth", 401},
		{"GET", main + "/auth//orders/../etc", 401},
		{"GET", main + "/", 404},
		{"GET", main + "/authx", 404},
		{"GET", main + "//auth", 404},
		{"GET", main + "/x/../auth", 404},
		{"GET", main + "/healthz", 404},
		{"GET", main + "/metrics", 404},
		{"POST", main + "/trial/sign-in", 404},
		{"GET", main + "/jwks.json", 200},
		{"POST", main + "/jwks.json", 405},
		{"GET", "http://" + plain.addr + "/jwks.json", 404},
		{"GET", admin + "/healthz", 200},
		{"GET", admin + "/readyz", 200},
		{"POST", admin + "/readyz", 405},
		{"GET", admin + "/auth", 404},
		{"GET", admin + "/debug/pprof/", 404},
		{"GET", admin + "/trial/sign-in", 405},
		{"POST", "http://" + plain.admin + "/trial/sign-in", 404},
	} {
		t.Run(row.method+" "+row.url[strings.Index(row.url[7:], "/")+7:], func(t *testing.T) {
			want(t, ask(t, row.method, row.url), row.status)
		})
	}
}

func TestTrialIsForThisMachine(t *testing.T) {
	g := start(t, nil, "-store=memory", "-trial-user=ada")
	url := "http://" + g.admin + "/trial/sign-in"
	for _, row := range []struct {
		name    string
		headers []string
	}{
		{"a page of another site", []string{"Origin", "https://evil.example"}},
		{"a page of another site, by fetch metadata", []string{"Sec-Fetch-Site", "cross-site"}},
		{"a name that resolves to this machine", []string{"Host", "evil.example"}},
		{"the same with an origin", []string{"Host", "evil.example", "Origin", "http://evil.example"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := ask(t, http.MethodPost, url, row.headers...)
			want(t, a, http.StatusForbidden)
			wantHeader(t, a, "Set-Cookie", "")
		})
	}
}

func TestHeadersAreBounded(t *testing.T) {
	g := start(t, nil, "-store=memory")
	want(t, g.auth("a="+strings.Repeat("x", 32<<10)), http.StatusUnauthorized)
	want(t, g.auth("a="+strings.Repeat("x", 128<<10)), http.StatusRequestHeaderFieldsTooLarge)
}

func TestNotBefore(t *testing.T) {
	g := start(t, nil, "-store=memory", "-trial-user=ada", "-not-before="+time.Now().Add(time.Hour).Format(time.RFC3339))
	want(t, g.auth(g.trialCookie()), http.StatusUnauthorized)
}
