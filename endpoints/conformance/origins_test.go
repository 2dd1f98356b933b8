package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/rs/cors"

	"github.com/updateage/session"
)

// Names of this machine that browsers keep apart: the first two are of one site,
// the third is another.
const (
	apiHost   = "api.shop.localhost"
	appHost   = "app.shop.localhost"
	otherHost = "partner.localhost"
)

// TestFrontEndsOnOtherOrigins has pages of other origins use the published client
// in Chromium, over HTTPS, with credentials. CORS is that of docs/endpoints.md.
func TestFrontEndsOnOtherOrigins(t *testing.T) {
	script := bundle(t)
	browser := startBrowser(t)
	lax, none := session.Cookie{}, session.Cookie{SameSite: http.SameSiteNoneMode}
	partitioned := session.Cookie{SameSite: http.SameSiteNoneMode, Partitioned: true}
	for _, tt := range []struct {
		name    string
		host    string
		trusted bool // in CORS and in TrustedOrigins
		cookie  session.Cookie
		signIn  string // what the client is told
		session string // whom it sees then
		signOut string
		alive   bool // the session of a user of the API's own pages, after that
	}{
		// SameSite=Lax is the default. Its site includes other ports and subdomains.
		{"its own host on another port", apiHost, true, lax, "ada", "ada", "true", false},
		{"another host of the site", appHost, true, lax, "ada", "ada", "true", false},
		{"another host of the site, not allowed", appHost, false, lax, "blocked", "blocked", "blocked", true},
		// The browser takes no Lax cookie from another site, and sends none there.
		{"another site", otherHost, true, lax, "ada", "nobody", "true", true},
		{"another site, not allowed", otherHost, false, lax, "blocked", "blocked", "blocked", true},
		// SameSite=None is not enough where the browser blocks cookies of third
		// parties. A partitioned cookie is one of its own below each front end.
		{"another site and SameSite=None", otherHost, true, none, "ada", "nobody", "true", true},
		{"another site and Partitioned", otherHost, true, partitioned, "ada", "ada", "true", true},
		{"another site and Partitioned, not allowed", otherHost, false, partitioned, "blocked", "blocked", "blocked", true},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			front := serveFront(t, tt.host, script)
			var trusted []string
			if tt.trusted {
				trusted = []string{front}
			}
			s := newSite(t, session.Config{Cookie: tt.cookie}, trusted...)
			api := serveAPI(t, s, script, trusted)

			// Ada signs in on the API's own pages, and then comes to the front end.
			p := newPage(t, browser)
			p.open(api)
			if got := p.client(api, "signIn"); got != "ada" {
				t.Fatalf("sign in at home: %s", got)
			}
			p.open(front)
			p.want(api, "signIn", tt.signIn)
			p.want(api, "getSession", tt.session)
			if !tt.trusted {
				p.simple(api)
			}
			p.want(api, "signOut", tt.signOut)
			p.open(api)
			if got := p.client(api, "getSession"); (got == "ada") != tt.alive {
				t.Errorf("at home afterwards: %s, want ada: %t", got, tt.alive)
			}
		})
	}
}

// clients are scripts that say what came of a method.
var clients = map[string]string{
	"signIn": `client.signIn.email({ email: "ada@example.com", password: "` + password + `" })
		.then(({ data, error }) => data?.user.id ?? error.code)`,
	"getSession": `client.getSession().then(({ data, error }) => error ? error.code : data?.user.id ?? "nobody")`,
	"signOut":    `client.signOut().then(({ data, error }) => error ? error.code : String(data.success))`,
}

// client uses the published client in the page.
func (p *page) client(api, method string) string {
	p.t.Helper()
	script := fmt.Sprintf("(() => { const client = createAuthClient({ baseURL: %q }); return %s.catch(error => error instanceof TypeError ? 'blocked' : String(error)) })()",
		api, clients[method])
	var got string
	if err := json.Unmarshal(p.eval(script), &got); err != nil {
		p.t.Fatal(err)
	}
	return got
}

func (p *page) want(api, method, want string) {
	p.t.Helper()
	if got := p.client(api, method); got != want {
		p.t.Errorf("%s: %s, want %s", method, got, want)
	}
}

// simple sends what a browser sends to every origin without asking first, with
// the cookies. Nothing of it may do anything.
func (p *page) simple(api string) {
	p.t.Helper()
	for _, path := range []string{"/auth/sign-out", "/auth/logout", "/api/auth/sign-out", "/api/auth/revoke-sessions"} {
		for _, body := range []string{"''", "'{}'", "new URLSearchParams({ a: 'b' })", "new Blob(['{}'])"} {
			p.eval(fmt.Sprintf("fetch(%q, { method: 'POST', mode: 'no-cors', credentials: 'include', body: %s }).then(() => null)", api+path, body))
		}
	}
}

// bundle returns the published client as a script for browsers.
func bundle(t *testing.T) []byte {
	t.Helper()
	result := api.Build(api.BuildOptions{
		Stdin: &api.StdinOptions{
			Contents:   `import { createAuthClient } from "better-auth/client"; globalThis.createAuthClient = createAuthClient`,
			ResolveDir: needPackages(t),
		},
		Bundle: true, Format: api.FormatIIFE, Platform: api.PlatformBrowser, Target: api.ES2022,
		AbsWorkingDir: filepath.Clean(needPackages(t)),
	})
	for _, message := range result.Errors {
		t.Fatalf("bundle: %s", message.Text)
	}
	return result.OutputFiles[0].Contents
}

// serveFront serves a page with the client at a name, and returns its origin.
func serveFront(t *testing.T, host string, script []byte) string {
	t.Helper()
	server := httptest.NewTLSServer(pageWith(script))
	t.Cleanup(server.Close)
	return named(t, server, host)
}

// serveAPI serves the site at its name, with a page of its own at the root.
func serveAPI(t *testing.T, s *site, script []byte, allowed []string) string {
	t.Helper()
	c := cors.New(cors.Options{
		AllowedOrigins:   append([]string{"https://nobody.example"}, allowed...), // an empty list would allow all
		AllowedMethods:   []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		AllowedHeaders:   []string{"Content-Type"},
		AllowCredentials: true,
	})
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", pageWith(script))
	mux.Handle("/", s.server.Config.Handler)
	server := httptest.NewTLSServer(c.Handler(mux))
	t.Cleanup(server.Close)
	return named(t, server, apiHost)
}

func pageWith(script []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!doctype html><title>front</title><script>%s</script>", script)
	})
}

// named returns the origin of a server under another name.
func named(t *testing.T, server *httptest.Server, host string) string {
	t.Helper()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return "https://" + host + ":" + u.Port()
}
