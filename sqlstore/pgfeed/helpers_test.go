package pgfeed_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/sqlstore"
	"github.com/updateage/session/sqlstore/pgfeed"
)

const (
	patience = 30 * time.Second
	// beat is short, so that a test need not wait long for a silence.
	beat = 100 * time.Millisecond
)

func open(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	must(t, err)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	return db
}

// newStore returns a store whose tables are there.
func newStore(t testing.TB, db *sql.DB) *pgfeed.Store {
	t.Helper()
	s := bare(t, db, beat)
	must(t, s.Migrate(t.Context()))
	return s
}

func bare(t testing.TB, db *sql.DB, heartbeat time.Duration) *pgfeed.Store {
	t.Helper()
	s, err := pgfeed.New(db, &pgfeed.Options{
		Options:   sqlstore.Options{Timeout: patience, Logger: slog.New(slog.DiscardHandler)},
		Heartbeat: heartbeat,
	})
	must(t, err)
	return s
}

func newRecord(edits ...func(*session.Record)) *session.Record {
	now := time.Now().UTC().Truncate(time.Millisecond)
	b := make([]byte, 18)
	rand.Read(b)
	r := &session.Record{
		ID: base64.RawURLEncoding.EncodeToString(b), CreatedAt: now, UpdatedAt: now,
		ExpiresAt: now.Add(time.Hour), Version: mathrand.Uint64() | 1,
	}
	for _, edit := range edits {
		edit(r)
	}
	return r
}

func create(t testing.TB, s session.Store, edits ...func(*session.Record)) *session.Record {
	t.Helper()
	r := newRecord(edits...)
	must(t, s.Create(t.Context(), r))
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exec(t testing.TB, db *sql.DB, format string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), fmt.Sprintf(format, args...))
	must(t, err)
}

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// follower notes what a feed says.
type follower struct {
	testing.TB
	stop  context.CancelFunc
	ended chan error

	mu      sync.Mutex
	told    []string // guarded by mu
	healthy bool     // guarded by mu
	changes int      // of healthy, guarded by mu
}

// follow returns a follower of a feed that is healthy.
func follow(t testing.TB, s session.Feed) *follower {
	t.Helper()
	f := listen(t, s)
	f.wantHealthy(true)
	return f
}

func listen(t testing.TB, s session.Feed) *follower {
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{TB: t, stop: cancel, ended: make(chan error, 1)}
	go func() { f.ended <- s.Follow(ctx, f.changed, f.health) }()
	t.Cleanup(func() {
		cancel()
		f.ended <- <-f.ended
	})
	return f
}

func (f *follower) changed(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, id)
}

func (f *follower) health(ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.healthy = ok
	f.changes++
}

func (f *follower) wantHealthy(want bool) {
	f.Helper()
	eventually(f, fmt.Sprintf("be healthy = %v", want), func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.healthy == want
	})
}

func (f *follower) interruptions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes
}

func (f *follower) wasTold(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.told, id)
}

func (f *follower) wantTold(id string) {
	f.Helper()
	eventually(f, "tell of a change", func() bool { return f.wasTold(id) })
}

// wantSilent checks that the feed did not tell of an ID, by what it tells of a
// change that came later.
func (f *follower) wantSilent(s session.Store, why, id string) {
	f.Helper()
	later := create(f, s)
	must(f, s.Delete(f.Context(), later.ID))
	f.wantTold(later.ID)
	if f.wasTold(id) {
		f.Errorf("%s: was told of it", why)
	}
}

// proxy stands between a client and a server, and can stop passing anything on.
type proxy struct {
	addr string
	held sync.RWMutex // while it is locked, nothing passes
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	p := &proxy{addr: listener.Addr().String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			go p.pass(server, client)
			go p.pass(client, server)
		}
	}()
	return p
}

func (p *proxy) pass(to io.WriteCloser, from io.ReadCloser) {
	defer to.Close()
	defer from.Close()
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if err != nil {
			return
		}
		p.held.RLock()
		_, err = to.Write(piece[:n])
		p.held.RUnlock()
		if err != nil {
			return
		}
	}
}
