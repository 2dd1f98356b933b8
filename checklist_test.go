package session_test

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/memstore"
)

// The tests of the security checklist are in the files checklist_*_test.go, one
// sub-test "item-NN …" for each item. SECURITY.md says what each item demands and
// where it is proved; the test below keeps it from saying more than there is.

const checklistItems = 71

var (
	clRow      = regexp.MustCompile(`(?m)^\| *(\d+) *\|([^|]*)\|([^|]*)\|$`)
	clTestName = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]*)(?:/(item-\\d\\d))?`")
	clItemName = regexp.MustCompile(`^item-\d\d\b`)
)

// clLater are the parts of the project that prove what the core cannot.
var clLater = []string{"endpoints", "gateway", "redisstore", "sqlstore", "client"}

func TestSecurityPageNamesTheProofOfEveryItem(t *testing.T) {
	page, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := clTestsInTree(t)
	rows := make(map[int]int)
	for _, row := range clRow.FindAllStringSubmatch(string(page), -1) {
		item, _ := strconv.Atoi(row[1])
		rows[item]++
		if strings.TrimSpace(row[2]) == "" {
			t.Errorf("item %d: the row does not say what it demands", item)
		}
		clCheckProof(t, item, row[3], tests)
	}
	for item := 1; item <= checklistItems; item++ {
		if rows[item] != 1 {
			t.Errorf("item %d has %d rows, want 1", item, rows[item])
		}
	}
	if len(rows) != checklistItems {
		t.Errorf("got rows for %d items, want %d", len(rows), checklistItems)
	}
}

// clCheckProof checks that a proof names tests that exist, a later part, or a reason.
func clCheckProof(t *testing.T, item int, proof string, tests map[string]bool) {
	t.Helper()
	named := clTestName.FindAllStringSubmatch(proof, -1)
	for _, name := range named {
		full := strings.Trim(name[0], "`")
		if !tests[full] {
			t.Errorf("item %d: there is no test %s", item, full)
		}
		if name[2] != "" && name[2] != "item-"+clTwoDigits(item) {
			t.Errorf("item %d: is proved by a test of another item, %s", item, full)
		}
	}
	if len(named) > 0 || strings.Contains(proof, "not applicable, because ") {
		return
	}
	if !slices.ContainsFunc(clLater, func(part string) bool { return strings.Contains(proof, "proved by "+part) }) {
		t.Errorf("item %d: got proof %q, want a test, a later part or a reason", item, proof)
	}
}

func clTwoDigits(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}

// TestEveryChecklistTestIsOnTheSecurityPage is the other direction: no proof is
// left out, and a sub-test that is renumbered takes its row along.
func TestEveryChecklistTestIsOnTheSecurityPage(t *testing.T) {
	page, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range clTestsInTree(t) {
		if strings.HasPrefix(name, "TestChecklist") && strings.Contains(name, "/") && !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("%s is not in SECURITY.md", name)
		}
	}
}

// clTestsInTree returns the tests and fuzz tests of the tree, and "Test/item-NN"
// for each string in them that begins so.
func clTestsInTree(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err == nil {
			clTestsInFile(file, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func clTestsInFile(file *ast.File, found map[string]bool) {
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(fn.Name.Name, "Test") && !strings.HasPrefix(fn.Name.Name, "Fuzz") {
			continue
		}
		found[fn.Name.Name] = true
		ast.Inspect(fn, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && clItemName.MatchString(text) {
				found[fn.Name.Name+"/"+text[:len("item-00")]] = true
			}
			return true
		})
	}
}

// clInBubble makes a test run with a clock of its own.
func clInBubble(test func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, test) }
}

// clStore is a store that notes what it is asked and can be made to fail.
type clStore struct {
	*memstore.Store

	mu    sync.Mutex
	calls []string          // guarded by mu: "Load <id>"
	given []*session.Record // guarded by mu: every record it ever was given
	fail  func(call string) error
}

