package session_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/updateage/session"
)

// clSees is what a server makes of one request.
type clSees struct {
	user   string
	status int
	calls  []string
	header http.Header
}

// see sends a request to a handler that only looks, and panics with its server.
func (l *clLab) see(r *http.Request) (got clSees) {
	l.store.take()
	w := httptest.NewRecorder()
	l.m.Handler(clStep(func(_ context.Context, s *session.Session) { got.user = s.UserID() })).ServeHTTP(w, r)
	got.status, got.header, got.calls = w.Code, w.Header(), l.store.take()
	return got
}

// clIsToken is the form of a token, written down a second time.
func clIsToken(s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(s) == 64 && len(raw) == 48 && !strings.ContainsAny(s, "\r\n")
}

// clHostileCookies are headers that have fooled somebody's parser.
var clHostileCookies = []string{
	"", ";", ";;;", "=", "==", "; =;", "a", "a=", "=a", "a=b; c=d", "__Host-session", "__Host-session=", "__Host-session==",
	"__Host-session=$", "__host-session=$", " __Host-session=$", "__Host-session =$", "__Host-session= $", "\t__Host-session=$\t",
	`__Host-session="$"`, "__Host-session=$; __Host-session=$", "__Host-session=x; __Host-session=$", "__Host-session=$; __Host-session=x",
	"__Host-session=$,__Host-session=$", "__Host-session=$\n__Host-session=x", "x\n__Host-session=$", "=__Host-session=$",
	"__Host-session=$$", "__Host-session=%24", "_[Host-session=$", "__Host-session[0]=$", "__Host-session\x00=$", "__Host-session=\x00$",
	"$Version=1; __Host-session=$; $Path=/", "__Host-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"__Host-session=1; __Host-session=2; __Host-session=3; __Host-session=4; __Host-session=$", "a=\"b; __Host-session=$\"",
	"é=ü; __Host-session=$", "\xff\xfe=\xff; __Host-session=$\xff", "__Host-session=$ ; a", "__Host-session=$;", "__Host-session\t=\t$",
}

// FuzzCookieHeader: whatever Cookie lines a client sends, the server neither
// panics nor fails; it asks the store only for IDs of well-formed tokens that are
// in the header; and it sees a user only if that user's very token is there.
func FuzzCookieHeader(f *testing.F) {
	for _, seed := range clHostileCookies {
		f.Add(seed)
	}
	f.Add(strings.Repeat("a=b; ", 1000) + "__Host-session=$")
	f.Add(strings.Repeat("__Host-session=x;", 1000))
	l := newClLab(f, session.Config{})
	tok := l.signIn("alice", session.SignInOptions{}).cookie
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(text, "$", tok)
		r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
		r.Header["Cookie"] = strings.Split(text, "\n")
		got := l.see(r)
		if got.status != http.StatusOK {
			t.Errorf("status %d", got.status)
		}
		if got.user != "" && (got.user != "alice" || !strings.Contains(text, "__Host-session="+tok)) {
			t.Errorf("signs in as %q", got.user)
		}
		for _, call := range got.calls {
			if id, ok := strings.CutPrefix(call, "Load "); !ok || !clHasTokenOf(text, id) {
				t.Errorf("the store is asked %q", call)
			}
		}
		if got.header["Set-Cookie"] != nil {
			t.Errorf("a request that was refused or needs nothing sets a cookie: %q", got.header["Set-Cookie"])
		}
	})
}

// clHasTokenOf says whether a cookie in text has a well-formed token of the ID.
func clHasTokenOf(text, id string) bool {
	for _, value := range strings.Split(text, "__Host-session=")[1:] {
		if strings.HasPrefix(value, id) && len(value) >= 64 && clIsToken(value[:64]) {
			return true
		}
	}
	return false
}

