package session_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
)

func TestChecklistToken(t *testing.T) {
	t.Run("item-01 every bit of a token but the tag is random", clTokenIsRandom)
	t.Run("item-01 without randomness there is no token", clNoTokenWithoutRandomness)
	t.Run("item-02 two sessions of a user share 12 bits", clTokensShareTheTagOnly)
	t.Run("item-03 nobody can choose a token", clNobodyChoosesAToken)
	t.Run("item-04 every request asks the store", clEveryRequestAsksTheStore)
	t.Run("item-05 nothing in the store is a usable token", clStoreHoldsNoToken)
	t.Run("item-06 the secret is not looked up and is compared in constant time", clSecretIsComparedInConstantTime)
	t.Run("item-07 an unknown token is never adopted", clUnknownTokenIsNotAdopted)
	t.Run("item-08 malformed tokens do not reach the store", clMalformedTokenStaysOut)
	t.Run("item-09 every authentication makes a new token and kills the old", clAuthenticationMakesANewToken)
	t.Run("item-10 Rotate makes a new token and kills the old", clRotateMakesANewToken)
	t.Run("item-11 tokens are not read from URL or body", clURLsCarryNoToken)
	t.Run("item-11 tokens are not emitted in URLs", clRedirectsCarryNoToken)
	t.Run("item-12 headers count only where they are configured", clOneTransport)
	t.Run("item-12 cookie and header of different sessions authenticate nobody", clAmbiguousTransports)
	t.Run("item-13 the token is in Set-Cookie and nowhere else", clTokenIsInSetCookieOnly)
}

// clTokenBits returns the 384 bits of a token as zeros and ones.
func clTokenBits(t *testing.T, tok string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(tok)
	if err != nil || len(raw) != 48 {
		t.Fatalf("token decodes to %d bytes, %v; want 48", len(raw), err)
	}
	bits := make([]byte, 0, 384)
	for _, b := range raw {
		for i := 7; i >= 0; i-- {
			bits = append(bits, b>>i&1)
		}
	}
	return bits
}

// clConstantBits returns which bits are the same in the tokens of 200 sign-ins.
// A random bit is among them once in 2^199.
func clConstantBits(t *testing.T) (constant []int) {
	t.Helper()
	l := newClLab(t, session.Config{})
	first := clTokenBits(t, l.signIn("alice", session.SignInOptions{}).cookie)
	varies := make([]bool, len(first))
	for range 199 {
		for i, bit := range clTokenBits(t, l.signIn("alice", session.SignInOptions{}).cookie) {
			varies[i] = varies[i] || bit != first[i]
		}
	}
	for i, v := range varies {
		if !v {
			constant = append(constant, i)
		}
	}
	return constant
}

func clTokenIsRandom(t *testing.T) {
	for _, bit := range clConstantBits(t) {
		if bit >= 12 {
			t.Errorf("bit %d is the same in 200 tokens", bit)
		}
	}
}

func clTokensShareTheTagOnly(t *testing.T) {
	if got := clConstantBits(t); len(got) != 12 || got[11] != 11 {
		t.Errorf("bits in common: %v, want the first 12", got)
	}
	l := newClLab(t, session.Config{})
	if got, want := l.signIn("alice", session.SignInOptions{}).cookie[:2], session.RoutingTag("alice"); got != want {
		t.Errorf("token begins with %q, want the documented tag %q", got, want)
	}
	c, d := l.visitor(), l.visitor()
	tags := make(map[string]bool)
	for range 20 {
		c.cookie, d.cookie = "", ""
		c.set("x")
		d.set("x")
		tags[c.cookie[:2]], tags[d.cookie[:2]] = true, true
	}
	if len(tags) < 2 {
		t.Error("40 anonymous sessions share one tag, want random ones")
	}
}

// clBrokenReader is a source of randomness that fails.
type clBrokenReader struct{}

func (clBrokenReader) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

const clBrokenRand = "SESSION_TEST_BROKEN_RAND"

