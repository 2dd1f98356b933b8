package conformance

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
)

// scene is a site with Ada on her laptop, which asks, and on her phone, and with
// Grace.
type scene struct {
	*site
	laptop, phone, grace *client
	ids                  map[string]string // who has which session
}

// What the published client makes of an answer. Dates are Date objects there, and
// IDs are named by whose they are.
const (
	adaUser = `{"createdAt":DATE,"email":"ada@example.com","emailVerified":true,"id":"ada","name":"Ada Lovelace","updatedAt":DATE}`
	laptop  = `{"createdAt":DATE,"expiresAt":DATE,"id":"LAPTOP","ipAddress":"127.0.0.1","token":"LAPTOP","updatedAt":DATE,"userAgent":"node","userId":"ada"}`
	phone   = `{"createdAt":DATE,"expiresAt":DATE,"id":"PHONE","ipAddress":"127.0.0.1","token":"PHONE","updatedAt":DATE,"userAgent":"node","userId":"ada"}`
	done    = `{"status":true}`
	out     = `{"success":true}`
	all     = "laptop phone grace"

	unauthorized = "401 UNAUTHORIZED"
	down         = "503 SERVICE_UNAVAILABLE"
)

var (
	ada       = object{"email": "ada@example.com", "password": password}
	wrong     = object{"email": "ada@example.com", "password": "wrong"}
	nobody    = object{"email": "nobody@example.com", "password": password}
	pending   = object{"email": "ada@example.com", "password": "second factor"}
	noRefresh = object{"query": object{"disableRefresh": true, "disableCookieCache": true}}
)

