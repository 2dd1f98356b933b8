package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/endpoints"
)

// keeper is a Flowfull client: it keeps its token itself.
type keeper struct {
	*client
	s *site
}

// keeper opens a client. Its headers are sent with each request.
func (n *node) keeper(s *site, headers object) *keeper {
	n.t.Helper()
	n.opened++
	k := &keeper{&client{n, fmt.Sprint("tab ", n.opened)}, s}
	n.must("openFlowfull", object{"tab": k.tab, "baseURL": s.url, "headers": headers})
	return k
}

// verdict is what a client's method returns.
type verdict struct {
	SignedIn  bool
	Valid     bool
	Status    int
	Error     string
	ExpiresAt string
	User      *endpoints.User
}

func (k *keeper) call(method string, args ...any) (v verdict) {
	k.t.Helper()
	if args == nil {
		args = []any{}
	}
	result := k.must("call", object{"tab": k.tab, "path": []string{method}, "args": args})
	if err := json.Unmarshal(result, &v); err != nil {
		k.t.Fatalf("%s: %v: %s", method, err, result)
	}
	return v
}

// stored returns what the client keeps, or "".
func (k *keeper) stored(key string) (value string) {
	k.t.Helper()
	if err := json.Unmarshal(k.must("stored", object{"tab": k.tab, "key": key}), &value); err != nil {
		k.t.Fatal(err)
	}
	return value
}

func (k *keeper) token() string { return k.stored("session_id") }

func (k *keeper) login(user string) {
	k.t.Helper()
	v := k.call("login", user+"@example.com", password)
	if !v.SignedIn || len(k.token()) != 64 || v.User == nil || v.User.Name != users[user].Name {
		k.t.Fatalf("login of %s: %+v, the token has %d characters", user, v, len(k.token()))
	}
}

// TestFlowfullClient is the table of what a Flowfull client is told and whether
// it forgets its token. No row is to make it forget one that is good.
func TestFlowfullClient(t *testing.T) {
	first := newSite(t, session.Config{})
	n := startNode(t, first)
	const ok, invalid, expired, down = "200 ", "401 Invalid session", "401 Session expired", "503 Service Unavailable"
	for _, tt := range []struct {
		when                   string
		before                 func(*keeper)
		validate, me, refresh  string
		keepsToken, stillValid bool
	}{
		{"signed in", func(*keeper) {}, ok, ok, ok, true, true},
		{"signed out", (*keeper).revoke, invalid, invalid, invalid, false, false},
		{"expired", (*keeper).expire, expired, invalid, expired, false, false},
		{"forged", (*keeper).forge, invalid, invalid, invalid, false, true},
		{"only the ID", (*keeper).keepID, invalid, invalid, invalid, false, true},
		{"store down", func(k *keeper) { k.s.store.down.Store(true) }, down, down, down, true, true},
	} {
		for method, want := range map[string]string{"validate": tt.validate, "me": tt.me, "refresh": tt.refresh} {
			t.Run(strings.ReplaceAll(method+" "+tt.when, " ", "_"), func(t *testing.T) {
				n.t = t
				k := n.keeper(newSite(t, session.Config{}), nil)
				k.login("ada")
				token := k.token()
				tt.before(k)
				v := k.call(method)
				k.s.store.down.Store(false)
				if got := fmt.Sprint(v.Status, " ", v.Error); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if v.Status == 200 && (v.User == nil || v.User.Email != "ada@example.com") {
					t.Errorf("the user is %+v", v.User)
				}
				if method == "me" { // which judges nothing
					return
				}
				if kept := k.token() != ""; kept != tt.keepsToken {
					t.Errorf("keeps a token: %t, want %t", kept, tt.keepsToken)
				}
				if valid := k.s.validates(token); valid != tt.stillValid {
					t.Errorf("the token that login gave is valid: %t, want %t", valid, tt.stillValid)
				}
			})
		}
	}
}

func (k *keeper) revoke() {
	if _, err := k.s.m.RevokeAll(k.t.Context(), "ada"); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeper) expire() {
	k.s.store.change(k.t, k.token()[:24], func(r *session.Record) { r.ExpiresAt = time.Now().Add(-time.Second) })
}