// The program ends, and no handler gets the chance to go on without: hence a
// process of its own.
func clNoTokenWithoutRandomness(t *testing.T) {
	if os.Getenv(clBrokenRand) != "" {
		l := newClLab(t, session.Config{})
		rand.Reader = clBrokenReader{}
		l.signIn("alice", session.SignInOptions{})
		fmt.Println("went on")
		os.Exit(0)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestChecklistToken$/^item-01_without")
	cmd.Env = append(os.Environ(), clBrokenRand+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || bytes.Contains(out, []byte("went on")) || !bytes.Contains(out, []byte("crypto/rand: failed to read random data")) {
		t.Errorf("got %v and %q, want the program to end", err, out)
	}
}

func clNobodyChoosesAToken(t *testing.T) {
	options := reflect.TypeFor[session.SignInOptions]()
	for i := range options.NumField() {
		if f := options.Field(i); f.Type.Kind() == reflect.String && f.Name != "Method" || f.Type == reflect.TypeFor[session.Token]() {
			t.Errorf("SignInOptions.%s might be a token", f.Name)
		}
	}
	for _, fn := range clExportedFuncs(t) {
		for _, param := range fn.Type.Params.List {
			if name, ok := param.Type.(*ast.Ident); ok && name.Name == "Token" {
				t.Errorf("%s takes a Token", fn.Name.Name)
			}
		}
	}
}

// clExportedFuncs returns the exported functions and methods of the package.
func clExportedFuncs(t *testing.T) (fns []*ast.FuncDecl) {
	t.Helper()
	for _, file := range clSource(t) {
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.IsExported() {
				fns = append(fns, fn)
			}
		}
	}
	return fns
}

// clSource returns the files of the package, without tests.
func clSource(t *testing.T) map[string]*ast.File {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]*ast.File)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		if files[e.Name()], err = parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func clEveryRequestAsksTheStore(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	for range 3 {
		l.store.take()
		if user := c.user(); user != "alice" {
			t.Fatalf("user %q, want alice", user)
		}
		if got, want := l.store.take(), []string{"Load " + c.cookie[:24]}; !slices.Equal(got, want) {
			t.Errorf("store was asked %q, want %q", got, want)
		}
	}
	l.store.breaks(func(string) error { return session.ErrNotFound })
	if user := c.user(); user != "" {
		t.Errorf("user %q although the store does not know the session", user)
	}
}

// clStoreHoldsNoToken is CVE-2019-16782: somebody reads the store, by injection
// or from a backup, and uses what he finds.
func clStoreHoldsNoToken(t *testing.T) {
	l := newClLab(t, session.Config{HeaderTransport: true})
	c := l.visitor()
	c.set("a note")
	c.signIn("alice", session.SignInOptions{Method: "password", Level: session.AAL1})
	c.rotate()
	c.signIn("alice", session.SignInOptions{})
	tries := clStolen(t, l.store.given)
	if len(tries) < 1000 {
		t.Fatalf("only %d tries", len(tries))
	}
	for stolen := range tries {
		for _, thief := range clThieves(l, stolen) {
			if user := thief.user(); user != "" {
				t.Fatalf("%q from the store signs in as %s", stolen, user)
			}
		}
	}
	if user := c.user(); user != "alice" {
		t.Errorf("user %q after the tries, want alice", user)
	}
}

// clThieves are clients that send a string where a token belongs.
func clThieves(l *clLab, stolen string) []*clClient {
	cookie, header, bearer := l.visitor(), l.visitor(), l.visitor()
	cookie.cookie = stolen
	header.header.Set("X-Session-ID", stolen)
	bearer.header.Set("Authorization", "Bearer "+stolen)
	return []*clClient{cookie, header, bearer}
}

// clStolen returns what somebody who reads the records might try as token: every
// field and every part of a field, by itself and behind the ID.
func clStolen(t *testing.T, records []*session.Record) map[string]bool {
	t.Helper()
	tries := make(map[string]bool)
	for _, r := range records {
		binary, err := r.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range [][]byte{[]byte(r.ID), []byte(r.UserID), r.TokenHash[:], r.PreviousTokenHash[:], []byte(r.Values), binary} {
			for _, text := range []string{
				string(field), hex.EncodeToString(field), base64.RawURLEncoding.EncodeToString(field), base64.StdEncoding.EncodeToString(field),
			} {
				tries[text] = true
				clWindows(text, 64, "", tries)
				clWindows(text, 40, r.ID, tries)
			}
		}
	}
	return tries
}

// clWindows adds every part of text that has n bytes, behind a prefix.
func clWindows(text string, n int, prefix string, tries map[string]bool) {
	for i := 0; i+n <= len(text); i++ {
		tries[prefix+text[i:i+n]] = true
	}
}