// FuzzTokenForm: of all strings in the cookie, those of the token's form and no
// others reach the store, once and by their first 24 characters; only the very
// token signs in.
func FuzzTokenForm(f *testing.F) {
	l := newClLab(f, session.Config{})
	tok := l.signIn("alice", session.SignInOptions{}).cookie
	for _, seed := range []string{
		tok, tok[:63], tok + "A", tok[:24], tok[24:], strings.Repeat("A", 64), strings.Repeat("-_", 32), strings.Repeat("+", 64),
		strings.Repeat("/", 64), strings.Repeat("=", 64), tok[:63] + "=", tok[:63] + "\x00", tok[:62] + "é", strings.ToLower(tok),
		strings.ToUpper(tok), tok[:24] + strings.Repeat("A", 40), "\xff", "", strings.Repeat("%41", 64), tok[:32] + "." + tok[33:],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
		r.Header["Cookie"] = []string{"__Host-session=" + s}
		got := l.see(r)
		value, _, _ := strings.Cut(s, ";") // the rest is another cookie
		value = strings.TrimRight(value, " \t")
		var want []string
		if clIsToken(value) {
			want = []string{"Load " + value[:24]}
		}
		if strings.Count(s, "__Host-session") == 0 && !slices.Equal(got.calls, want) {
			t.Errorf("%q: the store is asked %q, want %q", s, got.calls, want)
		}
		if (got.user != "") != (value == tok) && !strings.Contains(s, "__Host-session") {
			t.Errorf("%q signs in as %q", s, got.user)
		}
	})
}

// FuzzSealedCookie: with Keys nothing reaches the store but a token that was sealed
// with one of them, for this cookie's name.
func FuzzSealedCookie(f *testing.F) {
	sealed := func(key, name string) (*clLab, string) {
		l := newClLab(f, session.Config{Cookie: session.Cookie{Name: name, Keys: [][]byte{[]byte(key)}}})
		return l, l.signIn("alice", session.SignInOptions{}).cookie
	}
	l, good := sealed(clSealKey, "__Host-session")
	_, otherKey := sealed("another key, just as long as it is", "__Host-session")
	_, otherName := sealed(clSealKey, "__Host-other")
	plain := newClLab(f, session.Config{}).signIn("alice", session.SignInOptions{}).cookie
	for _, seed := range []string{
		"$", " $", "$=", "$A", "$$", "$;", "A$", good[1:], good[:len(good)-1], otherKey, otherName, plain, "", "|", "||", "MHx8",
		base64.URLEncoding.EncodeToString([]byte("0|" + plain + "|")), strings.Repeat("A", 5000), strings.TrimRight(good, "="), "\"$\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		value, _, _ = strings.Cut(strings.ReplaceAll(value, "$", good), ";") // the rest is another cookie
		r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
		r.Header["Cookie"] = []string{"__Host-session=" + value}
		got := l.see(r)
		var want []string
		tok, genuine := clUnseal(clSealKey, "__Host-session", strings.TrimRight(value, " \t"))
		if genuine && clIsToken(tok) {
			want = []string{"Load " + tok[:24]}
		}
		if got.status != http.StatusOK || !slices.Equal(got.calls, want) {
			t.Errorf("%q: status %d, the store is asked %q, want %q", value, got.status, got.calls, want)
		}
		if value == good && got.user != "alice" || got.user != "" && !genuine {
			t.Errorf("%q signs in as %q", value, got.user)
		}
	})
}

// clUnseal opens a sealed cookie: base64 of "time|base64 of the token|MAC", where
// the MAC is over the cookie's name and what is before it.
func clUnseal(key, name, value string) (tok string, ok bool) {
	raw, err := base64.URLEncoding.DecodeString(value)
	parts := strings.SplitN(string(raw), "|", 3)
	if err != nil || len(parts) != 3 {
		return "", false
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(name + "|" + parts[0] + "|" + parts[1]))
	inner, err := base64.URLEncoding.DecodeString(parts[1])
	return string(inner), err == nil && string(mac.Sum(nil)) == parts[2]
}

