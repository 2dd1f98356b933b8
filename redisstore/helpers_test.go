package redisstore_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
)

// TestMain silences go-redis, which logs what these tests do to its servers.
func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	m.Run()
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// life is how long the sessions of a test live.
const life = time.Hour

// newRecord returns a record as a sign-in makes it, anonymous without a user.
func newRecord(userID string, edits ...func(*session.Record)) *session.Record {
	now := time.Now().UTC().Truncate(time.Millisecond)
	r := &session.Record{
		ID: newID(userID), UserID: userID,
		CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(life), ExpiresIn: life,
		IPAddress: "192.0.2.1", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		Version: newVersion(),
	}
	if userID != "" {
		r.State, r.AuthenticatedAt = session.StateSignedIn, now
	}
	rand.Read(r.TokenHash[:])
	for _, edit := range edits {
		edit(r)
	}
	return r
}

func newID(userID string) string {
	b := make([]byte, 18)
	rand.Read(b)
	id := base64.RawURLEncoding.EncodeToString(b)
	if userID == "" {
		return id
	}
	return session.RoutingTag(userID) + id[2:]
}

func newUser() string { return "user-" + rand.Text() }

func newVersion() uint64 { return mathrand.Uint64() | 1 }

// changed returns a copy of the record with a new version and the edits.
func changed(r *session.Record, edits ...func(*session.Record)) *session.Record {
	c := *r
	c.Version = newVersion()
	for _, edit := range edits {
		edit(&c)
	}
	return &c
}

func expiresIn(d time.Duration) func(*session.Record) {
	return func(r *session.Record) { r.ExpiresAt = time.Now().UTC().Truncate(time.Millisecond).Add(d) }
}

func inState(s session.State) func(*session.Record) {
	return func(r *session.Record) { r.State = s }
}

func set(key, data string) session.Change { return session.Change{Key: key, Data: []byte(data)} }

func values(t testing.TB, changes ...session.Change) session.Values {
	t.Helper()
	v, err := session.Values("").Apply(changes)
	must(t, err)
	return v
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// create stores a new record of the user.
func create(t testing.TB, store session.Store, userID string, edits ...func(*session.Record)) *session.Record {
	t.Helper()
	r := newRecord(userID, edits...)
	must(t, store.Create(t.Context(), r))
	return r
}

func wantGone(t testing.TB, store session.Store, id string) {
	t.Helper()
	if r, err := store.Load(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load: got %v and error %v, want %v", r, err, session.ErrNotFound)
	}
}

// wantListed checks which of the user's sessions are listed.
func wantListed(t testing.TB, store session.Store, userID string, want ...*session.Record) {
	t.Helper()
	records, err := store.ListUser(t.Context(), userID, time.Now())
	must(t, err)
	if got, want := ids(records), ids(want); !slices.Equal(got, want) {
		t.Errorf("ListUser: got %q, want %q", got, want)
	}
}

func ids(records []*session.Record) []string {
	list := make([]string, len(records))
	for i, r := range records {
		list[i] = r.ID
	}
	slices.Sort(list)
	return list
}

// eventually waits for what a server does in its own time.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// hook is a redis.Hook that comes between client and server.
type hook struct {
	process func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error
}

func (h hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return h.process(ctx, cmd, next) }
}

func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return next(ctx, cmds) }
}

// recorder notes the names of commands, each of which is a round trip.
type recorder struct {
	mu    sync.Mutex
	names []string // guarded by mu
}

// record notes the commands that the client sends from now on.
func record(client redis.UniversalClient) *recorder {
	r := &recorder{}
	client.AddHook(hook{func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
		r.mu.Lock()
		r.names = append(r.names, cmd.Name())
		r.mu.Unlock()
		return next(ctx, cmd)
	}})
	return r
}

// take returns what was noted since the last time.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := r.names
	r.names = nil
	return names
}

var errLost = errors.New("lost by the test")

// lose makes the client lose three in a hundred commands before and as many
// replies after they were executed, until it is told to stop.
func lose(client redis.UniversalClient) (stop func()) {
	var stopped atomic.Bool
	client.AddHook(hook{func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
		fate := mathrand.N(100)
		if stopped.Load() {
			fate = 100
		}
		var err error
		if fate >= 3 {
			err = next(ctx, cmd)
		}
		if fate < 6 {
			err = errLost
			cmd.SetErr(err)
		}
		return err
	}})
	return func() { stopped.Store(true) }
}

// score returns the entry of a session in the index.
func score(r *session.Record) redis.Z {
	return redis.Z{Score: float64(r.ExpiresAt.UnixMilli()), Member: r.ID}
}

// index puts entries of sessions into the index of their user, as if they had
// been left behind there, or as an operation that has read the index sees them.
func index(t *testing.T, client redis.UniversalClient, records ...*session.Record) {
	t.Helper()
	for _, r := range records {
		must(t, client.ZAdd(t.Context(), indexKey(r.UserID), score(r)).Err())
	}
}
