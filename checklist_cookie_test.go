package session_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
)

func TestChecklistCookie(t *testing.T) {
	t.Run("item-15 the cookie is Secure and its name says so", clCookieIsSecure)
	t.Run("item-16 __Host- is the default and cannot be configured wrong", clHostPrefix)
	t.Run("item-17 the cookie is HttpOnly in every configuration", clAlways("HttpOnly"))
	t.Run("item-18 SameSite is always written", clSameSiteIsWritten)
	t.Run("item-19 SameSite=None without Secure is refused", clRefused(session.Cookie{SameSite: http.SameSiteNoneMode, Insecure: true}))
	t.Run("item-20 the cookie is for this host only unless configured", clNarrowCookie)
	t.Run("item-21 no configuration makes a cookie that browsers drop", clCookieFits)
	t.Run("item-22 Max-Age is at most 400 days and renewed", clInBubble(clMaxAgeIsCapped))
	t.Run("item-23 never two session cookies in one answer", clOneSetCookie)
	t.Run("item-24 Set-Cookie keeps to the grammar", clSetCookieGrammar)
	t.Run("item-25 a second Cookie header is read", clSecondCookieHeader)
	t.Run("item-26 the order of cookies does not matter", clInBubble(clOrderDoesNotMatter))
	t.Run("item-26 a sign-in ends the ambiguity of two cookies", clSignInEndsTheAmbiguity)
	t.Run("item-26 more than four cookies authenticate nobody", clTooManyCookies)
	t.Run("item-27 only the very name counts", clOddNames)
	t.Run("item-28 the server decides when a cookie has expired", clInBubble(clServerDecidesExpiry))
	t.Run("item-29 a session not to be remembered stays so", clInBubble(clForgottenStaysForgotten))
	t.Run("item-30 deletion repeats every attribute", clDeletionEmptiesTheJar)
	t.Run("item-31 over plain HTTP no cookie is accepted or set", clNoPlainHTTP)
	t.Run("item-32 Partitioned without Secure is refused", clRefused(session.Cookie{Partitioned: true, Insecure: true}))
	t.Run("item-33 the ID of one session and the secret of another are nothing", clHalvesDoNotMix)
}

// clCookies are configurations of the cookie, by what is special about them.
var clCookies = map[string]session.Cookie{
	"default":     {},
	"insecure":    {Insecure: true},
	"domain":      {Domain: "example.com"},
	"path":        {Path: "/app"},
	"name":        {Name: "sid"},
	"strict":      {SameSite: http.SameSiteStrictMode},
	"none":        {SameSite: http.SameSiteNoneMode},
	"partitioned": {Partitioned: true, SameSite: http.SameSiteNoneMode},
	"sealed":      {Keys: [][]byte{[]byte(clSealKey)}},
}

// clSetCookies returns every Set-Cookie of a session's life: sign-in, rotation,
// sign-out.
func clSetCookies(t *testing.T, cfg session.Config) (lines []string) {
	t.Helper()
	l := newClLab(t, cfg)
	c := l.visitor()
	for _, res := range []*http.Response{c.signIn("alice", session.SignInOptions{}), c.rotate(), c.signOut()} {
		got := res.Header["Set-Cookie"]
		if len(got) != 1 {
			t.Fatalf("%d Set-Cookie lines, want 1: %q", len(got), got)
		}
		lines = append(lines, got[0])
	}
	return lines
}

// clAttribute returns an attribute of a Set-Cookie line.
func clAttribute(line, name string) (value string, ok bool) {
	for _, av := range strings.Split(line, "; ")[1:] {
		if n, v, _ := strings.Cut(av, "="); n == name {
			return v, true
		}
	}
	return "", false
}

func clAlways(attribute string) func(t *testing.T) {
	return func(t *testing.T) {
		for name, cookie := range clCookies {
			for _, line := range clSetCookies(t, session.Config{Cookie: cookie}) {
				if _, ok := clAttribute(line, attribute); !ok {
					t.Errorf("%s: %s has no %s", name, line, attribute)
				}
			}
		}
	}
}

// clRefused checks that New refuses a cookie, and that it does so for a reason:
// the same without Insecure is good.
func clRefused(cookie session.Cookie) func(t *testing.T) {
	return func(t *testing.T) {
		if _, err := session.New(clNoStore(), session.Config{Cookie: cookie}); err == nil {
			t.Errorf("New accepts %+v", cookie)
		}
		cookie.Insecure = false
		if _, err := session.New(clNoStore(), session.Config{Cookie: cookie}); err != nil {
			t.Errorf("New refuses it with Secure as well: %v", err)
		}
	}
}

