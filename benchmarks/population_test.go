package benchmarks

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/gofiber/fiber/v3"
	fibersession "github.com/gofiber/fiber/v3/middleware/session"

	"github.com/updateage/session"
	ours "github.com/updateage/session/memstore"
)

// population is a store with many sessions: three to a user, each with the user,
// three values and, except on the floor, what a list of devices shows.
type population interface {
	// add adds the i-th session, which expires at the given time.
	add(i int, id string, expires time.Time)
	// lookup finds a session.
	lookup(id string) bool
}

// directory is a population in which the sessions of a user can be found.
type directory interface {
	// list returns how many sessions the user has.
	list(user string) int
	// revoke ends them and returns how many there were.
	revoke(user string) int
}

// sweepable is a population that frees what is expired at a time, when told to.
type sweepable interface{ sweep(now time.Time) }

const sessionsPerUser = 3

func owner(i int) string { return userID(i / sessionsPerUser) }

// device returns address and user agent of the i-th session.
func device(i int) (address, agent string) {
	return fmt.Sprintf("192.0.%d.%d", i>>8&255, i&255), fmt.Sprintf("%0111d", i%1000)
}

// idLen is the length of session IDs of this library; the others' keys are as long.
const idLen = 24

// newIDs returns n random IDs, one after the other in one string: a million
// strings would be work for the garbage collector.
func newIDs(n int) string {
	random := make([]byte, n*idLen/4*3)
	rand.Read(random)
	return base64.RawURLEncoding.EncodeToString(random)
}

func idAt(ids string, i int) string { return ids[i*idLen : (i+1)*idLen] }

// populations are the stores in memory, by contender.
var populations = map[string]func(tb testing.TB) population{
	"floor":   func(testing.TB) population { return &floorPopulation{newFloorMemory(nil)} },
	"session": newSessionPopulation,
	"scs":     func(tb testing.TB) population { return newSCSPopulation(tb, memstore.NewWithCleanupInterval(0)) },
	"fiber":   newFiberPopulation,
}

type floorPopulation struct{ *floorMemory }

func (p *floorPopulation) add(i int, id string, expires time.Time) {
	r := &floorRecord{id: strings.Clone(id), user: owner(i), expires: expires.UnixMilli()}
	_ = p.create(context.Background(), r.with([]floorValue{
		{"lang", []byte(`"en-GB"`)}, {"theme", []byte(`"system"`)}, {"cart", []byte(`"[1,2,3]"`)},
	}))
}

func (p *floorPopulation) lookup(id string) bool {
	r, _ := p.load(context.Background(), id)
	return r != nil
}

func (p *floorPopulation) list(user string) int   { return len(p.floorMemory.list(user)) }
func (p *floorPopulation) revoke(user string) int { return p.floorMemory.revoke(user) }

// sweep looks through one shard after the other.
func (p *floorPopulation) sweep(now time.Time) {
	for i := range p.shards {
		for _, r := range p.sweepShard(&p.shards[i], now.UnixMilli()) {
			p.forget(r.user, r.id)
		}
	}
}

func (p *floorPopulation) sweepShard(sh *floorShard[*floorRecord], now int64) (gone []*floorRecord) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for id, r := range sh.m {
		if r.expires <= now {
			delete(sh.m, id)
			gone = append(gone, r)
		}
	}
	return gone
}

// sessionPopulation is a store of this library, through its Manager where that
// has the method.
type sessionPopulation struct {
	tb       testing.TB
	store    session.Store
	sessions *session.Manager
	values   session.Values
}

func newSessionPopulation(tb testing.TB) population { return populate(tb, ours.New(ours.Options{})) }

func populate(tb testing.TB, store session.Store) *sessionPopulation {
	tb.Helper()
	sessions, err := session.New(store, session.Config{Logger: slog.New(slog.DiscardHandler)})
	must(tb, err)
	values, err := session.Values("").Apply([]session.Change{
		{Key: "lang", Data: []byte(`"en-GB"`)}, {Key: "theme", Data: []byte(`"system"`)}, {Key: "cart", Data: []byte(`"[1,2,3]"`)},
	})
	must(tb, err)
	return &sessionPopulation{tb: tb, store: store, sessions: sessions, values: values}
}