func clSecretIsComparedInConstantTime(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	secret := c.cookie[24:]
	l.store.take()
	c.user()
	for _, call := range l.store.take() {
		if strings.Contains(call, secret) {
			t.Errorf("the store is asked for the secret: %q", call)
		}
	}
	if got, want := l.store.record(c.cookie[:24]).TokenHash, sha256.Sum256([]byte(secret)); got != want {
		t.Errorf("TokenHash is %x, want the SHA-256 of the secret", got)
	}
	uses := 0
	ast.Inspect(clFunc(t, "sameHash"), func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "ConstantTimeCompare" {
			uses++
		}
		return true
	})
	if uses != 1 {
		t.Error("sameHash does not use subtle.ConstantTimeCompare")
	}
	clOnlySameHashSeesTheHash(t)
}

// clOnlySameHashSeesTheHash checks that verify compares what the client sent in
// no other way.
func clOnlySameHashSeesTheHash(t *testing.T) {
	t.Helper()
	all, compared := 0, 0
	ast.Inspect(clFunc(t, "verify"), func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if n.Name == "hash" {
				all++
			}
		case *ast.CallExpr:
			if fn, ok := n.Fun.(*ast.Ident); ok && fn.Name == "sameHash" {
				compared++
			}
		}
		return true
	})
	if compared == 0 || all != compared+2 { // its declaration, and the method that makes it
		t.Errorf("verify names the hash %d times and compares it %d times in constant time", all, compared)
	}
}

func clFunc(t *testing.T, name string) *ast.FuncDecl {
	t.Helper()
	for _, file := range clSource(t) {
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == name {
				return fn
			}
		}
	}
	t.Fatalf("there is no function %s", name)
	return nil
}

// clUnknownTokenIsNotAdopted is session fixation, CVE-2024-38513.
func clUnknownTokenIsNotAdopted(t *testing.T) {
	chosen := strings.Repeat("A", 64)
	for name, change := range map[string]func(c *clClient){
		"by a value":   func(c *clClient) { c.set("x") },
		"by a sign-in": func(c *clClient) { c.signIn("alice", session.SignInOptions{}) },
	} {
		l := newClLab(t, session.Config{})
		c := l.visitor()
		c.cookie = chosen
		change(c)
		if c.cookie == chosen || c.cookie[:24] == chosen[:24] || c.cookie == "" {
			t.Errorf("%s: cookie %q, want one of the server's", name, c.cookie)
		}
		if l.store.record(chosen[:24]) != nil {
			t.Errorf("%s: the store has a record of the chosen ID", name)
		}
	}
}

func clMalformedTokenStaysOut(t *testing.T) {
	l := newClLab(t, session.Config{HeaderTransport: true})
	good := l.signIn("alice", session.SignInOptions{}).cookie
	l.store.take()
	for _, bad := range []string{
		"", "A", good[:63], good + "A", good[:24], good[24:], good[:63] + "=", good[:63] + "+", good[:63] + "/", good[:63] + ".",
		good[:63] + "%41", " " + good[:63], `"` + good + `"`, good[:32] + "\x00" + good[33:], good[:62] + "é", good + good,
		"%" + good[1:], good[:63] + "\n", strings.Repeat("A", 5000), "null", "undefined", "{}", "../../etc/passwd", "*",
	} {
		for _, thief := range clThieves(l, bad) {
			if user := thief.user(); user != "" {
				t.Errorf("%q signs in", bad)
			}
		}
		if calls := l.store.take(); len(calls) > 0 {
			t.Errorf("%q reaches the store: %q", bad, calls)
		}
	}
}

func clAuthenticationMakesANewToken(t *testing.T) {
	for name, before := range map[string]func(c *clClient){
		"an anonymous session": func(c *clClient) { c.set("x") },
		"the same user":        func(c *clClient) { c.signIn("alice", session.SignInOptions{}) },
		"another user":         func(c *clClient) { c.signIn("bob", session.SignInOptions{}) },
		"a pending factor":     func(c *clClient) { c.signIn("alice", session.SignInOptions{Pending: true}) },
	} {
		l := newClLab(t, session.Config{})
		c := l.visitor()
		before(c)
		old := c.clone()
		c.signIn("alice", session.SignInOptions{})
		if c.cookie == old.cookie {
			t.Errorf("from %s: the token is still the same", name)
		}
		if user := c.user(); user != "alice" {
			t.Errorf("from %s: user %q, want alice", name, user)
		}
		if info := old.info(); info != (session.Info{}) {
			t.Errorf("from %s: the old token still has a session: %+v", name, info)
		}
	}
}

