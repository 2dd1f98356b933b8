package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// While a slot moves to another server, a script whose keys are half here and
// half there is answered with TRYAGAIN, and go-redis gives up following MOVED and
// ASK after a few times. A slot of some thousand sessions takes seconds.
const (
	patience  = 3 * time.Second
	firstWait = 5 * time.Millisecond
	longWait  = 200 * time.Millisecond
)

// ask asks Redis, each attempt within the store's time-out.
func ask[T any](ctx context.Context, s *Store, attempt func(context.Context) (T, error)) (T, error) {
	var giveUp time.Time
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		answer, err := askOnce(ctx, s, attempt)
		if err == nil || !moving(err) {
			return answer, err
		}
		if giveUp.IsZero() {
			giveUp = time.Now().Add(patience)
		}
		if time.Now().After(giveUp) {
			return answer, err
		}
		if pause(ctx, wait) != nil {
			return answer, err
		}
	}
}

func askOnce[T any](ctx context.Context, s *Store, attempt func(context.Context) (T, error)) (T, error) {
	if err := ctx.Err(); err != nil {
		var nothing T
		return nothing, err
	}
	bounded, cancel := s.bounds.within(ctx)
	defer cancel()
	answer, err := attempt(bounded)
	if err != nil && ctx.Err() == nil {
		s.reload(ctx, err)
	}
	return answer, err
}

// moving says whether a server refused because the slot is on the way to another.
func moving(err error) bool {
	for _, prefix := range []string{"TRYAGAIN", "MOVED", "ASK"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// reloadEvery is how often the slots are asked for at most.
const reloadEvery = 100 * time.Millisecond

// reload makes the client ask which server has which slots, after an error that
// says that a server is away or has lost a slot. go-redis does not by itself when
// a server refuses connections, and would go on asking a dead master for the
// minute that its map of the slots is valid (redis/go-redis#3979).
func (s *Store) reload(ctx context.Context, err error) {
	var answer redis.Error
	if s.cluster == nil || errors.As(err, &answer) && !moving(err) {
		return // a server that answers is not away
	}
	now, last := time.Now().UnixNano(), s.reloaded.Load()
	if now-last >= int64(reloadEvery) && s.reloaded.CompareAndSwap(last, now) {
		s.cluster.ReloadState(ctx)
	}
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
