package main_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
)

// reload sends SIGHUP and waits until it has been heeded.
func (g *gate) reload(result string) {
	g.tb.Helper()
	count := func() float64 { return g.scrape().value("sessiongate_reloads_total", "result", result) }
	before := count()
	g.signal(syscall.SIGHUP)
	eventually(g.tb, "reload "+result, func() bool { return count() > before })
}

// published returns the IDs of the keys that services can fetch.
func (g *gate) published() (ids []string) {
	g.tb.Helper()
	var set struct{ Keys []struct{ Kid, D string } }
	a := ask(g.tb, http.MethodGet, "http://"+g.addr+"/jwks.json")
	if err := json.Unmarshal([]byte(a.body), &set); err != nil {
		g.tb.Fatal(err)
	}
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
		if k.D != "" {
			g.tb.Error("a private key is published")
		}
	}
	return ids
}

// signedBy returns the ID of the key that signs now for the owner of a cookie.
func (g *gate) signedBy(cookie string) string {
	g.tb.Helper()
	header, _, _ := strings.Cut(g.auth(cookie).Header.Get("X-User-Assertion"), ".")
	text, err := base64.RawURLEncoding.DecodeString(header)
	var fields struct{ Kid string }
	if err != nil || json.Unmarshal(text, &fields) != nil {
		g.tb.Fatalf("assertion has the header %q", header)
	}
	return fields.Kid
}

func wantKeys(t *testing.T, g *gate, ids ...string) {
	t.Helper()
	if got := g.published(); !slices.Equal(got, ids) {
		t.Errorf("published keys are %q, want %q", got, ids)
	}
}

// TestRotatingTheSigningKey puts a new key in front, waits until it signs, and
// takes the old one away. A service that knew the old one only follows.
func TestRotatingTheSigningKey(t *testing.T) {
	oldKey, oldID := newKey(t)
	freshKey, freshID := newKey(t)
	path := filepath.Join(t.TempDir(), "keys.pem")
	write(t, path, oldKey)
	g := start(t, nil, append(signing(path), "-store=memory", "-trial-user=ada", "-signing-delay=1s")...)
	service := newService(t, "http://"+g.addr+"/jwks.json")
	cookie := g.trialCookie()
	serves := func() int {
		return ask(t, http.MethodGet, service.URL, "X-User-Assertion", g.auth(cookie).Header.Get("X-User-Assertion")).StatusCode
	}
	wantKeys(t, g, oldID)
	if got := serves(); got != http.StatusOK {
		t.Fatalf("service answers %d", got)
	}

	write(t, path, "# newest first\n"+freshKey+oldKey)
	g.reload("ok")
	wantKeys(t, g, freshID, oldID)
	eventually(t, "the new key signs", func() bool { return g.signedBy(cookie) == freshID })
	// The service fetches keys it does not know, at most every 5 seconds.
	eventually(t, "the service follows", func() bool { return serves() == http.StatusOK })

	write(t, path, freshKey)
	g.reload("ok")
	wantKeys(t, g, freshID)
	if got := g.signedBy(cookie); got != freshID {
		t.Errorf("key %s signs, want %s", got, freshID)
	}
}

// TestANewKeyIsPublishedBeforeItSigns: until then the old one does.
func TestANewKeyIsPublishedBeforeItSigns(t *testing.T) {
	oldKey, oldID := newKey(t)
	freshKey, freshID := newKey(t)
	path := filepath.Join(t.TempDir(), "keys.pem")
	write(t, path, oldKey)
	g := start(t, nil, append(signing(path), "-store=memory", "-trial-user=ada")...)
	write(t, path, freshKey+oldKey)
	g.reload("ok")
	wantKeys(t, g, freshID, oldID)
	if got := g.signedBy(g.trialCookie()); got != oldID {
		t.Errorf("key %s signs before services know it", got)
	}
	g.reload("ok") // that it is read again does not make it older
	if got := g.signedBy(g.trialCookie()); got != oldID {
		t.Errorf("key %s signs before services know it", got)
	}
}