// TestBetterAuthClient is the table of what the published client's methods
// return, and of who is signed in afterwards.
func TestBetterAuthClient(t *testing.T) {
	first := newSite(t, session.Config{})
	n := startNode(t, first)
	for _, tt := range []struct {
		when   string
		before func(*scene)
		method string
		args   []any // IDs by name
		want   string
		alive  string // afterwards, of laptop, phone and grace
	}{
		{"signed in", nil, "getSession", nil, `{"session":` + laptop + `,"user":` + adaUser + `}`, all},
		{"signed in", nil, "getSession", []any{noRefresh}, `{"session":` + laptop + `,"user":` + adaUser + `}`, all},
		{"signed in", nil, "listSessions", nil, `[` + laptop + `,` + phone + `]`, all},
		{"of another device", nil, "revokeSession", []any{object{"token": "PHONE"}}, done, "laptop grace"},
		{"of this device", nil, "revokeSession", []any{object{"token": "LAPTOP"}}, done, "phone grace"},
		{"of another user", nil, "revokeSession", []any{object{"token": "GRACE"}}, done, all},
		{"of nobody", nil, "revokeSession", []any{object{"token": "AAAAAAAAAAAAAAAAAAAAAAAA"}}, done, all},
		{"twice", (*scene).revokePhone, "revokeSession", []any{object{"token": "PHONE"}}, done, "laptop grace"},
		{"without a token", nil, "revokeSession", []any{object{"fetchOptions": object{"method": "POST"}}}, "400 VALIDATION_ERROR", all},
		{"with a token of the wrong type", nil, "revokeSession", []any{object{"token": 7}}, "400 VALIDATION_ERROR", all},
		{"signed in", nil, "revokeSessions", nil, done, "grace"},
		{"signed in", nil, "revokeOtherSessions", nil, done, "laptop grace"},
		{"signed in", nil, "signOut", nil, out, "phone grace"},
		{"signed in", nil, "$fetch", []any{"/ok"}, `{"ok":true}`, all},
		{"what there is not", nil, "updateUser", []any{object{"name": "Ada"}}, "404 ", all},

		{"right", nil, "signIn.email", []any{ada}, `{"redirect":false,"token":"LAPTOP","user":` + adaUser + `}`, all},
		{"right, after signing out", (*scene).signOut, "signIn.email", []any{ada}, `{"redirect":false,"token":"NEW","user":` + adaUser + `}`, all},
		{"wrong password", (*scene).signOut, "signIn.email", []any{wrong}, "401 INVALID_EMAIL_OR_PASSWORD", "phone grace"},
		{"wrong address", (*scene).signOut, "signIn.email", []any{nobody}, "401 INVALID_EMAIL_OR_PASSWORD", "phone grace"},
		{"without a password", (*scene).signOut, "signIn.email", []any{object{"email": "ada@example.com"}}, "400 VALIDATION_ERROR", "phone grace"},
		{"with a second factor", (*scene).signOut, "signIn.email", []any{pending}, `{"twoFactorRedirect":true}`, "phone grace"},

		{"signed out", (*scene).signOut, "getSession", nil, `null`, "phone grace"},
		{"signed out", (*scene).signOut, "listSessions", nil, unauthorized, "phone grace"},
		{"signed out", (*scene).signOut, "revokeSession", []any{object{"token": "PHONE"}}, unauthorized, "phone grace"},
		{"signed out", (*scene).signOut, "revokeSessions", nil, unauthorized, "phone grace"},
		{"signed out", (*scene).signOut, "revokeOtherSessions", nil, unauthorized, "phone grace"},
		{"signed out", (*scene).signOut, "signOut", nil, out, "phone grace"},

		{"expired", (*scene).expire, "getSession", nil, `null`, "phone grace"},
		{"expired", (*scene).expire, "listSessions", nil, unauthorized, "phone grace"},
		{"expired", (*scene).expire, "revokeSession", []any{object{"token": "PHONE"}}, unauthorized, "phone grace"},
		{"expired", (*scene).expire, "revokeSessions", nil, unauthorized, "phone grace"},
		{"expired", (*scene).expire, "revokeOtherSessions", nil, unauthorized, "phone grace"},
		{"expired", (*scene).expire, "signOut", nil, out, "phone grace"},
		{"expired", (*scene).expire, "signIn.email", []any{ada}, `{"redirect":false,"token":"NEW","user":` + adaUser + `}`, all},

		{"revoked elsewhere", (*scene).revokeLaptop, "getSession", nil, `null`, "phone grace"},
		{"revoked elsewhere", (*scene).revokeLaptop, "listSessions", nil, unauthorized, "phone grace"},
		{"revoked elsewhere", (*scene).revokeLaptop, "revokeSession", []any{object{"token": "PHONE"}}, unauthorized, "phone grace"},
		{"revoked elsewhere", (*scene).revokeLaptop, "revokeSessions", nil, unauthorized, "phone grace"},
		{"revoked elsewhere", (*scene).revokeLaptop, "revokeOtherSessions", nil, unauthorized, "phone grace"},
		{"revoked elsewhere", (*scene).revokeLaptop, "signOut", nil, out, "phone grace"},

		{"not fresh", (*scene).goStale, "getSession", nil, `{"session":` + laptop + `,"user":` + adaUser + `}`, all},
		{"not fresh", (*scene).goStale, "listSessions", nil, "403 SESSION_NOT_FRESH", all},
		{"not fresh", (*scene).goStale, "revokeSession", []any{object{"token": "PHONE"}}, "403 SESSION_NOT_FRESH", all},
		{"not fresh, of this device", (*scene).goStale, "revokeSession", []any{object{"token": "LAPTOP"}}, done, "phone grace"},
		{"not fresh", (*scene).goStale, "revokeSessions", nil, "403 SESSION_NOT_FRESH", all},
		{"not fresh", (*scene).goStale, "revokeOtherSessions", nil, "403 SESSION_NOT_FRESH", all},
		{"not fresh", (*scene).goStale, "signOut", nil, out, "phone grace"},

		{"store down", (*scene).goDown, "getSession", nil, down, all},
		{"store down", (*scene).goDown, "listSessions", nil, down, all},
		{"store down", (*scene).goDown, "revokeSession", []any{object{"token": "PHONE"}}, down, all},
		{"store down", (*scene).goDown, "revokeSessions", nil, down, all},
		{"store down", (*scene).goDown, "revokeOtherSessions", nil, down, all},
		{"store down", (*scene).goDown, "signOut", nil, down, all},
		{"store down", (*scene).goDown, "signIn.email", []any{ada}, down, all},
		{"store down", (*scene).goDown, "$fetch", []any{"/ok"}, `{"ok":true}`, all},
	} {
		t.Run(strings.ReplaceAll(tt.method+" "+tt.when, " ", "_"), func(t *testing.T) {
			s := newScene(t, n)
			if tt.before != nil {
				tt.before(s)
			}
			got := s.laptop.call(tt.method, s.named(tt.args)...)
			s.store.down.Store(false)
			if got := s.anonymized(got.String()); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if got := s.alive(); got != tt.alive {
				t.Errorf("signed in afterwards: %s, want %s", got, tt.alive)
			}
		})
	}
}