func (p *sessionPopulation) add(i int, id string, expires time.Time) {
	now := time.Now()
	address, agent := device(i)
	must(p.tb, p.store.Create(context.Background(), &session.Record{
		ID: id, UserID: owner(i), State: session.StateSignedIn, CreatedAt: now, UpdatedAt: now, AuthenticatedAt: now,
		ExpiresAt: expires, ExpiresIn: 7 * 24 * time.Hour, IPAddress: address,
		UserAgent: agent, Version: 1, Values: session.Values(strings.Clone(string(p.values))),
	}))
}

func (p *sessionPopulation) lookup(id string) bool {
	_, err := p.store.Load(context.Background(), id)
	return err == nil
}

func (p *sessionPopulation) list(user string) int {
	infos, err := p.sessions.Sessions(context.Background(), user)
	must(p.tb, err)
	return len(infos)
}

func (p *sessionPopulation) revoke(user string) int {
	n, err := p.sessions.RevokeAll(context.Background(), user)
	must(p.tb, err)
	return n
}

// scsPopulation is a store of scs.
type scsPopulation struct {
	tb       testing.TB
	store    scs.Store
	sessions *scs.SessionManager
}

func newSCSPopulation(tb testing.TB, store scs.Store) *scsPopulation {
	sessions := scs.New()
	sessions.Store = store
	return &scsPopulation{tb, store, sessions}
}

// blob returns the i-th session as scs and fiber store it.
func blob(tb testing.TB, i int, expires time.Time) []byte {
	tb.Helper()
	address, agent := device(i)
	b, err := scs.GobCodec{}.Encode(expires, map[string]any{
		"user": owner(i), "lang": "en-GB", "theme": "system", "cart": "[1,2,3]", "address": address, "agent": agent,
	})
	must(tb, err)
	return b
}

func (p *scsPopulation) add(i int, id string, expires time.Time) {
	data := blob(p.tb, i, expires)
	if store, ok := p.store.(scs.CtxStore); ok {
		must(p.tb, store.CommitCtx(context.Background(), id, data, expires))
		return
	}
	must(p.tb, p.store.Commit(strings.Clone(id), data, expires))
}

func (p *scsPopulation) lookup(id string) bool {
	if store, ok := p.store.(scs.CtxStore); ok {
		_, found, err := store.FindCtx(context.Background(), id)
		must(p.tb, err)
		return found
	}
	_, found, err := p.store.Find(id)
	must(p.tb, err)
	return found
}

// list is what the documentation of scs says to do: look at all sessions.
func (p *scsPopulation) list(user string) (n int) {
	must(p.tb, p.sessions.Iterate(context.Background(), func(ctx context.Context) error {
		if p.sessions.GetString(ctx, "user") == user {
			n++
		}
		return nil
	}))
	return n
}

func (p *scsPopulation) revoke(user string) (n int) {
	must(p.tb, p.sessions.Iterate(context.Background(), func(ctx context.Context) error {
		if p.sessions.GetString(ctx, "user") != user {
			return nil
		}
		n++
		return p.sessions.Destroy(ctx)
	}))
	return n
}

// fiberPopulation is fiber's storage in memory, which cannot find a user's sessions.
type fiberPopulation struct {
	tb    testing.TB
	store fiber.Storage
}

func newFiberPopulation(tb testing.TB) population {
	return &fiberPopulation{tb, fibersession.NewStore().Storage}
}

func (p *fiberPopulation) add(i int, id string, expires time.Time) {
	must(p.tb, p.store.Set(strings.Clone(id), blob(p.tb, i, expires), time.Until(expires)))
}

func (p *fiberPopulation) lookup(id string) bool {
	b, err := p.store.Get(id)
	must(p.tb, err)
	return b != nil
}

func (p *sessionPopulation) sweep(now time.Time) {
	_, err := p.store.(session.Sweeper).Sweep(context.Background(), now)
	must(p.tb, err)
}
