// Package redisstore keeps sessions in Redis. Most people need
//
//	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	store, err := redisstore.New(client, nil)
//
// and the same store works on a single server, behind Sentinel and on a Cluster:
// only the client differs.
//
// A lookup is one GET. Whatever changes something is one script, which runs as
// one step on the server: a session and its entry in the user's index change
// together or not at all, and a script that is sent again after a lost reply
// does nothing the second time. docs/redis.md describes keys and records for
// programs in other languages.
//
// # The server
//
// Redis 6.2 or newer, with maxmemory-policy noeviction: a server that evicts
// drops the indexes of users before their sessions, which are read more often,
// and what is not in an index cannot be listed or revoked. A server that is full
// refuses new sessions and goes on to answer, to delete and to revoke.
//
// Redis replicates asynchronously. When a master is lost, so are the last writes
// it acknowledged, revocations among them. Options.ReplicasToConfirm makes
// revocations wait for replicas.
//
// # The client
//
// Turn ContextTimeoutEnabled on: without it go-redis ends an operation after its
// own time-outs, which are many seconds, and not after Options.Timeout or when
// the request is over. The store does not close the client.
package redisstore

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/updateage/session"
)

// Options are the options of [New]. The zero Options are good.
type Options struct {
	// KeyPrefix is what all keys begin with, "session" if empty. Stores with
	// different prefixes share nothing. It must not contain "{".
	KeyPrefix string

	// Timeout bounds an attempt to get an answer from Redis, 1 second if zero.
	// It takes ContextTimeoutEnabled in the options of the client. While slots
	// of a cluster move, an operation may take several attempts, for up to 3
	// seconds; the context of the caller bounds all of them. A context that is
	// cancelled without a deadline ends them at the next attempt: go-redis does
	// not interrupt one that waits for the answer.
	Timeout time.Duration

	// ReplicasToConfirm is the number of replicas that have to confirm a Delete
	// or DeleteUser. If fewer do, it returns an error that wraps
	// ErrNotConfirmed. A revocation that was confirmed survives a failover to
	// one of them. Have one replica more than you ask for: with none to spare,
	// every revocation fails while a replica is away. It is for revocations
	// only: a session that was replaced, rotated or evicted does not wait.
	ReplicasToConfirm int
	// WaitTimeout is how long replicas have for that, 200 milliseconds if zero.
	// It is less than Timeout and than the client's ReadTimeout.
	WaitTimeout time.Duration

	// Pipeline sends lookups through go-redis's automatic pipelining, which puts
	// those of requests that run at once into one write: more of them in a
	// second, each a little later. docs/reliability.md says what it costs. It
	// needs a *redis.Client or *redis.ClusterClient, and ends with it.
	//
	// It uses the one AsyncAutoPipeline that a client has, which keeps the options
	// of whoever asks for it first. If that is New, they are the client's
	// AutoPipelineOptions or, without any, ones that keep no order, as lookups
	// need none. Code that relies on an order there has a client of its own.
	Pipeline bool

	// Heartbeat is how often Follow makes sure of each server, 1 second if zero.
	// One that is silent for three is not trusted: so long can a session that
	// was revoked elsewhere stay in a cache while the network fails.
	Heartbeat time.Duration

	// Logger gets warnings about the server and the client. nil: slog.Default().
	Logger *slog.Logger
}

const (
	defaultPrefix      = "session"
	defaultTimeout     = time.Second
	defaultWaitTimeout = 200 * time.Millisecond
)

// ErrNotConfirmed reports a revocation that stands on the master, but that fewer
// replicas have confirmed than Options.ReplicasToConfirm says: a failover at this
// moment could undo it. Repeating the call asks the replicas again.
var ErrNotConfirmed = errors.New("redisstore: not confirmed by replicas")

// Store is a [session.Store] in Redis. It also implements
// [session.LimitedCreator], [session.Patcher] and [session.Feed]. There is nothing
// to sweep: every key expires. It is safe for concurrent use; its zero value is
// not usable.
type Store struct {
	client   redis.UniversalClient
	pipeline *redis.AutoPipeliner // of lookups; nil: they go through the client
	cluster  *redis.ClusterClient // the client, if it is one; otherwise nil
	prefix   string               // of keys, up to and including the brace
	bounds   *bounds              // of attempts

	replicas    int // that confirm revocations
	waitTimeout time.Duration
	heartbeat   time.Duration // of Follow
	log         *slog.Logger

	reloaded atomic.Int64 // when the slots were last asked for, ns since 1970
	owners   owners
}

var (
	_ session.Store          = (*Store)(nil)
	_ session.LimitedCreator = (*Store)(nil)
	_ session.Patcher        = (*Store)(nil)
)

// New returns a store that uses the client, which stays the caller's to close.
// opts may be nil.
//
// It refuses clients that read from replicas, because a replica that lags behind
// would accept a session that has been revoked: a *redis.Ring, a ClusterClient
// with ReadOnly, RouteByLatency or RouteRandomly, a failover client with
// ReplicaOnly. It asks the server for its eviction policy and logs a warning if
// that is not noeviction; a server that does not answer is no error.
func New(client redis.UniversalClient, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.fill()
	if err := errors.Join(o.check(), checkClient(client, &o)); err != nil {
		return nil, fmt.Errorf("redisstore: new store: %w", err)
	}
	if err := checkServer(client, o.Logger); err != nil {
		return nil, fmt.Errorf("redisstore: new store: %w", err)
	}
	s := &Store{
		client: client, prefix: o.KeyPrefix + ":{", bounds: newBounds(o.Timeout),
		replicas: o.ReplicasToConfirm, waitTimeout: o.WaitTimeout,
		heartbeat: o.Heartbeat, log: o.Logger,
	}
	s.cluster, _ = client.(*redis.ClusterClient)
	if o.Pipeline {
		var err error
		if s.pipeline, err = newPipeline(client); err != nil {
			return nil, fmt.Errorf("redisstore: new store: %w", err)
		}
	}
	return s, nil
}

func (o *Options) fill() {
	if o.KeyPrefix == "" {
		o.KeyPrefix = defaultPrefix
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.WaitTimeout == 0 {
		o.WaitTimeout = min(defaultWaitTimeout, o.Timeout/2)
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = defaultHeartbeat
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// check reports all mistakes at once.
func (o *Options) check() (err error) {
	// The slot of a key is that of what stands between its first braces, which
	// has to be the tag.
	if strings.Contains(o.KeyPrefix, "{") {
		err = errors.Join(err, fmt.Errorf("KeyPrefix %q contains a brace", o.KeyPrefix))
	}
	if o.Timeout < 0 {
		err = errors.Join(err, fmt.Errorf("negative Timeout %v", o.Timeout))
	}
	if o.ReplicasToConfirm < 0 {
		err = errors.Join(err, fmt.Errorf("negative ReplicasToConfirm %d", o.ReplicasToConfirm))
	}
	if o.WaitTimeout < 0 || o.WaitTimeout >= o.Timeout {
		err = errors.Join(err, fmt.Errorf("WaitTimeout %v is not between 0 and Timeout", o.WaitTimeout))
	}
	if o.Heartbeat < 0 {
		err = errors.Join(err, fmt.Errorf("negative Heartbeat %v", o.Heartbeat))
	}
	return err
}
