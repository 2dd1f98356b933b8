package pgfeed

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// How a change finds its way to whoever follows:
//
//	an UPDATE, DELETE or TRUNCATE  fires a trigger of the table
//	the trigger                    sends the ID, which PostgreSQL delivers when the
//	                               transaction commits, and not if it is rolled back
//	the connection of Follow       hears it
//
// A change is visible before it is told, so that whoever is told and then loads
// finds it.
//
// With each heartbeat the connection sends a notification to itself and waits for
// it: notifications come in the order of commits, so that all which were sent
// before it have been told by then. It also looks whether the triggers are there
// and enabled. So a connection is trusted from the moment it listens until it
// breaks, is silent for three heartbeats, or has nothing to listen to.
//
// A connection through a pooler that hands it to others between transactions, as
// PgBouncer's transaction mode does, never hears its own notification, and is never
// trusted. Connect to the server directly.
//
// How it can fail: whoever may set session_replication_role can change rows
// without firing triggers.

const silentBeats = 3 // heartbeats without an answer

var (
	errSilent   = errors.New("the connection has gone silent")
	errTriggers = errors.New("the triggers of the table are missing or disabled, run Migrate")
)

// Follow implements [session.Feed]. It keeps one connection of the database, to
// the exclusion of everything else: allow for it in SetMaxOpenConns. A driver that
// is not pgx's own is an [errors.ErrUnsupported].
func (s *Store) Follow(ctx context.Context, changed func(id string), healthy func(ok bool)) error {
	warned := false
	for {
		l := &listener{store: s, changed: changed, healthy: healthy}
		err := s.listen(ctx, l)
		warned = warned && !l.up
		l.set(false)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errors.ErrUnsupported):
			return fmt.Errorf("pgfeed: follow: %w", err)
		case !warned:
			warned = true
			s.log.Warn("pgfeed: the feed of changes is interrupted", "err", err)
		}
		s.pause(ctx)
	}
}

// pause waits a part of a heartbeat. It is not the same for all processes: they
// have lost the same server at the same time.
func (s *Store) pause(ctx context.Context) {
	quarter := s.heartbeat/4 + 1
	select {
	case <-time.After(quarter/2 + rand.N(quarter)):
	case <-ctx.Done():
	}
}

// silence is how long the connection may be silent.
func (s *Store) silence() time.Duration { return silentBeats * s.heartbeat }

// listen listens on one connection until it fails.
func (s *Store) listen(ctx context.Context, l *listener) error {
	connecting, cancel := context.WithTimeout(ctx, max(s.silence(), time.Second))
	defer cancel()
	conn, err := s.db.Conn(connecting)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.Raw(func(raw any) error {
		pg, ok := raw.(*stdlib.Conn)
		if !ok {
			err = fmt.Errorf("driver connection %T: %w", raw, errors.ErrUnsupported)
			return nil
		}
		l.conn = pg.Conn()
		err = l.run(ctx)
		return driver.ErrBadConn // nobody else may have a connection that listens
	})
	return err
}

// listener is a connection that listens.
type listener struct {
	store   *Store
	conn    *pgx.Conn
	changed func(id string)
	healthy func(ok bool)

	up    bool // what healthy was last called with
	beat  int  // how many notifications it has sent to itself
	heard int  // the last of them that came
}

func (l *listener) run(ctx context.Context) error {
	channel := pgx.Identifier{l.store.table.Channel()}.Sanitize()
	err := l.ask(ctx, func(ctx context.Context) error {
		_, err := l.conn.Exec(ctx, "LISTEN "+channel)
		return err
	})
	for err == nil {
		if err = l.sendBeat(ctx); err == nil {
			err = l.hear(ctx)
		}
		if err == nil && l.heard != l.beat {
			err = errSilent
		}
	}
	return err
}

// ask gives the server two heartbeats for an answer: with the one before, in which
// nothing was asked, that makes three.
func (l *listener) ask(ctx context.Context, question func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, (silentBeats-1)*l.store.heartbeat)
	defer cancel()
	err := question(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errSilent, err)
	}
	return err
}

const beatQuery = `SELECT count(*), pg_notify($1, $2) FROM pg_trigger
WHERE tgrelid = to_regclass($3) AND tgname = ANY($4) AND tgenabled IN ('O', 'A')`

// sendBeat sends a notification to itself and looks after the triggers.
func (l *listener) sendBeat(ctx context.Context) error {
	l.beat++
	var enabled int
	names := l.store.table.Triggers()
	err := l.ask(ctx, func(ctx context.Context) error {
		return l.conn.QueryRow(ctx, beatQuery, l.store.table.Channel(), l.beatText(),
			l.store.table.Quote(`"`), names).Scan(&enabled, nil)
	})
	if err == nil && enabled != len(names) {
		err = errTriggers
	}
	return err
}

// beatText is what no ID looks like, and what no other connection sends.
func (l *listener) beatText() string {
	return fmt.Sprintf("beat %d %d", l.conn.PgConn().PID(), l.beat)
}

// hear tells what it hears for a heartbeat.
func (l *listener) hear(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, l.store.heartbeat)
	defer cancel()
	for bounded.Err() == nil {
		n, err := l.conn.WaitForNotification(bounded)
		switch {
		case err == nil:
			l.tell(n.Payload)
		case bounded.Err() == nil || l.conn.IsClosed():
			return err
		}
	}
	return ctx.Err()
}

func (l *listener) tell(payload string) {
	switch {
	case payload == l.beatText():
		l.heard = l.beat
		l.set(true)
	case strings.HasPrefix(payload, "beat "): // of another process
	case !l.up:
		// Nobody trusts what it was told before.
	case len(payload) == idLen:
		l.changed(payload)
	default:
		// The table was emptied, or somebody else uses the channel: everything
		// may have changed.
		l.healthy(false)
		l.healthy(true)
	}
}

const idLen = 24 // of the ID of a session

// set notes whether it misses nothing.
func (l *listener) set(up bool) {
	if up == l.up {
		return
	}
	l.up = up
	l.healthy(up)
	if up {
		l.store.log.Info("pgfeed: the feed of changes is complete")
	}
}
