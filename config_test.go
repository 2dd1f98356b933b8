package session_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// clMistakes are configurations with one mistake each, and what the error says.
var clMistakes = []struct {
	cfg  session.Config
	says string
}{
	{session.Config{ExpiresIn: time.Millisecond, UpdateAge: time.Millisecond}, "ExpiresIn is 1ms"},
	{session.Config{ExpiresIn: -time.Hour}, "ExpiresIn is -1h0m0s"},
	{session.Config{MaxLifetime: -time.Hour}, "MaxLifetime is -1h0m0s"},
	{session.Config{FreshAge: -time.Second}, "FreshAge is -1s"},
	{session.Config{AnonymousExpiresIn: -time.Second}, "AnonymousExpiresIn is -1s"},
	{session.Config{RotationGrace: time.Microsecond}, "RotationGrace is 1µs"},
	{session.Config{UpdateAge: -2}, "UpdateAge is less than a millisecond"},
	{session.Config{UpdateAge: time.Microsecond}, "UpdateAge is less than a millisecond"},
	{session.Config{ExpiresIn: time.Hour, UpdateAge: 2 * time.Hour}, "UpdateAge is longer than ExpiresIn"},
	{session.Config{ExpiresIn: 2 * time.Hour, MaxLifetime: time.Hour}, "ExpiresIn is longer than MaxLifetime"},
	{session.Config{ExpiresIn: 101 * 365 * 24 * time.Hour}, "ExpiresIn is 884760h0m0s"},
	{session.Config{AAL: 9}, "AAL 9 is unknown"},
	{session.Config{AAL: session.AAL1, MaxLifetime: 31 * 24 * time.Hour}, "MaxLifetime is longer than AAL1 allows"},
	{session.Config{AAL: session.AAL2, ExpiresIn: 2 * time.Hour}, "ExpiresIn is longer than AAL2 allows"},
	{session.Config{RotateEvery: -time.Hour}, "RotateEvery is negative"},
	{session.Config{RotateEvery: 30 * time.Second}, "RotateEvery is not longer than RotationGrace"},
	{session.Config{MaxSessions: -1}, "MaxSessions is -1"},
	{session.Config{RefuseOverLimit: true}, "RefuseOverLimit needs MaxSessions"},
	{session.Config{Binding: 8}, "Binding 1000 has unknown bits"},
	{session.Config{RevokeOnMismatch: true}, "RevokeOnMismatch needs Binding"},
	{session.Config{TrustedProxies: []netip.Prefix{{}}}, "TrustedProxies contains an invalid network"},
	{session.Config{ClearSiteData: []string{"storages"}}, `ClearSiteData does not know "storages"`},
	{session.Config{ClearSiteData: []string{"*"}, Cookie: session.Cookie{Domain: "example.com"}}, "would clear other hosts' cookies"},
	{session.Config{Cookie: session.Cookie{Name: "__Host-a", Domain: "example.com"}}, "__Host- forbids Domain"},
	{session.Config{Cookie: session.Cookie{Name: "__Host-a", Path: "/a"}}, "__Host- demands Path"},
	{session.Config{Cookie: session.Cookie{Name: "__Secure-a", Insecure: true}}, "prefix forbids Insecure"},
	{session.Config{Cookie: session.Cookie{SameSite: http.SameSiteNoneMode, Insecure: true}}, "SameSite=None forbids Insecure"},
	{session.Config{Cookie: session.Cookie{SameSite: 17}}, "SameSite must be"},
	{session.Config{Cookie: session.Cookie{Partitioned: true, Insecure: true}}, "Partitioned forbids Insecure"},
	{session.Config{Cookie: session.Cookie{Name: strings.Repeat("n", 1025)}}, "Name is longer"},
	{session.Config{Cookie: session.Cookie{Path: "/" + strings.Repeat("p", 1024)}}, "Path is longer"},
	{session.Config{Cookie: session.Cookie{Path: "app"}}, "Path must begin"},
	{session.Config{Cookie: session.Cookie{Path: "/a;b"}}, "in Cookie.Path"},
	{session.Config{Cookie: session.Cookie{Name: "a b"}}, "invalid Cookie.Name"},
	{session.Config{Cookie: session.Cookie{Name: "a=b"}}, "invalid Cookie.Name"},
	{session.Config{Cookie: session.Cookie{Name: "sitzung\n"}}, "invalid Cookie.Name"},
	{session.Config{Cookie: session.Cookie{Domain: "exa mple.com"}}, "invalid Cookie.Domain"},
	{session.Config{Cookie: session.Cookie{Keys: [][]byte{make([]byte, 31)}}}, "key 0 has 31 bytes"},
	{session.Config{Cookie: session.Cookie{Keys: [][]byte{make([]byte, 32), nil}}}, "key 1 has 0 bytes"},
	{session.Config{Cookie: session.Cookie{AcceptUnsealedUntil: time.Now()}}, "AcceptUnsealedUntil needs Keys"},
}