func clNoStore() session.Store { return &clStore{} }

func clCookieIsSecure(t *testing.T) {
	want := regexp.MustCompile(`^__Host-session=[A-Za-z0-9_-]{64}; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Lax$`)
	if got := clSetCookies(t, session.Config{})[0]; !want.MatchString(got) {
		t.Errorf("default Set-Cookie is %s", got)
	}
	for name, cookie := range clCookies {
		for _, line := range clSetCookies(t, session.Config{Cookie: cookie}) {
			_, secure := clAttribute(line, "Secure")
			if secure == cookie.Insecure {
				t.Errorf("%s: Secure is %t in %s", name, secure, line)
			}
			if prefixed := strings.HasPrefix(line, "__"); prefixed != (name != "insecure" && name != "name") {
				t.Errorf("%s: the prefix is %t in %s", name, prefixed, line)
			}
		}
	}
}

func clHostPrefix(t *testing.T) {
	for _, bad := range []session.Cookie{
		{Name: "__Host-sid", Domain: "example.com"},
		{Name: "__Host-sid", Path: "/app"},
		{Name: "__Host-sid", Insecure: true},
		{Name: "__host-sid", Domain: "example.com"}, // browsers compare the prefix without case
		{Name: "__HOST-sid", Path: "/app"},
		{Name: "__Secure-sid", Insecure: true},
		{Name: "__secure-sid", Insecure: true},
	} {
		if _, err := session.New(clNoStore(), session.Config{Cookie: bad}); err == nil {
			t.Errorf("New accepts %v", bad)
		}
	}
	if got := newClLab(t, session.Config{}).m.Config().Cookie.Name; got != "__Host-session" {
		t.Errorf("default name %q, want __Host-session", got)
	}
}

func clSameSiteIsWritten(t *testing.T) {
	want := map[string]string{"strict": "Strict", "none": "None", "partitioned": "None"}
	for name, cookie := range clCookies {
		for _, line := range clSetCookies(t, session.Config{Cookie: cookie}) {
			got, _ := clAttribute(line, "SameSite")
			if w := want[name]; got != w && (w != "" || got != "Lax") {
				t.Errorf("%s: SameSite=%s in %s", name, got, line)
			}
		}
	}
	if _, err := session.New(clNoStore(), session.Config{Cookie: session.Cookie{SameSite: http.SameSiteDefaultMode}}); err == nil {
		t.Error("New accepts http.SameSiteDefaultMode, which writes no SameSite")
	}
}

func clNarrowCookie(t *testing.T) {
	for name, cookie := range clCookies {
		for _, line := range clSetCookies(t, session.Config{Cookie: cookie}) {
			if domain, ok := clAttribute(line, "Domain"); ok != (cookie.Domain != "") || domain != cookie.Domain {
				t.Errorf("%s: Domain %q in %s, want %q", name, domain, line, cookie.Domain)
			}
			want := cookie.Path
			if want == "" {
				want = "/"
			}
			if path, _ := clAttribute(line, "Path"); path != want {
				t.Errorf("%s: Path %q in %s, want %q", name, path, line, want)
			}
		}
	}
}

// clCookieFits tries random configurations: New refuses one, or browsers take its
// cookie (RFC 6265bis 5.6: 4,096 octets of name and value, 1,024 of an attribute).
func clCookieFits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	accepted, refused := 0, 0
	for range 300 {
		cookie := clRandomCookie(rng)
		if _, err := session.New(clNoStore(), session.Config{Cookie: cookie}); err != nil {
			refused++
			continue
		}
		accepted++
		for _, line := range clSetCookies(t, session.Config{Cookie: cookie}) {
			clCheckSizes(t, line)
		}
	}
	if accepted < 20 || refused < 20 {
		t.Errorf("%d accepted, %d refused: the configurations prove little", accepted, refused)
	}
}