func (s *clStore) ask(call, id string, r *session.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call+" "+id)
	if r != nil {
		own := *r
		s.given = append(s.given, &own)
	}
	if s.fail != nil {
		return s.fail(call + " " + id)
	}
	return nil
}

// take returns the calls since the last take.
func (s *clStore) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// breaks makes every call fail whose name fail accepts; nil repairs the store.
func (s *clStore) breaks(fail func(call string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

var errClDown = errors.New("dial tcp 10.0.0.7:6379: password hunter2 refused")

func clDown(string) error { return errClDown }

func (s *clStore) Create(ctx context.Context, r *session.Record) error {
	if err := s.ask("Create", r.ID, r); err != nil {
		return err
	}
	return s.Store.Create(ctx, r)
}

func (s *clStore) CreateLimited(ctx context.Context, r *session.Record, limit session.Limit, now time.Time) ([]string, error) {
	if err := s.ask("CreateLimited", r.ID, r); err != nil {
		return nil, err
	}
	return s.Store.CreateLimited(ctx, r, limit, now)
}

func (s *clStore) Load(ctx context.Context, id string) (*session.Record, error) {
	if err := s.ask("Load", id, nil); err != nil {
		return nil, err
	}
	return s.Store.Load(ctx, id)
}

func (s *clStore) Update(ctx context.Context, r *session.Record, version uint64) error {
	if err := s.ask("Update", r.ID, r); err != nil {
		return err
	}
	return s.Store.Update(ctx, r, version)
}

func (s *clStore) Patch(ctx context.Context, id string, changes []session.Change, version uint64, now time.Time) error {
	if err := s.ask("Patch", id, nil); err != nil {
		return err
	}
	return s.Store.Patch(ctx, id, changes, version, now)
}

func (s *clStore) Delete(ctx context.Context, id string) error {
	if err := s.ask("Delete", id, nil); err != nil {
		return err
	}
	return s.Store.Delete(ctx, id)
}

func (s *clStore) ListUser(ctx context.Context, userID string, now time.Time) ([]*session.Record, error) {
	if err := s.ask("ListUser", userID, nil); err != nil {
		return nil, err
	}
	return s.Store.ListUser(ctx, userID, now)
}

func (s *clStore) DeleteUser(ctx context.Context, userID string, now time.Time, except ...string) (int, error) {
	if err := s.ask("DeleteUser", userID, nil); err != nil {
		return 0, err
	}
	return s.Store.DeleteUser(ctx, userID, now, except...)
}

// clRecord returns the record as it is stored, or nil.
func (s *clStore) record(id string) *session.Record {
	r, _ := s.Store.Load(context.Background(), id)
	return r
}

// clLab is a server: a Manager, its store, and the events it told.
type clLab struct {
	t     testing.TB
	m     *session.Manager
	store *clStore

	mu     sync.Mutex
	events []session.Event // guarded by mu
}

func newClLab(t testing.TB, cfg session.Config) *clLab {
	t.Helper()
	return newClNode(t, cfg, &clStore{Store: memstore.New(memstore.Options{})})
}

// newClNode returns a further server with the same store.
func newClNode(t testing.TB, cfg session.Config, store *clStore) *clLab {
	t.Helper()
	l := &clLab{t: t, store: store}
	hook := cfg.OnEvent
	cfg.OnEvent = func(ctx context.Context, e session.Event) {
		l.mu.Lock()
		l.events = append(l.events, e)
		l.mu.Unlock()
		if hook != nil {
			hook(ctx, e)
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = clSilence
	}
	m, err := session.New(store, cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	l.m = m
	return l
}

// took returns the events since the last call.
func (l *clLab) took() []session.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := l.events
	l.events = nil
	return events
}

// kinds returns the kinds of events since the last call.
func (l *clLab) kinds() (kinds []session.EventKind) {
	for _, e := range l.took() {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// visitor returns a client without a cookie.
func (l *clLab) visitor() *clClient {
	return &clClient{lab: l, header: make(http.Header)}
}

// signIn returns a client that is signed in.
func (l *clLab) signIn(user string, opts session.SignInOptions) *clClient {
	l.t.Helper()
	c := l.visitor()
	c.signIn(user, opts)
	return c
}

// clClient is a browser: it keeps the session cookie and sends it back.
type clClient struct {
	lab    *clLab
	cookie string      // its value; "": none
	header http.Header // sent with every request
}

// clone returns a client with a copy of the cookie: another tab, or a thief.
func (c *clClient) clone() *clClient {
	return &clClient{lab: c.lab, cookie: c.cookie, header: c.header.Clone()}
}

// on returns the same client talking to another server.
func (c *clClient) on(l *clLab) *clClient {
	other := c.clone()
	other.lab = l
	return other
}

func (c *clClient) request(method string) *http.Request {
	r := httptest.NewRequest(method, "https://example.com/", nil)
	for name, values := range c.header {
		r.Header[name] = values
	}
	if c.cookie != "" {
		r.Header.Add("Cookie", c.lab.m.Config().Cookie.Name+"="+c.cookie)
	}
	return r
}

// send sends a request through any handler and keeps the cookie of the answer.
func (c *clClient) send(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	for _, cookie := range res.Cookies() {
		switch {
		case cookie.Name != c.lab.m.Config().Cookie.Name:
		case cookie.MaxAge < 0:
			c.cookie = ""
		default:
			c.cookie = cookie.Value
		}
	}
	return res
}

// do sends a GET whose handler does what step says.
func (c *clClient) do(step func(ctx context.Context, s *session.Session)) *http.Response {
	return c.send(c.lab.m.Handler(clStep(step)), c.request(http.MethodGet))
}

func clStep(step func(ctx context.Context, s *session.Session)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		step(r.Context(), session.FromContext(r.Context()))
	})
}

// read sends a GET whose handler does nothing.
func (c *clClient) read() *http.Response {
	return c.do(func(context.Context, *session.Session) {})
}

// user returns as whom the server sees the client.
func (c *clClient) user() (user string) {
	c.do(func(_ context.Context, s *session.Session) { user = s.UserID() })
	return user
}

// info returns what the server shows of the client's session.
func (c *clClient) info() (info session.Info) {
	c.do(func(_ context.Context, s *session.Session) { info = s.Info() })
	return info
}

func (c *clClient) signIn(user string, opts session.SignInOptions) *http.Response {
	c.lab.t.Helper()
	return c.must("sign in", func(ctx context.Context, s *session.Session) error { return s.SignIn(ctx, user, opts) })
}

func (c *clClient) rotate() *http.Response {
	c.lab.t.Helper()
	return c.must("rotate", func(ctx context.Context, s *session.Session) error { return s.Rotate(ctx) })
}

func (c *clClient) signOut() *http.Response {
	c.lab.t.Helper()
	return c.must("sign out", func(ctx context.Context, s *session.Session) error { return s.SignOut(ctx) })
}

// clNote is a value of the sessions in these tests.
const clNote session.Key[string] = "note"

func (c *clClient) set(note string) *http.Response {
	c.lab.t.Helper()
	return c.must("set", func(_ context.Context, s *session.Session) error { return clNote.Set(s, note) })
}

func (c *clClient) note() (note string) {
	c.do(func(_ context.Context, s *session.Session) { note, _ = clNote.Get(s) })
	return note
}

// must sends a GET whose handler's step may not fail.
func (c *clClient) must(name string, step func(ctx context.Context, s *session.Session) error) *http.Response {
	c.lab.t.Helper()
	res, err := c.try(step)
	if err != nil {
		c.lab.t.Fatalf("%s: %v", name, err)
	}
	return res
}

func (c *clClient) try(step func(ctx context.Context, s *session.Session) error) (res *http.Response, err error) {
	res = c.do(func(ctx context.Context, s *session.Session) { err = step(ctx, s) })
	return res, err
}
