package redisstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/redis/go-redis/v9/push"
)

// node is a server that is followed.
type node struct {
	feed *feed
	name string
	opts *redis.Options // of the client's connections to it; not to be changed
	stop context.CancelFunc

	up bool // guarded by feed.mu
}

// run listens to the server, over one connection after the other, until ctx is
// done. It warns once of each interruption.
func (n *node) run(ctx context.Context) {
	warned := false
	for {
		err := n.listen(ctx, func() {
			warned = false
			n.feed.set(n, true)
		})
		if ctx.Err() != nil {
			return
		}
		if !warned {
			warned = true
			n.feed.store.log.Warn("redisstore: the feed of changes is interrupted", "server", n.opts.Addr, "err", err)
		}
		n.pause(ctx)
	}
}

// pause waits a part of a heartbeat. It is not the same for all processes: they
// have lost the same server at the same time.
func (n *node) pause(ctx context.Context) {
	quarter := n.feed.store.heartbeat / 4
	select {
	case <-time.After(quarter/2 + rand.N(quarter)):
	case <-ctx.Done():
	}
}

// listen listens over one connection until it breaks or is silent, and says when
// it has begun to miss nothing. Whatever goes wrong is an error: go-redis would
// rather connect again by itself, and with a time-out do nothing at all.
func (n *node) listen(ctx context.Context, up func()) error {
	ctx, cancel := context.WithCancel(ctx)
	client := redis.NewClient(n.connection(ctx))
	defer client.Close()
	var beat sync.WaitGroup
	defer beat.Wait()
	sub := client.Subscribe(ctx) // without a channel it does not connect yet
	defer sub.Close()
	defer cancel()             // closes the connection, whoever is using it
	defer n.feed.set(n, false) // first, as the rest may take a while
	if err := client.RegisterPushNotificationHandler("invalidate", n, false); err != nil {
		return err
	}
	if err := n.connect(ctx, sub); err != nil {
		return err
	}
	beat.Go(func() { n.beat(ctx, sub) })
	for {
		// The answer to a PING comes behind what the server had to tell before:
		// a connection that tells too late is silent, too.
		msg, err := sub.ReceiveTimeout(ctx, n.silence())
		if err != nil {
			return err
		}
		if _, ok := msg.(*redis.Subscription); ok {
			up()
		}
	}
}

// silence is how long a connection may be silent.
func (n *node) silence() time.Duration { return silentBeats * n.feed.store.heartbeat }

// connect makes the connection, which then tracks, and subscribes to a channel
// that nobody publishes on.
func (n *node) connect(ctx context.Context, sub *redis.PubSub) error {
	ctx, cancel := context.WithTimeout(ctx, n.connectTime())
	defer cancel()
	return sub.Subscribe(ctx, n.feed.store.prefix+"}:feed")
}

// connectTime is how long connecting may take, which is not urgent: nothing is
// trusted meanwhile.
func (n *node) connectTime() time.Duration { return max(n.silence(), time.Second) }

// beat makes the server say something with each heartbeat.
func (n *node) beat(ctx context.Context, sub *redis.PubSub) {
	t := time.NewTicker(n.feed.store.heartbeat)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			_ = sub.Ping(ctx) // if it fails, the connection is closed
		case <-ctx.Done():
			return
		}
	}
}

// connection returns the options of a client that connects once, as the client
// of the store does, and tracks.
func (n *node) connection(ctx context.Context) *redis.Options {
	o := *n.opts
	o.Protocol = 3
	o.Dialer = dialOnce(ctx, o.Dialer)
	o.OnConnect = n.track(o.OnConnect)
	o.ReadTimeout, o.WriteTimeout, o.ContextTimeoutEnabled = n.connectTime(), n.silence(), true
	// What belongs to the client and its pool.
	o.MaxRetries, o.MinIdleConns, o.Limiter = -1, 0, nil
	o.AutoPipelineOptions, o.PipelineReadBufferSize, o.PipelineWriteBufferSize = nil, 0, 0
	o.PushNotificationProcessor, o.ClientSideCache, o.ClientSideCacheConfig = nil, nil, nil
	// It would move the connection to another server unnoticed.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &o
}

var errConnectionEnded = errors.New("the connection has ended")

// dialOnce returns a dialer for one connection, which is closed when ctx is done.
// go-redis dials again before it reports that a connection broke, and a server
// that has gone can take long not to answer.
func dialOnce(ctx context.Context, dial dialer) dialer {
	dialed := false // guarded by the lock of the PubSub
	return func(dialing context.Context, network, addr string) (net.Conn, error) {
		if dialed {
			return nil, errConnectionEnded
		}
		dialed = true
		conn, err := dial(dialing, network, addr)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// track returns what is to be done on the new connection, after what the client
// does there.
func (n *node) track(before func(context.Context, *redis.Conn) error) func(context.Context, *redis.Conn) error {
	return func(ctx context.Context, conn *redis.Conn) error {
		if before != nil {
			if err := before(ctx, conn); err != nil {
				return err
			}
		}
		if err := conn.Do(ctx, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", n.feed.store.prefix).Err(); err != nil {
			return err
		}
		return n.verify(ctx, conn)
	}
}

// verify reports a connection to another server than the one that is meant, to
// which a name or Sentinel may lead while one takes the place of the other.
func (n *node) verify(ctx context.Context, conn *redis.Conn) error {
	if n.feed.store.cluster != nil || n.name == "" {
		return nil
	}
	id, err := runID(ctx, conn)
	if err == nil && id != "" && id != n.name {
		err = errors.New("the connection is to another server than the client's")
	}
	return err
}

// HandlePushNotification is called by go-redis with what the server tells: a list
// of keys, or null for all. What is neither is taken for the worse.
func (n *node) HandlePushNotification(_ context.Context, _ push.NotificationHandlerContext, notification []any) error {
	if len(notification) == 2 {
		if keys, ok := notification[1].([]any); ok {
			n.feed.tellChanged(keys)
			return nil
		}
	}
	n.feed.tellAll()
	return nil
}