func newScene(t *testing.T, n *node) *scene {
	t.Helper()
	n.t = t
	s := &scene{site: newSite(t, session.Config{})}
	s.laptop, s.phone, s.grace = n.open(s.site, nil), n.open(s.site, nil), n.open(s.site, nil)
	s.phone.signIn("ada")
	s.laptop.signIn("ada")
	s.grace.signIn("grace")
	s.ids = map[string]string{"LAPTOP": s.laptop.id(), "PHONE": s.phone.id(), "GRACE": s.grace.id()}
	s.store.change(t, s.ids["PHONE"], func(r *session.Record) { r.UpdatedAt = r.UpdatedAt.Add(-time.Hour) }) // listed last
	return s
}

func (s *scene) signOut() { s.laptop.call("signOut") }

func (s *scene) revokeLaptop() { s.phone.call("revokeSession", object{"token": s.ids["LAPTOP"]}) }

func (s *scene) revokePhone() { s.laptop.call("revokeSession", object{"token": s.ids["PHONE"]}) }

func (s *scene) goDown() { s.store.down.Store(true) }

func (s *scene) expire() {
	s.store.change(s.T, s.ids["LAPTOP"], func(r *session.Record) { r.ExpiresAt = time.Now().Add(-time.Second) })
}

func (s *scene) goStale() {
	s.store.change(s.T, s.ids["LAPTOP"], func(r *session.Record) { r.AuthenticatedAt = time.Now().Add(-25 * time.Hour) })
}

// alive returns who is signed in. It asks as they would.
func (s *scene) alive() string {
	s.Helper()
	var names []string
	for i, c := range []*client{s.laptop, s.phone, s.grace} {
		if c.id() != "" {
			names = append(names, strings.Fields(all)[i])
		}
	}
	return strings.Join(names, " ")
}

// named puts the IDs into arguments.
func (s *scene) named(args []any) []any {
	text := string(must(json.Marshal(args)))
	for name, id := range s.ids {
		text = strings.ReplaceAll(text, `"`+name+`"`, `"`+id+`"`)
	}
	var named []any
	if err := json.Unmarshal([]byte(text), &named); err != nil {
		s.Fatal(err)
	}
	return named
}

var (
	dateObject = regexp.MustCompile(`\{"\$date":"[^"]*"\}`)
	anyID      = regexp.MustCompile(`"[A-Za-z0-9_-]{24}"`)
)

// anonymized replaces what is different each time.
func (s *scene) anonymized(text string) string {
	for name, id := range s.ids {
		text = strings.ReplaceAll(text, `"`+id+`"`, `"`+name+`"`)
	}
	text = dateObject.ReplaceAllLiteralString(text, "DATE")
	return anyID.ReplaceAllLiteralString(text, `"NEW"`)
}