// FuzzSessionHeader: with header transport a token in X-Session-ID or as bearer
// signs in, if nothing else in the request says otherwise; two that differ sign
// in nobody; no answer to a request without a session cookie sets one.
func FuzzSessionHeader(f *testing.F) {
	l := newClLab(f, session.Config{HeaderTransport: true, UpdateAge: session.EveryRequest})
	alice, bob := l.signIn("alice", session.SignInOptions{}).cookie, l.signIn("bob", session.SignInOptions{}).cookie
	for _, seed := range [][3]string{
		{"$", "", ""}, {"", "Bearer $", ""}, {"$", "Bearer $", ""}, {"$", "Bearer §", ""}, {"", "", "$"}, {"$", "", "$"}, {"$", "", "§"},
		{"", "bearer $", ""}, {"", "BEARER $", ""}, {"", "Bearer  $", ""}, {"", "Bearer", ""}, {"", "Basic $", ""}, {"", "$", ""},
		{"", "Bearer $\nBearer §", ""}, {"$\n§", "", ""}, {"$, §", "", ""}, {"x\n$", "", ""}, {"$", "Bearer eyJhbGciOiJub25lIn0.e30.", ""},
		{"$", "", "garbage"}, {" $", "", ""}, {"\"$\"", "", ""}, {"$\x00", "", ""}, {"", "Bearer\t$", ""}, {"$", "Negotiate x, Bearer §", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	tokens := strings.NewReplacer("$", alice, "§", bob)
	f.Fuzz(func(t *testing.T, id, authorization, cookie string) {
		r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
		id, authorization, cookie = tokens.Replace(id), tokens.Replace(authorization), tokens.Replace(cookie)
		r.Header["X-Session-Id"] = strings.Split(id, "\n")
		r.Header["Authorization"] = strings.Split(authorization, "\n")
		if cookie != "" {
			r.Header["Cookie"] = []string{"__Host-session=" + cookie}
		}
		got := l.see(r)
		all := id + authorization + cookie
		hasA, hasB := strings.Contains(all, alice), strings.Contains(all, bob)
		if got.status != http.StatusOK || got.user == "alice" && !hasA || got.user == "bob" && !hasB {
			t.Errorf("%q, %q, %q: status %d, user %q", id, authorization, cookie, got.status, got.user)
		}
		if clPresents(r.Header, alice) && clPresents(r.Header, bob) && got.user != "" {
			t.Errorf("%q, %q, %q: two sessions are user %q", id, authorization, cookie, got.user)
		}
		if cookie == "" && got.header["Set-Cookie"] != nil {
			t.Errorf("%q, %q: a header is answered with a cookie", id, authorization)
		}
		if id == alice && authorization == "" && cookie == "" && got.user != "alice" {
			t.Errorf("the token in the header is user %q", got.user)
		}
	})
}

// clPresents says whether a request plainly presents a token.
func clPresents(h http.Header, tok string) bool {
	return slices.Contains(h["X-Session-Id"], tok) || slices.Contains(h["Authorization"], "Bearer "+tok) ||
		slices.Contains(h["Cookie"], "__Host-session="+tok)
}

// FuzzForwardedFor: an untrusted peer is its own address, whatever it says. Behind
// a trusted one the client is the peer, or an address that somebody wrote into
// X-Forwarded-For, and never one to the left of an untrusted hop.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range [][2]string{
		{"10.0.0.1:1", "203.0.113.9"}, {"203.0.113.9:1", "198.51.100.1"}, {"10.0.0.1:1", "1.1.1.1, 203.0.113.9, 10.0.0.2"}, {"10.0.0.1:1", ""},
		{"10.0.0.1:1", ",,,"}, {"10.0.0.1:1", "1.1.1.1\n2.2.2.2"}, {"10.0.0.1:1", "::ffff:1.2.3.4"}, {"10.0.0.1:1", "fe80::1%eth0"},
		{"[::1]:1", "2001:db8::1"}, {"@", "1.1.1.1"}, {"", ""}, {"10.0.0.1", "1.1.1.1:80"}, {"[fe80::1%25lo]:1", "1"}, {"10.0.0.1:1", "[::1]:80"},
		{"10.0.0.1:1", "256.1.1.1"}, {"10.0.0.1:1", "1.1.1.1 , 10.0.0.1"}, {"10.0.0.1:1", "\x00"}, {"10.0.0.1:1", strings.Repeat("10.0.0.1,", 3000)},
	} {
		f.Add(seed[0], seed[1])
	}
	l := newClLab(f, session.Config{TrustedProxies: clTrust})
	f.Fuzz(func(t *testing.T, remote, forwarded string) {
		r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
		r.RemoteAddr = remote
		r.Header["X-Forwarded-For"] = strings.Split(forwarded, "\n")
		got := clAddress(l, r)
		peer := clPeer(remote)
		hops := clHops(r.Header["X-Forwarded-For"])
		switch {
		case !clTrusts(peer):
			if got != clShown(peer) {
				t.Errorf("from %q, forwarded %q: %q, want the peer", remote, forwarded, got)
			}
		case got == clShown(peer):
		case !slices.Contains(hops, got):
			t.Errorf("from %q, forwarded %q: %q, which nobody wrote", remote, forwarded, got)
		default:
			for _, right := range hops[clLastIndex(hops, got)+1:] {
				if addr, err := netip.ParseAddr(right); err != nil || !clTrusts(addr) {
					t.Errorf("from %q, forwarded %q: %q, left of the untrusted %q", remote, forwarded, got, right)
				}
			}
		}
	})
}