func (k *keeper) forge() { k.keep(k.token()[:24] + strings.Repeat("A", 40)) }

func (k *keeper) keepID() { k.keep(k.token()[:24]) }

func (k *keeper) keep(token string) {
	k.t.Helper()
	k.must("store", object{"tab": k.tab, "key": "session_id", "value": token})
}

// validates asks for a token without a client.
func (s *site) validates(token string) bool {
	s.Helper()
	r := must(http.NewRequestWithContext(s.Context(), http.MethodGet, s.url+"/auth/validate-session", nil))
	r.Header.Set("X-Session-ID", token)
	res, err := s.server.Client().Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func TestFlowfullLogin(t *testing.T) {
	s := newSite(t, session.Config{})
	k := startNode(t, s).keeper(s, nil)
	if v := k.call("login", "ada@example.com", "wrong"); v.SignedIn || k.token() != "" {
		t.Errorf("with a wrong password: %+v, token %q", v, k.token())
	}
	k.login("ada")
	first := k.token()
	var user endpoints.User
	if err := json.Unmarshal([]byte(k.stored("user")), &user); err != nil || user != users["ada"] {
		t.Errorf("the client keeps user %s, %v", k.stored("user"), err)
	}
	if v := k.call("validate", "/auth/validate-session"); !v.Valid {
		t.Errorf("validate-session: %+v", v)
	}
	if v := k.call("validate"); !v.Valid || !dateText.MatchString(v.ExpiresAt) {
		t.Errorf("validation: %+v", v)
	}
	k.login("ada")
	if second := k.token(); second == first || s.validates(first) || !s.validates(second) {
		t.Errorf("signing in again: another token: %t, the old one is valid: %t, the new one: %t",
			second != first, s.validates(first), s.validates(second))
	}
}

// The client forgets at once; the server, if it can be reached.
func TestFlowfullLogout(t *testing.T) {
	s := newSite(t, session.Config{})
	k := startNode(t, s).keeper(s, nil)
	k.login("ada")
	token := k.token()
	s.store.down.Store(true)
	k.call("logout")
	s.store.down.Store(false)
	if k.token() != "" || k.stored("user") != "" || !s.validates(token) {
		t.Errorf("while the store is down: keeps %q and %q, token valid: %t", k.token(), k.stored("user"), s.validates(token))
	}
	k.keep(token)
	if v := k.call("logout"); v.Status != 200 || k.token() != "" || s.validates(token) {
		t.Errorf("got %+v, keeps %q, token valid: %t", v, k.token(), s.validates(token))
	}
	if v := k.call("logout"); v.Status != 200 {
		t.Errorf("once more: %+v", v)
	}
}

func TestFlowfullRefreshMovesTheEnd(t *testing.T) {
	s := newSite(t, session.Config{})
	k := startNode(t, s).keeper(s, nil)
	k.login("ada")
	s.store.change(t, k.token()[:24], func(r *session.Record) {
		r.UpdatedAt = r.UpdatedAt.Add(-25 * time.Hour)
		r.ExpiresAt = r.ExpiresAt.Add(-25 * time.Hour)
	})
	v := k.call("refresh")
	end, err := time.Parse(time.RFC3339, v.ExpiresAt)
	if left := time.Until(end); err != nil || left < 7*24*time.Hour-time.Minute || left > 7*24*time.Hour {
		t.Errorf("after a refresh it expires at %q, want 7 days from now", v.ExpiresAt)
	}
	if again := k.call("refresh"); again.ExpiresAt != v.ExpiresAt || !again.Valid {
		t.Errorf("a second refresh, not due: %+v", again)
	}
}

// TestFlowfullBinding has a thief use a client's token, at the client's routes and
// through a service that asks at the bridge.
func TestFlowfullBinding(t *testing.T) {
	first := newSite(t, session.Config{})
	n := startNode(t, first)
	device := object{"X-Device-ID": "device 1", "User-Agent": "agent/1"}
	for _, tt := range []struct {
		mode  string
		thief object
		body  object // of the bridge
		valid bool
	}{
		{"disabled", object{"User-Agent": "agent/2"}, object{}, true},
		{"standard", object{"User-Agent": "agent/2"}, object{"ip_address": "127.0.0.1"}, true},
		{"advanced", object{"User-Agent": "agent/1"}, object{"ip_address": "127.0.0.1", "user_agent": "agent/1"}, true},
		{"advanced", object{"User-Agent": "agent/2"}, object{"ip_address": "127.0.0.1", "user_agent": "agent/2"}, false},
		{"strict", device, object{"ip_address": "127.0.0.1", "user_agent": "agent/1", "device_id": "device 1"}, true},
		{"strict", object{"User-Agent": "agent/1"}, object{"ip_address": "127.0.0.1", "user_agent": "agent/1"}, false},
		{"strict", object{"User-Agent": "agent/1", "X-Device-ID": "device 2"}, object{"ip_address": "127.0.0.1", "user_agent": "agent/1", "device_id": "device 2"}, false},
	} {
		s := newSite(t, session.Config{Binding: must(endpoints.ParseBinding(tt.mode))})
		owner, thief := n.keeper(s, device), n.keeper(s, tt.thief)
		owner.login("ada")
		thief.keep(owner.token())
		if v := thief.call("validate"); v.Valid != tt.valid {
			t.Errorf("%s: used with %v: %+v, want valid: %t", tt.mode, tt.thief, v, tt.valid)
		}
		tt.body["session_id"] = owner.token()
		status, got := s.bridge(bridgeSecret, tt.body)
		if want := map[bool]int{true: 200, false: 401}[tt.valid]; status != want {
			t.Errorf("%s: the bridge says of %v: %d %s, want %d", tt.mode, tt.body, status, got, want)
		}
		if v := owner.call("validate"); !v.Valid {
			t.Errorf("%s: afterwards the owner is told %+v", tt.mode, v)
		}
	}
}

func TestFlowfullBridge(t *testing.T) {
	s := newSite(t, session.Config{})
	k := startNode(t, s).keeper(s, nil)
	k.login("ada")
	token := k.token()
	user := string(must(json.Marshal(users["ada"])))
	for _, tt := range []struct {
		name, secret, session string
		status                int
		want                  string
	}{
		{"a token", bridgeSecret, token, 200, `{"success":true,"user":` + user + `,"expires_at":"DATE","session":{"id":"` + token[:24] + `"}}`},
		{"a session ID", bridgeSecret, token[:24], 401, `{"success":false,"error":"Invalid session"}`},
		{"a forged token", bridgeSecret, token[:24] + strings.Repeat("A", 40), 401, `{"success":false,"error":"Invalid session"}`},
		{"nothing", bridgeSecret, "", 401, `{"success":false,"error":"Invalid session"}`},
		{"a token, without the secret", "", token, 401, `{"success":false,"error":"Unauthorized"}`},
		{"a token, with another secret", strings.Repeat("x", 40), token, 401, `{"success":false,"error":"Unauthorized"}`},
	} {
		status, got := s.bridge(tt.secret, object{"session_id": tt.session})
		if tt.status == 200 {
			got = expiry.ReplaceAllString(got, `"expires_at":"DATE"`)
		}
		if status != tt.status || got != tt.want {
			t.Errorf("%s: got %d %s\nwant %d %s", tt.name, status, got, tt.status, tt.want)
		}
	}
	s.store.down.Store(true)
	if status, got := s.bridge(bridgeSecret, object{"session_id": token}); status != 503 {
		t.Errorf("store down: %d %s", status, got)
	}
}

// bridge asks as another service does.
func (s *site) bridge(secret string, body object) (status int, answer string) {
	s.Helper()
	r := must(http.NewRequestWithContext(s.Context(), http.MethodPost, s.url+"/auth/bridge/validate",
		strings.NewReader(string(must(json.Marshal(body))))))
	r.Header.Set("Content-Type", "application/json")
	if secret != "" {
		r.Header.Set("X-Bridge-Secret", secret)
	}
	res, err := s.server.Client().Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode, string(must(io.ReadAll(res.Body)))
}