func clRandomCookie(rng *rand.Rand) session.Cookie {
	lengths := []int{0, 0, 1, 40, 200, 1000, 1010, 1024, 1025, 3900, 5000}
	length := func() int { return lengths[rng.IntN(len(lengths))] }
	c := session.Cookie{Name: strings.Repeat("n", length())}
	if n := length(); n > 0 {
		c.Path = "/" + strings.Repeat("p", n-1)
	}
	if n := length(); n > 0 {
		c.Domain = strings.TrimSuffix(strings.Repeat("label.", n/6+1), ".") + ".example"
	}
	if rng.IntN(2) == 0 {
		c.Keys = [][]byte{[]byte(clSealKey)}
	}
	return c
}

func clCheckSizes(t *testing.T, line string) {
	t.Helper()
	pair, attributes, _ := strings.Cut(line, "; ")
	if name, value, _ := strings.Cut(pair, "="); len(name)+len(value) > 4096 {
		t.Errorf("name and value have %d bytes", len(name)+len(value))
	}
	for _, av := range strings.Split(attributes, "; ") {
		if _, value, _ := strings.Cut(av, "="); len(value) > 1024 {
			t.Errorf("attribute value has %d bytes: %.40s…", len(value), av)
		}
	}
}

func clMaxAgeIsCapped(t *testing.T) {
	const day = 24 * time.Hour
	l := newClLab(t, session.Config{ExpiresIn: 500 * day, MaxLifetime: 2000 * day})
	c := l.visitor()
	if got, _ := clAttribute(c.signIn("alice", session.SignInOptions{}).Header.Get("Set-Cookie"), "Max-Age"); got != "34560000" {
		t.Errorf("Max-Age=%s, want 34560000", got)
	}
	for range 4 {
		time.Sleep(390 * day)
		if got, _ := clAttribute(c.read().Header.Get("Set-Cookie"), "Max-Age"); got != "34560000" {
			t.Errorf("Max-Age=%s on refresh, want 34560000", got)
		}
	}
	if user := c.user(); user != "alice" {
		t.Errorf("user %q after 1,560 days of use, want alice", user)
	}
}

func clOneSetCookie(t *testing.T) {
	all := func(ctx context.Context, s *session.Session) {
		_ = clNote.Set(s, "x")
		_ = s.Commit(ctx)
		_ = s.SignIn(ctx, "alice", session.SignInOptions{})
		_ = s.Rotate(ctx)
		_ = s.SignIn(ctx, "bob", session.SignInOptions{})
		_ = s.SignOut(ctx)
		_ = s.SignIn(ctx, "carol", session.SignInOptions{})
		_ = s.SignOut(ctx)
	}
	l := newClLab(t, session.Config{UpdateAge: session.EveryRequest})
	other := newClLab(t, session.Config{UpdateAge: session.EveryRequest})
	for name, h := range map[string]http.Handler{
		"everything in one handler": l.m.Handler(clStep(all)),
		"the same Manager nested":   l.m.Handler(l.m.Handler(clStep(all))),
		"two Managers nested":       l.m.Handler(other.m.Handler(clStep(all))),
		"the handler sets its own": l.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "__Host-session", Value: "mine"})
			http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark"})
			all(r.Context(), session.FromContext(r.Context()))
		})),
		"a refresh and no more": l.m.Handler(other.m.Handler(http.NotFoundHandler())),
	} {
		for _, c := range []*clClient{l.visitor(), l.signIn("dave", session.SignInOptions{}), other.signIn("erin", session.SignInOptions{})} {
			clCheckNames(t, name, c.send(h, c.request(http.MethodGet)))
		}
	}
}

// clCheckNames checks that no cookie is set twice in an answer.
func clCheckNames(t *testing.T, name string, res *http.Response) {
	t.Helper()
	seen := make(map[string]bool)
	for _, cookie := range res.Cookies() {
		if seen[cookie.Name] {
			t.Errorf("%s: %s is set twice: %q", name, cookie.Name, res.Header["Set-Cookie"])
		}
		seen[cookie.Name] = true
	}
	if strings.HasPrefix(name, "the handler") && !seen["theme"] {
		t.Errorf("%s: the handler's other cookie is lost", name)
	}
}

// clGrammar is RFC 6265bis 4.1.1, without the extension-av.
var clGrammar = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+" + // token
	`=[\x21\x23-\x2B\x2D-\x3A\x3C-\x5B\x5D-\x7E]*` + // *cookie-octet
	`(; (Expires=(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT` +
	`|Max-Age=\d+|Domain=[a-z0-9.-]+|Path=/[\x20-\x3A\x3C-\x7E]*|Secure|HttpOnly|SameSite=(Lax|Strict|None)|Partitioned))+$`)