// TestAWithdrawnKeyStopsSigning: a key that leaked is taken away at once, whether
// or not its successor has been published for long enough.
func TestAWithdrawnKeyStopsSigning(t *testing.T) {
	leaked, leakedID := newKey(t)
	first, firstID := newKey(t)
	second, secondID := newKey(t)
	for _, row := range []struct {
		name      string
		before    string // is read as well, before the leak is known
		now       string
		signs     string
		published []string
	}{
		{"a new key in its place", "", first, firstID, []string{firstID}},
		{"two new keys in its place", "", first + second, firstID, []string{firstID, secondID}},
		{"a key that was to replace it", first + leaked, first, firstID, []string{firstID}},
		{"the key that was published first", first + leaked, second + first, firstID, []string{secondID, firstID}},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys.pem")
			write(t, path, leaked)
			g := start(t, nil, append(signing(path), "-store=memory", "-trial-user=ada")...)
			service := newService(t, "http://"+g.addr+"/jwks.json")
			cookie := g.trialCookie()
			if row.before != "" {
				write(t, path, row.before)
				g.reload("ok")
			}
			if got := g.signedBy(cookie); got != leakedID {
				t.Fatalf("key %s signs before the leak", got)
			}
			write(t, path, row.now)
			g.reload("ok")
			wantKeys(t, g, row.published...)
			for range 2 { // also when it is read again
				if got := g.signedBy(cookie); got != row.signs {
					t.Errorf("key %s signs, want %s", got, row.signs)
				}
				g.reload("ok")
			}
			if n := strings.Count(g.logged(), "every key that signed was taken away"); n != 1 {
				t.Errorf("the log says %d times that services may not know the key", n)
			}
			eventually(t, "the service follows", func() bool {
				return ask(t, http.MethodGet, service.URL, "X-User-Assertion", g.auth(cookie).Header.Get("X-User-Assertion")).StatusCode == http.StatusOK
			})
		})
	}
}

// TestSIGHUPDoesNotEndAGateThatStarts: it is heeded once there is something to
// reload.
func TestSIGHUPDoesNotEndAGateThatStarts(t *testing.T) {
	key, id := newKey(t)
	path := filepath.Join(t.TempDir(), "keys.pem")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	g := launch(t, nil, append(signing(path), "-store=memory")...)
	var pipe *os.File
	eventually(t, "the gate reads its keys", func() bool {
		var err error
		pipe, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		return err == nil
	})
	defer pipe.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, key) // for the reload
	g.signal(syscall.SIGHUP)
	if _, err := io.WriteString(pipe, key); err != nil {
		t.Fatal(err)
	}
	_ = pipe.Close()
	g.wantListening()
	eventually(t, "reload", func() bool { return g.scrape().value("sessiongate_reloads_total", "result", "ok") == 1 })
	wantKeys(t, g, id)
}

// TestAReloadThatFailsChangesNothing: all files count, or none.
func TestAReloadThatFailsChangesNothing(t *testing.T) {
	key, id := newKey(t)
	fresh, _ := newKey(t)
	path, cookies := filepath.Join(t.TempDir(), "keys.pem"), filepath.Join(t.TempDir(), "cookies")
	write(t, path, key)
	write(t, cookies, cookieKey("a"))
	g := start(t, nil, append(signing(path), "-store=memory", "-trial-user=ada", "-cookie-keys-file", cookies)...)
	cookie := g.trialCookie()
	for _, row := range []struct{ name, keys, cookies string }{
		{"no signing key", "", cookieKey("a")},
		{"a damaged signing key", fresh + key[:60], cookieKey("a")},
		{"a short cookie key", fresh + key, "YQ=="},
		{"no cookie key", fresh + key, "\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, path, row.keys)
			write(t, cookies, row.cookies)
			g.reload("failed")
			wantKeys(t, g, id)
			want(t, g.auth(cookie), http.StatusOK)
		})
	}
	if log := g.logged(); strings.Contains(log, strings.Split(key, "\n")[1][:20]) || strings.Contains(log, "YQ==") {
		t.Errorf("log shows a key:\n%s", log)
	}
}

// cookieKey is a line of a file of cookie keys.
func cookieKey(letter string) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32))) + "\n"
}

// TestRotatingTheCookieKey: application and gate change the key that seals
// cookies, one after the other, and nobody is signed out.
func TestRotatingTheCookieKey(t *testing.T) {
	server := servers.StartRedis(t)
	key := func(letter string) []byte { return []byte(strings.Repeat(letter, 32)) }
	before := newSite(t, redisAt(server.Addr), session.Config{Cookie: session.Cookie{Keys: [][]byte{key("a")}}})
	after := newSite(t, redisAt(server.Addr), session.Config{Cookie: session.Cookie{Keys: [][]byte{key("b"), key("a")}}})
	path := file(t, cookieKey("a"))
	g := start(t, nil, "-redis", server.Addr, "-cookie-keys-file", path)
	old, fresh := before.signIn("ada", session.SignInOptions{}), after.signIn("grace", session.SignInOptions{})
	want(t, g.auth(old), http.StatusOK)
	want(t, g.auth(fresh), http.StatusUnauthorized)

	write(t, path, "# since Monday\n"+cookieKey("b")+"\n"+cookieKey("a"))
	g.reload("ok")
	want(t, g.auth(old), http.StatusOK)
	want(t, g.auth(fresh), http.StatusOK)

	write(t, path, cookieKey("b"))
	g.reload("ok")
	want(t, g.auth(old), http.StatusUnauthorized)
	want(t, g.auth(fresh), http.StatusOK)
}