func TestNewReportsAMistake(t *testing.T) {
	for _, row := range clMistakes {
		_, err := session.New(clNoStore(), row.cfg)
		if err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("got %v, want an error that says %q", err, row.says)
		}
	}
	if _, err := session.New(nil, session.Config{}); err == nil {
		t.Error("New accepts no store")
	}
}

// A network in IPv6 clothes contains no IPv4 address, as addresses are taken out
// of theirs: nothing would be trusted, in silence.
func TestNewReportsANetworkThatContainsNothing(t *testing.T) {
	cfg := session.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}
	m, err := session.New(clNoStore(), cfg)
	if err != nil {
		return
	}
	if got := m.Config().TrustedProxies[0]; !got.Contains(netip.MustParseAddr("10.0.0.1")) {
		t.Errorf("New accepts the network %v, which no address is in", got)
	}
}

// "For ever" is a lifetime that people configure. What New accepts must come back
// from every store, or nobody who signs in is signed in.
func TestNewReportsALifetimeNoRecordHolds(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, lifetime := range []time.Duration{year, 10 * year, 100 * year, 250 * year, 1<<63 - 1} {
		store := &clStore{Store: &memstore.Store{}}
		m, err := session.New(store, session.Config{ExpiresIn: lifetime, Logger: clSilence})
		if err != nil {
			continue
		}
		c := (&clLab{t: t, m: m, store: store}).signIn("alice", session.SignInOptions{})
		r := store.record(c.cookie[:24])
		encoded, err := r.AppendBinary(nil)
		if err != nil {
			t.Errorf("ExpiresIn %v makes a record that does not encode: %v", lifetime, err)
			continue
		}
		if again, err := session.ParseRecord(r.ID, encoded); err != nil || *again != *r {
			t.Errorf("ExpiresIn %v makes a record that does not come back: %v", lifetime, err)
		}
	}
}

func TestNewReportsAllMistakesAtOnce(t *testing.T) {
	_, err := session.New(nil, session.Config{
		ExpiresIn: -1, UpdateAge: -7, MaxLifetime: -3, FreshAge: -4, AnonymousExpiresIn: -5, RotationGrace: -6, AAL: 9, RotateEvery: -8,
		MaxSessions: -9, Binding: 200, TrustedProxies: []netip.Prefix{{}}, ClearSiteData: []string{"x", "y"},
		Cookie: session.Cookie{
			Name: "__Host-a b", Domain: "-", Path: "x", SameSite: 9, Insecure: true, Partitioned: true, Keys: [][]byte{{1}, {2}},
		},
	})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got %v, want joined errors", err)
	}
	for _, says := range []string{
		"ExpiresIn", "UpdateAge", "MaxLifetime", "FreshAge", "AnonymousExpiresIn", "RotationGrace", "AAL 9", "RotateEvery",
		"MaxSessions", "Binding", "TrustedProxies", `"x"`, `"y"`, "__Host- forbids Domain", "__Host- demands", "forbids Insecure",
		"Partitioned", "SameSite", "Path must", "key 0", "key 1", "invalid Cookie",
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not tell of %s:\n%v", says, errors.Join(joined.Unwrap()...))
		}
	}
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, "session: ") {
			t.Errorf("a line does not say where it is from: %q", line)
		}
	}
}