func clPeer(remote string) netip.Addr {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	addr, _ := netip.ParseAddr(remote)
	return addr.Unmap().WithZone("")
}

func clShown(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

func clTrusts(addr netip.Addr) bool {
	return slices.ContainsFunc(clTrust, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// clHops are the elements of all lines, addresses among them in their one form.
func clHops(lines []string) (hops []string) {
	for hop := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		hop = strings.Trim(hop, " \t")
		if addr, err := netip.ParseAddr(hop); err == nil {
			hop = addr.Unmap().WithZone("").String()
		}
		hops = append(hops, hop)
	}
	return hops
}

func clLastIndex(list []string, s string) int {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == s {
			return i
		}
	}
	return -1
}

// FuzzParseRecord: no bytes make ParseRecord panic; what it accepts encodes to
// the very same bytes; what it refuses is ErrUnreadable.
func FuzzParseRecord(f *testing.F) {
	for _, seed := range clRecordSeeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := session.ParseRecord("id", data)
		if same, sameErr := session.ParseRecord("id", string(data)); (err == nil) != (sameErr == nil) || err == nil && *same != *r {
			t.Errorf("bytes are record %v and error %v, the same string is %v and %v", r, err, same, sameErr)
		}
		if err != nil {
			if !errors.Is(err, session.ErrUnreadable) {
				t.Errorf("error %v, want ErrUnreadable", err)
			}
			return
		}
		again, err := r.AppendBinary([]byte("prefix"))
		if err != nil || !bytes.Equal(again, append([]byte("prefix"), data...)) {
			t.Errorf("%x encodes to %x, %v", data, again, err)
		}
		if end := r.CreatedAt.Add(r.ExpiresIn); r.ExpiresIn < 0 || end.Before(r.CreatedAt) {
			t.Errorf("ExpiresIn %v overflows", r.ExpiresIn)
		}
	})
}

// clRecordSeeds are a good record, cut off everywhere and with hostile numbers in
// its head.
func clRecordSeeds(f *testing.F) (seeds [][]byte) {
	values, err := session.Values("").Apply([]session.Change{{Key: "a", Data: []byte("1")}, {Key: "b", Data: []byte("null")}})
	if err != nil {
		f.Fatal(err)
	}
	r := &session.Record{
		UserID: "alice", State: session.StateSignedIn, ExpiresAt: time.UnixMilli(1), ExpiresIn: time.Hour, IPAddress: "::1", UserAgent: "ü",
		PreviousReads: true, Persistent: true, Version: math.MaxUint64, Values: values,
	}
	good, err := r.AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, cut := range []int{0, 1, 11, 60, 133, 134, 135, len(good) - 1, len(good)} {
		seeds = append(seeds, good[:cut])
	}
	for _, offset := range []int{12, 20, 28, 36, 44, 52, 60} {
		for _, number := range []uint64{0, 1, 1<<47 - 1, 1 << 47, math.MaxInt64, math.MaxUint64, math.MaxInt64 / 1_000_000, math.MaxInt64/1_000_000 + 1} {
			hostile := slices.Clone(good)
			binary.BigEndian.PutUint64(hostile[offset:], number)
			seeds = append(seeds, hostile)
		}
	}
	for _, offset := range []int{0, 1, 2, 3, 132, 133, 134, 135, len(good) - 5, len(good) - 8} {
		hostile := slices.Clone(good)
		hostile[offset] = 0xff
		seeds = append(seeds, hostile)
	}
	return append(seeds, append(slices.Clone(good), good[len(good)-11:]...)) // one key twice
}