func clSetCookieGrammar(t *testing.T) {
	for name, cookie := range clCookies {
		for _, line := range clSetCookies(t, session.Config{Cookie: cookie}) {
			if !clGrammar.MatchString(line) {
				t.Errorf("%s: not in the grammar: %s", name, line)
			}
		}
	}
}

func clSecondCookieHeader(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	for name, lines := range map[string][]string{
		"second line":        {"a=b", "__Host-session=" + c.cookie},
		"last of many":       {"a=b; c=d", "", ";", "e=f;__Host-session=" + c.cookie},
		"first line":         {"__Host-session=" + c.cookie, "a=b"},
		"the same in two":    {"__Host-session=" + c.cookie, "__Host-session=" + c.cookie},
		"odd spaces":         {" \t__Host-session=" + c.cookie + "\t ; a=b"},
		"between semicolons": {";;; __Host-session=" + c.cookie + ";;;"},
	} {
		r := c.request(http.MethodGet)
		r.Header["Cookie"] = lines
		if user := clUserOf(l, r); user != "alice" {
			t.Errorf("%s: user %q, want alice", name, user)
		}
	}
}

// clUserOf returns as whom the server sees a request.
func clUserOf(l *clLab, r *http.Request) (user string) {
	l.visitor().send(l.m.Handler(clStep(func(_ context.Context, s *session.Session) { user = s.UserID() })), r)
	return user
}

// clNeighbours make a second cookie of the session's name beside that of a good
// client: what a sibling domain, an older path or an attacker may leave there.
var clNeighbours = map[string]func(l *clLab, good *clClient) (neighbour string){
	"malformed":    func(*clLab, *clClient) string { return "garbage" },
	"empty":        func(*clLab, *clClient) string { return "" },
	"unknown":      func(*clLab, *clClient) string { return strings.Repeat("A", 64) },
	"wrong secret": func(_ *clLab, good *clClient) string { return good.cookie[:24] + strings.Repeat("A", 40) },
	"another user": func(l *clLab, _ *clClient) string { return l.signIn("mallory", session.SignInOptions{}).cookie },
	"another session of the same user": func(l *clLab, _ *clClient) string {
		return l.signIn("alice", session.SignInOptions{}).cookie
	},
	"signed out": func(l *clLab, _ *clClient) string {
		c := l.signIn("bob", session.SignInOptions{})
		defer c.signOut()
		return c.cookie
	},
	"replaced by a sign-in": func(l *clLab, _ *clClient) string {
		c := l.visitor()
		c.set("x")
		defer c.signIn("bob", session.SignInOptions{})
		return c.cookie
	},
	"expired": func(l *clLab, good *clClient) string {
		c := l.visitor()
		c.set("x")
		time.Sleep(24 * time.Hour)
		return c.cookie
	},
	"late": func(_ *clLab, good *clClient) string {
		old := good.cookie
		good.rotate()
		return old
	},
	"replayed": func(_ *clLab, good *clClient) string {
		old := good.cookie
		good.rotate()
		time.Sleep(time.Minute)
		return old
	},
}

func clOrderDoesNotMatter(t *testing.T) {
	for name, neighbour := range clNeighbours {
		first, events := clAnswerTo(t, neighbour, false)
		second, more := clAnswerTo(t, neighbour, true)
		if first != second {
			t.Errorf("%s: [good, other] gives %s; [other, good] gives %s", name, first, second)
		}
		if events == 0 || more == 0 {
			t.Errorf("%s: no event tells of the second cookie", name)
		}
	}
}

// clAnswerTo says what becomes of a request with a good cookie and another.
func clAnswerTo(t *testing.T, neighbour func(*clLab, *clClient) string, otherFirst bool) (answer string, events int) {
	t.Helper()
	l := newClLab(t, session.Config{})
	good := l.signIn("alice", session.SignInOptions{})
	values := []string{good.cookie, neighbour(l, good)}
	values[0] = good.cookie // neighbour may have changed it
	if otherFirst {
		slices.Reverse(values)
	}
	l.took()
	r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	r.Header.Set("Cookie", "__Host-session="+values[0]+"; __Host-session="+values[1])
	user := clUserOf(l, r)
	return fmt.Sprintf("user %q, session alive %t", user, l.store.record(good.cookie[:24]) != nil), len(l.took())
}