func TestTheZeroConfigIsFilledIn(t *testing.T) {
	const day = 24 * time.Hour
	for name, row := range map[string]struct{ cfg, want session.Config }{
		"zero": {session.Config{}, session.Config{
			ExpiresIn: 7 * day, UpdateAge: day, MaxLifetime: 30 * day, FreshAge: day, AnonymousExpiresIn: day, RotationGrace: 30 * time.Second,
			Cookie: session.Cookie{Name: "__Host-session", Path: "/", SameSite: http.SameSiteLaxMode},
		}},
		"AAL1": {session.Config{AAL: session.AAL1}, session.Config{
			ExpiresIn: 7 * day, UpdateAge: day, MaxLifetime: 30 * day, FreshAge: day,
		}},
		"AAL2": {session.Config{AAL: session.AAL2}, session.Config{
			ExpiresIn: time.Hour, UpdateAge: 5 * time.Minute, MaxLifetime: day, FreshAge: time.Hour,
		}},
		"AAL3": {session.Config{AAL: session.AAL3}, session.Config{
			ExpiresIn: 15 * time.Minute, UpdateAge: time.Minute, MaxLifetime: 12 * time.Hour, FreshAge: 15 * time.Minute,
		}},
		"longer":           {session.Config{ExpiresIn: 60 * day}, session.Config{ExpiresIn: 60 * day, MaxLifetime: 60 * day, UpdateAge: day}},
		"every request":    {session.Config{UpdateAge: session.EveryRequest}, session.Config{UpdateAge: session.EveryRequest}},
		"cookie, insecure": {session.Config{Cookie: session.Cookie{Insecure: true}}, session.Config{Cookie: session.Cookie{Name: "session"}}},
		"cookie, domain":   {session.Config{Cookie: session.Cookie{Domain: "a.example"}}, session.Config{Cookie: session.Cookie{Name: "__Secure-session"}}},
		"cookie, path":     {session.Config{Cookie: session.Cookie{Path: "/a"}}, session.Config{Cookie: session.Cookie{Name: "__Secure-session", Path: "/a"}}},
	} {
		m, err := session.New(clNoStore(), row.cfg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		clCheckFields(t, name, reflect.ValueOf(m.Config()), reflect.ValueOf(row.want))
	}
}

// clCheckFields compares the fields that want sets.
func clCheckFields(t *testing.T, name string, got, want reflect.Value) {
	t.Helper()
	for i := range want.NumField() {
		field := want.Type().Field(i).Name
		switch {
		case want.Field(i).IsZero():
		case field == "Cookie":
			clCheckFields(t, name+": Cookie", got.Field(i), want.Field(i))
		case !reflect.DeepEqual(got.Field(i).Interface(), want.Field(i).Interface()):
			t.Errorf("%s: %s is %v, want %v", name, field, got.Field(i), want.Field(i))
		}
	}
}

// Who configures ExpiresIn alone means a time without use: the UpdateAge that goes
// with it must come before the expiry, or no request ever moves it.
func TestTheDefaultUpdateAgeComesBeforeTheExpiry(t *testing.T) {
	for _, cfg := range []session.Config{
		{}, {ExpiresIn: time.Hour}, {ExpiresIn: time.Minute}, {AAL: session.AAL2, ExpiresIn: 2 * time.Minute}, {AAL: session.AAL3, ExpiresIn: 30 * time.Second},
	} {
		m, err := session.New(clNoStore(), cfg)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := m.Config(); got.UpdateAge >= got.ExpiresIn {
			t.Errorf("ExpiresIn %v has the default UpdateAge %v: it is due when it has expired", got.ExpiresIn, got.UpdateAge)
		}
	}
}

func TestConfigShowsNoKey(t *testing.T) {
	m, err := session.New(clNoStore(), session.Config{Cookie: session.Cookie{Keys: [][]byte{[]byte(clSealKey)}}})
	if err != nil {
		t.Fatal(err)
	}
	text := m.Config().String()
	for _, want := range []string{"expires in 168h0m0s", "update age 24h0m0s", "max lifetime 720h0m0s", "__Host-session", "sealed true"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not show %q", text, want)
		}
	}
	cfg := m.Config()
	clShows(t, "Config", cfg, []string{clSealKey})
	clShows(t, "*Config", &cfg, []string{clSealKey})
}