func clRotateMakesANewToken(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	c.set("kept")
	old := c.clone()
	c.rotate()
	if user, note := c.user(), c.note(); user != "alice" || note != "kept" || c.cookie == old.cookie {
		t.Errorf("got user %q, note %q, want alice and her note with a new token", user, note)
	}
	if info := old.info(); info != (session.Info{}) {
		t.Errorf("the old token still has a session: %+v", info)
	}
}

func clURLsCarryNoToken(t *testing.T) {
	l := newClLab(t, session.Config{HeaderTransport: true})
	tok := l.signIn("alice", session.SignInOptions{}).cookie
	name := l.m.Config().Cookie.Name
	for _, target := range []string{
		"/?session_id=" + tok, "/?session=" + tok, "/?" + name + "=" + tok, "/?access_token=" + tok, "/?X-Session-ID=" + tok,
		"/;jsessionid=" + tok, "/" + tok, "/;" + name + "=" + tok, "/?Cookie=" + name + "%3D" + tok,
	} {
		clReadsNothing(t, l, httptest.NewRequest(http.MethodGet, "https://example.com"+target, nil))
	}
	form := strings.NewReader(name + "=" + tok + "&session_id=" + tok + "&access_token=" + tok)
	r := httptest.NewRequest(http.MethodPost, "https://example.com/", form)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	clReadsNothing(t, l, r)
	r = httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	r.Header.Set("Referer", "https://example.com/?session_id="+tok)
	clReadsNothing(t, l, r)
}

// clReadsNothing checks that a request without credentials is one.
func clReadsNothing(t *testing.T, l *clLab, r *http.Request) {
	t.Helper()
	l.store.take()
	user := "?"
	l.visitor().send(l.m.Handler(clStep(func(_ context.Context, s *session.Session) { user = s.UserID() })), r)
	if calls := l.store.take(); user != "" || len(calls) > 0 {
		t.Errorf("%s %s: user %q, store was asked %q", r.Method, r.URL, user, calls)
	}
}

func clRedirectsCarryNoToken(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.visitor()
	res := c.send(l.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := session.FromContext(r.Context()).SignIn(r.Context(), "alice", session.SignInOptions{}); err != nil {
			t.Error(err)
		}
		http.Redirect(w, r, "/home?next=1", http.StatusSeeOther)
	})), c.request(http.MethodPost))
	if got := res.Header.Get("Location"); got != "/home?next=1" {
		t.Errorf("Location %q, want it as the handler wrote it", got)
	}
}

func clOneTransport(t *testing.T) {
	l := newClLab(t, session.Config{})
	tok := l.signIn("alice", session.SignInOptions{}).cookie
	l.store.take()
	for _, thief := range clThieves(l, tok)[1:] {
		if user := thief.user(); user != "" {
			t.Errorf("headers %v sign in although they are not configured", thief.header)
		}
	}
	if calls := l.store.take(); len(calls) > 0 {
		t.Errorf("the store was asked %q", calls)
	}
	_, err := l.visitor().try(func(ctx context.Context, s *session.Session) error {
		return s.SignIn(ctx, "alice", session.SignInOptions{Header: true})
	})
	if err == nil {
		t.Error("SignIn with Header succeeds although it is not configured")
	}
}

func clAmbiguousTransports(t *testing.T) {
	for _, header := range []string{"X-Session-ID", "Authorization"} {
		l := newClLab(t, session.Config{HeaderTransport: true})
		alice, bob := l.signIn("alice", session.SignInOptions{}), l.signIn("bob", session.SignInOptions{})
		both := alice.clone()
		both.header.Set(header, map[string]string{"Authorization": "Bearer "}[header]+bob.cookie)
		l.took()
		if user := both.user(); user != "" {
			t.Errorf("%s: a cookie of alice and a header of bob are %q, want nobody", header, user)
		}
		if got, want := l.kinds(), []session.EventKind{session.EventRejectedToken}; !slices.Equal(got, want) {
			t.Errorf("%s: events %v, want %v", header, got, want)
		}
		both.signOut()
		if a, b := alice.user(), bob.user(); a != "" || b != "" {
			t.Errorf("%s: after sign-out %q and %q are signed in, want nobody", header, a, b)
		}
	}
}