// FuzzRecordRoundTrip: what encodes decodes into the same. A record of now and of
// fields within their limits does encode.
func FuzzRecordRoundTrip(f *testing.F) {
	f.Add("alice", "192.0.2.1", "Firefox", "laptop", "password", int64(1), int64(1700000000000), uint64(7), byte(1), "key", "1")
	f.Add("", "", "", "", "", int64(0), int64(0), uint64(1), byte(0), "", "")
	f.Add("a:{b} c", "::1", "\x00\xff", "𝄞", strings.Repeat("m", 128), int64(math.MaxInt64/1_000_000), int64(1<<47-1), uint64(math.MaxUint64), byte(0xff), strings.Repeat("k", 1024), strings.Repeat("v", 60000))
	f.Fuzz(func(t *testing.T, user, ip, agent, device, method string, in, at int64, version uint64, bits byte, key, data string) {
		values, err := session.Values("").Apply([]session.Change{{Key: key, Data: []byte(data)}})
		if err != nil {
			return
		}
		r := &session.Record{
			ID: "id", UserID: user, IPAddress: ip, UserAgent: agent, DeviceID: device, Method: method,
			State: session.State(bits & 3), Persistent: bits&4 != 0, PreviousReads: bits&8 != 0, Level: session.Level(bits >> 4),
			TokenHash: [32]byte{1, byte(at)}, PreviousTokenHash: [32]byte{31: byte(in)}, Version: version, Values: values,
			ExpiresIn: clBounded(in, math.MaxInt64/int64(time.Millisecond)) * time.Millisecond,
			CreatedAt: clTime(at), UpdatedAt: clTime(at + 1), ExpiresAt: clTime(in), AuthenticatedAt: clTime(at / 2), RotatedAt: clTime(at - 1), PreviousUntil: clTime(in / 3),
		}
		encoded, err := r.AppendBinary(nil)
		if err != nil {
			size := 10 + len(user) + len(ip) + len(agent) + len(device) + len(method)
			if size <= 0xffff && max(r.ExpiresIn, time.Until(r.CreatedAt), time.Until(r.ExpiresAt)) < 100*365*24*time.Hour {
				t.Errorf("a record with %d bytes of strings does not encode: %v", size, err)
			}
			return
		}
		got, err := session.ParseRecord("id", encoded)
		if err != nil || *got != *r {
			t.Errorf("got %+v, %v; want %+v", got, err, r)
		}
	})
}

// clBounded makes a number fit between 0 and limit.
func clBounded(n, limit int64) time.Duration {
	if n < 0 {
		n = -(n + 1)
	}
	return time.Duration(n % (limit + 1))
}