// What the caller changes after New changes nothing, and neither does what Config
// returned.
func TestNewCopiesItsConfig(t *testing.T) {
	cfg := session.Config{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		ClearSiteData:  []string{"cache"},
		Cookie:         session.Cookie{Keys: [][]byte{[]byte(clSealKey)}},
	}
	l := newClLab(t, cfg)
	c := l.signIn("alice", session.SignInOptions{})
	for _, shared := range []session.Config{cfg, l.m.Config()} {
		shared.TrustedProxies[0] = netip.MustParsePrefix("0.0.0.0/0")
		shared.ClearSiteData[0] = "no such thing"
		clear(shared.Cookie.Keys[0])
		shared.Cookie.Keys[0] = nil
	}
	if user := c.user(); user != "alice" {
		t.Errorf("user %q: the key has changed", user)
	}
	r := c.request(http.MethodGet)
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	if got := clAddress(l, r); got != "192.0.2.1" {
		t.Errorf("client address %q: the trusted networks have changed", got)
	}
	if got := c.signOut().Header.Get("Clear-Site-Data"); got != `"cache"` {
		t.Errorf("Clear-Site-Data is %s", got)
	}
	if got := l.m.Config(); got.Cookie.Keys[0] == nil || got.ClearSiteData[0] != "cache" {
		t.Errorf("Config returns what somebody else can change: %+v", got)
	}
}

// The API is what people have to learn: it may not grow in silence.
func TestAtMost70Names(t *testing.T) {
	var names []string
	for _, file := range clSource(t) {
		for _, decl := range file.Decls {
			names = append(names, clExportedNames(decl)...)
		}
	}
	slices.Sort(names)
	if len(names) > 70 {
		t.Errorf("the package has %d exported names, at most 70 are allowed: %q", len(names), names)
	}
	if len(names) < 20 {
		t.Errorf("only %d names found: %q", len(names), names)
	}
}

// clExportedNames returns the package-level names that a declaration exports.
func clExportedNames(decl ast.Decl) (names []string) {
	add := func(id *ast.Ident) {
		if id.IsExported() {
			names = append(names, id.Name)
		}
	}
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Recv == nil {
			add(decl.Name)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				add(spec.Name)
			case *ast.ValueSpec:
				for _, id := range spec.Names {
					add(id)
				}
			}
		}
	}
	return names
}

const clModule = "github.com/updateage/session"

// Whoever imports the core gets the standard library and gorilla/securecookie.
// Packages of its module import the core and the standard library. A leaf, which
// is a module of its own, is imported by programs only, never by a package that
// would pass its dependencies on.
func TestImportRule(t *testing.T) {
	leaves := clLeaves(t)
	checked := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		checked++
		for _, imp := range file.Imports {
			imported, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			if reason := clForbidden(filepath.ToSlash(name), imported, leaves); reason != "" {
				t.Errorf("%s imports %s: %s", name, imported, reason)
			}
		}
		return nil
	})
	if err != nil || checked < 20 {
		t.Errorf("checked %d files: %v", checked, err)
	}
}