func clTokenIsInSetCookieOnly(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.visitor()
	seen := make(map[string]bool)
	for _, step := range []func() *http.Response{
		func() *http.Response { return c.set("x") },
		func() *http.Response { return c.signIn("alice", session.SignInOptions{Pending: true}) },
		func() *http.Response { return c.signIn("alice", session.SignInOptions{}) },
		func() *http.Response { return c.rotate() },
		func() *http.Response {
			return c.send(l.m.Handler(l.m.RequireFresh(http.NotFoundHandler())), c.request("GET"))
		},
		func() *http.Response { return c.signOut() },
		func() *http.Response {
			return c.send(l.m.Handler(l.m.RequireUser(http.NotFoundHandler())), c.request("GET"))
		},
	} {
		seen[c.cookie] = true
		res := step()
		seen[c.cookie] = true
		clShowsNone(t, res, seen)
	}
	_, err := l.signIn("bob", session.SignInOptions{}).try(func(_ context.Context, s *session.Session) error {
		if _, ok := s.Token(); ok {
			return errors.New("Token gives away the token of a cookie")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// clShowsNone checks that an answer holds none of the tokens but in Set-Cookie.
func clShowsNone(t *testing.T, res *http.Response, tokens map[string]bool) {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	res.Header.Del("Set-Cookie")
	text := fmt.Sprint(res.Header, string(body))
	for tok := range tokens {
		if tok != "" && strings.Contains(text, tok[24:]) {
			t.Errorf("the answer shows the secret: %s", text)
		}
	}
}

var clSilence = slog.New(slog.DiscardHandler)

func TestChecklistLogs(t *testing.T) {
	t.Run("item-14 the log of a whole life shows no secret", clInBubble(clLogShowsNoSecret))
	t.Run("item-14 formatting shows no secret", clFormattingShowsNoSecret)
	t.Run("item-14 formatting a struct with a Token shows no secret", clFormattingAroundATokenShowsNoSecret)
}

// clLife leads a session through every event there is, and returns every token
// that was sent on the way.
func clLife(l *clLab) (tokens []string) {
	c := l.visitor()
	c.header.Set("User-Agent", "Firefox")
	keep := func() { tokens = append(tokens, c.cookie) }
	c.set("secret note")
	keep()
	c.signIn("alice", session.SignInOptions{Pending: true})
	keep()
	c.signIn("alice", session.SignInOptions{})
	keep()
	late := c.clone()
	c.rotate()
	keep()
	late.read()
	time.Sleep(25 * time.Hour)
	c.read() // refreshed
	keep()
	time.Sleep(25 * time.Hour)
	c.read() // rotated
	keep()
	other := c.clone()
	other.header.Set("User-Agent", "curl")
	other.read()
	guess := c.clone()
	guess.cookie = c.cookie[:24] + strings.Repeat("x", 40)
	guess.read()
	guess.cookie = "garbage"
	guess.read()
	l.store.breaks(clDown)
	c.read()
	l.store.breaks(func(call string) error {
		if strings.HasPrefix(call, "Load") {
			return session.ErrUnreadable
		}
		return nil
	})
	c.read()
	l.store.breaks(nil)
	late = c.clone()
	c.rotate()
	keep()
	time.Sleep(time.Minute)
	late.read() // replayed
	c.signIn("alice", session.SignInOptions{})
	keep()
	c.signOut()
	c.signIn("alice", session.SignInOptions{})
	keep()
	_, _ = l.m.RevokeAll(context.Background(), "alice")
	c.signIn("alice", session.SignInOptions{})
	keep()
	time.Sleep(8 * 24 * time.Hour)
	c.read() // expired
	return tokens
}

func clLogShowsNoSecret(t *testing.T) {
	debug := &slog.HandlerOptions{Level: slog.LevelDebug}
	for name, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, debug) },
		"JSON": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, debug) },
	} {
		var out bytes.Buffer
		l := newClLab(t, session.Config{RotateEvery: 48 * time.Hour, Binding: session.BindUserAgent, Logger: slog.New(handler(&out))})
		tokens := clLife(l)
		log := out.String()
		if kinds := clKindsOf(l.took()); len(kinds) != clEventKinds {
			t.Errorf("%s: the life tells %d kinds of events, want all %d: %v", name, len(kinds), clEventKinds, kinds)
		}
		for _, tok := range tokens {
			if strings.Contains(log, tok[24:]) {
				t.Errorf("%s: the log shows a secret", name)
			}
		}
		if strings.Contains(log, "secret note") {
			t.Errorf("%s: the log shows a value", name)
		}
	}
}

