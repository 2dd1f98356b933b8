package conformance

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v5"

	"github.com/updateage/session"
)

// prefix is where the routers mount the contracts.
const prefix = "/v1"

// mounts mount the contracts as docs/endpoints.md says.
var mounts = []struct {
	name  string
	mount func(*site) http.Handler
}{
	{"net/http", func(s *site) http.Handler {
		mux, all := http.NewServeMux(), s.contracts(prefix)
		mux.Handle(all.native.Prefix()+"/", all.native)
		mux.Handle(all.better.Prefix()+"/", all.better)
		return mux
	}},
	{"net/http without the prefix", func(s *site) http.Handler {
		mux, all := http.NewServeMux(), s.contracts("")
		mux.Handle(prefix+"/auth/", http.StripPrefix(prefix, all.native))
		mux.Handle(prefix+"/api/auth/", http.StripPrefix(prefix, all.better))
		return mux
	}},
	{"net/http inside the middleware", func(s *site) http.Handler {
		mux, all := http.NewServeMux(), s.contracts(prefix)
		mux.Handle(all.native.Prefix()+"/", all.native)
		mux.Handle(all.better.Prefix()+"/", all.better)
		return s.m.Handler(mux)
	}},
	{"chi", func(s *site) http.Handler {
		r, all := chi.NewRouter(), s.contracts(prefix)
		r.Handle(prefix+"/auth/*", all.native)
		r.Handle(prefix+"/api/auth/*", all.better)
		return r
	}},
	{"chi, in a subrouter", func(s *site) http.Handler {
		r, all := chi.NewRouter(), s.contracts(prefix)
		r.Route(prefix, func(r chi.Router) {
			r.Mount("/auth", all.native)
			r.Mount("/api/auth", all.better)
		})
		return r
	}},
	{"Gin", func(s *site) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r, all := gin.New(), s.contracts(prefix)
		r.Any(prefix+"/auth/*path", gin.WrapH(all.native))
		r.Any(prefix+"/api/auth/*path", gin.WrapH(all.better))
		return r
	}},
	{"Echo", func(s *site) http.Handler {
		e, all := echo.New(), s.contracts(prefix)
		e.Any(prefix+"/auth/*", echo.WrapHandler(all.native))
		e.Any(prefix+"/api/auth/*", echo.WrapHandler(all.better))
		return e
	}},
}

// TestRouters sends the same requests to each router and compares the answers
// with those of net/http: status, headers and body.
func TestRouters(t *testing.T) {
	var want []string
	for _, router := range mounts {
		t.Run(strings.ReplaceAll(router.name, " ", "_"), func(t *testing.T) {
			got := converse(t, router.mount)
			if want == nil {
				want = got
			}
			for i, answer := range got {
				if answer != want[i] {
					t.Errorf("got\n%s\nwant\n%s", answer, want[i])
				}
			}
		})
	}
}

// conversation is what a router is asked, in this order.
var conversation = []struct {
	method, path, body string
	status             int
}{
	{"GET", "/auth/session", "", 200},
	{"GET", "/auth/sessions", "", 401},
	{"GET", "/api/auth/ok", "", 200},
	{"POST", "/api/auth/sign-in/email", `{"email":"ada@example.com","password":"wrong"}`, 401},
	{"POST", "/api/auth/sign-in/email", `{"email":"ada@example.com","password":"` + password + `"}`, 200},
	{"GET", "/auth/session", "", 200},
	{"HEAD", "/auth/session", "", 200},
	{"GET", "/auth/sessions", "", 200},
	{"GET", "/api/auth/get-session", "", 200},
	{"GET", "/api/auth/list-sessions", "", 200},
	{"GET", "/auth/me", "", 200},
	{"GET", "/auth/validation", "", 200},
	{"POST", "/auth/refresh", `{}`, 200},
	{"POST", "/api/auth/revoke-session", `{"token":"unknown"}`, 200},
	{"POST", "/api/auth/revoke-session", `{}`, 400},
	{"POST", "/api/auth/revoke-other-sessions", "", 200},
	{"DELETE", "/auth/sessions/unknown", "", 404},
	{"DELETE", "/auth/sessions/un%2Fknown", "", 404},
	{"DELETE", "/auth/sessions", "", 200},
	{"PUT", "/auth/session", "", 405},
	{"OPTIONS", "/auth/session", "", 405},
	{"GET", "/auth/sign-out", "", 405},
	{"GET", "/api/auth/sign-out", "", 404},
	{"GET", "/api/auth/get-session/", "", 404},
	{"GET", "/auth/nothing", "", 404},
	{"POST", "/auth/login", `{"email":"ada@example.com","password":"wrong"}`, 401},
	{"POST", "/auth/sign-out", `{`, 400},
	{"POST", "/auth/sign-out", `{"x":"` + strings.Repeat("x", 64<<10) + `"}`, 413},
	{"POST", "/auth/sign-out", "", 200},
	{"POST", "/auth/sign-out", "", 200},
	{"GET", "/auth/session", "", 200},
}

var (
	anyDateText = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+Z"`)
	anyToken    = regexp.MustCompile(`[A-Za-z0-9_-]{64}`)
)

// converse returns the answers, without what is different each time.
func converse(t *testing.T, mount func(*site) http.Handler) (answers []string) {
	t.Helper()
	s := newSite(t, session.Config{})
	s.server.Close()
	s.server = httptest.NewTLSServer(mount(s))
	t.Cleanup(s.server.Close)
	s.url = s.server.URL
	v := &visitor{site: s}
	for _, c := range conversation {
		res, body := v.do(c.method, prefix+c.path, c.body)
		if res.StatusCode != c.status {
			t.Errorf("%s %s: %d, want %d: %s", c.method, c.path, res.StatusCode, c.status, body)
		}
		for _, cookie := range res.Cookies() {
			v.token = cookie.Value
		}
		answers = append(answers, fmt.Sprintf("%s %s: %d\n%s%s", c.method, c.path, res.StatusCode, headers(res), neutral(body)))
	}
	return answers
}

// headers returns the headers of a response that are the handler's. Of Vary that is
// Cookie: the session middleware adds what it has looked at, and where it stands
// outside it looks at every request.
func headers(res *http.Response) string {
	var lines []string
	for name, values := range res.Header {
		switch name {
		case "Date":
			continue
		case "Vary":
			values = slices.DeleteFunc(values, func(v string) bool { return v != "Cookie" })
		}
		lines = append(lines, name+": "+neutral(strings.Join(values, " | "))+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func neutral(text string) string {
	text = anyToken.ReplaceAllString(text, "TOKEN")
	text = anyID.ReplaceAllString(text, `"ID"`)
	return anyDateText.ReplaceAllString(text, "DATE")
}