// clLeaves returns the directories that are modules of their own.
func clLeaves(t *testing.T) (leaves []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "go.mod" && name != "go.mod" {
			leaves = append(leaves, path.Dir(filepath.ToSlash(name)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return leaves
}

// clForbidden says why a file may not import a package, if it may not.
func clForbidden(file, imported string, leaves []string) string {
	dir := path.Dir(file)
	home := clLeafOf(dir, leaves)
	local, ours := strings.CutPrefix(imported, clModule+"/")
	target := clLeafOf(local, leaves)
	first, _, _ := strings.Cut(imported, "/")
	switch {
	case clIsProgram(dir):
		return ""
	case home != "" && strings.HasSuffix(file, "_test.go") && strings.HasPrefix(target, "internal/"):
		return "" // it is for tests, and a test passes nothing on
	case ours && target != "" && target != home:
		return "only programs import a leaf"
	case home != "" || !strings.Contains(first, "."):
		return "" // what a leaf depends on is its own go.mod's concern
	case ours && dir == "." && !strings.HasSuffix(file, "_test.go"):
		return "the core imports none of its packages"
	case ours, imported == clModule, imported == "github.com/gorilla/securecookie" && dir == ".":
		return ""
	}
	return "third-party code belongs into a leaf module"
}

// clLeafOf returns the leaf a directory is in, or "".
func clLeafOf(dir string, leaves []string) (leaf string) {
	for _, l := range leaves {
		if (dir == l || strings.HasPrefix(dir, l+"/")) && len(l) > len(leaf) {
			leaf = l
		}
	}
	return leaf
}

func clIsProgram(dir string) bool {
	return strings.HasPrefix(dir+"/", "examples/") || strings.HasPrefix(dir+"/", "benchmarks/") || strings.Contains("/"+dir+"/", "/cmd/")
}

// The import rule itself is easily made to allow everything.
func TestImportRuleRefuses(t *testing.T) {
	leaves := []string{"redisstore", "sqlstore", "examples/gin", "internal/browser"}
	for _, row := range []struct {
		file, imported string
		allowed        bool
	}{
		{"session.go", "net/http", true},
		{"session.go", "github.com/gorilla/securecookie", true},
		{"session.go", "github.com/gorilla/sessions", false},
		{"session.go", "golang.org/x/crypto/hkdf", false},
		{"session.go", clModule + "/memstore", false},
		{"session_test.go", clModule + "/memstore", true},
		{"session_test.go", clModule + "/internal/browser", false},
		{"redisstore/store_test.go", clModule + "/internal/browser", true},
		{"redisstore/store.go", clModule + "/internal/browser", false},
		{"session_test.go", clModule + "/redisstore", false},
		{"session_test.go", "github.com/stretchr/testify/assert", false},
		{"memstore/memstore.go", clModule, true},
		{"memstore/memstore.go", "github.com/gorilla/securecookie", false},
		{"endpoints/native.go", clModule + "/memstore", true},
		{"endpoints/native.go", clModule + "/redisstore", false},
		{"redisstore/store.go", "github.com/redis/go-redis/v9", true},
		{"redisstore/store.go", clModule + "/sqlstore", false},
		{"redisstore/store_test.go", clModule + "/storetest", true},
		{"redisstore/internal/x/x.go", clModule + "/redisstore/internal/y", true},
		{"examples/quickstart/main.go", clModule + "/redisstore", true},
		{"benchmarks/bench_test.go", "github.com/alexedwards/scs/v2", true},
	} {
		if reason := clForbidden(row.file, row.imported, leaves); (reason == "") != row.allowed {
			t.Errorf("%s importing %s: got %q, want allowed %t", row.file, row.imported, reason, row.allowed)
		}
	}
}

func TestModuleRequiresSecurecookieOnly(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		if strings.Contains(line, "/v") || strings.Contains(line, " v") {
			if !strings.Contains(line, "github.com/gorilla/securecookie ") {
				t.Errorf("go.mod requires %s", strings.TrimSpace(line))
			}
		}
	}
}
