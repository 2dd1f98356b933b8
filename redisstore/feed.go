package redisstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
)

// How a change finds its way to whoever follows:
//
//	a script or DEL of anybody    changes a key that begins with the prefix
//	the server                    tells every connection that tracks the prefix
//	connection   feed_conn.go     cuts the ID out of the key
//	feed         this file        calls changed, in turn with other connections
//
// Redis calls this CLIENT TRACKING in broadcasting mode (6.0). Nobody has to
// publish anything: not this store, not a program in another language, and not
// the server when it drops a key or all of them. Publishing, or keyspace
// notifications, would be slower and would miss some of that.
//
// Each master has a connection of its own. All of them are needed to trust: with
// one missing, any session may be one of its. A connection is trusted from the
// moment it tracks until it breaks or is silent for three heartbeats, and is
// replaced then. So that it is the right server which it listens to, the servers
// are looked for with each heartbeat, through the client that reads and writes:
//
//   - in a cluster, the masters of the slots;
//   - otherwise the server that answers the client, by its run ID. A server that
//     was demoted but left running, behind Sentinel or a name that points
//     elsewhere now, would go on answering, and know of no change any more.
//
// How it can fail: a change is told late, by up to three heartbeats, if the
// connection is silent, and by up to two if another server has taken over slots
// that nobody has been told of. Where the client itself still reads from a master
// that was replaced without its knowledge, the feed comes from there as well; the
// greatest age of what is cached is the bound then.
//
// A connection in RESP3 that is subscribed to a channel, on which nothing is ever
// published, has two advantages over one that is not: go-redis reads from it all
// the time, and the server drops it when more than client-output-buffer-limit
// pubsub waits in it, rather than keep everything for a client that has stopped.

const (
	defaultHeartbeat = time.Second
	silentBeats      = 3 // heartbeats without an answer
)

var _ session.Feed = (*Store)(nil)

// Follow implements [session.Feed]. It has one connection to each master, made as
// the client's own are but without its hooks, and needs the right to
// CLIENT TRACKING, SUBSCRIBE, on channels that begin with the key prefix, and PING.
// INFO tells it when a server takes the place of another; without the right to
// it a server that was replaced has to close its connections.
//
// A client that is neither a *redis.Client nor a *redis.ClusterClient is an
// [errors.ErrUnsupported].
func (s *Store) Follow(ctx context.Context, changed func(id string), healthy func(ok bool)) error {
	f := &feed{store: s, changed: changed, healthy: healthy}
	defer f.nodes.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the nodes
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	for {
		found, err := s.masters(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errors.ErrUnsupported):
			return err
		case err == nil:
			f.follow(ctx, found)
		}
		// Not to be told tells nothing: the connections speak for themselves.
		select {
		case <-beat.C:
		case <-ctx.Done():
		}
	}
}

// masters returns how to connect to the servers that have the sessions, each
// under a name that another server would not have.
func (s *Store) masters(ctx context.Context) (map[string]*redis.Options, error) {
	ctx, cancel := context.WithTimeout(ctx, s.heartbeat)
	defer cancel()
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		return clusterMasters(ctx, c)
	case *redis.Client:
		id, err := runID(ctx, c)
		return map[string]*redis.Options{id: c.Options()}, err
	}
	return nil, fmt.Errorf("redisstore: follow changes through a client of type %T: %w", s.client, errors.ErrUnsupported)
}

// clusterMasters asks the cluster anew.
func clusterMasters(ctx context.Context, c *redis.ClusterClient) (map[string]*redis.Options, error) {
	var mu sync.Mutex
	found := make(map[string]*redis.Options)
	err := c.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		found[master.Options().Addr] = master.Options()
		return nil
	})
	return found, err
}

// runID returns the ID that a server has until it is started again; empty if it
// does not say.
func runID(ctx context.Context, client redis.Cmdable) (string, error) {
	text, err := client.Info(ctx, "server").Result()
	if redis.HasErrorPrefix(err, "NOPERM") {
		return "", nil
	}
	for line := range strings.Lines(text) {
		if id, ok := strings.CutPrefix(line, "run_id:"); ok {
			return strings.TrimSpace(id), nil
		}
	}
	return "", err
}

// feed is what Follow follows.
type feed struct {
	store   *Store
	changed func(id string)
	healthy func(ok bool)
	nodes   sync.WaitGroup // a goroutine for each

	mu        sync.Mutex // guards what is below, and is held during calls of changed and healthy
	following map[string]*node
	told      bool // what healthy was last called with
}

// follow follows these servers and no others.
func (f *feed) follow(ctx context.Context, found map[string]*redis.Options) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.following
	f.following = make(map[string]*node, len(found))
	for name, opts := range found {
		n := was[name]
		if n == nil {
			n = f.start(ctx, name, opts)
		}
		f.following[name] = n
	}
	maps.DeleteFunc(was, func(name string, _ *node) bool { return f.following[name] != nil })
	// Before the others end: what they do not tell any more must not be believed.
	f.tell()
	for _, n := range was {
		n.stop()
	}
}

// start returns a node that is not up yet.
func (f *feed) start(ctx context.Context, name string, opts *redis.Options) *node {
	ctx, stop := context.WithCancel(ctx)
	n := &node{feed: f, name: name, opts: opts, stop: stop}
	f.nodes.Go(func() { n.run(ctx) })
	return n
}

// set notes whether a node is up, which is to say that it misses nothing.
func (f *feed) set(n *node, up bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n.up = up
	f.tell()
}

// tell says whether all nodes are up, if that has changed.
func (f *feed) tell() {
	ok := len(f.following) > 0
	for _, n := range f.following {
		ok = ok && n.up
	}
	if ok == f.told {
		return
	}
	f.told = ok
	f.healthy(ok)
	if ok {
		f.store.log.Info("redisstore: the feed of changes is complete")
	}
}

// tellChanged passes on the changes of keys, of which only those of sessions
// matter.
func (f *feed) tellChanged(keys []any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		key, _ := key.(string)
		if id, ok := f.store.sessionOf(key); ok {
			f.changed(id)
		}
	}
}

// tellAll says that everything may have changed. If that is what was said last,
// there is nothing to take back.
func (f *feed) tellAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.told {
		f.healthy(false)
		f.healthy(true)
	}
}

// sessionOf returns the ID of the session that has the key. Keys of indexes, and
// whatever else is under the prefix, are of no session.
func (s *Store) sessionOf(key string) (id string, ok bool) {
	const kind = "}:s:"
	if len(key) != len(s.prefix)+tagLen+len(kind)+idLen {
		return "", false
	}
	id = key[len(key)-idLen:]
	return id, key == s.sessionKey(id)
}