// The dates are what they were, to the millisecond.
func TestBetterAuthDates(t *testing.T) {
	s := newSite(t, session.Config{})
	c := startNode(t, s).open(s, nil)
	c.signIn("ada")
	type date struct {
		Date time.Time `json:"$date"`
	}
	var got struct {
		Session struct {
			ID                              string
			CreatedAt, UpdatedAt, ExpiresAt date
		}
		User struct{ CreatedAt, UpdatedAt date }
	}
	if err := json.Unmarshal(c.call("getSession").Data, &got); err != nil {
		t.Fatal(err)
	}
	record := must(s.store.Load(t.Context(), got.Session.ID))
	for _, tt := range []struct {
		name      string
		got, want time.Time
	}{
		{"session.createdAt", got.Session.CreatedAt.Date, record.CreatedAt},
		{"session.updatedAt", got.Session.UpdatedAt.Date, record.UpdatedAt},
		{"session.expiresAt", got.Session.ExpiresAt.Date, record.ExpiresAt},
		{"user.createdAt", got.User.CreatedAt.Date, users["ada"].CreatedAt.Time},
		{"user.updatedAt", got.User.UpdatedAt.Date, users["ada"].UpdatedAt.Time},
	} {
		if !tt.got.Equal(tt.want) {
			t.Errorf("%s is %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}

func TestBetterAuthLists1000Sessions(t *testing.T) {
	s := newSite(t, session.Config{})
	c := startNode(t, s).open(s, nil)
	c.signIn("ada")
	id := c.id()
	own := must(s.store.Load(t.Context(), id))
	for i := range 999 {
		other := *own
		other.ID = fmt.Sprintf("%s%022d", id[:2], i)
		other.UpdatedAt = own.UpdatedAt.Add(-time.Duration(i) * time.Minute)
		if err := s.store.Create(t.Context(), &other); err != nil {
			t.Fatal(err)
		}
	}
	list := func() (ids []string) {
		var got []struct{ ID, Token string }
		if err := json.Unmarshal(c.call("listSessions").Data, &got); err != nil {
			t.Fatal(err)
		}
		for _, one := range got {
			if one.ID != one.Token {
				t.Errorf("token %q of session %q", one.Token, one.ID)
			}
			ids = append(ids, one.ID)
		}
		return ids
	}
	ids := list()
	if len(ids) != 1000 || !slices.Contains(ids, id) {
		t.Errorf("%d sessions, want 1000, among them its own", len(ids))
	}
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != 1000 {
		t.Errorf("%d different sessions, want 1000", n)
	}
	if a := c.call("revokeOtherSessions"); a.Error != nil {
		t.Errorf("revoke others: %v", a)
	}
	if ids := list(); len(ids) != 1 || ids[0] != id {
		t.Errorf("%d sessions are left, want its own", len(ids))
	}
}

func TestBetterAuthCookies(t *testing.T) {
	s := newSite(t, session.Config{})
	n := startNode(t, s)
	for remember, maxAge := range map[bool]int{true: 7 * 24 * 60 * 60, false: 0} {
		c := n.open(s, nil)
		c.call("signIn.email", object{"email": "ada@example.com", "password": password, "rememberMe": remember})
		want := []cookie{{"__Host-session", "/", "lax", maxAge, true, true, true}}
		if got := c.cookies(s); !slices.Equal(got, want) {
			t.Errorf("rememberMe %t: cookies are %+v, want %+v", remember, got, want)
		}
		c.call("signOut")
		if left := c.cookies(s); len(left) != 0 {
			t.Errorf("rememberMe %t: %d cookies are left after signing out", remember, len(left))
		}
	}
}

// cookie is a cookie as the client's jar keeps it. One without MaxAge ends with
// the browser.
type cookie struct {
	Key, Path, SameSite        string
	MaxAge                     int
	HTTPOnly, Secure, HostOnly bool
}

func (c *client) cookies(s *site) (cookies []cookie) {
	c.t.Helper()
	if err := json.Unmarshal(c.must("cookies", object{"tab": c.tab, "url": s.url}), &cookies); err != nil {
		c.t.Fatal(err)
	}
	return cookies
}

// A refresh that is due is done by the request that finds it, unless the client
// asks for none. Polling clients do: otherwise an open tab is for ever active.
func TestBetterAuthRefresh(t *testing.T) {
	s := newSite(t, session.Config{})
	c := startNode(t, s).open(s, nil)
	c.signIn("ada")
	id := c.id()
	s.store.change(t, id, func(r *session.Record) {
		r.UpdatedAt = r.UpdatedAt.Add(-25 * time.Hour)
		r.ExpiresAt = r.ExpiresAt.Add(-25 * time.Hour)
	})
	due := must(s.store.Load(t.Context(), id))
	for _, tt := range []struct {
		args      []any
		refreshes bool
	}{
		{[]any{noRefresh}, false},
		{nil, true},
		{nil, false}, // it is done
	} {
		before := s.store.updates.Load()
		if a := c.call("getSession", tt.args...); a.Error != nil || a.String() == "null" {
			t.Fatalf("%v: %v", tt.args, a)
		}
		if updates := s.store.updates.Load() - before; updates != 0 != tt.refreshes {
			t.Errorf("%v: %d updates, want some: %t", tt.args, updates, tt.refreshes)
		}
	}
	if now := must(s.store.Load(t.Context(), id)); now.ExpiresAt.Sub(due.ExpiresAt) < 25*time.Hour {
		t.Errorf("expires at %v, before the refresh at %v", now.ExpiresAt, due.ExpiresAt)
	}
}

// node sends no Origin, and Better Auth clients outside of browsers have to.
func TestBetterAuthOrigins(t *testing.T) {
	s := newSite(t, session.Config{}, "https://app.example.com")
	n := startNode(t, s)
	for _, tt := range []struct {
		origin, want string
	}{
		{s.url, out},
		{"https://app.example.com", out},
		{"https://evil.example.com", "403 INVALID_ORIGIN"},
		{"null", "403 MISSING_OR_NULL_ORIGIN"},
		{"", "403 MISSING_OR_NULL_ORIGIN"},
	} {
		c := n.open(s, nil)
		c.signIn("ada")
		headers := object{}
		if tt.origin != "" {
			headers["Origin"] = tt.origin
		}
		other := n.open(s, object{"headers": headers, "jar": c.must("jar", object{"tab": c.tab})})
		if got := other.call("signOut").String(); got != tt.want {
			t.Errorf("signOut from %q: %s, want %s", tt.origin, got, tt.want)
		}
		if alive := c.id() != ""; alive != (tt.want != out) {
			t.Errorf("signOut from %q: still signed in: %t", tt.origin, alive)
		}
	}
}