// clTime makes a number a time as records keep it.
func clTime(ms int64) time.Time {
	if ms = int64(clBounded(ms, 1<<47-1)); ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// FuzzValues: on any bytes, a hostile store's included, Get, All and Apply do not
// panic; after Apply the changed keys have their new data, the others theirs; it
// fits, or is ErrTooLarge and changes nothing.
func FuzzValues(f *testing.F) {
	good, err := session.Values("").Apply([]session.Change{{Key: "a", Data: []byte("1")}, {Key: "b", Data: []byte(`{"c":2}`)}})
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range []string{
		"", string(good), string(good[:3]), string(good[:len(good)-1]), string(good + good), "\x00\x00\x00\x00\x00\x00", "\xff\xff\xff\xff\xff\xff",
		"\x00\x01\x7f\xff\xff\xffk", "\x00\x01\xff\xff\xff\xf9k", "\x00\x00\x80\x00\x00\x00", string(good) + "\x00", strings.Repeat("\x00", 66000),
	} {
		f.Add(v, "a", "2", "z", "null", false)
		f.Add(v, "a", "2", "a", "3", true)
	}
	f.Add("", strings.Repeat("k", 65530), "", "k", "", false)
	f.Add("", strings.Repeat("k", 65536), "", "k", strings.Repeat("v", 65530), false)
	f.Fuzz(func(t *testing.T, bytes, key1, data1, key2, data2 string, remove bool) {
		v := session.Values(bytes)
		before := make(map[string]string)
		for key, data := range v.All() {
			if _, twice := before[key]; twice {
				return // no store holds that: ParseRecord refuses it
			}
			before[key] = data
			if got, ok := v.Get(key); !ok || got != data {
				t.Errorf("Get(%q) is %q, %t; All has %q", key, got, ok, data)
			}
		}
		after, err := v.Apply([]session.Change{{Key: key1, Data: []byte(data1)}, {Key: key2, Data: []byte(data2), Delete: remove}})
		if err != nil {
			if !errors.Is(err, session.ErrTooLarge) || after != v || len(v)+len(key1)+len(key2)+len(data1)+len(data2)+12 <= 64<<10 {
				t.Errorf("Apply: %v", err)
			}
			return
		}
		before[key1], before[key2] = data1, data2
		if remove {
			delete(before, key2)
		}
		clCheckValues(t, after, before)
	})
}

// clCheckValues checks that values hold just what they should, in a form that
// every store can read back.
func clCheckValues(t *testing.T, got session.Values, want map[string]string) {
	t.Helper()
	n := 0
	for key, data := range got.All() {
		n++
		if w, ok := want[key]; !ok || data != w {
			t.Errorf("key %q is %q, want %q, %t", key, data, w, ok)
		}
	}
	if n != len(want) || len(got) > 64<<10 {
		t.Errorf("%d values in %d bytes, want %d in 64 KiB", n, len(got), len(want))
	}
	encoded, err := (&session.Record{Values: got}).AppendBinary(nil)
	if err != nil {
		t.Errorf("encode: %v", err)
	}
	if r, err := session.ParseRecord("id", encoded); err != nil || r.Values != got {
		t.Errorf("the values do not come back from a store: %v", err)
	}
}

// FuzzSignInStrings: SignIn accepts a user ID and a method exactly if every store
// can keep them, databases included: valid UTF-8 without NUL. The user is then
// what the next request and his list of sessions say, byte for byte.
func FuzzSignInStrings(f *testing.F) {
	for _, seed := range []string{
		"", "a", "A", "a ", " a", "a:b", "{a}", "\x00", "a\x00b", "\xff", "𝄞", strings.Repeat("x", 128), strings.Repeat("x", 129),
		strings.Repeat("x", 1024), strings.Repeat("x", 1025), "\u202e", "\n", `"'<`,
	} {
		f.Add(seed, "password")
		f.Add("alice", seed)
	}
	l := newClLab(f, session.Config{})
	f.Fuzz(func(t *testing.T, user, method string) {
		defer func() { _, _ = l.m.RevokeAll(context.Background(), user) }()
		c := l.visitor()
		_, err := c.try(func(ctx context.Context, s *session.Session) error {
			return s.SignIn(ctx, user, session.SignInOptions{Method: method})
		})
		good := user != "" && clStorable(user, 1024) && clStorable(method, 128)
		if (err == nil) != good {
			t.Fatalf("SignIn(%q) by %q: %v", user, method, err)
		}
		infos, _ := l.m.Sessions(context.Background(), user)
		if got := c.user(); good && (got != user || len(infos) != 1 || infos[0].Method != method) || !good && (got != "" || len(infos) > 0) {
			t.Errorf("SignIn(%q) by %q: user %q, sessions %v", user, method, got, infos)
		}
	})
}

func clStorable(s string, longest int) bool {
	return utf8.ValidString(s) && len(s) <= longest && !strings.Contains(s, "\x00")
}