// clSignInEndsTheAmbiguity: a cookie with a Domain, left by an older configuration
// or planted by a sibling host, stays beside the host's own whatever the server
// sends. Unless the sign-in ends its session, the user can never be signed in.
func clSignInEndsTheAmbiguity(t *testing.T) {
	l := newClLab(t, session.Config{Cookie: session.Cookie{Name: "sid"}})
	stays := l.signIn("mallory", session.SignInOptions{}).cookie
	c := l.signIn("alice", session.SignInOptions{})
	c.header.Set("Cookie", "sid="+stays)
	if user := c.user(); user != "" {
		t.Errorf("two sessions are user %q, want nobody", user)
	}
	c.signIn("alice", session.SignInOptions{})
	if user := c.user(); user != "alice" {
		t.Errorf("after a sign-in the user is %q, want alice", user)
	}
}

func clTooManyCookies(t *testing.T) {
	l := newClLab(t, session.Config{})
	c := l.signIn("alice", session.SignInOptions{})
	for n, want := range map[int]string{3: "alice", 4: ""} {
		for place := range n + 1 {
			values := slices.Repeat([]string{"__Host-session=garbage"}, n)
			r := c.request(http.MethodGet)
			r.Header["Cookie"] = slices.Insert(values, place, "__Host-session="+c.cookie)
			if user := clUserOf(l, r); user != want {
				t.Errorf("beside %d others in place %d: user %q, want %q", n, place, user, want)
			}
		}
	}
}

func clOddNames(t *testing.T) {
	l := newClLab(t, session.Config{})
	tok := l.signIn("alice", session.SignInOptions{}).cookie
	for _, pair := range []string{
		"__host-session=" + tok, "__HOST-SESSION=" + tok, "__Host-Session=" + tok, "_[Host-session=" + tok, "..Host-session=" + tok,
		"  Host-session=" + tok, `"__Host-session"=` + tok, "=__Host-session=" + tok, "__Host-session =" + tok, "__%48ost-session=" + tok,
		"__Host-session%3D=" + tok, "__Host-session%00=" + tok, "__Host-session\x00=" + tok, "$__Host-session=" + tok,
		"__Host-session[]=" + tok, "__Host-session.x=" + tok, "session=" + tok, "__Secure-session=" + tok, "\u00a0__Host-session=" + tok,
		"__Host-session,a=" + tok, "a, __Host-session=" + tok, "a=b, __Host-session=" + tok, "a=\"; __Host-session\"=" + tok,
		"\v__Host-session=" + tok, "\r\n__Host-session=" + tok, "__Ⓗost-session=" + tok, "__Host-ſession=" + tok, tok, "=" + tok,
	} {
		l.store.take()
		r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
		r.Header["Cookie"] = []string{pair}
		user, calls := clUserOf(l, r), l.store.take()
		if user != "" || len(calls) > 0 {
			t.Errorf("Cookie: %q is read: user %q, store was asked %q", pair, user, calls)
		}
	}
}

func clServerDecidesExpiry(t *testing.T) {
	l := newClLab(t, session.Config{ExpiresIn: time.Hour, UpdateAge: time.Minute})
	c := l.signIn("alice", session.SignInOptions{})
	thief := c.clone() // keeps sending, whatever Max-Age said
	time.Sleep(59 * time.Minute)
	if user := thief.clone().user(); user != "alice" { // moves the expiry
		t.Errorf("user %q before the expiry, want alice", user)
	}
	time.Sleep(time.Hour)
	for range 3 {
		if user := thief.clone().user(); user != "" {
			t.Errorf("user %q after the expiry, want nobody", user)
		}
	}
}

func clForgottenStaysForgotten(t *testing.T) {
	l := newClLab(t, session.Config{ExpiresIn: 2 * time.Hour, UpdateAge: time.Hour})
	c := l.visitor()
	res := c.signIn("alice", session.SignInOptions{Forget: true})
	c.header.Set("Cookie", "remember_me=1; dont_remember=; __Host-session.persistent=true")
	sent := 0
	for range 30 {
		for _, line := range res.Header["Set-Cookie"] {
			sent++
			if strings.Contains(line, "Max-Age") || strings.Contains(line, "Expires") {
				t.Errorf("the cookie outlives the browser: %s", line)
			}
		}
		if c.user() == "" {
			break
		}
		time.Sleep(time.Hour)
		res = c.read()
		if res.Header.Get("Set-Cookie") != "" && strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age=0") {
			break
		}
	}
	if sent < 20 {
		t.Errorf("%d cookies were sent, want one for each of 23 refreshes", sent)
	}
	if got := c.lab.kinds(); got[len(got)-1] != session.EventExpired {
		t.Errorf("the session ends by %v, want its expiry after 24 hours", got[len(got)-1])
	}
}