const clEventKinds = int(session.EventStoreError)

// clKindsOf counts the events of each kind.
func clKindsOf(events []session.Event) map[session.EventKind]int {
	kinds := make(map[session.EventKind]int)
	for _, e := range events {
		kinds[e.Kind]++
	}
	return kinds
}

const clSealKey = "0123456789-the-key-that-seals-it"

// clFormattingShowsNoSecret prints everything that is within reach of a handler
// in every way there is.
func clFormattingShowsNoSecret(t *testing.T) {
	l := newClLab(t, session.Config{
		HeaderTransport: true, Cookie: session.Cookie{Keys: [][]byte{[]byte(clSealKey)}},
	})
	var tok session.Token
	l.visitor().do(func(ctx context.Context, s *session.Session) {
		if err := clNote.Set(s, "secret note"); err != nil {
			t.Error(err)
		}
		if err := s.SignIn(ctx, "alice", session.SignInOptions{Header: true}); err != nil {
			t.Error(err)
		}
		tok, _ = s.Token()
		rec := l.store.record(s.ID())
		secrets := []string{tok.Reveal()[24:], "secret note", clSealKey}
		for name, v := range map[string]any{
			"*Session": s, "Token": tok, "*Token": &tok, "Record": *rec, "*Record": rec, "Values": rec.Values,
			"Config": l.m.Config(), "Cookie": l.m.Config().Cookie, "*Manager": l.m, "Event": l.took()[0],
			"the context": ctx, "a context of it": context.WithValue(ctx, clKey{}, 1), "Info": s.Info(),
		} {
			clShows(t, name, v, secrets)
		}
	})
}

type clKey struct{}

func clFormattingAroundATokenShowsNoSecret(t *testing.T) {
	l := newClLab(t, session.Config{HeaderTransport: true})
	l.visitor().do(func(ctx context.Context, s *session.Session) {
		if err := s.SignIn(ctx, "alice", session.SignInOptions{Header: true}); err != nil {
			t.Error(err)
		}
		tok, _ := s.Token()
		secrets := []string{tok.Reveal()[24:]}
		clShows(t, "exported field", struct{ Token session.Token }{tok}, secrets)
		clShows(t, "unexported field", struct{ token session.Token }{tok}, secrets)
		clShows(t, "slice", []session.Token{tok}, secrets)
		clShows(t, "map", map[string]session.Token{"a": tok}, secrets)
	})
}

// clShows checks that no way to print v shows a secret, as text, as hex, or as
// the numbers of its bytes.
func clShows(t *testing.T, name string, v any, secrets []string) {
	t.Helper()
	for how, text := range clPrintings(v) {
		for _, secret := range secrets {
			numbers := strings.Trim(fmt.Sprint([]byte(secret[:8])), "[]")
			if strings.Contains(text, secret) || strings.Contains(text, numbers) ||
				strings.Contains(strings.ToLower(text), hex.EncodeToString([]byte(secret))) {
				t.Errorf("%s as %s shows a secret", name, how)
				break
			}
		}
	}
}

func clPrintings(v any) map[string]string {
	out := make(map[string]string)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%X", "%q", "%t", "%c", "%o", "%b"} {
		out[verb] = fmt.Sprintf(verb, v)
	}
	for how, marshal := range map[string]func(any) ([]byte, error){
		"JSON": json.Marshal,
		"slog JSON": func(v any) ([]byte, error) {
			var b bytes.Buffer
			slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", v)
			return b.Bytes(), nil
		},
		"slog text": func(v any) ([]byte, error) {
			var b bytes.Buffer
			slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", v)
			return b.Bytes(), nil
		},
	} {
		text, _ := marshal(v) // what cannot be encoded shows nothing
		out[how] = string(text)
	}
	return out
}