// clDeletionEmptiesTheJar signs in and out with the cookie jar of net/http, which
// deletes a cookie only if the deletion names the very same one.
func clDeletionEmptiesTheJar(t *testing.T) {
	for name, cookie := range clCookies {
		l := newClLab(t, session.Config{Cookie: cookie})
		mux := http.NewServeMux()
		mux.Handle("/app/in", clStep(func(ctx context.Context, s *session.Session) { _ = s.SignIn(ctx, "alice", session.SignInOptions{}) }))
		mux.Handle("/app/out", clStep(func(ctx context.Context, s *session.Session) { _ = s.SignOut(ctx) }))
		client, base := clJarClient(t, l.m.Handler(mux), cookie.Insecure)
		clGet(t, client, base+"/app/in")
		u, _ := url.Parse(base + "/app/out")
		if got := client.Jar.Cookies(u); len(got) != 1 || got[0].Name != l.m.Config().Cookie.Name {
			t.Errorf("%s: after sign-in the jar holds %v, want the session cookie", name, got)
		}
		clGet(t, client, base+"/app/out")
		if got := client.Jar.Cookies(u); len(got) != 0 {
			t.Errorf("%s: after sign-out the jar holds %v, want nothing", name, got)
		}
	}
}

// clJarClient returns a client with a cookie jar and the URL of a server for h,
// under a name that a cookie's Domain can be set for.
func clJarClient(t *testing.T, h http.Handler, plain bool) (*http.Client, string) {
	t.Helper()
	server, base := httptest.NewUnstartedServer(h), "https://www.example.com"
	if plain {
		base = "http://www.example.com"
		server.Start()
	} else {
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	client := server.Client()
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	client.Jar, _ = cookiejar.New(nil)
	return client, base
}

func clGet(t *testing.T, client *http.Client, target string) {
	t.Helper()
	res, err := client.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

func clNoPlainHTTP(t *testing.T) {
	l := newClLab(t, session.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	c := l.signIn("alice", session.SignInOptions{})
	plain := c.clone()
	plain.header.Set("X-Forwarded-Proto", "http")
	l.store.take()
	l.took()
	if user := plain.user(); user != "" || len(l.store.take()) > 0 {
		t.Errorf("over plain HTTP the token is asked for, and signs in as %q", user)
	}
	if got, want := l.kinds(), []session.EventKind{session.EventRejectedToken}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	visitor := l.visitor()
	visitor.header = plain.header
	for name, step := range map[string]func(ctx context.Context, s *session.Session) error{
		"sign in": func(ctx context.Context, s *session.Session) error {
			return s.SignIn(ctx, "alice", session.SignInOptions{})
		},
		"set": func(_ context.Context, s *session.Session) error { return clNote.Set(s, "x") },
	} {
		if res, err := visitor.try(step); err == nil || res.Header["Set-Cookie"] != nil {
			t.Errorf("%s over plain HTTP: error %v, Set-Cookie %q; want an error and no cookie", name, err, res.Header["Set-Cookie"])
		}
	}
	if user := c.user(); user != "alice" {
		t.Errorf("user %q over HTTPS, want alice still", user)
	}
}

func clHalvesDoNotMix(t *testing.T) {
	l := newClLab(t, session.Config{})
	a, b := l.signIn("alice", session.SignInOptions{}), l.signIn("alice", session.SignInOptions{})
	mixed := a.clone()
	mixed.cookie = a.cookie[:24] + b.cookie[24:]
	if user := mixed.user(); user != "" {
		t.Errorf("half of one token and half of another sign in as %q", user)
	}
}

// clMaxAge returns the Max-Age of the session cookie in an answer, or -1.
func clMaxAge(res *http.Response) int {
	value, ok := clAttribute(res.Header.Get("Set-Cookie"), "Max-Age")
	age, err := strconv.Atoi(value)
	if !ok || err != nil {
		return -1
	}
	return age
}
